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
    Tcp { syn: bool, ack: bool, rst: bool, fin: bool, sequence: u32 },
    Udp,
    Icmp { kind: u8, id: [u8; 4] },
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
    let transport = sliced.transport.as_ref().expect("a transport that is known");
    let (kind, ports, payload) = match transport {
        TransportSlice::Tcp(tcp) => (
            Kind::Tcp {
                syn: tcp.syn(),
                ack: tcp.ack(),
                rst: tcp.rst(),
                fin: tcp.fin(),
                sequence: tcp.sequence_number(),
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
    };
    let (source, target, hops, sums_are_right) = match sliced.net.expect("IP") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            let right = header.header_checksum == header.calc_header_checksum()
                && match transport {
                    TransportSlice::Tcp(tcp) => {
                        tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()).ok()
                            == Some(tcp.checksum())
                    }
                    TransportSlice::Udp(udp) => {
                        udp.to_header().calc_checksum_ipv4(&header, udp.payload()).ok()
                            == Some(udp.checksum())
                    }
                    TransportSlice::Icmpv4(icmp) => {
                        icmp.icmp_type().calc_checksum(icmp.payload()) == icmp.checksum()
                    }
                    _ => false,
                };
            let (source, target) = (header.source.into(), header.destination.into());
            (source, target, header.time_to_live, right)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header().to_header();
            let right = match transport {
                TransportSlice::Tcp(tcp) => {
                    tcp.to_header().calc_checksum_ipv6(&header, tcp.payload()).ok()
                        == Some(tcp.checksum())
                }
                TransportSlice::Udp(udp) => {
                    udp.to_header().calc_checksum_ipv6(&header, udp.payload()).ok()
                        == Some(udp.checksum())
                }
                TransportSlice::Icmpv6(icmp) => {
                    icmp.is_checksum_valid(header.source, header.destination)
                }
                _ => false,
            };
            let (source, target) = (header.source.into(), header.destination.into());
            (source, target, header.hop_limit, right)
        }
        NetSlice::Arp(_) => panic!("no ARP"),
    };
    let length = bytes.len();
    Seen { unix_ns, author, source, target, hops, kind, ports, payload, length, sums_are_right }
}
