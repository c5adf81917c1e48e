//! Facts of a peer that a decision asks for beside its scores; no model sees them.

use std::collections::BTreeMap;

use flows_common::{FlowCounters, Span, Standing, TcpFlag};

use crate::flow_record::{FlowRecord, TCP};
use crate::kept::kept;

/// A service of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalService {
    /// IP protocol number.
    pub protocol: u8,
    /// Local port; 0 where the protocol has none, and of TCP for all ports that nothing listens on.
    pub port: u16,
}

impl LocalService {
    /// All TCP ports that nothing listens on.
    pub const CLOSED_PORTS: Self = Self { protocol: TCP, port: 0 };
}

/// Facts of a peer in one standing and window that a decision uses beside the scores, from the
/// window's drained flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerFacts {
    /// Whose packets these are.
    pub standing: Standing,
    /// Drained flows, each once a window.
    pub flows: u64,
    /// Packets from and to it.
    pub packets: u64,
    /// Bytes from and to it, on the wire.
    pub bytes: u64,
    /// The service that most packets went to, of the flows that it opened itself. Of unproven ones, TCP
    /// ports that refused, or more than one that was silent, are one service:
    /// [`LocalService::CLOSED_PORTS`].
    pub service: Option<LocalService>,
    /// When its first packet of the window came, from it or to it, in ns of the window's clock;
    /// the window's start where none is known.
    pub first_packet_ns: u64,
}

kept!(LocalService { protocol, port });
kept!(PeerFacts { standing, flows, packets, bytes, service, first_packet_ns });

impl PeerFacts {
    /// The facts of a peer with these flows of one standing.
    pub(crate) fn of(standing: Standing, flows: &[FlowRecord], window: Span) -> Self {
        let sum = |of: fn(&FlowCounters) -> u64| {
            flows.iter().map(|flow| of(&flow.counters)).fold(0, u64::saturating_add)
        };
        Self {
            standing,
            flows: flows.len() as u64,
            packets: sum(FlowCounters::packets),
            bytes: sum(FlowCounters::bytes),
            service: attacked_service(standing, flows),
            first_packet_ns: first_packet_ns(flows, window),
        }
    }

    /// Adds the facts of a later time in the same standing; the service is that of the part with
    /// more packets.
    pub(crate) fn merge(&mut self, later: &Self) {
        if *later == Self::default() {
            return;
        }
        if self.packets == 0 {
            *self = *later;
            return;
        }
        let earlier = *self;
        let busier = if later.packets > earlier.packets { *later } else { earlier };
        *self = Self {
            standing: earlier.standing,
            flows: earlier.flows.saturating_add(later.flows),
            packets: earlier.packets.saturating_add(later.packets),
            bytes: earlier.bytes.saturating_add(later.bytes),
            service: busier.service.or(earlier.service).or(later.service),
            first_packet_ns: earlier.first_packet_ns,
        };
    }
}

/// What a peer sent to a service, and what that said to it.
#[derive(Clone, Copy, Debug, Default)]
struct Aim {
    packets: u64,
    refused: bool,
    answered: bool,
}

/// The service that most packets of a peer went to, among the flows that it opened itself.
fn attacked_service(standing: Standing, flows: &[FlowRecord]) -> Option<LocalService> {
    let mut aims: BTreeMap<LocalService, Aim> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| flow.standing != Standing::Initiated) {
        let service = LocalService { protocol: flow.key.protocol, port: flow.key.local_port };
        let aim = aims.entry(service).or_default();
        aim.packets = aim.packets.saturating_add(flow.ingress().packets);
        let resets = u64::from(flow.egress().flags[TcpFlag::Rst.index()]);
        aim.refused |= resets > 0;
        aim.answered |= flow.egress().packets > resets;
    }
    let is_closed = |service: &LocalService, aim: &Aim| {
        standing == Standing::Unproven && service.protocol == TCP && !aim.answered
    };
    let closed = || aims.iter().filter(|(service, aim)| is_closed(service, aim));
    // One silent port may be a service that is overrun, or a capture without its answers.
    let are_closed = closed().count() > 1 || closed().any(|(_, aim)| aim.refused);
    let mut packets: BTreeMap<LocalService, u64> = BTreeMap::new();
    for (service, aim) in &aims {
        let pooled = are_closed && is_closed(service, aim);
        let service = if pooled { LocalService::CLOSED_PORTS } else { *service };
        let sum = packets.entry(service).or_default();
        *sum = sum.saturating_add(aim.packets);
    }
    // Of equals the lowest: the same window gives the same service.
    packets.into_iter().rev().max_by_key(|&(_, packets)| packets).map(|(service, _)| service)
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
    use flows_common::{Direction, FlowKey};

    use crate::flow_record::{Handshake, TCP};

    use super::*;

    const WINDOW: Span = Span { start_ns: 1_000, end_ns: 2_000 };

    /// A TCP flow to a local port: packets in and out.
    fn flow(local_port: u16, packets: [u64; 2]) -> FlowRecord {
        let mut counters = FlowCounters::default();
        for (way, one) in counters.directions.iter_mut().enumerate() {
            one.packets = packets[way];
            one.first_ns = 1_500 + u64::from(local_port);
        }
        FlowRecord {
            key: FlowKey { protocol: TCP, local_port, ..FlowKey::default() },
            counters,
            window: WINDOW,
            first_seen_ns: 1_500,
            is_new: true,
            initiator: Direction::Ingress,
            standing: Standing::Proven,
            handshake: Handshake::Answered,
            handshake_ns: None,
            past: crate::flow_record::FlowPast::default(),
        }
    }

    fn facts(flows: &[FlowRecord]) -> PeerFacts {
        PeerFacts::of(Standing::Proven, flows, WINDOW)
    }

    #[test]
    fn a_peer_without_flows_is_nobody_from_the_windows_start() {
        let expected = PeerFacts {
            standing: Standing::Proven,
            first_packet_ns: 1_000,
            ..PeerFacts::default()
        };
        assert_eq!(facts(&[]), expected);
    }

    #[test]
    fn facts_of_windows_add_up() {
        let one = facts(&[flow(80, [3, 3])]);
        let mut sum = PeerFacts::default();
        sum.merge(&one);
        assert_eq!(sum, one);
        sum.merge(&facts(&[flow(81, [9, 0])]));
        assert_eq!((sum.flows, sum.packets, sum.first_packet_ns), (2, 15, 1_580));
        assert_eq!(sum.standing, Standing::Proven);
        assert_eq!(sum.service.map(|service| service.port), Some(81));
        sum.merge(&facts(&[]));
        assert_eq!(sum.packets, 15);
    }

    #[test]
    fn the_service_is_the_one_with_most_packets_and_the_lowest_of_equals() {
        let service = |flows: &[FlowRecord]| facts(flows).service.map(|service| service.port);
        let [a, b, c] = [(443, 2), (80, 2), (22, 1)].map(|(port, n)| flow(port, [n, 0]));
        assert_eq!(service(&[a.clone(), b.clone(), c.clone()]), Some(80));
        assert_eq!(service(&[c.clone(), c, a, b]), Some(22));
    }

    #[test]
    fn the_first_packet_is_the_earliest_of_either_way_and_never_before_the_window() {
        let mut early = flow(80, [0, 1]);
        early.counters.directions[0].first_ns = 0;
        assert_eq!(facts(&[flow(443, [1, 1]), early.clone()]).first_packet_ns, 1_580);
        early.counters.directions[1].first_ns = 10;
        assert_eq!(facts(&[early]).first_packet_ns, 1_000);
    }

    #[test]
    fn ports_at_which_nothing_answers_are_one_service() {
        let closed = |port, reset: bool| {
            let mut flow = flow(port, [1, u64::from(reset)]);
            flow.counters.directions[1].flags[TcpFlag::Rst.index()] = reset.into();
            flow
        };
        let of = |standing, flows: &[FlowRecord]| {
            PeerFacts::of(standing, flows, WINDOW).service.map(|service| service.port)
        };
        let unproven = |flows: &[FlowRecord]| of(Standing::Unproven, flows);
        assert_eq!(unproven(&[closed(80, true)]), Some(0), "refused");
        assert_eq!(unproven(&[closed(80, false)]), Some(80), "one silent port may be overrun");
        assert_eq!(unproven(&[closed(80, false), closed(81, false)]), Some(0));
        let scan = [closed(80, false), closed(81, true), flow(443, [1, 3]), closed(443, false)];
        assert_eq!(unproven(&scan[..2]), Some(0));
        assert_eq!(
            unproven(&scan[1..]),
            Some(443),
            "two packets to what answers, one to closed ports"
        );
        assert_eq!(of(Standing::Proven, &scan[..2]), Some(80));
    }
}
