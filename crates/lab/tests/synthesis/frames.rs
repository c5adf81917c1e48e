//! Frames of a synthetic capture as somebody reads them who knows nothing of how they were made.

use std::io;
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use lab::{Author, Synthetic};

/// What a frame shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) unix_ns: u64,
    pub(crate) author: Author,
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
    pub(crate) hops: u8,
    pub(crate) kind: Kind,
    pub(crate) ports: [u16; 2],
    pub(crate) payload: usize,
    pub(crate) length: usize,
    /// The sums in its headers are those of its bytes.
    pub(crate) sums_are_right: bool,
}

/// Kind of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp {
        syn: bool,
        ack: bool,
        sequence: u32,
        acknowledgment: u32,
    },
    Udp,
    Icmp {
        kind: u8,
        id: [u8; 4],
    },
    /// A part of a packet.
    Fragment,
}

impl Seen {
    pub(crate) fn is_first_syn(&self) -> bool {
        matches!(self.kind, Kind::Tcp { syn: true, ack: false, .. })
    }

    pub(crate) fn is_syn_ack(&self) -> bool {
        matches!(self.kind, Kind::Tcp { syn: true, ack: true, .. })
    }

    pub(crate) fn seconds(&self) -> f64 {
        (self.unix_ns - 1_767_225_600_000_000_000) as f64 / 1e9
    }
}

/// All frames.
pub(crate) fn frames(synthetic: &Synthetic) -> Vec<Seen> {
    frames_by(synthetic, |_| true)
}

/// The frames of some authors.
pub(crate) fn frames_by(synthetic: &Synthetic, wanted: impl Fn(Author) -> bool) -> Vec<Seen> {
    let mut seen = Vec::new();
    synthetic
        .for_each(|frame| -> io::Result<()> {
            if wanted(frame.author) {
                seen.push(read(frame.unix_ns, frame.author, frame.bytes));
            }
            Ok(())
        })
        .expect("frames that can be written");
    seen
}

fn read(unix_ns: u64, author: Author, bytes: &[u8]) -> Seen {
    let sliced = SlicedPacket::from_ethernet(bytes).expect("a whole frame");
    let is_fragment = sliced.is_ip_payload_fragmented();
    let transport = sliced.transport.as_ref();
    assert_eq!(transport.is_none(), is_fragment, "a transport that is known");
    let net = sliced.net.as_ref().expect("IP");
    let (source, target, hops) = match net {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), header.ttl())
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), header.hop_limit())
        }
        NetSlice::Arp(_) => panic!("no ARP"),
    };
    let (kind, ports, payload) = transport.map_or((Kind::Fragment, [0; 2], 0), describe);
    Seen {
        unix_ns,
        author,
        source,
        target,
        hops,
        kind,
        ports,
        payload,
        length: bytes.len(),
        sums_are_right: header_sum_is_right(net)
            && transport.is_none_or(|transport| sum_is_right(net, transport)),
    }
}

fn describe(transport: &TransportSlice<'_>) -> (Kind, [u16; 2], usize) {
    match transport {
        TransportSlice::Tcp(tcp) => (
            Kind::Tcp {
                syn: tcp.syn(),
                ack: tcp.ack(),
                sequence: tcp.sequence_number(),
                acknowledgment: tcp.acknowledgment_number(),
            },
            [tcp.source_port(), tcp.destination_port()],
            tcp.payload().len(),
        ),
        TransportSlice::Udp(udp) => {
            (Kind::Udp, [udp.source_port(), udp.destination_port()], udp.payload().len())
        }
        TransportSlice::Icmpv4(icmp) => (
            Kind::Icmp { kind: icmp.type_u8(), id: icmp.bytes5to8() },
            [0; 2],
            icmp.payload().len(),
        ),
        TransportSlice::Icmpv6(icmp) => (
            Kind::Icmp { kind: icmp.type_u8(), id: icmp.bytes5to8() },
            [0; 2],
            icmp.payload().len(),
        ),
    }
}

fn header_sum_is_right(net: &NetSlice<'_>) -> bool {
    match net {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            header.header_checksum == header.calc_header_checksum()
        }
        _ => true,
    }
}

fn sum_is_right(net: &NetSlice<'_>, transport: &TransportSlice<'_>) -> bool {
    match (net, transport) {
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header().to_header();
            let right = tcp.to_header().calc_checksum_ipv4(&header, tcp.payload());
            right.ok() == Some(tcp.checksum())
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header().to_header();
            let right = tcp.to_header().calc_checksum_ipv6(&header, tcp.payload());
            right.ok() == Some(tcp.checksum())
        }
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
            let header = ip.header().to_header();
            let right = udp.to_header().calc_checksum_ipv4(&header, udp.payload());
            right.ok() == Some(udp.checksum())
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let header = ip.header().to_header();
            let right = udp.to_header().calc_checksum_ipv6(&header, udp.payload());
            right.ok() == Some(udp.checksum())
        }
        (NetSlice::Ipv4(_), TransportSlice::Icmpv4(icmp)) => {
            icmp.icmp_type().calc_checksum(icmp.payload()) == icmp.checksum()
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            let header = ip.header().to_header();
            icmp.is_checksum_valid(header.source, header.destination)
        }
        _ => false,
    }
}
