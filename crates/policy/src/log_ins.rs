//! Failed log-ins, as the host's own services tell of them: evidence that no score is needed for.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use events::Prefix;

use crate::network;

/// Failed log-ins after which a remote is acted on: a person who mistypes gets three at a prompt.
pub(crate) const HANDFUL: u32 = 5;
/// Short sessions of equal size at a service for log-ins, in ten minutes, after which a remote is acted
/// on where the host's log tells nothing: more than twenty log-ins at once, or than one every 20 s.
pub(crate) const TENS: u32 = 32;
/// Time for which a failed log-in counts, in ns.
const COUNTS_FOR_NS: u64 = 600_000_000_000;
/// Failed log-ins remembered of one remote.
const KEPT: usize = 64;
/// Remotes remembered at most; beyond it those that failed longest ago go.
const REMOTES_LIMIT: usize = 16_384;

/// Failed log-ins of late. IPv6 by /64, of which a host may take any address.
#[derive(Debug, Default)]
pub(crate) struct LogIns {
    failed: BTreeMap<IpAddr, VecDeque<u64>>,
}

impl LogIns {
    /// Notes a failed log-in.
    pub(crate) fn note(&mut self, peer: IpAddr, now_ns: u64) {
        let peer = host(peer);
        if self.failed.len() >= REMOTES_LIMIT && !self.failed.contains_key(&peer) {
            let is_late =
                |times: &VecDeque<u64>| times.back().is_some_and(|&at_ns| counts(at_ns, now_ns));
            self.failed.retain(|_, times| is_late(times));
            if self.failed.len() >= REMOTES_LIMIT {
                let oldest = self.failed.iter().min_by_key(|(_, times)| times.back().copied());
                let oldest = oldest.map(|(&peer, _)| peer);
                oldest.and_then(|peer| self.failed.remove(&peer));
            }
        }
        let times = self.failed.entry(peer).or_default();
        if times.len() == KEPT {
            times.pop_front();
        }
        times.push_back(now_ns);
    }

    /// Log-ins that a remote failed lately.
    pub(crate) fn failed(&self, peer: IpAddr, now_ns: u64) -> u32 {
        // The name of a wider network stands for all of it.
        let of_name = Prefix::of_host(peer).net();
        let (first, last) = (host(of_name.network()), of_name.broadcast().max(host(peer)));
        let times = self.failed.range(first..=last).flat_map(|(_, times)| times);
        let count = times.filter(|&&at_ns| counts(at_ns, now_ns)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

const fn counts(at_ns: u64, now_ns: u64) -> bool {
    now_ns.saturating_sub(at_ns) <= COUNTS_FOR_NS
}

fn host(peer: IpAddr) -> IpAddr {
    if peer.is_ipv4() { peer } else { network(peer).network() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::SECOND;

    #[test]
    fn failures_count_for_ten_minutes_and_by_the_64() {
        let mut log_ins = LogIns::default();
        for (second, peer) in (1_u64..).zip(["2001:db8:1::7", "2001:db8:1::8", "192.0.2.7"]) {
            log_ins.note(peer.parse().unwrap(), second * SECOND);
        }
        let failed = |peer: &str, second| log_ins.failed(peer.parse().unwrap(), second * SECOND);
        assert_eq!(failed("2001:db8:1::9", 4), 2);
        assert_eq!(failed("2001:db8:2::7", 4), 0);
        assert_eq!(failed("192.0.2.8", 4), 0);
        assert_eq!((failed("2001:db8:1::9", 602), failed("192.0.2.7", 604)), (1, 0));
    }

    #[test]
    fn memory_is_bounded() {
        let mut log_ins = LogIns::default();
        for number in 0..20_000_u32 {
            log_ins.note(IpAddr::from(number.to_be_bytes()), u64::from(number));
        }
        (0..200).for_each(|at_ns| log_ins.note([192, 0, 2, 7].into(), at_ns));
        assert_eq!(log_ins.failed.len(), REMOTES_LIMIT);
        assert_eq!(log_ins.failed([192, 0, 2, 7].into(), 0), u32::try_from(KEPT).expect("few"));
    }
}
