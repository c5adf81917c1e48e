//! Programs: opened by number, asked for their facts, put in the place of another's function.

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd},
};

use super::{Attribute, InfoRequest, bpf, command, descriptor, fd_of, size_of_u32};

/// A loaded program's facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct ProgramFacts {
    /// The kernel's number of it.
    pub(in super::super) id: u32,
    /// Its name, cut to 15 bytes.
    pub(in super::super) name: String,
    /// The numbers of the first of its maps, and how many there are.
    maps: ([u32; 1], u32),
}

impl ProgramFacts {
    /// The program's map, where it has exactly one.
    pub(in super::super) const fn only_map(&self) -> Option<u32> {
        match self.maps {
            ([map], 1) => Some(map),
            _ => None,
        }
    }
}

/// The start of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    created_by_uid: u32,
    map_count: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// Opens a program by the kernel's number. Needs `CAP_SYS_ADMIN`.
pub(in super::super) fn program(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: the request has no pointers.
    unsafe { descriptor(command::PROG_GET_FD_BY_ID, &[id, 0, 0]) }
}

/// Opens a map by the kernel's number. Needs `CAP_SYS_ADMIN`.
pub(in super::super) fn map_of(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: the request has no pointers.
    unsafe { descriptor(command::MAP_GET_FD_BY_ID, &[id, 0, 0]) }
}

/// A program's facts.
pub(in super::super) fn program_facts(program: BorrowedFd<'_>) -> io::Result<ProgramFacts> {
    let mut maps = [0_u32; 1];
    let mut info =
        ProgramInfo { map_count: 1, map_ids: maps.as_mut_ptr() as u64, ..ProgramInfo::default() };
    let request = InfoRequest {
        fd: fd_of(program),
        length: size_of_u32::<ProgramInfo>(),
        info: (&raw mut info) as u64,
    };
    // SAFETY: the kernel writes no more than `length` bytes, and one number of a map.
    unsafe { bpf(command::OBJ_GET_INFO_BY_FD, &mut Attribute::of(&request)) }?;
    let name = info.name.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(ProgramFacts { id: info.id, name, maps: (maps, info.map_count) })
}

#[repr(C)]
#[derive(Clone, Copy)]
struct LinkRequest {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    target_btf_id: u32,
    padding: u32,
}

/// Puts an extension in the place of a function of another program (Linux 5.10), by the number of
/// the function's type; it goes with the link.
pub(in super::super) fn extend(
    extension: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    function: u32,
) -> io::Result<OwnedFd> {
    let request = LinkRequest {
        program: fd_of(extension),
        target: fd_of(target),
        attach_type: 0,
        flags: 0,
        target_btf_id: function,
        padding: 0,
    };
    // SAFETY: the request has no pointers.
    unsafe { descriptor(command::LINK_CREATE, &request) }
}
