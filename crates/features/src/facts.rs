//! Facts of a peer that a decision asks for beside its scores; no model sees them.

use std::collections::BTreeMap;

use flows_common::{FlowCounters, Span, TcpFlag};

use crate::record::{FlowRecord, Handshake, TCP, UDP};

/// A service of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalService {
    /// IP protocol number.
    pub protocol: u8,
    /// Local port; 0 where the protocol has none.
    pub port: u16,
}

/// Facts of a peer in one window that a decision uses beside the scores, from the window's drained
/// flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// Packets from and to it.
    pub packets: u64,
    /// Bytes from and to it, on the wire.
    pub bytes: u64,
    /// Most of what it sent belongs to TCP connections whose handshake it completed.
    pub verified: bool,
    /// It answers flows that the host opened.
    pub initiated: bool,
    /// The service that most packets went to, of the flows that it opened itself.
    pub service: Option<LocalService>,
    /// When its first packet of the window came, from it or to it, in ns of the window's clock;
    /// the window's start where none is known.
    pub first_packet_ns: u64,
}

impl PeerFacts {
    /// The facts of a peer with these flows.
    pub(crate) fn of(flows: &[FlowRecord], window: Span) -> Self {
        let sum = |of: fn(&FlowCounters) -> u64| {
            flows.iter().map(|flow| of(&flow.counters)).fold(0, u64::saturating_add)
        };
        Self {
            packets: sum(FlowCounters::packets),
            bytes: sum(FlowCounters::bytes),
            verified: is_verified(flows),
            initiated: flows.iter().any(is_initiated),
            service: attacked_service(flows),
            first_packet_ns: first_packet_ns(flows, window),
        }
    }

    /// Adds the facts of a later time: verified where both are, initiated where either is; the
    /// service is that of the part with more packets.
    pub(crate) fn merge(&mut self, later: &Self) {
        if later.packets == 0 {
            return;
        }
        if self.packets == 0 {
            *self = *later;
            return;
        }
        let earlier = *self;
        let busier = if later.packets > earlier.packets { *later } else { earlier };
        *self = Self {
            packets: earlier.packets.saturating_add(later.packets),
            bytes: earlier.bytes.saturating_add(later.bytes),
            verified: earlier.verified && later.verified,
            initiated: earlier.initiated || later.initiated,
            service: busier.service.or(earlier.service).or(later.service),
            first_packet_ns: earlier.first_packet_ns,
        };
    }
}

/// True where the host itself opened the flow and the remote answered.
///
/// A TCP flow whose SYN was never seen may have been opened by either side, and an ICMP message to
/// a remote is most often the host's complaint about what that remote sent: neither is a choice.
fn is_initiated(flow: &FlowRecord) -> bool {
    let opened = match flow.key.protocol {
        TCP => flow.handshake != Handshake::Unseen,
        UDP => true,
        _ => false,
    };
    opened && flow.is_asked && flow.ingress().packets > 0
}

/// The service that most packets of a peer went to, among the flows that it opened itself.
fn attacked_service(flows: &[FlowRecord]) -> Option<LocalService> {
    let mut packets: BTreeMap<LocalService, u64> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| !flow.is_asked) {
        let service = LocalService { protocol: flow.key.protocol, port: flow.key.local_port };
        let sum = packets.entry(service).or_default();
        *sum = sum.saturating_add(flow.ingress().packets);
    }
    // Of equals the lowest: the same window gives the same service.
    packets.into_iter().rev().max_by_key(|&(_, packets)| packets).map(|(service, _)| service)
}

/// True where most packets of a peer belong to TCP connections that it took part in.
///
/// A forged source never sees the host's SYN-ACK, so it can neither acknowledge it nor make the
/// host go on; the owner of the forged address answers a stray SYN-ACK with an RST that has no
/// ACK. A blind ACK makes the host answer with an RST.
fn is_verified(flows: &[FlowRecord]) -> bool {
    let packets = |flow: &FlowRecord| flow.ingress().packets;
    let sent = flows.iter().map(packets).fold(0, u64::saturating_add);
    let verified = flows
        .iter()
        .filter(|flow| {
            flow.ingress().flags[TcpFlag::Ack.index()] > 0
                && flow.egress().packets > 0
                && flow.egress().flags[TcpFlag::Rst.index()] == 0
        })
        .map(packets)
        .fold(0, u64::saturating_add);
    sent > 0 && verified >= sent.div_ceil(2)
}

fn first_packet_ns(flows: &[FlowRecord], window: Span) -> u64 {
    let active = flows
        .iter()
        .flat_map(|flow| &flow.counters.directions)
        .filter(|direction| direction.packets > 0);
    let first_ns = active.map(|direction| direction.first_ns.max(window.start_ns)).min();
    first_ns.unwrap_or(window.start_ns)
}

#[cfg(test)]
mod tests {
    use flows_common::{Direction, FlowCounters, FlowKey};

    use super::*;

    const WINDOW: Span = Span { start_ns: 1_000, end_ns: 2_000 };

    /// A TCP flow to a local port: packets in and out, each with ACK where `acks` says so.
    fn flow(local_port: u16, packets: [u64; 2], acks: [u32; 2]) -> FlowRecord {
        let mut counters = FlowCounters::default();
        for (way, one) in counters.directions.iter_mut().enumerate() {
            one.packets = packets[way];
            one.flags[TcpFlag::Ack.index()] = acks[way];
            one.first_ns = 1_500 + u64::from(local_port);
        }
        FlowRecord {
            key: FlowKey { protocol: TCP, local_port, ..FlowKey::default() },
            counters,
            window: WINDOW,
            first_seen_ns: 1_500,
            is_new: true,
            initiator: Direction::Ingress,
            is_asked: false,
            handshake: Handshake::Answered,
            handshake_ns: None,
            past: crate::record::FlowPast::default(),
        }
    }

    fn facts(flows: &[FlowRecord]) -> PeerFacts {
        PeerFacts::of(flows, WINDOW)
    }

    #[test]
    fn a_peer_without_flows_is_nobody_from_the_windows_start() {
        let expected = PeerFacts { first_packet_ns: 1_000, ..PeerFacts::default() };
        assert_eq!(facts(&[]), expected);
    }

    #[test]
    fn facts_of_windows_add_up_and_are_verified_where_all_are() {
        let one = facts(&[flow(80, [3, 3], [3, 3])]);
        let mut sum = PeerFacts::default();
        sum.merge(&one);
        assert_eq!(sum, one);
        sum.merge(&facts(&[flow(81, [9, 0], [0, 0])]));
        assert_eq!((sum.packets, sum.verified, sum.first_packet_ns), (15, false, 1_580));
        assert_eq!(sum.service.map(|service| service.port), Some(81));
        sum.merge(&facts(&[]));
        assert_eq!(sum.packets, 15);
    }

    #[test]
    fn a_handshake_counts_for_most_of_the_packets_and_not_after_a_reset() {
        let taken = flow(80, [5, 4], [5, 4]);
        assert!(facts(std::slice::from_ref(&taken)).verified);
        assert!(facts(&[taken.clone(), flow(81, [5, 5], [0, 0])]).verified, "half of ten");
        assert!(!facts(&[taken.clone(), flow(81, [6, 5], [0, 0])]).verified);
        assert!(!facts(&[flow(80, [5, 0], [5, 0])]).verified, "a blind ACK");
        let mut reset = taken;
        reset.counters.directions[1].flags[TcpFlag::Rst.index()] = 1;
        assert!(!facts(&[reset]).verified);
    }

    #[test]
    fn the_host_initiates_what_it_opened_and_somebody_answered() {
        let opened = FlowRecord { is_asked: true, ..flow(50_000, [1, 1], [1, 0]) };
        assert!(facts(std::slice::from_ref(&opened)).initiated);
        assert_eq!(facts(std::slice::from_ref(&opened)).service, None);
        let with = |handshake, protocol, packets| {
            let mut one = opened.clone();
            (one.handshake, one.key.protocol) = (handshake, protocol);
            one.counters.directions[0].packets = packets;
            facts(&[one]).initiated
        };
        assert!(!with(Handshake::Answered, TCP, 0) && !with(Handshake::Unseen, TCP, 1));
        assert!(
            with(Handshake::Unseen, UDP, 1) && !with(Handshake::Unseen, crate::record::ICMP, 1)
        );
        assert!(!facts(&[flow(80, [1, 1], [1, 0])]).initiated);
    }

    #[test]
    fn the_service_is_the_one_with_most_packets_and_the_lowest_of_equals() {
        let service = |flows: &[FlowRecord]| facts(flows).service.map(|service| service.port);
        let [a, b, c] = [(443, 2), (80, 2), (22, 1)].map(|(port, n)| flow(port, [n, 0], [0, 0]));
        assert_eq!(service(&[a.clone(), b.clone(), c.clone()]), Some(80));
        assert_eq!(service(&[c.clone(), c, a, b]), Some(22));
    }

    #[test]
    fn the_first_packet_is_the_earliest_of_either_way_and_never_before_the_window() {
        let mut early = flow(80, [0, 1], [0, 0]);
        early.counters.directions[0].first_ns = 0;
        assert_eq!(facts(&[flow(443, [1, 1], [0, 0]), early.clone()]).first_packet_ns, 1_580);
        early.counters.directions[1].first_ns = 10;
        assert_eq!(facts(&[early]).first_packet_ns, 1_000);
    }
}
