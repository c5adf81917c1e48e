//! Use of each service, across all peers.

use flows_common::{Direction, FlowCounters, FlowKey};

use crate::context::recent::Recent;
use crate::damped::HalfLife;
use crate::record::{ICMP, ICMP_V6};

/// A service: the protocol, the opened side's port (the message's type for ICMP), and the side
/// that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Service {
    protocol: u8,
    port: u16,
    initiator: Direction,
}

impl Service {
    /// The service that a flow uses.
    pub(crate) fn of(key: &FlowKey, counters: &FlowCounters, initiator: Direction) -> Self {
        let port = match (key.protocol, initiator) {
            (ICMP | ICMP_V6, _) => u16::from(counters.directions[initiator.index()].icmp_type),
            (_, Direction::Ingress) => key.local_port,
            (_, Direction::Egress) => key.remote_port,
        };
        Self { protocol: key.protocol, port, initiator }
    }
}

/// The damped use of each service; half-life [`HalfLife::Long`].
///
/// In each window a peer has one vote, shared equally by the services it uses, so that a loud
/// peer cannot make its own service look common.
pub(crate) struct Services {
    uses: Recent<Service, Votes>,
    total: Votes,
}

#[derive(Clone, Copy, Default)]
struct Votes {
    sum: f64,
    as_of_ns: u64,
}

impl Votes {
    fn at(self, now_ns: u64) -> f64 {
        self.sum * HalfLife::Long.left_after(now_ns.saturating_sub(self.as_of_ns))
    }

    fn add(&mut self, vote: f64, now_ns: u64) {
        self.sum = (self.at(now_ns) + vote).max(0.0);
        self.as_of_ns = self.as_of_ns.max(now_ns);
    }
}

impl Services {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { uses: Recent::with_capacity(capacity), total: Votes::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.uses.len()
    }

    pub(crate) const fn evicted(&self) -> u64 {
        self.uses.evicted()
    }

    /// Rarity of a service, in [0, 1]: 0 where all votes are its own (or there are none at all
    /// yet), 1 where it has none.
    ///
    /// `log2((1 + all votes) / (1 + its votes)) / log2(1 + all votes)`.
    pub(crate) fn rarity(&self, service: Service, now_ns: u64) -> f64 {
        let all = self.total.at(now_ns).ln_1p();
        let own = self.uses.get(&service).map_or(0.0, |votes| votes.at(now_ns)).ln_1p();
        if all > 0.0 { ((all - own) / all).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Gives a service a part of a peer's vote.
    pub(crate) fn vote(&mut self, service: Service, vote: f64, now_ns: u64) {
        let touched = self.uses.touch(service, Votes::default);
        touched.value.add(vote, now_ns);
        let forgotten = touched.evicted.map_or(0.0, |(_, votes)| votes.at(now_ns));
        self.total.add(vote - forgotten, now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(port: u16) -> Service {
        Service { protocol: 6, port, initiator: Direction::Ingress }
    }

    #[test]
    fn before_the_first_vote_nothing_is_unusual() {
        assert!(Services::with_capacity(8).rarity(service(80), 0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_many_use_is_common_and_what_nobody_uses_is_rare() {
        let mut services = Services::with_capacity(8);
        for second in 0..100 {
            services.vote(service(80), 1.0, second * 1_000_000_000);
        }
        services.vote(service(22), 1.0, 100_000_000_000);
        let rarity = |port| services.rarity(service(port), 100_000_000_000);
        assert!(rarity(80) < 0.05 && rarity(22) > 0.5, "{} {}", rarity(80), rarity(22));
        assert!((rarity(31337) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn an_evicted_service_takes_its_votes_along() {
        let mut services = Services::with_capacity(1);
        services.vote(service(80), 5.0, 0);
        services.vote(service(22), 3.0, 0);
        assert!((services.total.at(0) - 3.0).abs() < 1e-12);
        assert_eq!((services.len(), services.evicted()), (1, 1));
    }
}
