//! Ethernet frames as an attacker crafts them, and the packet socket they leave through.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use etherparse::{PacketBuilder, TcpOptionElement, VlanId};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socket};

use crate::net::packet;

/// Hop limit of crafted packets, as most systems have it.
const HOPS: u8 = 64;

/// The parts of a frame that stay the same for a whole attack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) source_mac: [u8; 6],
    pub(crate) target_mac: [u8; 6],
    pub(crate) vlan: Option<u16>,
}

/// Content of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Syn { source_port: u16, target_port: u16, sequence: u32 },
    Datagram { source_port: u16, target_port: u16, payload: &'a [u8] },
    Echo { id: u16, sequence: u16, payload: &'a [u8] },
}

impl Envelope {
    /// Writes the frame, checksums included, over what `frame` held.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if the addresses are not of one family or the VLAN id
    /// or the payload is too large.
    pub(crate) fn seal(
        &self,
        source: IpAddr,
        target: IpAddr,
        content: Content<'_>,
        frame: &mut Vec<u8>,
    ) -> io::Result<()> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        frame.clear();
        let ethernet = PacketBuilder::ethernet2(self.source_mac, self.target_mac);
        let ip = match (source, target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => etherparse::IpHeaders::Ipv4(
                etherparse::Ipv4Header {
                    time_to_live: HOPS,
                    source: source.octets(),
                    destination: target.octets(),
                    dont_fragment: true,
                    ..Default::default()
                },
                etherparse::Ipv4Extensions::default(),
            ),
            (IpAddr::V6(source), IpAddr::V6(target)) => etherparse::IpHeaders::Ipv6(
                etherparse::Ipv6Header {
                    hop_limit: HOPS,
                    source: source.octets(),
                    destination: target.octets(),
                    ..Default::default()
                },
                etherparse::Ipv6Extensions::default(),
            ),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let datagram = match self.vlan {
            None => ethernet.ip(ip),
            Some(id) => ethernet.single_vlan(VlanId::try_new(id).map_err(invalid_vlan)?).ip(ip),
        };
        match content {
            Content::Syn { source_port, target_port, sequence } => datagram
                .tcp(source_port, target_port, sequence, 64_240)
                .syn()
                .options(&[TcpOptionElement::MaximumSegmentSize(1_460)])
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?
                .write(frame, &[])
                .map_err(invalid),
            Content::Datagram { source_port, target_port, payload } => {
                datagram.udp(source_port, target_port).write(frame, payload).map_err(invalid)
            }
            Content::Echo { id, sequence, payload } if source.is_ipv4() => {
                datagram.icmpv4_echo_request(id, sequence).write(frame, payload).map_err(invalid)
            }
            Content::Echo { id, sequence, payload } => {
                datagram.icmpv6_echo_request(id, sequence).write(frame, payload).map_err(invalid)
            }
        }
    }
}

fn invalid_vlan<E>(_: E) -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

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
