//! Maps and links: pinned, asked, listed, ended.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use super::{Attribute, InfoRequest, PathRequest, bpf, command, descriptor, fd_of, size_of_u32};

/// Pins a map or a link at a path, where nothing must be.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let request = PathRequest { path: path.as_ptr() as u64, fd: fd_of(object), flags: 0 };
    // SAFETY: a string that ends in zero.
    unsafe { bpf(command::OBJ_PIN, &mut Attribute::of(&request)) }.map(drop)
}

/// The start of `struct bpf_link_info`, with the interface of an XDP or a TCX link.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct LinkFacts {
    link_type: u32,
    /// The kernel's number of the link.
    pub(in super::super) id: u32,
    /// That of its program.
    pub(in super::super) program: u32,
    padding: u32,
    /// The interface of an XDP or TCX link, 0 where that is gone; of other links no interface.
    pub(in super::super) ifindex: u32,
    target: u32,
}

impl LinkFacts {
    /// The dispatcher that an extension is behind.
    pub(in super::super) fn dispatcher(&self) -> Option<u32> {
        /// `BPF_LINK_TYPE_TRACING`, which those of extensions are.
        const TRACING: u32 = 2;
        (self.link_type == TRACING).then_some(self.target)
    }
}

/// A link's facts.
pub(in super::super) fn link_facts(link: BorrowedFd<'_>) -> io::Result<LinkFacts> {
    let mut facts = LinkFacts::default();
    let request = InfoRequest {
        fd: fd_of(link),
        length: size_of_u32::<LinkFacts>(),
        info: (&raw mut facts) as u64,
    };
    // SAFETY: the kernel writes no more than `length` bytes.
    unsafe { bpf(command::OBJ_GET_INFO_BY_FD, &mut Attribute::of(&request)) }?;
    Ok(facts)
}

#[repr(C)]
#[derive(Clone, Copy)]
struct IdRequest {
    id: u32,
    next_id: u32,
    flags: u32,
}

/// Every link of the kernel, whatever network namespace it is in. Needs `CAP_SYS_ADMIN`.
pub(in super::super) fn links() -> io::Result<Vec<(LinkFacts, OwnedFd)>> {
    let mut links = Vec::new();
    let mut id = 0;
    loop {
        let mut attribute = Attribute::of(&IdRequest { id, next_id: 0, flags: 0 });
        // SAFETY: the request has no pointers.
        match unsafe { bpf(command::LINK_GET_NEXT_ID, &mut attribute) } {
            Ok(_) => id = attribute.read::<IdRequest>().next_id,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(links),
            Err(error) => return Err(error),
        }
        // SAFETY: the request has no pointers.
        match unsafe {
            descriptor(command::LINK_GET_FD_BY_ID, &IdRequest { id, next_id: 0, flags: 0 })
        } {
            Ok(link) => links.push((link_facts(link.as_fd())?, link)),
            // Gone meanwhile, or on its way.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EAGAIN)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes a link off its hook, whoever else holds it. Linux 5.9.
pub(in super::super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let request = IdRequest { id: fd_of(link), next_id: 0, flags: 0 };
    // SAFETY: the request has no pointers.
    unsafe { bpf(command::LINK_DETACH, &mut Attribute::of(&request)) }.map(drop)
}
