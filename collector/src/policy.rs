//! From evidence to decisions: which peers are anomalous, and what may be done about them.
//!
//! The unit of a decision is a peer in a window. [`Policy::decide`] chooses the anomalous ones at
//! the configured false-discovery rate, asks for enough of them in the last windows, and lets
//! each pass the guards; a guard that refuses says so in a [`Refusal`]. It has no clock and no
//! randomness of its own: the same windows give the same decisions.
//!
//! It never touches the kernel: [`crate::act`] does what is decided.

mod evidence;
mod fdr;
mod history;

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use flows_common::Action;
use ipnet::IpNet;
use serde::Serialize;

pub use evidence::{Evidence, Reason, Subject};
pub use fdr::benjamini_hochberg;
use history::History;

use crate::config::{Mode, RawPolicy, Unverified};

/// The valid form of `[policy]`; see [`RawPolicy`] for what each key means.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    /// What may be done.
    pub mode: Mode,
    /// Benjamini–Hochberg's rate, in [0, 1).
    pub false_discovery_rate: f64,
    /// Excess needed to be reported, in [0, 1).
    pub alert_margin: f64,
    /// Excess needed to be acted on, at least `alert_margin`.
    pub margin: f64,
    /// Excess at which one window is enough, at least `margin`.
    pub decisive_margin: f64,
    /// Anomalous windows needed, at least 1.
    pub windows: u32,
    /// Among this many, 64 at most.
    pub of_windows: u32,
    /// Packets needed in those windows.
    pub min_packets: u64,
    /// How long a first block lasts.
    pub ttl: Duration,
    /// How long any block lasts at most.
    pub max_ttl: Duration,
    /// Blocks that may stand at once.
    pub max_blocks: u32,
    /// What is done about a source that may be spoofed.
    pub unverified: Unverified,
    /// Packets per second left to a rate-limited source, at least 1.
    pub rate_limit_pps: u32,
    /// Unverified anomalous sources in one window above which none is acted on.
    pub max_unverified_sources: u32,
    /// Prefixes that are never blocked.
    pub allow: Vec<IpNet>,
}

impl PolicyConfig {
    /// Takes over what [`crate::config::RawConfig::check`] has checked.
    pub(crate) fn from_raw(raw: &RawPolicy) -> Self {
        Self {
            mode: raw.mode,
            false_discovery_rate: raw.false_discovery_rate,
            alert_margin: raw.alert_margin,
            margin: raw.margin,
            decisive_margin: raw.decisive_margin,
            windows: raw.windows,
            of_windows: raw.of_windows,
            min_packets: raw.min_packets,
            ttl: raw.ttl,
            max_ttl: raw.max_ttl,
            max_blocks: raw.max_blocks,
            unverified: raw.unverified,
            rate_limit_pps: raw.rate_limit_pps,
            max_unverified_sources: raw.max_unverified_sources,
            allow: raw.allow.iter().map(|&prefix| prefix.into()).collect(),
        }
    }
}

/// Why an anomalous peer is not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The address is one of the host's own.
    OwnAddress,
    /// The address is no host that could be blocked: link-local, multicast, broadcast, loopback or
    /// unspecified. Neighbour discovery lives there.
    NoHost,
    /// An allowed prefix holds it.
    Allowed,
    /// Anomalous, but not by enough to act on.
    BelowMargin,
    /// Not enough anomalous windows yet.
    TooFewWindows,
    /// Too few packets to go by.
    TooFewPackets,
    /// Too many unverified sources at once: their addresses are likely forged.
    ForgedSources,
    /// Its address may be forged, and the configuration refuses such.
    Unverified,
    /// As many blocks stand as may.
    MaxBlocks,
    /// The window lost flows, and the evidence is not decisive without them.
    LossyWindow,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OwnAddress,
        Self::NoHost,
        Self::Allowed,
        Self::BelowMargin,
        Self::TooFewWindows,
        Self::TooFewPackets,
        Self::ForgedSources,
        Self::Unverified,
        Self::MaxBlocks,
        Self::LossyWindow,
    ];

    /// The reason as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OwnAddress => "one of this host's own addresses",
            Self::NoHost => "a link-local, multicast or broadcast address",
            Self::Allowed => "on the allowlist",
            Self::BelowMargin => "anomalous, but not by enough to act on",
            Self::TooFewWindows => "not anomalous in enough windows yet",
            Self::TooFewPackets => "too few packets to go by",
            Self::ForgedSources => "one of many unverified sources at once: likely forged",
            Self::Unverified => "unverified source, and policy.unverified = refuse",
            Self::MaxBlocks => "policy.max_blocks blocks stand",
            Self::LossyWindow => "the window lost flows",
        }
    }
}

/// What is to be done about an anomalous peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing, and why.
    Refused(Refusal),
    /// Block it; in observe mode this is what would be done.
    Block {
        /// What the kernel does with its packets.
        action: Action,
        /// For how long.
        ttl: Duration,
        /// When it ends, on the clock of the windows.
        expires_ns: u64,
        /// Which block of this peer it is, from 1.
        offence: u32,
    },
}

/// One anomalous peer in one window, and what is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What was seen.
    pub evidence: Evidence,
    /// What is to be done.
    pub outcome: Outcome,
}

/// Turns the evidence of each window into decisions.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    own: BTreeSet<IpAddr>,
    history: History,
    window: u64,
}

impl Policy {
    /// A policy with no past. `own` are the host's addresses.
    #[must_use]
    pub fn new(config: PolicyConfig, own: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { config, own: own.into_iter().collect(), history: History::default(), window: 0 }
    }

    /// What it goes by.
    #[must_use]
    pub const fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Decides on all peers of one window; `now_ns` is its end on the boot clock, and `lossy`
    /// that it lost flows.
    ///
    /// Decisions come in the order of p-value, then address.
    pub fn decide(
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
        let refusal = if self.own.contains(&peer.address) {
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
