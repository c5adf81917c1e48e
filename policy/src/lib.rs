//! From evidence to decisions: which peers are anomalous, and what may be done about them.
//!
//! The unit of a decision is a peer in a window. [`Policy::decide`] chooses the anomalous ones at
//! the configured false-discovery rate, asks for enough of them in the last windows, and lets
//! each pass the guards; a guard that refuses says so in a [`Refusal`]. It has no clock and no
//! randomness of its own: the same windows give the same decisions.
//!
//! It never touches the kernel, a file or a socket: the collector does what is decided.

#![forbid(unsafe_code)]

mod config;
mod decision;
mod evidence;
mod history;
mod protected;
mod refusal;
pub mod statistics;
mod window;

use std::net::IpAddr;

use flows_common::Action;

pub use config::{BoundError, Mode, PolicyConfig, RawPolicy, RawPrefix, Unverified};
pub use decision::{Decision, Outcome, Verdicts};
pub use evidence::{Evidence, Reason, Service, Subject};
use history::History;
pub use protected::Protected;
pub use refusal::Refusal;
pub use statistics::benjamini_hochberg;
pub use window::WindowFacts;

/// Turns the evidence of each window into decisions.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    protected: Protected,
    history: History,
    window: u64,
}

impl Policy {
    /// A policy with no past.
    #[must_use]
    pub fn new(config: PolicyConfig, protected: Protected) -> Self {
        Self { config, protected, history: History::default(), window: 0 }
    }

    /// What it goes by.
    #[must_use]
    pub const fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Decides on all peers of one window.
    ///
    /// Decisions come in the order of p-value, then address.
    pub fn decide(&mut self, evidence: Vec<Evidence>, window: &WindowFacts) -> Verdicts {
        Verdicts { peers: self.decide_peers(evidence, window.end_ns, window.lossy) }
    }

    fn decide_peers(
        &mut self,
        mut evidence: Vec<Evidence>,
        now_ns: u64,
        lossy: bool,
    ) -> Vec<Decision> {
        self.window += 1;
        let p_values: Vec<f64> = evidence.iter().map(|peer| peer.p_value).collect();
        let Some(largest) = benjamini_hochberg(&p_values, self.config.false_discovery_rate) else {
            return Vec::new();
        };
        evidence.retain(|peer| {
            peer.p_value <= largest
                && peer.excess >= self.config.alert_margin
                && !self.history.is_blocked(peer.address, now_ns)
        });
        evidence.sort_unstable_by(|a, b| {
            a.p_value.total_cmp(&b.p_value).then(a.address.cmp(&b.address))
        });
        let margin = self.config.margin;
        let unverified =
            evidence.iter().filter(|peer| !peer.verified && peer.excess >= margin).count();
        let forged = unverified > self.config.max_unverified_sources as usize;
        evidence
            .into_iter()
            .map(|peer| Decision {
                outcome: self.decide_one(&peer, now_ns, lossy, forged),
                evidence: peer,
            })
            .collect()
    }

    /// Tells the policy that a block it decided could not be made, or was taken back.
    pub fn forget_block(&mut self, peer: IpAddr) {
        self.history.unblocked(peer);
    }

    fn decide_one(&mut self, peer: &Evidence, now_ns: u64, lossy: bool, forged: bool) -> Outcome {
        let config = &self.config;
        if peer.excess < config.margin {
            return Outcome::Refused(Refusal::BelowMargin);
        }
        let (windows, packets) =
            self.history.note(peer.address, self.window, config.of_windows, peer.packets);
        let decisive = peer.excess >= config.decisive_margin;
        if forged && !peer.verified {
            self.history.forged(peer.address, now_ns);
        }
        let refusal = if self.protected.own.contains(&peer.address) {
            Some(Refusal::OwnAddress)
        } else if !is_host(peer.address) {
            Some(Refusal::NoHost)
        } else if config.allow.iter().any(|prefix| prefix.contains(&peer.address)) {
            Some(Refusal::Allowed)
        } else if !peer.verified && self.history.is_forged(peer.address, now_ns) {
            Some(Refusal::ForgedSources)
        } else if !peer.verified && config.unverified == Unverified::Refuse {
            Some(Refusal::Unverified)
        } else if lossy && !decisive {
            Some(Refusal::LossyWindow)
        } else if windows < config.windows && !decisive {
            Some(Refusal::TooFewWindows)
        } else if packets < config.min_packets {
            Some(Refusal::TooFewPackets)
        } else if self.history.standing(now_ns) >= config.max_blocks as usize {
            Some(Refusal::MaxBlocks)
        } else {
            None
        };
        match refusal {
            Some(refusal) => Outcome::Refused(refusal),
            None => self.block(peer, now_ns),
        }
    }

    fn block(&mut self, peer: &Evidence, now_ns: u64) -> Outcome {
        let before = self.history.blocks(peer.address);
        let doubled = self.config.ttl.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
        let ttl = doubled.min(self.config.max_ttl);
        let until_ns = now_ns.saturating_add(u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX));
        self.history.blocked(peer.address, until_ns);
        let action = match (self.config.mode, peer.verified, self.config.unverified) {
            (Mode::Observe | Mode::Shadow, ..) => Action::Shadow,
            (Mode::Enforce, false, Unverified::RateLimit) => Action::RateLimit,
            (Mode::Enforce, ..) => Action::Drop,
        };
        Outcome::Block { action, ttl, expires_ns: until_ns, offence: before + 1 }
    }
}

/// Whether an address is a single host's, reachable beyond its link.
fn is_host(address: IpAddr) -> bool {
    let link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link || address.is_multicast() || address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests;
