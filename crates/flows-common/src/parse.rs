//! Packet parsing: Ethernet and VLAN tags, or neither; IPv4 and IPv6 with what follows them, TCP,
//! UDP, ICMP.
//!
//! The implementation for both worlds: the programs read through direct packet access, the host
//! through a slice, each behind [`Bytes`]. Nothing here trusts a length found in the packet.

mod network;
mod transport;

use crate::{Direction, FlowKey, Loss};
pub use network::{Address, Network, network, remote_address};
use transport::{Transport, is_link_control};

/// Headers are looked for in this many bytes from the start of the frame; an IPv6 extension
/// chain that runs past it is [`Loss::TooManyExtensions`].
///
/// It is also as much as the programs pull into the linear part of a fragmented buffer.
pub const HEADERS_LIMIT: usize = 512;

/// Protocol number of ICMP.
pub const ICMP: u8 = 1;
/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;
/// Protocol number of ICMP for IPv6.
pub const ICMPV6: u8 = 58;

/// Bytes of one VLAN tag.
const VLAN_TAG: u32 = 4;
/// Bytes of an Ethernet header.
const ETHERNET_HEADER: u32 = 14;

/// A frame's bytes, from its Ethernet header on, or from its IP header where it has no other.
pub trait Bytes {
    /// The `N` bytes at `offset`, or `None` where the frame (or what was captured of it) ends
    /// before their end.
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Bytes for [u8] {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// A field of a header: `M` bytes at `at`, which must lie within it.
#[inline(always)]
fn part<const N: usize, const M: usize>(header: &[u8; N], at: usize) -> [u8; M] {
    let Some(field) = header.get(at..).and_then(|rest| rest.first_chunk()) else {
        debug_assert!(false, "{M} bytes at {at} of {N}");
        return [0; M];
    };
    *field
}

/// Header that a frame begins with: a fact of the interface (`ARPHRD_*`), or a capture's link type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkLayer {
    /// Ethernet's, with VLAN tags behind it.
    #[default]
    Ethernet,
    /// None: the frame begins with its IP header, whose version tells which one.
    Bare,
}

impl LinkLayer {
    /// The header of frames on an interface of this hardware type (`ARPHRD_*` of `linux/if_arp.h`),
    /// `None` where it is another one than those here.
    #[must_use]
    pub const fn of_hardware(arphrd: u16) -> Option<Self> {
        match arphrd {
            // Ethernet, and the loopback.
            1 | 772 => Some(Self::Ethernet),
            // SLIP (four kinds); PPP; raw IP (mobile broadband); IP in IP, over IPv4 and over IPv6;
            // IPv6 in IPv4; GRE over IPv4 and over IPv6; none at all (tun, WireGuard, xfrm).
            256..=259 | 512 | 519 | 768 | 769 | 776 | 778 | 823 | 65_534 => Some(Self::Bare),
            _ => None,
        }
    }
}

/// Facts of a frame besides its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Length as the interface counts it: more than the bytes at hand where a capture cut them,
    /// without a VLAN tag that sits in `tag`, and without a header that the link does not have.
    pub length: u32,
    /// Segments of a GRO or GSO super-packet, 0 where not told.
    pub gso_segs: u32,
    /// Payload bytes of each segment but the last, 0 for an ordinary packet.
    pub gso_size: u32,
    /// The tag control information of a VLAN tag that the NIC or the stack took out of the
    /// frame.
    pub tag: Option<u16>,
    /// Header that it begins with.
    pub link: LinkLayer,
}

impl Frame {
    /// An ordinary Ethernet frame of this length.
    #[must_use]
    pub const fn of_length(length: u32) -> Self {
        Self { length, gso_segs: 0, gso_size: 0, tag: None, link: LinkLayer::Ethernet }
    }

    /// Length with the VLAN tag wherever it sits, as it was on the wire; and with an Ethernet header
    /// where it has none, so that a flow has the same features whatever link it was seen on.
    #[inline(always)]
    #[must_use]
    pub const fn wire_length(&self) -> u32 {
        self.length.saturating_add(self.beside())
    }

    /// Bytes of headers that are not among the frame's own.
    #[inline(always)]
    const fn beside(&self) -> u32 {
        let tag = if self.tag.is_some() { VLAN_TAG } else { 0 };
        match self.link {
            LinkLayer::Ethernet => tag,
            LinkLayer::Bare => ETHERNET_HEADER + tag,
        }
    }

    /// Packets on the wire as far as the frame's metadata tells, for a frame that has no flow.
    #[inline(always)]
    #[must_use]
    pub const fn segments(&self) -> u64 {
        if self.gso_segs > 1 { self.gso_segs as u64 } else { 1 }
    }
}

/// Why a frame has no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The cause.
    pub loss: Loss,
    /// The EtherType behind any VLAN tags, as far as it was read.
    pub ether_type: u16,
}

/// A parsed packet: the fields that accounting uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port, 0 for none.
    pub source_port: u16,
    /// Destination port, 0 for none.
    pub destination_port: u16,
    /// VLAN id of the outermost tag, 0 for none.
    pub outer_vlan: u16,
    /// VLAN id of the second tag, 0 for none.
    pub inner_vlan: u16,
    /// IP protocol number, after any IPv6 extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The packet is a fragment (the first one of a datagram included).
    pub fragment: bool,
    /// The packet carries a TCP header, and `tcp_flags`, `sequence`, `acknowledged` and `window`
    /// are valid.
    pub tcp: bool,
    /// Byte 13 of the TCP header.
    pub tcp_flags: u8,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
    /// The packet is an ICMP or ICMPv6 error message.
    pub icmp_error: bool,
    /// TCP sequence number.
    pub sequence: u32,
    /// TCP acknowledgement number, which counts where the ACK flag is set.
    pub acknowledged: u32,
    /// TCP receive window, unscaled.
    pub window: u16,
    /// Packets on the wire: 1, or the segments of a super-packet.
    pub segments: u32,
    /// Length on the wire of each segment but the last.
    pub segment_length: u32,
    /// Length on the wire of the last (or only) segment.
    pub last_length: u32,
    /// Bytes above the transport header, all segments together.
    pub payload: u32,
}

impl Packet {
    /// Bytes on the wire, all segments with their own headers.
    #[inline(always)]
    #[must_use]
    pub const fn wire_bytes(&self) -> u64 {
        (self.segments as u64 - 1) * self.segment_length as u64 + self.last_length as u64
    }
}

/// Parses one frame.
///
/// # Errors
/// [`Rejected`] tells why the frame belongs to no flow; each cause has its own counter.
#[inline(always)]
pub fn parse<B: Bytes + ?Sized>(bytes: &B, frame: &Frame) -> Result<Packet, Rejected> {
    let network = network(bytes, frame.link, frame.tag)?;
    let reject = |loss| Rejected { loss, ether_type: network.ether_type };
    let internet = network::internet(bytes, &network).map_err(reject)?;
    let transport = if internet.later_fragment {
        Transport::default()
    } else {
        transport::transport(bytes, internet.protocol, internet.payload_offset).map_err(reject)?
    };
    if is_link_control(internet.protocol, transport.icmp_type, internet.ttl) {
        return Err(reject(Loss::LinkControl));
    }

    let headers = (internet.payload_offset + transport.header) as u32 + frame.beside();
    let above_headers = frame.wire_length().saturating_sub(headers);
    let cut = Segments::of(frame, headers - internet.unsegmented, above_headers);
    let payload = if cut.count > 1 {
        above_headers
    } else {
        // The IP length leaves out Ethernet padding; a length that lies is held to the frame's.
        let declared = internet.payload_length.saturating_sub(transport.header as u32);
        if declared < above_headers { declared } else { above_headers }
    };

    Ok(Packet {
        source: internet.source,
        destination: internet.destination,
        source_port: transport.source_port,
        destination_port: transport.destination_port,
        outer_vlan: network.outer_vlan,
        inner_vlan: network.inner_vlan,
        protocol: internet.protocol,
        ttl: internet.ttl,
        fragment: internet.fragment,
        tcp: transport.tcp,
        tcp_flags: transport.flags,
        icmp_type: transport.icmp_type,
        icmp_code: transport.icmp_code,
        icmp_error: transport.icmp_error,
        sequence: transport.sequence,
        acknowledged: transport.acknowledged,
        window: transport.window,
        segments: cut.count,
        segment_length: cut.length,
        last_length: cut.last,
        payload,
    })
}

/// Segmentation of a super-packet into packets on the wire.
struct Segments {
    count: u32,
    length: u32,
    last: u32,
}

impl Segments {
    #[inline(always)]
    fn of(frame: &Frame, headers: u32, above_headers: u32) -> Self {
        let whole = Self { count: 1, length: 0, last: frame.wire_length() };
        if frame.gso_size == 0 || above_headers <= frame.gso_size {
            return whole;
        }
        let count = if frame.gso_segs > 1 {
            frame.gso_segs
        } else {
            above_headers.div_ceil(frame.gso_size)
        };
        let before_last = (count - 1).saturating_mul(frame.gso_size);
        Self {
            count,
            length: headers.saturating_add(frame.gso_size),
            last: headers.saturating_add(above_headers.saturating_sub(before_last)),
        }
    }
}

impl FlowKey {
    /// The key of a packet that goes `direction` on the interface `ifindex`.
    #[inline(always)]
    #[must_use]
    pub const fn of(packet: &Packet, direction: Direction, ifindex: u32) -> Self {
        let (local, remote, local_port, remote_port) = match direction {
            Direction::Ingress => {
                (packet.destination, packet.source, packet.destination_port, packet.source_port)
            }
            Direction::Egress => {
                (packet.source, packet.destination, packet.source_port, packet.destination_port)
            }
        };
        // Not an array of zeros, for which the BPF target calls a function.
        let [protocol, r0, r1, r2] = (packet.protocol as u32).to_le_bytes();
        Self {
            local: local.to_16(),
            remote: remote.to_16(),
            ifindex,
            local_port,
            remote_port,
            outer_vlan: packet.outer_vlan,
            inner_vlan: packet.inner_vlan,
            protocol,
            reserved: [r0, r1, r2],
        }
    }
}
