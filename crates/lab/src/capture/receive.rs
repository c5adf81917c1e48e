//! A packet socket that sees every frame of one interface.

use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};

use crate::net::packet;

/// Room in the kernel for what comes while the disk is slow: some 5 s of a flood of 2,000
/// frames of 600 bytes a second, as the kernel counts its own overhead too.
const ROOM: usize = 32 << 20;
/// Bytes of an Ethernet header before its type: where a tag goes.
const TAG_AT: usize = 12;

/// A frame as it was on the wire.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Since the Unix epoch.
    pub(super) time: Duration,
    /// Its whole length, tag included.
    pub(super) length: u32,
    /// Its bytes, as far as there was room.
    pub(super) bytes: &'a [u8],
}

/// The socket with its buffer.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: OwnedFd,
    /// Four bytes more than a frame may have, for a tag.
    buffer: Vec<u8>,
}

/// Ancillary data of a frame.
#[derive(Debug, Default)]
struct Aside {
    time: Duration,
    /// The tag's TPID and TCI, where the kernel took the tag out of the frame.
    tag: Option<(u16, u16)>,
}

impl Receiver {
    /// Listens on an interface of the calling thread's namespace.
    pub(super) fn open(interface: &str, snaplen: u32) -> io::Result<Self> {
        // No protocol until it is bound: frames of other interfaces must not come first.
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        setsockopt(&socket, sockopt::RcvBufForce, &ROOM)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        packet::ask_for_aside(&socket)?;
        packet::bind(&socket, interface, packet::EVERY_PROTOCOL)?;
        Ok(Self { socket, buffer: vec![0; snaplen as usize + 4] })
    }

    /// The next frame; none if there is none yet.
    pub(super) fn receive(&mut self) -> io::Result<Option<Frame<'_>>> {
        loop {
            return match self.receive_raw() {
                Ok((length, aside)) => Ok(Some(self.frame(length, &aside))),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(None),
                    io::ErrorKind::Interrupted => continue,
                    // The interface went down: nothing more will come, which is no failure.
                    _ if error.raw_os_error() == Some(libc::ENETDOWN) => Ok(None),
                    _ => Err(error),
                },
            };
        }
    }

    /// Frames the kernel dropped for want of room since this was last asked.
    pub(super) fn dropped(&self) -> io::Result<u64> {
        packet::drops(&self.socket)
    }

    /// Puts a tag back where it was and says how long the frame is.
    fn frame(&mut self, length: usize, aside: &Aside) -> Frame<'_> {
        let room = self.buffer.len() - 4;
        let mut kept = length.min(room);
        let mut whole = length;
        if let Some((tpid, tci)) = aside.tag.filter(|_| kept >= TAG_AT) {
            self.buffer.copy_within(TAG_AT..kept, TAG_AT + 4);
            self.buffer[TAG_AT..TAG_AT + 2].copy_from_slice(&tpid.to_be_bytes());
            self.buffer[TAG_AT + 2..TAG_AT + 4].copy_from_slice(&tci.to_be_bytes());
            kept = (kept + 4).min(room);
            whole += 4;
        }
        Frame {
            time: aside.time,
            length: u32::try_from(whole).unwrap_or(u32::MAX),
            bytes: &self.buffer[..kept],
        }
    }

    /// Reads one frame into the buffer; its length may be more than there was room for.
    fn receive_raw(&mut self) -> io::Result<(usize, Aside)> {
        let room = self.buffer.len() - 4;
        let mut place = libc::iovec { iov_base: self.buffer.as_mut_ptr().cast(), iov_len: room };
        // Eight-byte words, so that control messages are aligned.
        let mut control = [0_u64; 16];
        // SAFETY: `msghdr` is plain old data, for which all zeroes is a valid value.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut place;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the message points to one buffer and one control buffer with their lengths,
        // all alive and not otherwise borrowed during the call.
        let length =
            unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, libc::MSG_TRUNC) };
        let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: `message` was just filled by recvmsg and `control` is still alive.
        Ok((length, unsafe { read_aside(&message) }))
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads the control messages of a received message.
///
/// # Safety
/// `message` must have been filled by `recvmsg`, and its control buffer must be alive.
unsafe fn read_aside(message: &libc::msghdr) -> Aside {
    let mut aside = Aside::default();
    // SAFETY: as the caller promises, the header describes a valid control buffer.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR only return headers inside the buffer.
        let header = unsafe { *next };
        // SAFETY: the data of a header inside the buffer is inside the buffer too.
        let data = unsafe { libc::CMSG_DATA(next) };
        match (header.cmsg_level, header.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: this kind of message carries a `timespec`.
                let time: libc::timespec =
                    unsafe { data.cast::<libc::timespec>().read_unaligned() };
                aside.time = nix::sys::time::TimeSpec::from(time).into();
            }
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                // SAFETY: this kind of message carries a `tpacket_auxdata`.
                let aux = unsafe { data.cast::<libc::tpacket_auxdata>().read_unaligned() };
                aside.tag = tag_of(&aux);
            }
            _ => {}
        }
        // SAFETY: as above.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    aside
}

fn tag_of(aux: &libc::tpacket_auxdata) -> Option<(u16, u16)> {
    let is_tagged = aux.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
    let names_tpid = aux.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    // Kernels before 3.14 did not say which kind of tag it was; there was one kind.
    let tpid = if names_tpid { aux.tp_vlan_tpid } else { 0x8100 };
    is_tagged.then_some((tpid, aux.tp_vlan_tci))
}

// The kernel's layout, which the reads above depend on.
const _: () = assert!(offset_of!(libc::tpacket_auxdata, tp_vlan_tci) == 16);
