//! The packet socket that crafted frames leave through.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socket};

use crate::net::packet;

/// A packet socket that sends frames out of one interface.
#[derive(Debug)]
pub(crate) struct Injector(OwnedFd);

impl Injector {
    /// Opens it on an interface of the calling thread's namespace.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        // Protocol 0: it receives nothing.
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
        packet::bind(&socket, interface, 0)?;
        Ok(Self(socket))
    }

    /// Sends a frame; false if the kernel had no room for it.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<bool> {
        match send(self.0.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT) {
            Ok(_) => Ok(true),
            Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}
