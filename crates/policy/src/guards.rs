//! The guards: what keeps an anomalous peer from being blocked.

use crate::{
    Evidence, Policy, Refusal, WindowFacts,
    config::{LocallyInitiated, Unverified},
    statistics::{Claim, OnDrift, Unsupported},
};

/// What the policy knows of a peer and of itself when the guards are asked.
pub(crate) struct Standing {
    /// Anomalous windows of the peer among the last ones.
    pub(crate) windows: u32,
    /// Packets in those.
    pub(crate) packets: u64,
    /// Blocks that stand.
    pub(crate) blocks: usize,
    /// Blocks made in the last minute.
    pub(crate) last_minute: usize,
}

impl Policy {
    /// The first guard that refuses a block of this peer. Who it is comes first, then what can be
    /// claimed of it, then how many blocks there are already.
    pub(crate) fn refusal(
        &self,
        peer: &Evidence,
        claim: &Claim,
        window: &WindowFacts,
        standing: &Standing,
    ) -> Option<Refusal> {
        self.for_who_it_is(peer, window.end_ns)
            .or_else(|| self.for_the_evidence(peer, claim, window, standing))
            .or_else(|| self.for_the_number(standing))
    }

    fn for_who_it_is(&self, peer: &Evidence, now_ns: u64) -> Option<Refusal> {
        let (config, address) = (&self.config, peer.address);
        if let Some(refusal) = self.protected.refusal(address.into()) {
            return Some(refusal);
        }
        if self.history.is_pardoned(address, now_ns) {
            Some(Refusal::Grace)
        } else if config.locally_initiated == LocallyInitiated::Refuse
            && (peer.initiated || self.acquaintances.is_initiated(address, now_ns))
        {
            Some(Refusal::LocallyInitiated)
        } else if !peer.verified && self.history.is_forged(address, now_ns) {
            Some(Refusal::ForgedSources)
        } else if !peer.verified && config.unverified == Unverified::Refuse {
            Some(Refusal::Unverified)
        } else {
            None
        }
    }

    fn for_the_evidence(
        &self,
        peer: &Evidence,
        claim: &Claim,
        window: &WindowFacts,
        standing: &Standing,
    ) -> Option<Refusal> {
        let config = &self.config;
        let decisive = peer.excess >= config.decisive_margin;
        if window.interrupted {
            Some(Refusal::Interrupted)
        } else if window.drifting && config.drift == OnDrift::Suspend {
            Some(Refusal::Drifting)
        } else if !claim.supported && config.unsupported == Unsupported::Refuse {
            Some(Refusal::RateUnsupported)
        } else if window.lossy && !decisive {
            Some(Refusal::LossyWindow)
        } else if standing.windows < config.windows && !decisive {
            Some(Refusal::TooFewWindows)
        } else if standing.packets < config.min_packets {
            Some(Refusal::TooFewPackets)
        } else {
            None
        }
    }

    fn for_the_number(&self, standing: &Standing) -> Option<Refusal> {
        if standing.blocks >= self.config.max_blocks as usize {
            Some(Refusal::MaxBlocks)
        } else if standing.last_minute >= self.config.max_blocks_per_minute as usize {
            Some(Refusal::BlocksPerMinute)
        } else {
            None
        }
    }
}
