//! Shared parts of the lab's tests: a lab or a skip, and captures read back.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use lab::{Lab, Topology};
use pcap_file::pcap::PcapReader;

/// A lab, or none where the machine cannot hold one; the test is then counted as skipped.
#[track_caller]
pub(crate) fn lab_or_skip(topology: &Topology) -> Option<Lab> {
    match Lab::build(topology) {
        Ok(lab) => Some(lab),
        Err(error) if error.is_unavailable() => {
            test_support::skip(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A packet of a capture, as far as tests ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) unix_ns: u64,
    pub(crate) source: IpAddr,
    pub(crate) target: IpAddr,
    pub(crate) carries: Carries,
    pub(crate) vlan: Option<u16>,
    pub(crate) payload: usize,
}

/// The transport of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    Tcp { source_port: u16, target_port: u16, syn: bool, ack: bool, rst: bool },
    Udp { source_port: u16, target_port: u16 },
    EchoRequest,
    Other,
}

impl Seen {
    /// True for a SYN without ACK to a port.
    pub(crate) fn is_syn_to(&self, wanted: u16) -> bool {
        matches!(
            self.carries,
            Carries::Tcp { target_port, syn: true, ack: false, .. } if target_port == wanted
        )
    }

    /// True for a SYN without ACK.
    pub(crate) fn is_syn(&self) -> bool {
        matches!(self.carries, Carries::Tcp { syn: true, ack: false, .. })
    }

    /// The port it goes to.
    pub(crate) fn target_port(&self) -> Option<u16> {
        match self.carries {
            Carries::Tcp { target_port, .. } | Carries::Udp { target_port, .. } => {
                Some(target_port)
            }
            _ => None,
        }
    }
}

/// Reads all IP packets of a capture.
pub(crate) fn read(path: &Path) -> Vec<Seen> {
    let mut reader = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut seen = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        seen.extend(dissect(packet.timestamp.as_nanos().try_into().unwrap(), &packet.data));
    }
    seen
}

fn dissect(unix_ns: u64, bytes: &[u8]) -> Option<Seen> {
    let packet = SlicedPacket::from_ethernet(bytes).unwrap();
    let (source, target): (IpAddr, IpAddr) = match packet.net.as_ref()? {
        NetSlice::Ipv4(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        NetSlice::Ipv6(ip) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
        NetSlice::Arp(_) => return None,
    };
    let (carries, payload) = match packet.transport.as_ref() {
        Some(TransportSlice::Tcp(tcp)) => (
            Carries::Tcp {
                source_port: tcp.source_port(),
                target_port: tcp.destination_port(),
                syn: tcp.syn(),
                ack: tcp.ack(),
                rst: tcp.rst(),
            },
            tcp.payload().len(),
        ),
        Some(TransportSlice::Udp(udp)) => (
            Carries::Udp { source_port: udp.source_port(), target_port: udp.destination_port() },
            udp.payload().len(),
        ),
        Some(TransportSlice::Icmpv4(icmp)) if icmp.type_u8() == 8 => {
            (Carries::EchoRequest, icmp.payload().len())
        }
        Some(TransportSlice::Icmpv6(icmp)) if icmp.type_u8() == 128 => {
            (Carries::EchoRequest, icmp.payload().len())
        }
        _ => (Carries::Other, 0),
    };
    let vlan = packet.vlan_ids().first().map(|id| id.value());
    Some(Seen { unix_ns, source, target, carries, vlan, payload })
}

/// Every packet is between documentation addresses, or stays on its link by its nature.
pub(crate) fn assert_inside(seen: &[Seen]) {
    assert!(!seen.is_empty());
    for packet in seen {
        for address in [packet.source, packet.target] {
            let stays = match address {
                IpAddr::V4(_) => false,
                IpAddr::V6(v6) => {
                    v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified()
                }
            };
            assert!(stays || lab::is_documentation(address), "{packet:?}");
        }
    }
}
