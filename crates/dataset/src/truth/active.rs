//! Intervals that a window overlaps, and those of them that hold a row.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Interval, Truth};

/// Endpoints of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlowEnds {
    pub(crate) remote: IpAddr,
    pub(crate) local: IpAddr,
    pub(crate) remote_port: u16,
    pub(crate) local_port: u16,
    pub(crate) protocol: u8,
}

/// The intervals that one window overlaps.
///
/// Those of single remotes are looked up, for there may be as many as flows; the others are gone
/// through.
#[derive(Debug)]
pub struct Active<'a> {
    truth: &'a Truth,
    by_remote: HashMap<IpAddr, Vec<usize>>,
    others: Vec<usize>,
}

impl<'a> Active<'a> {
    /// The intervals that the window from `start_ns` to before `end_ns` overlaps, both of unix
    /// time, when the truth's clock is `offset_ns` behind.
    #[must_use]
    pub fn of(truth: &'a Truth, start_ns: i64, end_ns: i64, offset_ns: i64) -> Self {
        let mut active = Self { truth, by_remote: HashMap::new(), others: Vec::new() };
        for (index, interval) in truth.intervals.iter().enumerate() {
            let [from, to] = [interval.from_ns, interval.to_ns].map(|time| match time {
                i64::MIN | i64::MAX => time,
                time => time.saturating_add(offset_ns),
            });
            // A window of no length still is at its start.
            if start_ns > to || end_ns.max(start_ns.saturating_add(1)) <= from {
                continue;
            }
            match interval.remote.as_slice() {
                [one] if one.prefix_len() == one.max_prefix_len() => {
                    active.by_remote.entry(one.addr()).or_default().push(index);
                }
                _ => active.others.push(index),
            }
        }
        active
    }

    /// The first interval that a flow is of.
    pub(crate) fn of_flow(&self, ends: &FlowEnds) -> Option<usize> {
        self.first(ends.remote, |interval| {
            has_remote(interval, ends.remote)
                && (interval.local.is_empty()
                    || interval.local.iter().any(|net| net.contains(&ends.local)))
                && interval.remote_ports.contains(&ends.remote_port)
                && interval.local_ports.contains(&ends.local_port)
                && interval.protocol.is_none_or(|protocol| protocol == ends.protocol)
        })
    }

    /// The first attack that a peer is of by its address alone, else the first benign interval; its
    /// place in [`Truth::intervals`].
    #[must_use]
    pub fn of_peer(&self, remote: IpAddr) -> Option<usize> {
        let is_of =
            |interval: &Interval| !interval.remote.is_empty() && has_remote(interval, remote);
        self.first(remote, |interval| interval.is_attack() && is_of(interval))
            .or_else(|| self.first(remote, |interval| !interval.is_attack() && is_of(interval)))
    }

    fn first(&self, remote: IpAddr, is_of: impl Fn(&Interval) -> bool) -> Option<usize> {
        let find = |indices: &[usize]| {
            indices.iter().copied().find(|&index| is_of(&self.truth.intervals[index]))
        };
        let exact = self.by_remote.get(&remote).and_then(|indices| find(indices));
        let other = find(&self.others);
        // Each list is in the order of precedence.
        exact.into_iter().chain(other).min()
    }
}

fn has_remote(interval: &Interval, remote: IpAddr) -> bool {
    interval.remote.is_empty() || interval.remote.iter().any(|net| net.contains(&remote))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn truth(lines: &str) -> Truth {
        let text = format!("from,to,remote,local,local_port,protocol,class\n{lines}");
        Truth::from_csv(std::path::Path::new("t.csv"), &text).expect("a truth")
    }

    fn ends(remote: &str) -> FlowEnds {
        FlowEnds {
            remote: remote.parse().unwrap(),
            local: "192.0.2.1".parse().unwrap(),
            remote_port: 4242,
            local_port: 80,
            protocol: 6,
        }
    }

    fn at(truth: &Truth, second: i64, offset_ns: i64) -> Option<usize> {
        let active = Active::of(truth, second * SECOND, (second + 1) * SECOND, offset_ns);
        active.of_flow(&ends("203.0.113.7"))
    }

    #[test]
    fn a_row_is_of_an_interval_that_its_window_overlaps() {
        let truth = truth("10.5,12,203.0.113.7,,,,x\n");
        let hits: Vec<bool> = (9..14).map(|second| at(&truth, second, 0).is_some()).collect();
        assert_eq!(hits, [false, true, true, true, false]);
    }

    #[test]
    fn an_offset_moves_the_truth_and_leaves_open_ends_open() {
        let point = truth("10,10,203.0.113.7,,,,x\n");
        assert!(at(&point, 10, 0).is_some() && at(&point, 9, 0).is_none());
        assert!(at(&point, 9, -1).is_some() && at(&point, 10, -1).is_none());
        let open = truth(",,203.0.113.7,,,,x\n");
        assert!(at(&open, 0, i64::MIN).is_some() && at(&open, 0, i64::MAX).is_some());
    }

    #[test]
    fn the_first_interval_that_matches_in_all_wins() {
        let truth = truth(
            "0,9,203.0.113.7,,443,,other_port\n\
             0,9,203.0.113.7,,,udp,other_protocol\n\
             0,9,203.0.113.7,198.51.100.1,,,other_host\n\
             0,9,203.0.113.0/24,192.0.2.0/24,80,tcp,prefix\n\
             0,9,203.0.113.7,,,,exact\n",
        );
        assert_eq!(at(&truth, 5, 0), Some(3));
        let active = Active::of(&truth, 5 * SECOND, 6 * SECOND, 0);
        assert_eq!(active.of_flow(&ends("203.0.113.8")), Some(3));
        assert_eq!(active.of_flow(&ends("198.51.100.8")), None);
    }

    #[test]
    fn for_a_peer_attacks_go_before_benign_intervals_and_need_a_remote() {
        let truth = truth(
            ",,,,80,,anybody\n\
             ,,203.0.113.0/24,,,,benign\n\
             0,9,203.0.113.7,,443,,scan\n",
        );
        let active = Active::of(&truth, 5 * SECOND, 6 * SECOND, 0);
        let peer = |address: &str| active.of_peer(address.parse().unwrap());
        assert_eq!(peer("203.0.113.7"), Some(2));
        assert_eq!(peer("203.0.113.8"), Some(1));
        assert_eq!(peer("198.51.100.8"), None);
    }
}
