//! Interfaces of a network namespace: selection by name or glob, arrival and removal.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{CStr, CString},
    fmt, io,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    time::Duration,
};

use super::{
    error::KernelError,
    netns::{NLMSG_HEADER, RTM_NEWLINK},
    rtnetlink::hardware_type,
    syscall::size_of_u32,
};

/// The address family as an address has it.
const NETLINK_FAMILY: libc::sa_family_t = 16;
const _: () = assert!(libc::AF_NETLINK == 16);

/// Longest interface name, in bytes (`IFNAMSIZ` less the final zero).
const NAME_MAX: usize = 15;

/// The loopback carries no traffic of the network: no glob means it.
const LOOPBACK: &str = "lo";

/// A valid name of an interface, which may or may not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Checks a name by the kernel's own rule (`dev_valid_name`).
    pub fn new(name: &str) -> Result<Self, KernelError> {
        let allowed = |byte: u8| !matches!(byte, b'/' | b':' | 0) && !byte.is_ascii_whitespace();
        let valid = (1..=NAME_MAX).contains(&name.len())
            && name != "."
            && name != ".."
            && name.bytes().all(allowed);
        if valid {
            Ok(Self(name.to_owned()))
        } else {
            Err(KernelError::InvalidInterface { name: name.to_owned() })
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The interface's index in the calling thread's network namespace.
    pub fn index(&self) -> Result<u32, KernelError> {
        let name = CString::new(self.0.as_str())
            .map_err(|_| KernelError::InvalidInterface { name: self.0.clone() })?;
        // SAFETY: a string that ends in zero.
        match unsafe { libc::if_nametoindex(name.as_ptr()) } {
            0 => Err(match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ENODEV) => {
                    KernelError::UnknownInterface { name: self.0.clone() }
                }
                source => KernelError::System { action: "look an interface up", source },
            }),
            index => Ok(index),
        }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Selection of interfaces: names and globs (`*` any run of bytes, `?` any one byte).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSelection {
    patterns: Vec<String>,
}

impl InterfaceSelection {
    /// Takes names and globs; one interface may be meant by several.
    #[must_use]
    pub fn new<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self { patterns: patterns.into_iter().map(Into::into).collect() }
    }

    /// True where an interface is selected. The loopback is selected only by its name.
    #[must_use]
    pub fn matches(&self, name: &InterfaceName) -> bool {
        let name = name.as_str();
        self.patterns.iter().any(|pattern| {
            if name == LOOPBACK {
                pattern == LOOPBACK
            } else {
                glob(pattern.as_bytes(), name.as_bytes())
            }
        })
    }

    /// The interfaces meant that exist now, with their indices.
    ///
    /// A name without `*` and `?` that does not exist is an error; a glob that matches nothing
    /// is not, for what it means may be plugged in later.
    pub fn resolve(&self) -> Result<BTreeMap<InterfaceName, u32>, KernelError> {
        for pattern in &self.patterns {
            if !pattern.contains(['*', '?']) {
                InterfaceName::new(pattern)?.index()?;
            }
        }
        self.present()
    }

    fn present(&self) -> Result<BTreeMap<InterfaceName, u32>, KernelError> {
        let mut present = list()?;
        present.retain(|name, _| self.matches(name));
        Ok(present)
    }

    fn links(&self) -> Result<BTreeMap<InterfaceName, Link>, KernelError> {
        let mut links = BTreeMap::new();
        for (name, ifindex) in self.present()? {
            match hardware_type(ifindex) {
                Ok(hardware) => drop(links.insert(name, Link { ifindex, hardware })),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(KernelError::system("ask for an interface")(source)),
            }
        }
        Ok(links)
    }
}

/// An interface by what its hooks and programs hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    ifindex: u32,
    /// Kind of its frames (`ARPHRD_*`).
    hardware: u16,
}

/// An interface that came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterfaceChange {
    /// It is there now. A rename is a `Removed` and an `Added`, and so is another kind of frames, or a
    /// way to another network namespace and back, on which its hooks may have been lost.
    Added {
        /// Its name.
        name: InterfaceName,
        /// Its index.
        ifindex: u32,
    },
    /// It is no longer there, or not as it was.
    Removed {
        /// Its name.
        name: InterfaceName,
        /// Its index.
        ifindex: u32,
    },
}

/// Watch for selected interfaces that come and go, in the network namespace it was made in.
///
/// The changes are found by comparing lists, so that a lost event loses nothing but that an interface
/// was away between two of them. [`AsFd`] becomes readable on an event; then call [`Self::changes`].
#[derive(Debug)]
pub struct InterfaceWatch {
    events: OwnedFd,
    selection: InterfaceSelection,
    known: BTreeMap<InterfaceName, Link>,
    /// Indices of those that went since the last list.
    went: BTreeSet<u32>,
}

impl InterfaceWatch {
    /// Watches from now on; what [`InterfaceSelection::resolve`] tells now is known.
    pub fn new(selection: InterfaceSelection) -> Result<Self, KernelError> {
        let events =
            link_events().map_err(KernelError::system("listen for interfaces that come and go"))?;
        // In this order: what comes in between is an event.
        let known = selection.links()?;
        Ok(Self { events, selection, known, went: BTreeSet::new() })
    }

    /// The interfaces known to be there.
    #[must_use]
    pub fn known(&self) -> impl ExactSizeIterator<Item = &InterfaceName> {
        self.known.keys()
    }

    /// Changes since the last call, removals first. Does not wait.
    ///
    /// # Errors
    /// The kernel does not tell; the next call tells those changes as well.
    pub fn changes(&mut self) -> Result<Vec<InterfaceChange>, KernelError> {
        self.went.extend(went(self.events.as_fd()));
        let present = self.selection.links()?;
        let went = std::mem::take(&mut self.went);
        let differing = |some: &BTreeMap<InterfaceName, Link>, other: &BTreeMap<_, Link>| {
            let differs = |(name, link): &(&InterfaceName, &Link)| {
                other.get(*name) != Some(*link) || went.contains(&link.ifindex)
            };
            let of = |(name, link): (&InterfaceName, &Link)| (name.clone(), link.ifindex);
            some.iter().filter(differs).map(of).collect::<Vec<_>>()
        };
        let gone = differing(&self.known, &present).into_iter();
        let came = differing(&present, &self.known).into_iter();
        let changes = gone
            .map(|(name, ifindex)| InterfaceChange::Removed { name, ifindex })
            .chain(came.map(|(name, ifindex)| InterfaceChange::Added { name, ifindex }))
            .collect();
        self.known = present;
        Ok(changes)
    }

    /// Waits for an event, at most this long; tells whether there was one.
    pub fn wait(&self, at_most: Duration) -> Result<bool, KernelError> {
        let mut poll =
            libc::pollfd { fd: self.events.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout_ms = i32::try_from(at_most.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one element, ours.
        match unsafe { libc::poll(&raw mut poll, 1, timeout_ms) } {
            0 => Ok(false),
            1.. => Ok(true),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                source => Err(KernelError::System { action: "wait for an interface", source }),
            },
        }
    }
}

impl AsFd for InterfaceWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl std::os::fd::AsRawFd for InterfaceWatch {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.events.as_raw_fd()
    }
}

/// A netlink socket that receives link events (`RTMGRP_LINK`).
fn link_events() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: integers, for which all zero is a value.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = NETLINK_FAMILY;
    address.nl_groups = libc::RTMGRP_LINK as u32;
    // SAFETY: the address is ours and as long as said.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_u32::<libc::sockaddr_nl>(),
        )
    };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// Reads events until there is none: the indices of the interfaces that went.
fn went(events: BorrowedFd<'_>) -> BTreeSet<u32> {
    let mut went = BTreeSet::new();
    let mut event = [0_u8; 16_384];
    loop {
        // SAFETY: the buffer is ours and as long as said.
        let read =
            unsafe { libc::recv(events.as_raw_fd(), event.as_mut_ptr().cast(), event.len(), 0) };
        match usize::try_from(read) {
            Ok(read @ 1..) => went.extend(went_in(&event[..read])),
            // An overflow is told once, and there is more behind it.
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ENOBUFS) => {}
            _ => return went,
        }
    }
}

/// The indices of the interfaces that went, in link messages.
fn went_in(mut messages: &[u8]) -> BTreeSet<u32> {
    const RTM_DELLINK: u16 = RTM_NEWLINK + 1;
    let mut went = BTreeSet::new();
    while let Some(length) = messages.first_chunk().copied().map(u32::from_ne_bytes) {
        let message = messages.get(..length as usize).unwrap_or(messages);
        let number = |at: usize| message.get(at..)?.first_chunk().copied();
        // A bridge tells of a port that leaves it in the same words, as of its own address family.
        let family = message.get(NLMSG_HEADER);
        if message.get(4..6) == Some(&RTM_DELLINK.to_ne_bytes()[..]) && family == Some(&0) {
            went.extend(number(NLMSG_HEADER + 4).map(u32::from_ne_bytes));
        }
        let next = (length as usize).max(NLMSG_HEADER).next_multiple_of(4);
        messages = messages.get(next..).unwrap_or_default();
    }
    went
}

/// All interfaces of the calling thread's network namespace, with their indices.
pub(super) fn list() -> Result<BTreeMap<InterfaceName, u32>, KernelError> {
    // SAFETY: no preconditions.
    let first = unsafe { libc::if_nameindex() };
    if first.is_null() {
        return Err(KernelError::System {
            action: "list the interfaces",
            source: io::Error::last_os_error(),
        });
    }
    let mut interfaces = BTreeMap::new();
    let mut at = first;
    // SAFETY: an array that ends with an element without index and name.
    unsafe {
        while (*at).if_index != 0 && !(*at).if_name.is_null() {
            if let Ok(name) = CStr::from_ptr((*at).if_name).to_str()
                && let Ok(name) = InterfaceName::new(name)
            {
                interfaces.insert(name, (*at).if_index);
            }
            at = at.add(1);
        }
        libc::if_freenameindex(first);
    }
    Ok(interfaces)
}

/// True where a name matches a glob. Both are short: plain backtracking suffices.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skipped| glob(rest, &name[skipped..])),
        ([b'?', rest @ ..], [_, name @ ..]) => glob(rest, name),
        ([byte, rest @ ..], [first, name @ ..]) => byte == first && glob(rest, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> InterfaceName {
        InterfaceName::new(text).expect("a name")
    }

    #[test]
    fn a_glob_means_what_a_shell_would_make_of_it() {
        for (pattern, name, means) in [
            ("eth0", "eth0", true),
            ("eth?", "eth10", false),
            ("eth*", "eth10", true),
            ("*.100", "eth0.100", true),
            ("e*h*0", "eth0", true),
            ("", "eth0", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), means, "{pattern} {name}");
        }
    }

    #[test]
    fn the_loopback_is_meant_by_its_name_only() {
        assert!(!InterfaceSelection::new(["*"]).matches(&name("lo")));
        assert!(InterfaceSelection::new(["lo"]).matches(&name("lo")));
    }

    #[test]
    fn who_went_is_read_from_whole_messages_of_no_bridge() {
        let message = |kind: u16, family: u8, index: u32| {
            let mut bytes = [&36_u32.to_ne_bytes()[..], &kind.to_ne_bytes()].concat();
            bytes.resize(NLMSG_HEADER, 0);
            bytes.extend([family, 0, 1, 0]);
            bytes.extend(index.to_ne_bytes());
            bytes.resize(36, 0);
            bytes
        };
        let (added, removed) = (RTM_NEWLINK, RTM_NEWLINK + 1);
        let all = [message(added, 0, 1), message(removed, 0, 2), message(removed, 7, 3)];
        let all = [all.concat(), message(removed, 0, 4)].concat();
        assert_eq!(went_in(&all), [2, 4].into());
        for length in 0..all.len() {
            assert!(went_in(&all[..length]).is_subset(&[2, 4].into()), "{length}");
        }
        assert_eq!(went_in(&[0; 64]), [].into());
    }

    #[test]
    fn a_name_the_kernel_would_refuse_is_refused() {
        for text in ["", ".", "..", "a/b", "a b", "sixteen-bytes-xx"] {
            assert!(InterfaceName::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_and_an_idle_glob_is_not() {
        let error =
            InterfaceSelection::new(["weir-none"]).resolve().expect_err("no such interface");
        assert!(error.to_string().starts_with("no interface `weir-none`"), "{error}");
        assert!(InterfaceSelection::new(["weir-n*"]).resolve().expect("a list").is_empty());
    }
}
