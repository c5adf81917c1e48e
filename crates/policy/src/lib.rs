//! From evidence to decisions: anomalous peers at a stated error rate, and answers to them.
//!
//! The unit of a decision is what a peer sent in one [`Standing`] in a window. [`Policy::decide`] chooses the anomalous ones at
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
mod busied;
mod commit_confirm;
mod config;
mod decision;
mod flood;
mod guards;
mod history;
mod log_ins;
mod lot;
mod memory;
mod outage;
mod peer_baseline;
mod people;
mod protected;
pub mod statistics;
mod widening;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use events::Prefix;
use flows_common::{Action, clock::nanos};
use ipnet::IpNet;

pub use breaker::{Breaker, Open};
pub use commit_confirm::CommitConfirm;
pub use config::{
    ALERT_SURPRISE, BoundError, ExpertConfig, Ipv6Hosts, LocallyInitiated, Mode, MovedKey,
    PolicyConfig, Unverified, ValidPolicy,
};
pub use decision::{BURST_S, Verdicts};
pub use events::{
    Decision, Evidence, Notice, Outage, Outcome, Reason, Refusal, Scope, Service, ServiceLimit,
    Standing, Subject, Trip,
};
pub use memory::Memory;
pub use protected::{PrefixSet, ProtectedHosts, Protection};
pub use statistics::{Basis, Claim, benjamini_hochberg};
pub use window::WindowFacts;

use block_rate::BlockRate;
use busied::Busied;
use flood::{FloodWatch, Look};
use guards::Counts;
use history::{History, Noted};
use log_ins::{HANDFUL, LogIns, TENS};
use lot::Lot;
use outage::OutageWatch;
use peer_baseline::{PeerBaseline, Weight};
use statistics::{Selector, Support, support};

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
    /// The calibration, once known.
    basis: Option<Basis>,
    mode: Mode,
    commit_confirm: Option<CommitConfirm>,
    breaker: Breaker,
    history: History,
    baseline: PeerBaseline,
    floods: FloodWatch,
    outages: OutageWatch,
    log_ins: LogIns,
    busied: Busied,
    /// Shares as of the window in hand, once asked for: they take a pass over all peers.
    shares: Option<Shares>,
    rate: BlockRate,
    refusals: BTreeMap<Refusal, u64>,
    lot: Lot,
    window: u64,
    /// End of the last window, in ns of the boot clock.
    now_ns: u64,
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
            basis: None,
            commit_confirm: None,
            breaker: Breaker::default(),
            history: History::default(),
            baseline: PeerBaseline::default(),
            floods: FloodWatch::default(),
            outages: OutageWatch::default(),
            log_ins: LogIns::default(),
            busied: Busied::default(),
            shares: None,
            rate: BlockRate::default(),
            refusals: BTreeMap::new(),
            lot: Lot::new(config.expert.seed),
            window: 0,
            now_ns: 0,
            protected: protected.clone().allowing(&config.allow),
            told: protected,
            config,
        }
    }

    /// Adds the calibration that claims of an error rate rest on.
    #[must_use]
    pub fn calibrated(mut self, basis: &Basis) -> Self {
        self.recalibrate(basis);
        self
    }

    /// Takes over the calibration of a model that is in force from here on.
    pub fn recalibrate(&mut self, basis: &Basis) {
        self.selector.calibrate(basis);
        self.basis = Some(*basis);
    }

    /// Support of the configured rates at the traffic of late, in windows of this length; none
    /// without a calibration.
    #[must_use]
    pub fn support(&self, window: Duration) -> Option<Support> {
        let peers = self.selector.expected_peers();
        self.basis.as_ref().map(|basis| support(&self.config, basis, peers, window))
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

    /// End of the last window in which a remote that stands out turned to this service, blocked before or
    /// not, in ns of the windows' clock; none beyond the longest horizon.
    #[must_use]
    pub fn last_busied_ns(&self, service: Service) -> Option<u64> {
        self.busied.last_ns(service)
    }

    /// Number of refusals so far, by guard.
    #[must_use]
    pub const fn refusals(&self) -> &BTreeMap<Refusal, u64> {
        &self.refusals
    }

    /// Number of the policy's own blocks that are active.
    pub fn active_blocks(&mut self, now_ns: u64) -> usize {
        self.history.active(now_ns).all
    }

    /// Number of blocks made in the last minute.
    #[must_use]
    pub fn made_last_minute(&self, now_ns: u64) -> usize {
        self.rate.last_minute(now_ns).all
    }

    /// The limit that closed ports get for so long ahead of the end of a window in which these remotes
    /// knock at many of them ([`flows_common::PeerCounters::knocks_fast`]); `None` where none is due.
    /// [`Self::decide`] tells of it at the window's end.
    #[must_use]
    pub fn limit_ahead(
        &self,
        remotes: &[IpAddr],
        now_ns: u64,
        lease: Duration,
    ) -> Option<ServiceLimit> {
        let Self { floods, baseline, protected, config, .. } = self;
        let is_due = |&remote: &IpAddr| !is_exempt(baseline, protected, remote, now_ns);
        let limit = floods.ahead(config, self.mode(), now_ns, lease);
        limit.filter(|_| remotes.iter().any(is_due))
    }

    /// Decides on all peers of one window.
    ///
    /// Decisions come in the order of p-value, then address.
    pub fn decide(&mut self, mut evidence: Vec<Evidence>, window: &WindowFacts) -> Verdicts {
        let mut notices = Vec::new();
        self.now_ns = window.end_ns;
        self.keep_time(window.end_ns, &mut notices);
        self.busied.note(&evidence, self.config.expert.alert_surprise, window.end_ns);
        let mut services = if window.interrupted || window.blind {
            Vec::new()
        } else {
            let look = Look {
                span_s: window.span_s(),
                now_ns: window.end_ns,
                mode: self.mode(),
                spent: self.are_spent(window.end_ns),
            };
            let least = self.config.expert.act_surprise;
            let Self { floods, baseline, protected, config, .. } = &mut *self;
            floods.look(
                &evidence,
                |peer| peer.surprise >= least,
                |peer| is_exempt(baseline, protected, peer, window.end_ns),
                config,
                look,
            )
        };
        for peer in evidence.iter_mut().filter(|peer| peer.standing == Standing::Proven) {
            peer.failed_log_ins = self.log_ins.failed(peer.address, window.end_ns);
        }
        let Self { outages, baseline, config, .. } = &mut *self;
        let outages = outages.look(
            &evidence,
            |peer| peer.surprise >= config.expert.act_surprise || guesses(peer),
            |peer| baseline.is_ordinary(peer, window.end_ns),
            (window.end_ns.saturating_sub(window.start_ns), window.end_ns),
        );
        let mut peers = self.decide_peers(evidence, window, &mut notices);
        if self.mode() != Mode::Enforce {
            // The breaker may have opened behind some of them.
            for limit in &mut services {
                limit.action = Action::Shadow;
            }
        }
        for decision in &mut peers {
            match &mut decision.outcome {
                Outcome::Refused(refusal) => *self.refusals.entry(*refusal).or_default() += 1,
                Outcome::Block { action, .. } if self.mode() != Mode::Enforce => {
                    *action = Action::Shadow;
                }
                Outcome::Block { .. } => {}
            }
        }
        Verdicts { peers, services, outages, notices }
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
        for peer in evidence.iter().filter(|peer| peer.standing == Standing::Proven) {
            self.baseline.prove(peer.address, now_ns);
        }
        let selection = self.selector.look(&evidence, window);
        let (mut anomalous, mut ordinary) = (Vec::new(), Vec::new());
        for peer in evidence {
            if guesses(&peer) {
                let claim = selection.claim_anyway(&peer);
                anomalous.push((peer, claim));
                continue;
            }
            match selection.claim(&peer) {
                Some(claim) if peer.surprise >= self.config.expert.alert_surprise => {
                    anomalous.push((peer, claim));
                }
                _ => ordinary.push(peer),
            }
        }
        for (peer, _) in &mut anomalous {
            peer.address = self.widened(peer.address, now_ns);
        }
        anomalous.retain(|(peer, _)| {
            let scope = self.scope(peer);
            !self.history.is_blocked(peer.address, scope, now_ns)
        });
        anomalous.sort_unstable_by(|(a, _), (b, _)| {
            let by_name = (a.address, a.standing).cmp(&(b.address, b.standing));
            a.p_value.total_cmp(&b.p_value).then(by_name)
        });
        let unproven =
            anomalous.iter().filter(|(peer, _)| peer.standing == Standing::Unproven).count();
        let forged = unproven > self.config.expert.max_unverified_sources as usize;
        let decisions = anomalous
            .into_iter()
            .filter_map(|(mut peer, claim)| {
                let address = self.widened(peer.address, now_ns);
                if address != peer.address {
                    peer.address = address;
                    if self.history.is_blocked(address, self.scope(&peer), now_ns) {
                        return None;
                    }
                }
                let outcome = self.decide_one(&peer, &claim, window, forged, notices);
                Some(Decision { outcome, evidence: peer, claim })
            })
            .collect();
        // Behind the decisions: a window does not make its own peers ordinary.
        for peer in &ordinary {
            // What anybody may have sent contradicts no claim.
            if peer.standing != Standing::Unproven {
                self.selector.hear(peer, window);
            }
            self.baseline.note(peer, now_ns);
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
        if peer.surprise < self.config.expert.act_surprise && !guesses(peer) {
            return Outcome::Refused(Refusal::BelowMargin);
        }
        // Before it is noted: it must not count towards a later block either.
        if window.warming_up && !guesses(peer) {
            return Outcome::Refused(Refusal::WarmingUp);
        }
        if self.baseline.is_ordinary(peer.address, now_ns)
            && let Some(refusal) = self.outages.refusal(peer)
        {
            return Outcome::Refused(refusal);
        }
        let Noted { windows, lasting, packets } = self.history.note(
            (peer.address, peer.standing),
            (self.window, now_ns),
            longer_ns(peer, window).map(|ns| (ns, peer.row_packets)),
            self.config.expert.of_windows,
            peer.packets,
        );
        if forged && peer.standing == Standing::Unproven {
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
        // What limits unproven packets alone takes no ordinary traffic away.
        let cuts_off = peer.standing != Standing::Unproven && counts.lasting < LASTING_WINDOWS;
        if cuts_off && let Some((trip, networks)) = self.beyond_share(peer.address, now_ns) {
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
            blocked: baseline.weigh(history.cut_off(now_ns), now_ns),
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
        let hit = history.cut_off(now_ns).filter(|&peer| baseline.is_ordinary(peer, now_ns));
        let networks: BTreeSet<IpNet> = hit.chain([peer]).map(network).collect();
        Some((trip, networks.len()))
    }

    fn open_breaker(&mut self, trip: Trip, now_ns: u64) -> Notice {
        let after = self.config.expert.rearm_after;
        let rearms_ns = (!after.is_zero()).then(|| now_ns.saturating_add(nanos(after)));
        self.breaker.trip(trip, now_ns, rearms_ns);
        Notice::BreakerOpened { trip, rearms_ns, demoted: self.history.demote(now_ns) }
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
        let scope = self.scope(peer);
        let action = match (self.mode(), peer.standing, self.config.unverified) {
            (Mode::Observe | Mode::Shadow, ..) => Action::Shadow,
            (Mode::Enforce, Standing::Unproven, Unverified::RateLimit) => Action::RateLimit,
            (Mode::Enforce, ..) => Action::Drop,
        };
        self.history.blocked(peer.address, scope, action, expires_ns);
        if let Some(shares) = &mut self.shares
            && scope > Scope::Unproven
        {
            shares.blocked += self.baseline.weigh([peer.address], now_ns);
        }
        self.rate.note(now_ns, scope);
        let ttl = Duration::from_nanos(expires_ns.saturating_sub(now_ns));
        Outcome::Block { action, scope, ttl, expires_ns, offence: before + 1, early }
    }

    /// Changes by time alone: a mode that nobody confirmed falls back, the breaker re-arms.
    fn keep_time(&mut self, now_ns: u64, notices: &mut Vec<Notice>) {
        if let Some(unconfirmed) = self.commit_confirm.take_if(|one| one.until_ns <= now_ns) {
            let from = self.mode;
            self.mode = unconfirmed.fall_back;
            let mut demoted: BTreeSet<IpAddr> = self.history.demote(now_ns).into_iter().collect();
            for peer in unconfirmed.into_blocks().into_keys() {
                self.history.not_blocked(peer);
                demoted.insert(peer);
            }
            notices.push(Notice::FellBack { from, demoted: demoted.into_iter().collect() });
        }
        if self.breaker.rearm_when_due(now_ns) {
            self.decide_anew();
            notices.push(Notice::BreakerClosed);
        }
    }

    /// Has what only shadows decided anew, where the mode enforces.
    fn decide_anew(&mut self) {
        if self.mode() == Mode::Enforce {
            self.history.forget_shadowed(self.now_ns);
        }
    }
}

/// True of a remote that is no reason for a limit of a service: it behaved regularly before, or is
/// allowed.
fn is_exempt(
    baseline: &PeerBaseline,
    protected: &ProtectedHosts,
    remote: IpAddr,
    now_ns: u64,
) -> bool {
    let host = || Prefix::of_host(remote).net();
    let is_allowed = || protected.refusal(host()) == Some(Refusal::Allowed);
    baseline.is_ordinary(remote, now_ns) || is_allowed()
}

/// The time that the most surprising row of a remote covers, in ns, where it is longer than the
/// window's. What anybody may have sent counts by the window alone: a client that calls in vain at a
/// service that is down is odd over ten seconds, and one that asks for names is over a minute.
fn longer_ns(peer: &Evidence, window: &WindowFacts) -> Option<u64> {
    let window_ns = window.end_ns.saturating_sub(window.start_ns);
    let row_ns = u64::from(peer.horizon_ms) * 1_000_000;
    let is_longer = 2 * row_ns > 3 * window_ns;
    (is_longer && peer.standing != Standing::Unproven).then_some(row_ns)
}

/// True of a remote that failed a handful of log-ins, by this host's own log, or that tried some tens
/// which were all alike.
const fn guesses(peer: &Evidence) -> bool {
    is_told(peer) || peer.log_ins_alike >= TENS
}

/// True of a remote that failed a handful of log-ins, by this host's own log.
const fn is_told(peer: &Evidence) -> bool {
    peer.failed_log_ins >= HANDFUL
}

/// The network that an address is taken to belong to: its /24, or its /64 in IPv6.
#[must_use]
pub fn network(address: IpAddr) -> IpNet {
    let length = if address.is_ipv4() { 24 } else { 64 };
    IpNet::new_assert(address, length).trunc()
}

#[cfg(test)]
mod tests;
