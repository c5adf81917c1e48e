//! The guards: they keep an anomalous peer from being blocked.

use events::Prefix;
use flows_common::{Scope, Standing};

use crate::{
    Evidence, Policy, PolicyConfig, Refusal, Service, WindowFacts,
    config::{LocallyInitiated, Unverified},
    guesses,
    statistics::{Claim, OnDrift, Unsupported},
};

/// Where administrators come in.
const SSH: Service = Service { protocol: 6, port: 22 };

/// Counts of a peer, and of all blocks, that the guards ask for.
pub(crate) struct Counts {
    /// Anomalous windows of the peer among the last ones.
    pub(crate) windows: u32,
    /// Anomalous windows of the peer with no ten quiet minutes among them.
    pub(crate) lasting: u32,
    /// Packets in those.
    pub(crate) packets: u64,
    /// Active blocks.
    pub(crate) blocks: usize,
    /// Blocks made in the last minute.
    pub(crate) last_minute: usize,
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

/// True of evidence that was gathered where administrators come in.
fn is_at_door(peer: &Evidence) -> bool {
    peer.standing == Standing::Proven && (guesses(peer) || peer.service == Some(SSH))
}

impl Policy {
    /// The part of a peer's packets that a block on this evidence acts on: of an administrator's
    /// address all but the connections that stand.
    pub(crate) fn scope(&self, peer: &Evidence) -> Scope {
        let address = Prefix::of_host(peer.address).net();
        if is_at_door(peer) && self.protected.refusal(address) == Some(Refusal::Administrator) {
            Scope::Unproven
        } else {
            self.config.scope(peer.standing)
        }
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
            .or_else(|| self.by_number(counts))
    }

    fn by_identity(&self, peer: &Evidence, now_ns: u64) -> Option<Refusal> {
        let (config, address) = (&self.config, peer.address);
        match self.protected.refusal(Prefix::of_host(address).net()) {
            // Whoever is logged in keeps the connection; what guesses beside it is no administrator.
            Some(Refusal::Administrator) if is_at_door(peer) => {}
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
            Standing::Unproven if self.history.is_forged(address, now_ns) => {
                Some(Refusal::ForgedSources)
            }
            Standing::Unproven if config.unverified == Unverified::Refuse => {
                Some(Refusal::Unverified)
            }
            _ => None,
        }
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
        if guesses(peer) {
            return None;
        }
        let decisive = peer.surprise >= config.expert.decisive_surprise;
        if window.interrupted {
            Some(Refusal::Interrupted)
        } else if window.blind {
            Some(Refusal::LossyWindow)
        } else if window.drifting && config.drift == OnDrift::Suspend {
            Some(Refusal::Drifting)
        } else if !claim.supported && config.unsupported == Unsupported::Refuse {
            Some(Refusal::RateUnsupported)
        } else if window.lossy && !decisive {
            Some(Refusal::LossyWindow)
        } else if peer.new_or_large && !decisive {
            Some(Refusal::NewOrLarge)
        } else if counts.windows < config.expert.windows && !decisive {
            Some(Refusal::TooFewWindows)
        } else if counts.packets < config.expert.min_packets {
            Some(Refusal::TooFewPackets)
        } else {
            None
        }
    }

    fn by_number(&self, counts: &Counts) -> Option<Refusal> {
        if counts.blocks >= self.config.max_blocks as usize {
            Some(Refusal::MaxBlocks)
        } else if counts.last_minute >= self.config.expert.max_blocks_per_minute as usize {
            Some(Refusal::BlocksPerMinute)
        } else {
            None
        }
    }
}
