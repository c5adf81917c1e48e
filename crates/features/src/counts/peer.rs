//! Counts of a remote address.

use flows_common::Direction;

use super::sketch::{Distinct, service_word};
use super::traffic::add;
use super::{Busiest, Counts, Outcomes, Part, Traffic};
use crate::facts::PeerFacts;
use crate::kept::kept;
use crate::kind::Horizons;

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

/// Part of the mean within which sizes are alike.
const NEAR: f64 = 0.4;

/// Counts of a remote address over a time. Pairs are by the side that opened the flows
/// ([`Direction::index`]): the remote, the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerCounts {
    /// Flows opened: each opening of TCP ([`flows_common::FlowCounters::openings`]), else a tuple
    /// that was not known or silent for 60 s.
    pub flows: [u32; 2],
    /// Their outcomes, as far as they are known.
    pub outcomes: [Outcomes; 2],
    /// Estimated first-ever targets: by the remote of a local address, protocol and port, by the
    /// host's side of the same at the remote.
    pub new_targets: [f32; 2],
    /// Those of them whose flow failed.
    pub new_failed: [f32; 2],
    /// Flows with a packet, by horizon, each once.
    pub active: [u32; Horizons::MOST],
    /// Sums over its packets.
    pub traffic: Traffic,
    /// Local targets (address, protocol, port) of the flows that it opened.
    pub targets: Distinct<4>,
    /// Local addresses of the flows that it opened.
    pub hosts: Distinct<1>,
    /// Its services (protocol, port) that the host's side opened flows to.
    pub services: Distinct<1>,
    /// Targets that are known from its own counters alone, where the window lost flows.
    pub unseen_targets: u32,
    /// Its busiest services: protocol, opened side's port, who opens.
    pub busiest: Busiest<ServiceUse, 3>,
    /// Most TCP flows that it held open and left idle, at the end of any window.
    pub idle_open_flows: u32,
    /// Numbers of its packets and segments that no score knows.
    pub unscored: Unscored,
    /// Facts that a decision uses beside the scores.
    pub facts: PeerFacts,
}

/// What is in no score: it tells of the path and of the network's health, not of intent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Unscored {
    /// Least and greatest TTL or hop limit from it; (0, 0) for none.
    pub ttl: (u8, u8),
    /// Handshakes with it whose time is known.
    pub handshakes: u32,
    /// Their time together, from SYN to SYN-ACK, in µs.
    pub handshake_us: u64,
    /// TCP packets, both ways.
    pub tcp_packets: u64,
    /// TCP segments that repeat bytes, both ways.
    pub retransmissions: u32,
    /// TCP packets that announce a receive window of zero, both ways.
    pub zero_windows: u32,
    /// Fragments, both ways.
    pub fragments: u32,
    /// ICMP and `ICMPv6` error messages, both ways.
    pub icmp_errors: u32,
}

/// Use of a service by a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServiceUse {
    /// Flows opened.
    pub flows: u32,
    /// Those of them that were served, by their outcomes.
    pub served: u32,
    /// Sums over the served flows' request bytes, and of their squares.
    request: [f32; 2],
    /// The same of their response bytes.
    response: [f32; 2],
    /// Messages of the opening side in them.
    messages: u32,
    /// Times that a flow started, or spoke again after 2 s of silence.
    starts: u32,
    /// The first and the last of these times, in ns.
    starts_ns: (u64, u64),
    /// Sum of the squares of the times between starts, in s².
    intervals_sq: f32,
}

kept!(PeerCounts {
    flows,
    outcomes,
    new_targets,
    new_failed,
    active,
    traffic,
    targets,
    hosts,
    services,
    unseen_targets,
    busiest,
    idle_open_flows,
    unscored,
    facts
});
kept!(Unscored {
    ttl,
    handshakes,
    handshake_us,
    tcp_packets,
    retransmissions,
    zero_windows,
    fragments,
    icmp_errors
});
kept!(ServiceUse { flows, served, request, response, messages, starts, starts_ns, intervals_sq });

impl ServiceUse {
    /// Flows that were opened at one time, or one that spoke again.
    pub(crate) fn started(flows: u32, start_ns: u64) -> Self {
        Self { flows, starts: flows.max(1), starts_ns: (start_ns, start_ns), ..Self::default() }
    }

    /// Flows that were served, all alike.
    pub(crate) fn served(outcomes: &Outcomes) -> Self {
        let served = outcomes.served;
        let sums = |mean: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "a mean in single precision")]
            let (n, mean) = (served as f32, mean as f32);
            [n * mean, n * mean * mean]
        };
        Self {
            served,
            request: sums(outcomes.request_mean()),
            response: sums(outcomes.response_mean()),
            messages: outcomes.messages,
            ..Self::default()
        }
    }

    /// How often the same was done: `n / (1 + 5 d)`, with `d` the sum of the relative deviations
    /// of request and response sizes.
    #[must_use]
    pub fn repetition(&self) -> f64 {
        f64::from(self.flows) / self.difference()
    }

    /// Served flows of which both the request and the response are within two fifths of the mean, at
    /// least: by Chebyshev's inequality, whatever the sizes of the others.
    #[must_use]
    pub(crate) fn alike(&self) -> u32 {
        let variances = self.deviations().map(|deviation| deviation * deviation);
        let apart = (variances[0] + variances[1]) / (NEAR * NEAR);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to n")]
        let alike = (f64::from(self.served) * (1.0 - apart).max(0.0)) as u32;
        alike
    }

    /// True where the means of what was asked and answered in served flows are a quarter apart at most.
    #[must_use]
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let mean = |sum: f32, one: &Self| f64::from(sum) / f64::from(one.served).max(1.0);
        let near = |one: f64, other: f64| (one - other).abs() <= 0.25 * one.max(other);
        near(self.request_mean(), other.request_mean())
            && near(mean(self.response[0], self), mean(other.response[0], other))
    }

    /// Mean of what was asked in a served flow, in bytes; 0 for none.
    #[must_use]
    pub(crate) fn request_mean(&self) -> f64 {
        f64::from(self.request[0]) / f64::from(self.served).max(1.0)
    }

    /// Mean number of messages of the opening side in a served flow; 0 for none.
    #[must_use]
    pub(crate) fn messages_mean(&self) -> f64 {
        f64::from(self.messages) / f64::from(self.served).max(1.0)
    }

    fn difference(&self) -> f64 {
        1.0 + 5.0 * self.deviations().iter().sum::<f64>()
    }

    /// Standard deviations over means of the served flows' requests and responses.
    fn deviations(&self) -> [f64; 2] {
        let n = f64::from(self.served);
        [self.request, self.response]
            .map(|[sum, squares]| relative(n, f64::from(sum), f64::from(squares)))
    }

    /// How often at equal intervals: `n / (1 + 5 v)`, with `v` the coefficient of variation of the
    /// times between starts; 0 below three starts.
    #[must_use]
    pub fn regularity(&self) -> f64 {
        if self.starts < 3 {
            return 0.0;
        }
        let (first, last) = self.starts_ns;
        let sum_s = last.saturating_sub(first) as f64 / 1e9;
        let intervals = f64::from(self.starts - 1);
        if sum_s <= 0.0 {
            return 0.0;
        }
        let variation = relative(intervals, sum_s, f64::from(self.intervals_sq));
        f64::from(self.starts) / (1.0 + 5.0 * variation)
    }
}

/// Standard deviation over mean of `n` values; 0 below two or where the mean is 0.
fn relative(n: f64, sum: f64, squares: f64) -> f64 {
    if n < 2.0 || sum <= 0.0 {
        return 0.0;
    }
    let mean = sum / n;
    let variance = ((squares - n * mean * mean) / (n - 1.0)).max(0.0);
    // What is left of rounding in f32 is no deviation.
    let deviation = variance.sqrt() / mean;
    if deviation < 1e-3 { 0.0 } else { deviation }
}

impl Part for ServiceUse {
    fn merge(&mut self, later: &Self) {
        if later.starts > 0 {
            if self.starts > 0 {
                let gap_s = later.starts_ns.0.saturating_sub(self.starts_ns.1) as f32 / 1e9;
                self.intervals_sq += later.intervals_sq + gap_s * gap_s;
                self.starts_ns.1 = self.starts_ns.1.max(later.starts_ns.1);
            } else {
                (self.starts_ns, self.intervals_sq) = (later.starts_ns, later.intervals_sq);
            }
        }
        add(&mut self.flows, later.flows);
        add(&mut self.starts, later.starts);
        add(&mut self.served, later.served);
        add(&mut self.messages, later.messages);
        for at in 0..2 {
            self.request[at] += later.request[at];
            self.response[at] += later.response[at];
        }
    }

    fn weight(&self) -> u32 {
        self.starts
    }
}

impl PeerCounts {
    /// Most flows to one service, among those that a side opened.
    #[must_use]
    pub fn busiest_flows(&self, opener: Direction) -> u32 {
        self.uses(Some(opener)).map(|one| one.flows).max().unwrap_or(0)
    }

    /// The uses of its busiest services, of those that a side opens or of all.
    pub fn uses(&self, opener: Option<Direction>) -> impl Iterator<Item = &ServiceUse> {
        let bit = opener.map(|opener| opener.index() as u64);
        self.busiest
            .iter()
            .filter(move |(key, _)| bit.is_none_or(|bit| key >> 24 == bit))
            .map(|(_, one)| one)
    }

    /// The use of a service, if it is among the busiest.
    pub(crate) fn use_of(&self, opener: Direction, protocol: u8, port: u16) -> Option<&ServiceUse> {
        let word = service_word(protocol, port, opener);
        self.busiest.iter().find(|(key, _)| *key == word).map(|(_, one)| one)
    }

    #[cfg(test)]
    pub(crate) fn use_served(
        &mut self,
        opener: Direction,
        protocol: u8,
        port: u16,
        outcomes: &Outcomes,
    ) {
        let one = ServiceUse { flows: outcomes.served, ..ServiceUse::served(outcomes) };
        self.busiest.add(service_word(protocol, port, opener), &one);
    }

    /// The estimated number of local targets.
    #[must_use]
    pub fn target_count(&self) -> f64 {
        self.targets.count() + f64::from(self.unseen_targets)
    }

    /// Adds what became known of flows to a service.
    pub(crate) fn judge(&mut self, opener: Direction, service: u64, outcomes: &Outcomes, new: f32) {
        let opener = opener.index();
        self.outcomes[opener].merge(outcomes);
        if outcomes.failed > 0 {
            self.new_failed[opener] += new;
        }
        if outcomes.served > 0 {
            // Of a service that was not among the busiest nothing is kept.
            self.busiest.amend(service, &ServiceUse::served(outcomes));
        }
    }
}

impl Counts for PeerCounts {
    fn merge(&mut self, later: &Self) {
        self.amend_with(later);
        self.busiest.merge(&later.busiest);
    }

    fn amend(&mut self, known: &Self) {
        self.amend_with(known);
        for (service, part) in known.busiest.iter() {
            self.busiest.amend(service, part);
        }
    }
}

impl PeerCounts {
    fn amend_with(&mut self, later: &Self) {
        for way in [IN, OUT] {
            add(&mut self.flows[way], later.flows[way]);
            self.outcomes[way].merge(&later.outcomes[way]);
            self.new_targets[way] += later.new_targets[way];
            self.new_failed[way] += later.new_failed[way];
        }
        for (sum, &part) in self.active.iter_mut().zip(&later.active) {
            add(sum, part);
        }
        self.traffic.merge(&later.traffic);
        self.targets.merge(&later.targets);
        self.hosts.merge(&later.hosts);
        self.services.merge(&later.services);
        add(&mut self.unseen_targets, later.unseen_targets);
        self.idle_open_flows = self.idle_open_flows.max(later.idle_open_flows);
        self.unscored.merge(&later.unscored);
        self.facts.merge(&later.facts);
    }
}

impl Unscored {
    /// Adds a range of TTLs.
    pub(crate) fn note_ttl(&mut self, (least, greatest): (u8, u8)) {
        if greatest == 0 {
            return;
        }
        self.ttl = match self.ttl {
            (_, 0) => (least, greatest),
            (low, high) => (low.min(least), high.max(greatest)),
        };
    }

    fn merge(&mut self, later: &Self) {
        self.note_ttl(later.ttl);
        add(&mut self.handshakes, later.handshakes);
        self.handshake_us = self.handshake_us.saturating_add(later.handshake_us);
        self.tcp_packets = self.tcp_packets.saturating_add(later.tcp_packets);
        add(&mut self.retransmissions, later.retransmissions);
        add(&mut self.zero_windows, later.zero_windows);
        add(&mut self.fragments, later.fragments);
        add(&mut self.icmp_errors, later.icmp_errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn tries(bytes: &[u64]) -> ServiceUse {
        let mut sum = ServiceUse::default();
        for (second, &response_bytes) in (0..).zip(bytes) {
            sum.merge(&ServiceUse::started(1, second * SECOND));
            let outcomes =
                Outcomes { served: 1, request_bytes: 70, response_bytes, ..Outcomes::default() };
            sum.merge(&ServiceUse::served(&outcomes));
        }
        sum
    }

    #[test]
    fn the_same_thing_ten_times_is_repeated_ten_times_and_ten_different_ones_are_not() {
        assert!((tries(&[1_500; 10]).repetition() - 10.0).abs() < 1e-6);
        let different: Vec<u64> = (1..=10).map(|n| n * n * 100).collect();
        assert!(tries(&different).repetition() < 3.0, "{}", tries(&different).repetition());
    }

    #[test]
    fn starts_of_a_clock_are_regular_and_those_of_a_burst_are_not() {
        assert!((tries(&[1; 10]).regularity() - 10.0).abs() < 1e-3);
        let mut burst = ServiceUse::default();
        for start_ns in [0, 1, 2, 30 * SECOND, 30 * SECOND + 1, 60 * SECOND] {
            burst.merge(&ServiceUse::started(1, start_ns));
        }
        assert!(burst.regularity() < 1.0, "{}", burst.regularity());
        assert!(tries(&[1; 2]).regularity().abs() < f64::EPSILON, "two starts are no rhythm");
    }

    #[test]
    fn a_merge_of_halves_is_the_whole() {
        let sizes = [300, 300, 900, 300, 300, 300];
        let (mut first, whole) = (tries(&sizes[..3]), tries(&sizes));
        let mut later = tries(&sizes[3..]);
        later.starts_ns = (3 * SECOND, 5 * SECOND);
        first.merge(&later);
        assert!((first.repetition() - whole.repetition()).abs() < 1e-6);
        assert!((first.regularity() - whole.regularity()).abs() < 1e-6);
    }
}
