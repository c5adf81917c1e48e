//! The calling thread's network namespace: its name, and the programs on its interfaces.

use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

use aya::programs::{SchedClassifier, TcAttachType, XdpMode};
use nix::sched::{CloneFlags, setns};

use super::{error::KernelError, interfaces::InterfaceName};

/// `NETLINK_ROUTE` messages (rtnetlink(7)).
pub(super) const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
pub(super) const NLM_F_REQUEST: u16 = 1;
/// Nested attributes that tell of XDP (`linux/if_link.h`).
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
/// `XDP_ATTACHED_SKB`.
const ATTACHED_GENERIC: u8 = 2;
/// Flags of an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

/// The number of the calling thread's network namespace (`SO_NETNS_COOKIE`, Linux 5.14): no other
/// has it until the machine is started anew, unlike an interface's index or a namespace's inode.
pub(super) fn cookie() -> Result<u64, KernelError> {
    let failed = || KernelError::system("tell this network namespace from others");
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(failed()(io::Error::last_os_error()));
    }
    // SAFETY: a descriptor just made.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let mut cookie = 0_u64;
    let mut length = super::syscall::size_of_u32::<u64>();
    // SAFETY: the number and its length are ours.
    let told = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if told < 0 { Err(failed()(io::Error::last_os_error())) } else { Ok(cookie) }
}

/// The numbers of the network namespaces that a thread is in or that have a name; `None` where not all
/// can be told: in a container, or without the rights.
pub(super) fn cookies() -> Option<BTreeSet<u64>> {
    /// That of the machine's first processes (`PROC_PID_INIT_INO`).
    const ALL_PROCESSES: &str = "pid:[4026531836]";
    let below =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    if fs::read_link("/proc/self/ns/pid").ok()?.to_str() != Some(ALL_PROCESSES) {
        return None;
    }
    let threads = below(Path::new("/proc")).flat_map(|process| below(&process.join("task")));
    let namespaces = threads.map(|thread| thread.join("ns/net"));
    let named = ["/run/netns", "/run/docker/netns"].map(Path::new);
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for path in namespaces.chain(named.into_iter().flat_map(below)) {
        match fs::File::open(&path).and_then(|file| Ok((file.metadata()?, file))) {
            Ok((facts, file)) if seen.insert((facts.dev(), facts.ino())) => files.push(file),
            Ok(_) => {}
            // One that ended meanwhile is in none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            // The first process may be closed even to root; it is where the kernel's threads are.
            Err(_) if path.starts_with("/proc/1") => {}
            Err(_) => return None,
        }
    }
    // A thread of its own, which ends where it came to.
    let enter = |file: fs::File| match setns(file, CloneFlags::CLONE_NEWNET) {
        Ok(()) => Some(cookie().ok()),
        // A file that is none.
        Err(nix::Error::EINVAL) => None,
        Err(_) => Some(None),
    };
    std::thread::spawn(move || files.into_iter().filter_map(enter).collect()).join().ok()?
}

/// Programs on an interface of this network namespace, by the kernel's number: at XDP, and in TCX
/// links at both ends.
pub(super) fn programs_on(
    interface: &InterfaceName,
    ifindex: u32,
) -> Result<Vec<u32>, KernelError> {
    let mut programs: Vec<u32> = xdp_on(ifindex)?.map(|(program, _)| program).into_iter().collect();
    for end in [TcAttachType::Ingress, TcAttachType::Egress] {
        // A kernel without TCX has none there.
        if let Ok((_, found)) = SchedClassifier::query_tcx(interface.as_str(), end) {
            programs.extend(found.iter().map(aya::programs::ProgramInfo::id));
        }
    }
    Ok(programs)
}

/// The XDP program on an interface, and how it is attached.
pub(super) fn xdp_on(ifindex: u32) -> Result<Option<(u32, XdpMode)>, KernelError> {
    let answer = ask_link(ifindex)
        .map_err(KernelError::system("ask for the XDP program of an interface"))?;
    let Some(message) = answer.get(NLMSG_HEADER + LINK_HEADER..) else { return Ok(None) };
    let Some(xdp) = attributes(message).find(|&(kind, _)| kind == IFLA_XDP) else {
        return Ok(None);
    };
    let of = |wanted| attributes(xdp.1).find(|&(kind, _)| kind == wanted).map(|(_, value)| value);
    let program = of(IFLA_XDP_PROG_ID).and_then(|value| value.try_into().ok());
    let generic = of(IFLA_XDP_ATTACHED).is_some_and(|value| value == [ATTACHED_GENERIC]);
    let mode = if generic { XdpMode::Skb } else { XdpMode::Driver };
    Ok(program.map(|program| (u32::from_ne_bytes(program), mode)))
}

/// Bytes of `struct nlmsghdr` and of `struct ifinfomsg`.
pub(super) const NLMSG_HEADER: usize = 16;
const LINK_HEADER: usize = 16;

/// A socket for `NETLINK_ROUTE`.
pub(super) fn route_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// The kernel's message on an interface.
pub(super) fn ask_link(ifindex: u32) -> io::Result<Vec<u8>> {
    let socket = route_socket()?;
    let mut request = [0_u8; NLMSG_HEADER + LINK_HEADER];
    request[..4].copy_from_slice(&32_u32.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    request[NLMSG_HEADER + 4..NLMSG_HEADER + 8].copy_from_slice(&ifindex.to_ne_bytes());
    // SAFETY: the request is ours and as long as said.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = vec![0_u8; 64 << 10];
    // SAFETY: the buffer is ours and as long as said.
    let read =
        unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    answer.truncate(read);
    let is_link = answer.get(4..6).is_some_and(|kind| kind == RTM_NEWLINK.to_ne_bytes());
    if is_link { Ok(answer) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
}

/// Attributes of a message, each with its type and its value.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & TYPE_MASK, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_one_number() {
        assert!(cookie().is_ok_and(|number| number > 0));
        assert_eq!(cookie().ok(), cookie().ok());
        // Where all can be told, this one is among them.
        assert!(cookies().is_none_or(|all| all.contains(&cookie().expect("a number"))));
    }

    #[test]
    fn attributes_end_where_the_message_does() {
        let message = [8, 0, 4, 0, 1, 2, 3, 4, 5, 0, 2, 128, 9, 0, 0, 0, 9, 0, 7, 0, 1];
        let found: Vec<_> = attributes(&message).collect();
        assert_eq!(found, [(4, &[1, 2, 3, 4][..]), (2, &[9][..])]);
    }

    #[test]
    fn the_loopback_has_no_xdp_program() {
        let lo = InterfaceName::new("lo").expect("a name");
        let Ok(ifindex) = lo.index() else { return };
        assert_eq!(xdp_on(ifindex).ok(), Some(None));
        assert!(xdp_on(u32::MAX >> 1).is_err());
    }
}
