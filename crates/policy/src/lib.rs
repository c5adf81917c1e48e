//! From evidence to decisions: which peers are anomalous, and what may be done about them.
//!
//! The unit of a decision is a peer in a window. [`Policy::decide`] chooses the anomalous ones at
//! the configured error rate, asks for enough of them in the last windows, and lets each pass the
//! guards; a guard that refuses says so in a [`Refusal`]. What may be done at all is the
//! [`Mode`]'s to say; a [`Breaker`] or a trial that nobody confirmed takes it back to shadow.
//!
//! It has no clock, and its randomness has a seed: the same windows give the same decisions. It
//! never touches the kernel, a file or a socket: the collector does what is decided, and tells
//! what people decide instead ([`Policy::set_mode`], [`Policy::pardon`], [`Policy::protect`]).

#![forbid(unsafe_code)]

mod acquaintance;
mod breaker;
mod config;
mod decision;
mod flood;
mod guards;
mod history;
mod pace;
mod protected;
pub mod statistics;
mod trial;
mod window;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use flows_common::{Action, clock::nanos};
use model::sample::Draws;

pub use breaker::{Breaker, Open};
pub use config::{
    BoundError, LocallyInitiated, Mode, PolicyConfig, RawPolicy, RawPrefix, Unverified,
};
pub use decision::{BURST_S, Verdicts};
pub use events::{
    Decision, Evidence, Notice, Outcome, Reason, Refusal, Service, ServiceLimit, Subject, Trip,
};
pub use protected::{PrefixSet, ProtectedHosts, Protection};
pub use statistics::{Basis, Claim, benjamini_hochberg};
pub use trial::Trial;
pub use window::WindowFacts;

use acquaintance::{Acquaintances, Weight};
use flood::FloodWatch;
use guards::Standing;
use history::History;
use pace::Pace;
use statistics::Selector;

/// The stream of random numbers that early releases are drawn from.
const RELEASES: usize = 0;

/// How much of what is ordinary is blocked.
#[derive(Clone, Copy, Debug)]
struct Shares {
    all: Weight,
    blocked: Weight,
}

/// Turns the evidence of each window into decisions.
pub struct Policy {
    config: PolicyConfig,
    /// As it was told last.
    told: ProtectedHosts,
    /// The same, with [`PolicyConfig::allow`].
    protected: ProtectedHosts,
    selector: Selector,
    mode: Mode,
    trial: Option<Trial>,
    breaker: Breaker,
    history: History,
    acquaintances: Acquaintances,
    floods: FloodWatch,
    /// As of the window in hand, once it was asked for: it takes a pass over all peers.
    shares: Option<Shares>,
    pace: Pace,
    refusals: BTreeMap<Refusal, u64>,
    draws: Draws,
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
    pub fn new(config: PolicyConfig, protected: ProtectedHosts) -> Self {
        Self {
            mode: config.mode,
            selector: Selector::new(&config),
            trial: None,
            breaker: Breaker::default(),
            history: History::default(),
            acquaintances: Acquaintances::default(),
            floods: FloodWatch::default(),
            shares: None,
            pace: Pace::default(),
            refusals: BTreeMap::new(),
            draws: Draws::new(config.seed, RELEASES),
            window: 0,
            protected: protected.clone().allowing(&config.allow),
            told: protected,
            config,
        }
    }

    /// Tells it what the claims about the model's decisions rest on.
    #[must_use]
    pub fn calibrated(mut self, basis: &Basis) -> Self {
        self.selector.calibrate(basis);
        self
    }

    /// What it goes by.
    #[must_use]
    pub const fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// What may be done now: the mode that people set, held to shadow while the breaker is open.
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
    pub const fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    /// How often each guard refused so far.
    #[must_use]
    pub const fn refusals(&self) -> &BTreeMap<Refusal, u64> {
        &self.refusals
    }

    /// Blocks of its own that stand.
    pub fn standing(&mut self, now_ns: u64) -> usize {
        self.history.standing(now_ns)
    }

    /// Blocks made in the last minute.
    pub fn made_last_minute(&mut self, now_ns: u64) -> usize {
        self.pace.last_minute(now_ns)
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
            let mode = self.mode();
            self.floods.look(&evidence, &self.config, window.span_s(), window.end_ns, mode)
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
                Some(claim) if peer.excess >= self.config.alert_margin => {
                    anomalous.push((peer, claim));
                }
                _ => ordinary.push(peer),
            }
        }
        for (peer, _) in &anomalous {
            self.acquaintances.note(peer, true, now_ns);
        }
        anomalous.retain(|(peer, _)| !self.history.is_blocked(peer.address, now_ns));
        anomalous.sort_unstable_by(|(a, _), (b, _)| {
            a.p_value.total_cmp(&b.p_value).then(a.address.cmp(&b.address))
        });
        let margin = self.config.margin;
        let unverified =
            anomalous.iter().filter(|(peer, _)| !peer.verified && peer.excess >= margin).count();
        let forged = unverified > self.config.max_unverified_sources as usize;
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
            self.acquaintances.note(peer, false, now_ns);
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
        if peer.excess < self.config.margin {
            return Outcome::Refused(Refusal::BelowMargin);
        }
        // Before it is noted: it must not count towards a later block either.
        if window.warming_up {
            return Outcome::Refused(Refusal::WarmingUp);
        }
        let (windows, packets) =
            self.history.note(peer.address, self.window, self.config.of_windows, peer.packets);
        if forged && !peer.verified {
            self.history.forged(peer.address, now_ns);
        }
        let standing = Standing {
            windows,
            packets,
            blocks: self.history.standing(now_ns),
            last_minute: self.pace.last_minute(now_ns),
        };
        if let Some(refusal) = self.refusal(peer, claim, window, &standing) {
            return Outcome::Refused(refusal);
        }
        if let Some(trip) = self.would_trip(peer.address, now_ns) {
            // Open already: nothing is enforced, and what would be is still of interest.
            if self.breaker.open().is_none() {
                notices.push(self.open_breaker(trip, now_ns));
            }
            return Outcome::Refused(match trip {
                Trip::ShareOfPeers => Refusal::ShareOfPeers,
                Trip::ShareOfBytes => Refusal::ShareOfBytes,
            });
        }
        self.block(peer, now_ns)
    }

    /// Whether a block of this peer, with those that stand, would hit too much of what is
    /// ordinary here. One ordinary peer may always be blocked: half of two is no runaway model.
    fn would_trip(&mut self, peer: IpAddr, now_ns: u64) -> Option<Trip> {
        let weight = self.acquaintances.weigh([peer], now_ns);
        if weight.peers == 0 {
            return None;
        }
        let (acquaintances, history) = (&self.acquaintances, &self.history);
        let shares = self.shares.get_or_insert_with(|| Shares {
            all: acquaintances.ordinary(now_ns),
            blocked: acquaintances.weigh(history.blocked_now(now_ns), now_ns),
        });
        let (all, hit) = (shares.all, shares.blocked + weight);
        if hit.peers > 1 && hit.peers as f64 > self.config.max_share_of_peers * all.peers as f64 {
            return Some(Trip::ShareOfPeers);
        }
        (all.peers > 1 && hit.bytes > self.config.max_share_of_bytes * all.bytes)
            .then_some(Trip::ShareOfBytes)
    }

    fn open_breaker(&mut self, trip: Trip, now_ns: u64) -> Notice {
        let rearms_ns = self.config.rearm_after.map(|after| now_ns.saturating_add(nanos(after)));
        self.breaker.trip(trip, now_ns, rearms_ns);
        let demoted = self
            .history
            .blocked_now(now_ns)
            .filter(|&peer| self.acquaintances.is_ordinary(peer, now_ns))
            .collect();
        Notice::BreakerOpened { trip, rearms_ns, demoted }
    }

    fn block(&mut self, peer: &Evidence, now_ns: u64) -> Outcome {
        let before = self.history.blocks(peer.address, now_ns);
        let doubled = self.config.ttl.saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
        let full = doubled.min(self.config.max_ttl);
        let early = self.draws.unit() < self.config.early_release;
        // Between a tenth and a half: long enough to matter, short enough to learn something.
        let ttl = if early { full.mul_f64(0.1 + 0.4 * self.draws.unit()) } else { full };
        let meant_ns = now_ns.saturating_add(nanos(ttl));
        let expires_ns = match &mut self.trial {
            Some(trial) => trial.cap(peer.address, meant_ns),
            None => meant_ns,
        };
        self.history.blocked(peer.address, expires_ns);
        if let Some(shares) = &mut self.shares {
            shares.blocked += self.acquaintances.weigh([peer.address], now_ns);
        }
        self.pace.note(now_ns);
        let action = match (self.mode(), peer.verified, self.config.unverified) {
            (Mode::Observe | Mode::Shadow, ..) => Action::Shadow,
            (Mode::Enforce, false, Unverified::RateLimit) => Action::RateLimit,
            (Mode::Enforce, ..) => Action::Drop,
        };
        let ttl = Duration::from_nanos(expires_ns.saturating_sub(now_ns));
        Outcome::Block { action, ttl, expires_ns, offence: before + 1, early }
    }

    /// What time alone changes: a trial runs out, the breaker re-arms.
    fn keep_time(&mut self, now_ns: u64, notices: &mut Vec<Notice>) {
        if let Some(trial) = self.trial.take_if(|trial| trial.until_ns <= now_ns) {
            let from = self.mode;
            self.mode = trial.fall_back;
            let demoted: Vec<IpAddr> = trial.into_blocks().into_keys().collect();
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

/// What people and restarts tell the policy.
impl Policy {
    /// Sets what may be done, for good, or with `confirm_by_ns` until then unless
    /// [`Policy::confirm`] is called: the policy then falls back to `fall_back`.
    pub fn set_mode(&mut self, mode: Mode, confirm_by_ns: Option<u64>) {
        let fall_back = self.trial.take().map_or(self.mode, |trial| trial.fall_back);
        // One never falls back to more than shadow, nor to more than was there before.
        let fall_back = fall_back.min(Mode::Shadow);
        self.trial = confirm_by_ns.map(|until_ns| Trial::new(until_ns, fall_back));
        self.mode = mode;
    }

    /// Confirms the mode on trial; returns its blocks that were cut short, each with the time that
    /// it is meant to end. `None` where nothing is on trial.
    pub fn confirm(&mut self) -> Option<BTreeMap<IpAddr, u64>> {
        let blocks = self.trial.take()?.into_blocks();
        for (&peer, &until_ns) in &blocks {
            self.history.prolonged(peer, until_ns);
        }
        Some(blocks)
    }

    /// Closes the breaker by hand; tells whether it was open.
    pub fn rearm(&mut self) -> bool {
        self.breaker.rearm()
    }

    /// Tells the policy that a block it decided could not be made, or is gone.
    pub fn forget_block(&mut self, peer: IpAddr) {
        self.history.unblocked(peer);
        if let Some(trial) = &mut self.trial {
            trial.forget(peer);
        }
    }

    /// A person took a block back: the peer is left alone for [`PolicyConfig::grace`].
    pub fn pardon(&mut self, peer: IpAddr, now_ns: u64) {
        self.forget_block(peer);
        self.history.pardoned(peer, now_ns.saturating_add(nanos(self.config.grace)));
    }

    /// Takes over what stood, or what was known of a peer, before a restart: how often it was
    /// blocked, and until when, in ns of the boot clock.
    pub fn remember(&mut self, peer: IpAddr, blocks: u32, until_ns: u64) {
        self.history.remember(peer, blocks, until_ns);
    }

    /// Takes over that a service was limited before a restart, until then.
    pub fn remember_limit(&mut self, service: Service, until_ns: u64) {
        self.floods.remember(service, until_ns);
    }

    /// Replaces the hosts that must not be blocked; those of [`PolicyConfig::allow`] stay.
    pub fn protect(&mut self, hosts: ProtectedHosts) {
        self.protected = hosts.clone().allowing(&self.config.allow);
        self.told = hosts;
    }

    /// The hosts that must not be blocked, by the policy or by anybody else.
    #[must_use]
    pub const fn protected(&self) -> &ProtectedHosts {
        &self.protected
    }

    /// Takes a new configuration over from the next window on. The mode stays: people change it
    /// by [`Policy::set_mode`].
    pub fn reconfigure(&mut self, config: PolicyConfig) {
        self.selector.reconfigure(&self.config, &config);
        self.protected = self.told.clone().allowing(&config.allow);
        self.config = config;
    }
}

#[cfg(test)]
mod tests;
