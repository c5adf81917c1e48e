//! The guards: they keep an anomalous peer from being blocked.

use events::Prefix;
use flows_common::{Scope, Standing, parse::UDP};

use crate::{
    Evidence, Policy, PolicyConfig, Refusal, Service, WindowFacts,
    config::{LocallyInitiated, Unverified},
    flood::{self, TCP},
    guesses, is_told,
    statistics::{Claim, OnDrift, Unsupported},
};

/// Counts of a peer, and of all blocks, that the guards ask for.
pub(crate) struct Counts {
    /// Anomalous windows of the peer among the last ones.
    pub(crate) windows: u32,
    /// Anomalous windows of the peer with no ten quiet minutes among them.
    pub(crate) lasting: u32,
    /// Packets in those.
    pub(crate) packets: u64,
    /// Active blocks.
    pub(crate) blocks: Made,
    /// Blocks made in the last minute.
    pub(crate) last_minute: Made,
}

/// A number of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) all: usize,
    /// Those of them that act on unproven packets alone.
    pub(crate) unproven: usize,
}

impl Made {
    pub(crate) fn add(&mut self, scope: Scope) {
        self.all += 1;
        self.unproven += usize::from(scope == Scope::Unproven);
    }
}

impl PolicyConfig {
    /// The part of a peer's packets that evidence of this standing may act on.
    ///
    /// Unproven evidence acts on unproven packets alone, whoever sent them; what this host opened
    /// itself is acted on only where that is asked for.
    pub(crate) const fn scope(&self, standing: Standing) -> Scope {
        match (standing, self.locally_initiated) {
            (Standing::Unproven, _) => Scope::Unproven,
            (_, LocallyInitiated::Refuse) => Scope::Inbound,
            (_, LocallyInitiated::Act) => Scope::All,
        }
    }
}

impl Policy {
    /// The part of a peer's packets that a block on this evidence acts on: of an administrator's
    /// address all but the connections that stand.
    pub(crate) fn scope(&self, peer: &Evidence) -> Scope {
        if peer.standing == Standing::Proven && self.is_of_administrator(peer) {
            Scope::Unproven
        } else {
            self.config.scope(peer.standing)
        }
    }

    fn is_of_administrator(&self, peer: &Evidence) -> bool {
        let address = Prefix::of_host(peer.address).net();
        self.protected.refusal(address) == Some(Refusal::Administrator)
    }

    /// The first guard that refuses a block of this peer. The guards ask for the peer's identity,
    /// then for the evidence, then for the number of blocks.
    pub(crate) fn refusal(
        &self,
        peer: &Evidence,
        claim: &Claim,
        window: &WindowFacts,
        counts: &Counts,
    ) -> Option<Refusal> {
        self.by_identity(peer, window.end_ns)
            .or_else(|| self.by_evidence(peer, claim, window, counts))
            .or_else(|| self.by_number(peer, counts, window.end_ns))
    }

    fn by_identity(&self, peer: &Evidence, now_ns: u64) -> Option<Refusal> {
        let (config, address) = (&self.config, peer.address);
        match self.protected.refusal(Prefix::of_host(address).net()) {
            // Whoever is logged in keeps the connection; what attacks beside it is no administrator. What
            // somebody sent in that name shuts nobody out.
            Some(Refusal::Administrator) if peer.standing == Standing::Proven => {}
            Some(refusal) => return Some(refusal),
            None => {}
        }
        if self.history.is_pardoned(address, now_ns) {
            return Some(Refusal::Grace);
        }
        match peer.standing {
            Standing::Initiated if config.locally_initiated == LocallyInitiated::Refuse => {
                Some(Refusal::LocallyInitiated)
            }
            Standing::Unproven if self.is_forged(peer, now_ns) => Some(Refusal::ForgedSources),
            Standing::Unproven if config.unverified == Unverified::Refuse => {
                Some(Refusal::Unverified)
            }
            _ => None,
        }
    }

    /// True of one of many unproven sources whose packets another answer meets.
    ///
    /// Openings share their service's limit, for as long as that stands: without one the many are
    /// decoys, and each is limited by itself, which costs whoever has its address no connection.
    /// So is who proved its address before, whom no limit of a service holds. Datagrams are no
    /// service's fault before they flood it: of those the many of one window are spared in that
    /// window, and no packet buys more.
    fn is_forged(&self, peer: &Evidence, now_ns: u64) -> bool {
        if self.baseline.is_known(peer.address, now_ns) {
            return false;
        }
        let openings = peer.service.filter(|service| service.protocol == TCP);
        match openings.and_then(|service| self.floods.is_limited(service, &self.config, now_ns)) {
            // The kernel holds whoever knocks there, and what he opens elsewhere: ever other decoys
            // spend no more blocks.
            Some(true) if openings == Some(Service::CLOSED_PORTS) && self.are_spent(now_ns) => true,
            Some(limited) => limited && self.history.is_forged(peer.address, now_ns),
            None => self.history.is_forged_in(peer.address, now_ns),
        }
    }

    /// True where more blocks of unproven sources were made in the last minute than such may be
    /// innocent at once.
    pub(crate) fn are_spent(&self, now_ns: u64) -> bool {
        self.rate.last_minute(now_ns).unproven > flood::innocent(&self.config)
    }

    fn by_evidence(
        &self,
        peer: &Evidence,
        claim: &Claim,
        window: &WindowFacts,
        counts: &Counts,
    ) -> Option<Refusal> {
        let config = &self.config;
        // The host's own log says so, whatever the scores, the window and the traffic are.
        if is_told(peer) {
            return None;
        }
        let decisive = peer.surprise >= config.expert.decisive_surprise;
        // A backup is as large as it is, and so is who asks by datagrams and is answered; what floods
        // by volume proves nothing, and sends more than the limit that it gets would let pass.
        let asks = peer.service.is_some_and(|service| service.protocol == UDP);
        let limit = f64::from(config.expert.rate_limit_pps) * window.span_s();
        let floods = decisive && peer.packets as f64 > limit;
        let is_business = peer.standing == Standing::Proven || asks || !floods;
        if window.interrupted {
            Some(Refusal::Interrupted)
        } else if window.blind {
            Some(Refusal::LossyWindow)
        } else if guesses(peer) {
            None
        } else if window.drifting && config.drift == OnDrift::Suspend {
            Some(Refusal::Drifting)
        } else if !claim.supported && config.unsupported == Unsupported::Refuse {
            Some(Refusal::RateUnsupported)
        } else if window.lossy && !decisive {
            Some(Refusal::LossyWindow)
        } else if peer.new_or_large && is_business {
            Some(Refusal::NewOrLarge)
        } else if counts.windows < config.expert.windows && !decisive {
            Some(Refusal::TooFewWindows)
        } else if counts.packets < config.expert.min_packets {
            Some(Refusal::TooFewPackets)
        } else {
            None
        }
    }

    /// Sources that never proved to be somebody take up half of either bound at most.
    fn by_number(&self, peer: &Evidence, counts: &Counts, now_ns: u64) -> Option<Refusal> {
        let config = &self.config;
        let is_anybody =
            peer.standing == Standing::Unproven && !self.baseline.is_known(peer.address, now_ns);
        let is_beyond = |made: Made, bound: u32| {
            let bound = bound as usize;
            made.all >= bound || (is_anybody && made.unproven >= bound.div_ceil(2))
        };
        if is_beyond(counts.blocks, config.max_blocks) {
            Some(Refusal::MaxBlocks)
        } else if is_beyond(counts.last_minute, config.expert.max_blocks_per_minute) {
            Some(Refusal::BlocksPerMinute)
        } else {
            None
        }
    }
}
