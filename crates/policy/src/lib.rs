//! From evidence to decisions: anomalous peers at a stated error rate, and answers to them.
//!
//! The unit of a decision is a peer in a window. [`Policy::decide`] chooses the anomalous ones at
//! the configured error rate, asks for enough of them in the last windows, and lets each pass the
//! guards; a guard that refuses returns a [`Refusal`]. The [`Mode`] bounds every answer; a
//! [`Breaker`], or a [`CommitConfirm`] that nobody confirmed, takes it back to shadow.
//!
//! The policy has no clock, and its randomness has a seed: the same windows give the same
//! decisions. It never touches the kernel, a file or a socket: the caller carries decisions out,
//! and passes on those of people ([`Policy::set_mode`], [`Policy::pardon`], [`Policy::protect`]).
//!
//! Order of calls: [`PolicyConfig::check`], [`Policy::new`], [`Policy::calibrated`], then
//! [`Policy::decide`] once a window.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod block_rate;
mod breaker;
mod commit_confirm;
mod config;
mod decision;
mod flood;
mod guards;
mod history;
mod lot;
mod peer_baseline;
mod people;
mod protected;
pub mod statistics;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use flows_common::{Action, clock::nanos};
use ipnet::IpNet;

pub use breaker::{Breaker, Open};
pub use commit_confirm::CommitConfirm;
pub use config::{
    ALERT_MARGIN, BoundError, ExpertConfig, LocallyInitiated, Mode, MovedKey, PolicyConfig,
    Unverified, ValidPolicy,
};
pub use decision::{BURST_S, Verdicts};
pub use events::{
    Decision, Evidence, Notice, Outcome, Reason, Refusal, Service, ServiceLimit, Subject, Trip,
};
pub use protected::{PrefixSet, ProtectedHosts, Protection};
pub use statistics::{Basis, Claim, benjamini_hochberg};
pub use window::WindowFacts;

use block_rate::BlockRate;
use flood::{FloodWatch, Look};
use guards::Counts;
use history::{History, Noted};
use lot::Lot;
use peer_baseline::{PeerBaseline, Weight};
use statistics::Selector;

/// Networks whose ordinary peers have to be hit before the breaker opens: what a client or two do,
/// or one that holds many addresses of its network, is no sign of a model that runs away.
const BREAKER_NETWORKS: usize = 3;

/// Anomalous windows, with no ten quiet minutes among them, after which a peer is blocked however
/// much of the ordinary traffic it carried before: none buys itself out for good.
const LASTING_WINDOWS: u32 = 30;

/// Ordinary traffic, and the part of it that is blocked.
#[derive(Clone, Copy, Debug)]
struct Shares {
    all: Weight,
    blocked: Weight,
}

/// The policy: it turns the evidence of each window into decisions.
pub struct Policy {
    config: ValidPolicy,
    /// As it was told last.
    told: ProtectedHosts,
    /// The same, with `policy.allow`.
    protected: ProtectedHosts,
    selector: Selector,
    mode: Mode,
    commit_confirm: Option<CommitConfirm>,
    breaker: Breaker,
    history: History,
    baseline: PeerBaseline,
    floods: FloodWatch,
    /// Shares as of the window in hand, once asked for: they take a pass over all peers.
    shares: Option<Shares>,
    rate: BlockRate,
    refusals: BTreeMap<Refusal, u64>,
    lot: Lot,
    window: u64,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Policy {
    /// A policy with no past.
    #[must_use]
    pub fn new(config: ValidPolicy, protected: ProtectedHosts) -> Self {
        Self {
            mode: config.mode,
            selector: Selector::new(&config),
            commit_confirm: None,
            breaker: Breaker::default(),
            history: History::default(),
            baseline: PeerBaseline::default(),
            floods: FloodWatch::default(),
            shares: None,
            rate: BlockRate::default(),
            refusals: BTreeMap::new(),
            lot: Lot::new(config.expert.seed),
            window: 0,
            protected: protected.clone().allowing(&config.allow),
            told: protected,
            config,
        }
    }

    /// Adds the calibration that claims of an error rate rest on.
    #[must_use]
    pub fn calibrated(mut self, basis: &Basis) -> Self {
        self.selector.calibrate(basis);
        self
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &ValidPolicy {
        &self.config
    }

    /// The mode in force: that which people set, held to shadow while the breaker is open.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.breaker.open().is_some() { self.mode.min(Mode::Shadow) } else { self.mode }
    }

    /// The breaker's state.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The mode that waits to be confirmed, if one does.
    #[must_use]
    pub const fn commit_confirm(&self) -> Option<&CommitConfirm> {
        self.commit_confirm.as_ref()
    }

    /// Number of refusals so far, by guard.
    #[must_use]
    pub const fn refusals(&self) -> &BTreeMap<Refusal, u64> {
        &self.refusals
    }

    /// Number of the policy's own blocks that are active.
    pub fn active_blocks(&mut self, now_ns: u64) -> usize {
        self.history.active(now_ns)
    }

    /// Number of blocks made in the last minute.
    pub fn made_last_minute(&mut self, now_ns: u64) -> usize {
        self.rate.last_minute(now_ns)
    }

    /// Decides on all peers of one window.
    ///
    /// Decisions come in the order of p-value, then address.
    pub fn decide(&mut self, evidence: Vec<Evidence>, window: &WindowFacts) -> Verdicts {
        let mut notices = Vec::new();
        self.keep_time(window.end_ns, &mut notices);
        let services = if window.interrupted {
            Vec::new()
        } else {
            let look = Look { span_s: window.span_s(), now_ns: window.end_ns, mode: self.mode() };
            let margin = self.config.expert.margin;
            self.floods.look(&evidence, |peer| peer.excess >= margin, &self.config, look)
        };
        let peers = self.decide_peers(evidence, window, &mut notices);
        for decision in &peers {
            if let Outcome::Refused(refusal) = decision.outcome {
                *self.refusals.entry(refusal).or_default() += 1;
            }
        }
        Verdicts { peers, services, notices }
    }

    fn decide_peers(
        &mut self,
        evidence: Vec<Evidence>,
        window: &WindowFacts,
        notices: &mut Vec<Notice>,
    ) -> Vec<Decision> {
        self.window += 1;
        self.shares = None;
        let now_ns = window.end_ns;
        let selection = self.selector.look(&evidence, window);
        let (mut anomalous, mut ordinary) = (Vec::new(), Vec::new());
        for peer in evidence {
            match selection.claim(&peer) {
                Some(claim) if peer.excess >= self.config.expert.alert_margin => {
                    anomalous.push((peer, claim));
                }
                _ => ordinary.push(peer),
            }
        }
        for (peer, _) in &anomalous {
            self.baseline.note(peer, true, now_ns);
        }
        anomalous.retain(|(peer, _)| !self.history.is_blocked(peer.address, now_ns));
        anomalous.sort_unstable_by(|(a, _), (b, _)| {
            a.p_value.total_cmp(&b.p_value).then(a.address.cmp(&b.address))
        });
        let margin = self.config.expert.margin;
        let unverified =
            anomalous.iter().filter(|(peer, _)| !peer.verified && peer.excess >= margin).count();
        let forged = unverified > self.config.expert.max_unverified_sources as usize;
        let decisions = anomalous
            .into_iter()
            .map(|(peer, claim)| Decision {
                outcome: self.decide_one(&peer, &claim, window, forged, notices),
                evidence: peer,
                claim,
            })
            .collect();
        // Behind the decisions: a window does not make its own peers ordinary.
        for peer in &ordinary {
            self.baseline.note(peer, false, now_ns);
        }
        decisions
    }

    fn decide_one(
        &mut self,
        peer: &Evidence,
        claim: &Claim,
        window: &WindowFacts,
        forged: bool,
        notices: &mut Vec<Notice>,
    ) -> Outcome {
        let now_ns = window.end_ns;
        if peer.excess < self.config.expert.margin {
            return Outcome::Refused(Refusal::BelowMargin);
        }
        // Before it is noted: it must not count towards a later block either.
        if window.warming_up {
            return Outcome::Refused(Refusal::WarmingUp);
        }
        let Noted { windows, lasting, packets } = self.history.note(
            peer.address,
            (self.window, now_ns),
            self.config.expert.of_windows,
            peer.packets,
        );
        if forged && !peer.verified {
            self.history.forged(peer.address, now_ns);
        }
        let counts = Counts {
            windows,
            lasting,
            packets,
            blocks: self.history.active(now_ns),
            last_minute: self.rate.last_minute(now_ns),
        };
        if let Some(refusal) = self.refusal(peer, claim, window, &counts) {
            return Outcome::Refused(refusal);
        }
        if let Some((trip, networks)) = self.beyond_share(peer.address, now_ns)
            && counts.lasting < LASTING_WINDOWS
        {
            // Open already: nothing is enforced, and what would be is still of interest.
            if networks >= BREAKER_NETWORKS && self.breaker.open().is_none() {
                notices.push(self.open_breaker(trip, now_ns));
            }
            return Outcome::Refused(match trip {
                Trip::ShareOfPeers => Refusal::ShareOfPeers,
                Trip::ShareOfBytes => Refusal::ShareOfBytes,
            });
        }
        self.block(peer, now_ns)
    }

    /// The share that a block of this peer would exceed, if the active blocks and this one hit too
    /// much ordinary traffic, and the number of networks that those hit belong to. One ordinary
    /// peer may always be blocked: half of two is no runaway model.
    fn beyond_share(&mut self, peer: IpAddr, now_ns: u64) -> Option<(Trip, usize)> {
        let weight = self.baseline.weigh([peer], now_ns);
        if weight.peers == 0 {
            return None;
        }
        let (baseline, history) = (&self.baseline, &self.history);
        let shares = self.shares.get_or_insert_with(|| Shares {
            all: baseline.ordinary(now_ns),
            blocked: baseline.weigh(history.blocked_now(now_ns), now_ns),
        });
        let (all, hit) = (shares.all, shares.blocked + weight);
        let expert = &self.config.expert;
        let trip =
            if hit.peers > 1 && hit.peers as f64 > expert.max_share_of_peers * all.peers as f64 {
                Trip::ShareOfPeers
            } else if all.peers > 1 && hit.bytes > expert.max_share_of_bytes * all.bytes {
                Trip::ShareOfBytes
            } else {
                return None;
            };
        let hit = history.blocked_now(now_ns).filter(|&peer| baseline.is_ordinary(peer, now_ns));
        let networks: BTreeSet<IpNet> = hit.chain([peer]).map(network).collect();
        Some((trip, networks.len()))
    }

    fn open_breaker(&mut self, trip: Trip, now_ns: u64) -> Notice {
        let after = self.config.expert.rearm_after;
        let rearms_ns = (!after.is_zero()).then(|| now_ns.saturating_add(nanos(after)));
        self.breaker.trip(trip, now_ns, rearms_ns);
        let demoted = self
            .history
            .blocked_now(now_ns)
            .filter(|&peer| self.baseline.is_ordinary(peer, now_ns))
            .collect();
        Notice::BreakerOpened { trip, rearms_ns, demoted }
    }

    fn block(&mut self, peer: &Evidence, now_ns: u64) -> Outcome {
        let before = self.history.blocks(peer.address, now_ns);
        let doubled = self.config.ttl.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
        let full = doubled.min(self.config.max_ttl);
        let early = self.lot.unit() < self.config.expert.early_release;
        // Between a tenth and a half: long enough to matter, short enough to learn something.
        let ttl = if early { full.mul_f64(0.1 + 0.4 * self.lot.unit()) } else { full };
        let meant_ns = now_ns.saturating_add(nanos(ttl));
        let expires_ns = match &mut self.commit_confirm {
            Some(pending) => pending.cap(peer.address, meant_ns),
            None => meant_ns,
        };
        self.history.blocked(peer.address, expires_ns);
        if let Some(shares) = &mut self.shares {
            shares.blocked += self.baseline.weigh([peer.address], now_ns);
        }
        self.rate.note(now_ns);
        let action = match (self.mode(), peer.verified, self.config.unverified) {
            (Mode::Observe | Mode::Shadow, ..) => Action::Shadow,
            (Mode::Enforce, false, Unverified::RateLimit) => Action::RateLimit,
            (Mode::Enforce, ..) => Action::Drop,
        };
        let ttl = Duration::from_nanos(expires_ns.saturating_sub(now_ns));
        Outcome::Block { action, ttl, expires_ns, offence: before + 1, early }
    }

    /// Changes by time alone: a mode that nobody confirmed falls back, the breaker re-arms.
    fn keep_time(&mut self, now_ns: u64, notices: &mut Vec<Notice>) {
        if let Some(unconfirmed) = self.commit_confirm.take_if(|one| one.until_ns <= now_ns) {
            let from = self.mode;
            self.mode = unconfirmed.fall_back;
            let demoted: Vec<IpAddr> = unconfirmed.into_blocks().into_keys().collect();
            for &peer in &demoted {
                self.history.unblocked(peer);
            }
            notices.push(Notice::FellBack { from, demoted });
        }
        if self.breaker.rearm_when_due(now_ns) {
            notices.push(Notice::BreakerClosed);
        }
    }
}

/// The network that an address is taken to belong to: its /24, or its /64 in IPv6.
fn network(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { 24 } else { 64 };
    IpNet::new_assert(address, length).trunc()
}

#[cfg(test)]
mod tests;
