//! The sequence for one packet over tables in memory, fact by fact.

use weir_flows_common::{
    Direction::{Egress, Ingress},
    EtherClass, FlowCounters, Loss, PeerKey, TcpFlag, map_v4,
    metering::{Observation, meter},
    parse::{self, Rejected},
};

use crate::{
    frames::{Frame, Ip, Transport},
    table::Tables,
};

/// The remote side; the local one is 192.0.2.1.
const REMOTE: u8 = 7;
const HTTPS: u16 = 443;

fn udp_from(remote: u8) -> Frame {
    Frame {
        ip: Ip { v6: false, source: remote, destination: 1, ttl: 64, option_words: 0 },
        transport: Transport::Udp { ports: (50_000, HTTPS) },
        payload: 100,
        tags: Vec::new(),
    }
}

fn tcp(flags: u8, payload: u16) -> Frame {
    segment(flags, 1, 0, payload)
}

/// A segment of the remote's connection to port 443.
fn segment(flags: u8, sequence: u32, acknowledged: u32, payload: u16) -> Frame {
    let transport =
        Transport::Tcp { ports: (50_000, HTTPS), flags, sequence, acknowledged, window: 1_000 };
    Frame { transport, payload, ..udp_from(REMOTE) }
}

fn peer(remote: u8) -> PeerKey {
    PeerKey { address: map_v4([192, 0, 2, remote]) }
}

impl Tables {
    fn see(&mut self, frame: &Frame, direction: weir_flows_common::Direction, now_ns: u64) {
        let shape = parse::Frame::of_length(frame.length());
        self.count(&frame.bytes(), &shape, direction, now_ns);
    }

    fn see_bytes(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("a short frame");
        self.count(bytes, &parse::Frame::of_length(length), Ingress, 1);
    }

    /// Packets seen that are neither in a flow nor among the losses.
    fn unaccounted(&self) -> u64 {
        let in_flows: u64 = self.flows.values().map(FlowCounters::packets).sum();
        self.packet_counters.segments_seen() - in_flows - self.packet_counters.lost()
    }
}

#[test]
fn the_first_packet_makes_the_flow_and_its_peer() {
    let mut tables = Tables::default();
    tables.see(&udp_from(REMOTE), Ingress, 5);
    let (key, flow) = tables.only_flow();
    assert_eq!(
        (key.remote, key.local_port, key.remote_port),
        (peer(REMOTE).address, HTTPS, 50_000)
    );
    assert_eq!((flow.directions[0].packets, flow.directions[0].first_ns), (1, 5));
    let peer = &tables.peers[&peer(REMOTE)];
    assert_eq!((peer.flow_inserts, peer.first_ns, peer.last_ns), ([1, 0], 5, 5));
    let ledger = &tables.packet_counters;
    assert_eq!((ledger.frames, ledger.segments), ([1, 0], [1, 0]));
    assert_eq!(ledger.frame_bytes, [u64::from(udp_from(REMOTE).length()), 0]);
    assert_eq!((ledger.flow_inserts, ledger.peer_inserts, ledger.lost()), (1, 1, 0));
}

#[test]
fn a_later_packet_is_counted_in_its_flow_and_nowhere_else() {
    let mut tables = Tables::default();
    tables.see(&udp_from(REMOTE), Ingress, 5);
    let before = tables.clone();
    tables.see(&udp_from(REMOTE), Ingress, 6);
    tables.see(&udp_from(REMOTE).reversed(), Egress, 7);
    let (_, flow) = tables.only_flow();
    assert_eq!(flow.directions.map(|one| (one.packets, one.last_ns)), [(2, 6), (1, 7)]);
    assert_eq!(tables.peers, before.peers, "nothing of the flow is new");
    assert_eq!((tables.packet_counters.flow_inserts, tables.packet_counters.peer_inserts), (1, 1));
    assert_eq!(tables.packet_counters.frames, [2, 1]);
}

#[test]
fn a_packet_with_news_of_a_known_flow_is_reported_to_its_peer() {
    let mut tables = Tables::default();
    tables.see(&tcp(TcpFlag::Syn.bit(), 0), Ingress, 1);
    tables.see(&tcp(TcpFlag::Syn.bit() | TcpFlag::Ack.bit(), 0).reversed(), Egress, 2);
    tables.see(&tcp(TcpFlag::Rst.bit(), 0), Ingress, 3);
    tables.see(&tcp(TcpFlag::Rst.bit(), 0), Ingress, 4);
    let peer = &tables.peers[&peer(REMOTE)];
    assert_eq!((peer.syns, peer.syn_acks, peer.resets), ([1, 0], [0, 1], [1, 0]));
    assert_eq!((peer.flow_inserts, peer.last_ns), ([1, 0], 3));
    assert_eq!(tables.packet_counters.peer_inserts, 1);
}

#[test]
fn a_frame_that_does_not_parse_is_in_the_ledger_alone() {
    let mut tables = Tables::default();
    let bytes = udp_from(REMOTE).bytes();
    tables.see_bytes(&bytes[..20]);
    tables.see_bytes(&bytes[..36]);
    let mut arp = bytes;
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    tables.see_bytes(&arp);
    assert!(tables.flows.is_empty() && tables.peers.is_empty());
    let losses = tables.packet_counters.losses;
    for loss in [Loss::TruncatedIpv4, Loss::TruncatedTransport, Loss::NotIp] {
        assert_eq!(losses[loss.index()], 1, "{}", loss.name());
    }
    assert_eq!(tables.packet_counters.not_ip[EtherClass::Arp.index()], 1);
    assert_eq!((tables.packet_counters.frames, tables.unaccounted()), ([3, 0], 0));
}

#[test]
fn no_clock_is_read_for_a_frame_that_has_no_flow() {
    let mut tables = Tables::default();
    let mut ledger = tables.packet_counters;
    let frame = parse::Frame { gso_segs: 4, ..parse::Frame::of_length(60) };
    let parsed = Err(Rejected { loss: Loss::MalformedTcp, ether_type: 0x0800 });
    let observed = Observation { frame: &frame, parsed, direction: Egress, ifindex: 1 };
    meter(&mut tables, &mut ledger, &observed, || panic!("a clock was read"));
    assert_eq!(ledger.losses[Loss::MalformedTcp.index()], 4, "its packets on the wire");
    assert_eq!((ledger.frames, ledger.segments), ([0, 1], [0, 4]));
}

#[test]
fn a_full_table_loses_the_packet_of_a_new_flow_and_its_peer_hears_of_it() {
    let mut tables = Tables { room: [Some(1), None], ..Tables::default() };
    tables.see(&udp_from(REMOTE), Ingress, 1);
    tables.see(&udp_from(REMOTE + 1), Ingress, 2);
    tables.see(&udp_from(REMOTE), Ingress, 3);
    let (key, flow) = tables.only_flow();
    assert_eq!((key.remote, flow.packets()), (peer(REMOTE).address, 2), "a known flow goes on");
    assert_eq!(tables.packet_counters.losses[Loss::TableFull.index()], 1);
    assert_eq!((tables.packet_counters.flow_inserts, tables.packet_counters.peer_inserts), (1, 2));
    assert_eq!(tables.peers[&peer(REMOTE + 1)].flow_inserts, [1, 0]);
    assert_eq!(tables.unaccounted(), 0);
}

#[test]
fn a_full_peer_table_is_counted_and_the_flow_is_kept() {
    let mut tables = Tables { room: [None, Some(0)], ..Tables::default() };
    tables.see(&udp_from(REMOTE), Ingress, 1);
    tables.see(&udp_from(REMOTE), Ingress, 2);
    assert_eq!(tables.only_flow().1.packets(), 2);
    assert_eq!((tables.packet_counters.peer_full, tables.packet_counters.peer_inserts), (1, 0));
    assert_eq!(tables.unaccounted(), 0);
}

#[test]
fn fragments_are_counted_the_later_ones_in_a_flow_without_ports() {
    /// Flags and offset of an IPv4 header, from the start of the frame.
    const OFFSET: usize = 14 + 6;
    let mut tables = Tables::default();
    for offset in [[0x20, 0], [0x20, 185], [0, 255]] {
        let mut bytes = udp_from(REMOTE).bytes();
        bytes[OFFSET..][..2].copy_from_slice(&offset);
        tables.see_bytes(&bytes);
    }
    let counted = tables.flows.iter().map(|(key, flow)| {
        let one = &flow.directions[0];
        (key.local_port, key.remote_port, one.packets, one.fragments)
    });
    assert_eq!(counted.collect::<Vec<_>>(), [(0, 0, 2, 2), (HTTPS, 50_000, 1, 1)]);
    assert_eq!(tables.peers[&peer(REMOTE)].flow_inserts, [2, 0]);
    assert_eq!(tables.unaccounted(), 0);
}
