//! The merged tumbling window that a drain or a replay hands over.

use std::vec::Vec;

use crate::{FlowCounters, FlowKey, Loss, PacketCounters, PeerCounters, PeerKey};

/// When a window began and ended.
///
/// Nanoseconds of `CLOCK_BOOTTIME` live, and of the capture in replay. The end is exclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first nanosecond that belongs to the window.
    pub start_ns: u64,
    /// The first nanosecond that no longer does.
    pub end_ns: u64,
}

impl Span {
    /// Length of the window, in ns; 0 where the end does not lie after the start.
    #[must_use]
    pub const fn duration_ns(self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    /// Length of the window, in seconds; 0 where the end does not lie after the start.
    #[must_use]
    pub fn duration_s(self) -> f64 {
        self.duration_ns() as f64 / 1e9
    }
}

/// A merged tumbling window.
///
/// Live drains and pcap replay both make it. Keys are unique within `flows` and within `peers`
/// (the drain merges the CPUs); their order does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The first nanosecond that belongs to the window.
    pub start_ns: u64,
    /// The first nanosecond that no longer does.
    pub end_ns: u64,
    /// Counters of each flow.
    pub flows: Vec<(FlowKey, FlowCounters)>,
    /// Counters of each remote, as noted beside the flow table.
    pub peers: Vec<(PeerKey, PeerCounters)>,
    /// Packets seen, and packets lost with their cause.
    pub packet_counters: PacketCounters,
    /// Flow entries that the tables evicted before the drain.
    pub evicted_flows: u64,
    /// Packets counted in those entries.
    pub evicted_packets: u64,
    /// Packets that interfaces carried and the programs did not see, for another program ended their
    /// way before; 0 within the tolerance of the comparison, and in replay.
    pub unseen_packets: u64,
    /// Peer entries that the tables evicted before the drain.
    pub evicted_peers: u64,
}

impl Window {
    /// When the window began and ended.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span { start_ns: self.start_ns, end_ns: self.end_ns }
    }

    /// Length of the window, in seconds; 0 where the end does not lie after the start.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.span().duration_s()
    }

    /// Packets in the window's flows.
    #[must_use]
    pub fn drained_packets(&self) -> u64 {
        self.flows.iter().fold(0, |sum: u64, (_, flow)| sum.saturating_add(flow.packets()))
    }

    /// Remainder of the accounting identity, in packets: segments seen, less the packets in
    /// drained flows, in losses and in evicted flows.
    ///
    /// 0 where every packet is accounted for once. Above 0, packets vanished without a cause;
    /// below 0, packets were counted twice.
    #[must_use]
    pub fn imbalance(&self) -> i128 {
        i128::from(self.packet_counters.segments_seen())
            - i128::from(self.drained_packets())
            - i128::from(self.packet_counters.lost())
            - i128::from(self.evicted_packets)
    }

    /// True if every flow of the window was drained: no eviction, no refused insert.
    ///
    /// Where it is `false`, the peers' counters may know of flows that `flows` does not.
    #[must_use]
    pub fn holds_every_flow(&self) -> bool {
        self.evicted_flows == 0
            && self.packet_counters.losses[Loss::TableFull.index()] == 0
            && self.packet_counters.losses[Loss::NoTable.index()] == 0
    }

    /// True if the window lost data that a decision would use: flows, peers, packets that nothing
    /// explains, or packets that were not seen.
    ///
    /// Packets that have no flow by nature (not IP) or by their sender's doing (truncated,
    /// malformed) do not count: else anyone could blind a decision with one bad frame. Nor do
    /// evicted peers, which forged sources can make as many as they like: while every flow was
    /// drained, records are made of flows.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        !self.holds_every_flow()
            || self.packet_counters.peer_full > 0
            || self.imbalance() != 0
            || self.unseen_packets > 0
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn window_of(packets: u64) -> Window {
        let mut counters = FlowCounters::default();
        counters.directions[0].packets = packets;
        let mut window = Window {
            start_ns: 1_000_000_000,
            end_ns: 2_500_000_000,
            flows: vec![(FlowKey::default(), counters)],
            ..Window::default()
        };
        window.packet_counters.segments = [packets, 0];
        window
    }

    #[test]
    fn a_window_whose_packets_are_all_in_flows_balances() {
        let window = window_of(7);
        assert_eq!((window.imbalance(), window.is_lossy()), (0, false));
        assert!((window.duration_s() - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_frame_that_is_not_ip_balances_and_is_no_loss() {
        let mut window = window_of(7);
        window.packet_counters.segments[0] += 1;
        window.packet_counters.losses[Loss::NotIp.index()] = 1;
        assert_eq!((window.imbalance(), window.is_lossy()), (0, false));
    }

    #[test]
    fn an_evicted_flow_balances_and_is_a_loss() {
        let mut window = window_of(7);
        window.packet_counters.segments[1] += 3;
        window.evicted_flows = 1;
        window.evicted_packets = 3;
        assert_eq!((window.imbalance(), window.is_lossy()), (0, true));
    }

    #[test]
    fn packets_that_no_program_saw_make_a_window_lossy() {
        let window = Window { unseen_packets: 1, ..window_of(7) };
        assert_eq!((window.imbalance(), window.is_lossy()), (0, true));
    }

    #[test]
    fn an_evicted_peer_is_no_loss_while_every_packet_is_in_a_flow() {
        let window = Window { evicted_peers: 1, ..window_of(7) };
        assert_eq!((window.imbalance(), window.is_lossy()), (0, false));
    }

    #[test]
    fn packets_that_vanish_make_a_window_lossy() {
        let mut window = window_of(7);
        window.packet_counters.segments[1] += 3;
        assert_eq!((window.imbalance(), window.is_lossy()), (3, true));
    }

    #[test]
    fn a_window_that_ends_before_it_starts_has_no_duration() {
        let span = Span { start_ns: 2, end_ns: 1 };
        assert_eq!(span.duration_ns(), 0);
    }
}
