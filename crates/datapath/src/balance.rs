//! The windows' counts held against the interfaces' own: packets that crossed an interface and that
//! the flow programs did not see.
//!
//! A program of somebody else's that ends the way of a packet before weir's leaves weir blind, and
//! nothing else tells. An interface counts a super-packet as one or as its segments, a queue holds
//! packets back that were seen, and some drivers tell their counts seconds late; so only what exceeds
//! the packets seen is a fault, and only by more than [`BURST`] or [`SHARE`] allow.

use std::collections::VecDeque;

use flows_common::{Direction, Window};

use super::rtnetlink::LinkCounters;

/// Time that an interface's counts may lag, and over which few packets add up, in ns.
const HORIZON_NS: u64 = 10_000_000_000;
/// Packets of one window beyond which a lead of the interface's counts over all of the horizon is a
/// fault, if it is more than one in [`BURST_SHARE`] of its packets as well: a queue of 1,000 packets,
/// as interfaces have, may empty itself at once.
const BURST: u64 = 1_024;
const BURST_SHARE: u64 = 50;
/// Packets of the horizon beyond which a lead that grew in it is a fault, if it is more than one in
/// [`SHARE`] of its packets as well: handshakes and keepalives of WireGuard are counted and not shown.
const FEW: u64 = 64;
const SHARE: u64 = 3;
/// Time in which counts that come late may still be those from before it was watched, in ns: only where
/// nothing at all was seen is it a fault.
const SETTLING_NS: u64 = 3_000_000_000;

/// The end of a window.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at_ns: u64,
    /// Packets that the interface counted until then, since it is watched.
    carried: u64,
    /// Those that were not seen of them; below zero where super-packets are counted as one.
    lead: i64,
}

/// What one direction of an interface carried, and what was seen of it.
#[derive(Debug)]
struct Way {
    begun_ns: u64,
    /// Ends of the windows within the horizon, the oldest first.
    marks: VecDeque<Mark>,
}

impl Way {
    fn new(now_ns: u64) -> Self {
        let first = Mark { at_ns: now_ns, ..Mark::default() };
        Self { begun_ns: now_ns, marks: VecDeque::from([first]) }
    }

    /// Takes what a window carried and what was seen in it; tells what is missing in it, 0 within the
    /// tolerance.
    fn settle(&mut self, now_ns: u64, carried: u64, seen: u64) -> u64 {
        let last = self.marks.back().copied().unwrap_or_default();
        let first = self.marks.front().copied().unwrap_or_default();
        let highest = self.marks.iter().map(|mark| mark.lead).max().unwrap_or(0);
        let missing = signed(carried) - signed(seen);
        let next =
            Mark { at_ns: now_ns, carried: last.carried + carried, lead: last.lead + missing };
        self.marks.push_back(next);
        // One of at least that age stays, to compare with.
        while self.marks.get(1).is_some_and(|mark| now_ns.saturating_sub(mark.at_ns) >= HORIZON_NS)
        {
            self.marks.pop_front();
        }
        let above = |lead: i64, few: u64, share: u64, of: u64| {
            u64::try_from(lead).is_ok_and(|lead| lead > few && lead > of / share)
        };
        let burst = above(next.lead - highest, BURST, BURST_SHARE, carried);
        let lasting = above(next.lead - first.lead, FEW, SHARE, next.carried - first.carried);
        let settled = seen == 0 || now_ns.saturating_sub(self.begun_ns) >= SETTLING_NS;
        if missing > 0 && settled && (burst || lasting) { missing.unsigned_abs() } else { 0 }
    }
}

fn signed(packets: u64) -> i64 {
    i64::try_from(packets).unwrap_or(i64::MAX)
}

/// What an interface carried, and what was seen of it.
#[derive(Debug)]
pub(super) struct Balance {
    before: LinkCounters,
    ways: [Way; 2],
}

impl Balance {
    /// Begins with the interface's counts as they are.
    pub(super) fn new(now_ns: u64, counters: LinkCounters) -> Self {
        Self { before: counters, ways: [Way::new(now_ns), Way::new(now_ns)] }
    }

    /// Takes a window, with the interface's counts at its end and what the guard dropped in it; tells
    /// what is missing in it, by direction.
    pub(super) fn settle(
        &mut self,
        counters: LinkCounters,
        ifindex: u32,
        window: &Window,
        dropped: u64,
    ) -> [u64; 2] {
        let before = std::mem::replace(&mut self.before, counters);
        let carried = |way: Direction| match way {
            // What comes to nobody, the interface counts as received, too.
            Direction::Ingress => {
                let lost = counters.lost.saturating_sub(before.lost);
                counters.packets[0].saturating_sub(before.packets[0]).saturating_sub(lost)
            }
            Direction::Egress => counters.packets[1].saturating_sub(before.packets[1]),
        };
        Direction::ALL.map(|way| {
            let kept_out = if way == Direction::Ingress { dropped } else { 0 };
            let seen = seen(window, ifindex, way).saturating_add(kept_out);
            self.ways[way.index()].settle(window.end_ns, carried(way), seen)
        })
    }
}

/// Packets seen on an interface, at most: the losses are not told apart by interface.
fn seen(window: &Window, ifindex: u32, way: Direction) -> u64 {
    let of_it = window.flows.iter().filter(|(key, _)| key.ifindex == ifindex);
    let in_flows = of_it.map(|(_, flow)| flow.directions[way.index()].packets);
    in_flows
        .fold(0, u64::saturating_add)
        .saturating_add(window.packet_counters.lost())
        .saturating_add(window.evicted_packets)
        .min(window.packet_counters.segments[way.index()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// What is missing in each window of a second, of packets carried and seen in each.
    fn missing(windows: impl IntoIterator<Item = (u64, u64)>) -> Vec<u64> {
        let mut way = Way::new(0);
        (1..)
            .zip(windows)
            .map(|(at, (carried, seen))| way.settle(at * SECOND, carried, seen))
            .collect()
    }

    #[test]
    fn what_is_seen_is_not_missing_however_super_packets_and_queues_count() {
        let whole = (0..30).map(|_| (5_000, 5_000));
        assert!(missing(whole).iter().all(|&one| one == 0));
        let super_packets = (0..30).map(|_| (1_000, 40_000));
        assert!(missing(super_packets).iter().all(|&one| one == 0));
        // A queue fills, stands for 20 s, and empties itself.
        let queued = (0..30).map(|at| match at {
            3 => (800, 1_800),
            25 => (800, 0),
            26 => (200, 0),
            _ => (800, 800),
        });
        assert!(missing(queued).iter().all(|&one| one == 0));
    }

    #[test]
    fn counts_that_come_two_seconds_late_are_not_missing() {
        for start in 0..2 {
            let late = (start..start + 60).map(|at| (if at % 2 == 0 { 0 } else { 20_000 }, 10_000));
            assert!(missing(late).iter().all(|&one| one == 0));
        }
    }

    #[test]
    fn a_way_that_was_seen_and_is_not_any_more_is_missing_at_once_or_within_seconds() {
        let busy = missing((0..40).map(|at| (5_000, if at < 20 { 5_000 } else { 0 })));
        assert!(
            busy[..20].iter().all(|&one| one == 0) && busy[20..].iter().all(|&one| one == 5_000)
        );
        let quiet = missing((0..40).map(|at| (20, if at < 20 { 20 } else { 0 })));
        assert!(
            quiet[..20].iter().all(|&one| one == 0) && quiet[24..].iter().all(|&one| one == 20)
        );
        // Even where the interface counts super-packets as one.
        let bulk = missing((0..40).map(|at| (1_000, if at < 20 { 40_000 } else { 0 })));
        assert!(bulk[30..].iter().all(|&one| one == 1_000), "{bulk:?}");
    }

    #[test]
    fn a_part_of_it_is_missing_where_it_is_many_packets() {
        let part = missing((0..20).map(|at| (50_000, if at < 10 { 50_000 } else { 45_000 })));
        assert!(
            part[..10].iter().all(|&one| one == 0) && part[10..].iter().all(|&one| one == 5_000)
        );
    }

    #[test]
    fn a_flood_of_frames_for_nobody_hides_and_shows_nothing() {
        let counters = |packets, lost| LinkCounters { packets: [packets, 0], lost };
        let mut balance = Balance::new(0, counters(10, 0));
        let mut window = Window { end_ns: 10 * SECOND, ..Window::default() };
        window.packet_counters.segments = [100, 0];
        window.packet_counters.losses[0] = 100;
        assert_eq!(balance.settle(counters(9_110, 9_000), 2, &window, 0), [0, 0]);
        window.end_ns += SECOND;
        assert_eq!(balance.settle(counters(18_210, 9_000), 2, &window, 0), [9_000, 0]);
        window.end_ns += SECOND;
        assert_eq!(balance.settle(counters(27_310, 9_000), 2, &window, 9_000), [0, 0]);
        // A driver that starts anew counts from zero.
        window.end_ns += SECOND;
        assert_eq!(balance.settle(counters(0, 0), 2, &window, 0), [0, 0]);
    }
}
