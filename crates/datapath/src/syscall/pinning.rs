//! Maps and links of a BPF filesystem: made to measure, pinned, asked.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use super::{
    Attribute, CreateRequest, InfoRequest, MapFacts, PathRequest, bpf, command, fd_of, map_name,
    owned, size_of_u32,
};

/// Makes a map of given facts.
pub(in super::super) fn create_map_of(name: &str, facts: &MapFacts) -> io::Result<OwnedFd> {
    let request = CreateRequest {
        map_type: facts.map_type,
        key_size: facts.key_size,
        value_size: facts.value_size,
        max_entries: facts.max_entries,
        map_flags: facts.map_flags,
        inner_map_fd: 0,
        numa_node: 0,
        map_name: map_name(name),
    };
    // SAFETY: the request has no pointers.
    let fd = unsafe { bpf(command::MAP_CREATE, &mut Attribute::of(&request))? };
    owned(fd)
}

/// Pins a map or a link at a path, where nothing must be.
pub(in super::super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let request = PathRequest { path: path.as_ptr() as u64, fd: fd_of(object), flags: 0 };
    // SAFETY: a string that ends in zero.
    unsafe { bpf(command::OBJ_PIN, &mut Attribute::of(&request)) }.map(drop)
}

/// The start of `struct bpf_link_info`, with the interface of an XDP or a TCX link.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct LinkFacts {
    link_type: u32,
    id: u32,
    program: u32,
    padding: u32,
    ifindex: u32,
    rest: u32,
}

/// The interface of an XDP or TCX link, 0 where that is gone.
pub(in super::super) fn link_ifindex(link: BorrowedFd<'_>) -> io::Result<u32> {
    let mut facts = LinkFacts::default();
    let request = InfoRequest {
        fd: fd_of(link),
        length: size_of_u32::<LinkFacts>(),
        info: (&raw mut facts) as u64,
    };
    // SAFETY: the kernel writes no more than `length` bytes.
    unsafe { bpf(command::OBJ_GET_INFO_BY_FD, &mut Attribute::of(&request)) }?;
    Ok(facts.ifindex)
}
