//! Counts of the host's side: of one of its addresses, of a service, of all together.

use flows_common::Direction;

use super::sketch::Distinct;
use super::traffic::add;
use super::{Busiest, Counts, Outcomes, Part, Traffic};
use crate::kept::kept;
use crate::kind::Horizons;

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

/// Counts of the host's side over a time. Pairs are by the side that opened the flows
/// ([`Direction::index`]): the remotes, the host's. Those of a service know the flows that remotes
/// opened to it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SiteCounts {
    /// Flows opened.
    pub flows: [u32; 2],
    /// Their outcomes, as far as they are known.
    pub outcomes: [Outcomes; 2],
    /// Estimated remotes that a local address had never met: that opened a flow to it, that it
    /// opened a flow to.
    pub new_remotes: [f32; 2],
    /// Those of them whose first flow failed.
    pub new_failed: [f32; 2],
    /// Estimated first-ever services of remotes that failed.
    pub new_services_failed: f32,
    /// Estimated services, whoever offers them, that a local address had never used.
    pub new_services: f32,
    /// Flows active, by horizon, each once.
    pub active: [u32; Horizons::MOST],
    /// Sums over the packets.
    pub traffic: Traffic,
    /// Remotes with a packet: that opened, and that were opened to.
    pub remotes: [Distinct<8>; 2],
    /// Services that flows were opened to.
    pub services: Distinct<2>,
    /// Pairs of a remote and its service that flows were opened to.
    pub pairs: Distinct<4>,
    /// The services of remotes that most flows were opened to.
    pub fan_out: Busiest<FanOut, 3>,
    /// The local services that most flows were opened to.
    pub sources: Busiest<Sources, 3>,
    /// The pairs of a remote and its service that most flows were opened to.
    pub pair: Busiest<Pair, 3>,
}

/// Remotes that one service is used of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FanOut {
    /// Flows opened.
    pub flows: u32,
    /// Remotes.
    pub remotes: Distinct<4>,
    /// Those of them never met before, estimated.
    pub new_remotes: f32,
}

/// Remotes that use one local service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sources {
    /// Flows opened.
    pub flows: u32,
    /// Those of them that failed or were empty.
    pub abortive: u32,
    /// Remotes.
    pub remotes: Distinct<4>,
}

/// Flows to one service of one remote.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pair {
    /// Flows opened.
    pub flows: u32,
}

kept!(SiteCounts {
    flows,
    outcomes,
    new_remotes,
    new_failed,
    new_services_failed,
    new_services,
    active,
    traffic,
    remotes,
    services,
    pairs,
    fan_out,
    sources,
    pair
});
kept!(FanOut { flows, remotes, new_remotes });
kept!(Sources { flows, abortive, remotes });
kept!(Pair { flows });
kept!(NewOfFlow { target, remote, service });

impl Part for FanOut {
    fn merge(&mut self, later: &Self) {
        add(&mut self.flows, later.flows);
        self.remotes.merge(&later.remotes);
        self.new_remotes += later.new_remotes;
    }

    fn weight(&self) -> u32 {
        self.flows
    }
}

impl Part for Sources {
    fn merge(&mut self, later: &Self) {
        add(&mut self.flows, later.flows);
        add(&mut self.abortive, later.abortive);
        self.remotes.merge(&later.remotes);
    }

    fn weight(&self) -> u32 {
        self.flows
    }
}

impl Part for Pair {
    fn merge(&mut self, later: &Self) {
        add(&mut self.flows, later.flows);
    }

    fn weight(&self) -> u32 {
        self.flows
    }
}

impl SiteCounts {
    /// Adds what became known of flows to a service.
    pub(crate) fn judge(
        &mut self,
        opener: Direction,
        service: u64,
        outcomes: &Outcomes,
        new: NewOfFlow,
    ) {
        self.outcomes[opener.index()].merge(outcomes);
        if outcomes.failed > 0 {
            self.new_failed[opener.index()] += new.remote;
            if opener == Direction::Egress {
                self.new_services_failed += new.target;
            }
        }
        let abortive = outcomes.failed.saturating_add(outcomes.empty);
        if opener == Direction::Ingress && abortive > 0 {
            self.sources.amend(service, &Sources { abortive, ..Sources::default() });
        }
    }

    /// The estimated number of remotes, whoever opened.
    #[must_use]
    pub fn all_remotes(&self) -> f64 {
        self.remotes[IN].union(&self.remotes[OUT])
    }

    fn amend_with(&mut self, later: &Self) {
        for way in [IN, OUT] {
            add(&mut self.flows[way], later.flows[way]);
            self.outcomes[way].merge(&later.outcomes[way]);
            self.new_remotes[way] += later.new_remotes[way];
            self.new_failed[way] += later.new_failed[way];
            self.remotes[way].merge(&later.remotes[way]);
        }
        self.new_services_failed += later.new_services_failed;
        self.new_services += later.new_services;
        for (sum, &part) in self.active.iter_mut().zip(&later.active) {
            add(sum, part);
        }
        self.traffic.merge(&later.traffic);
        self.services.merge(&later.services);
        self.pairs.merge(&later.pairs);
    }
}

/// What was new of a flow when it was opened: estimated numbers, 0 for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct NewOfFlow {
    /// Its target, for the side that opened it.
    pub(crate) target: f32,
    /// The remote, for the local address.
    pub(crate) remote: f32,
    /// The service, for the local address that opened it.
    pub(crate) service: f32,
}

impl Counts for SiteCounts {
    fn merge(&mut self, later: &Self) {
        self.amend_with(later);
        self.fan_out.merge(&later.fan_out);
        self.sources.merge(&later.sources);
        self.pair.merge(&later.pair);
    }

    fn amend(&mut self, known: &Self) {
        self.amend_with(known);
        for (service, part) in known.sources.iter() {
            self.sources.amend(service, part);
        }
    }
}
