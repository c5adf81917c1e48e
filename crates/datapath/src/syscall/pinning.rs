//! Maps and links of a BPF filesystem: pinned, asked.

use std::{
    ffi::CString,
    io,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use super::{Attribute, InfoRequest, PathRequest, bpf, command, fd_of, size_of_u32};

/// Pins a map or a link at a path, where nothing must be.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
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
