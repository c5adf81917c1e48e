//! Effect of one setting's policy over the stream, and the traffic that its blocks would have
//! stopped.
//!
//! A block stops what its peer sends and is sent from the moment it is decided, which is a
//! window's end, until it expires. The traffic is what was recorded whatever is decided (open
//! loop); a peer's windows under a block are withheld from the policy, as nothing of them would
//! have been measured.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use flows_common::Action;
use policy::{
    BURST_S, Decision, Evidence, Notice, Outcome, Policy, Refusal, Scope, Service, ServiceLimit,
    Standing, Verdicts, WindowFacts,
};

use super::{
    limit::Allowance,
    stream::{Amount, ByLabel, Moment, Row, RowLabel, Stream},
};

/// A block, and what it stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockEffect {
    /// The decision's evidence and outcome.
    pub decision: Decision,
    /// Action that the kernel would take.
    pub action: Action,
    /// Time of the decision, in ns.
    pub decided_ns: u64,
    /// End of the block, in ns.
    pub expires_ns: u64,
    /// Ordinal of the block among this peer's, from 1.
    pub offence: u32,
    /// Label of the peer at that time.
    pub label: RowLabel,
    /// Traffic that it stopped.
    pub stopped: Amount,
}

/// A limit on a service's unproven sources, and what it stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEffect {
    /// The service of the host.
    pub service: Service,
    /// Time of the first limit, in ns.
    pub decided_ns: u64,
    /// End of the limit with its renewals, in ns.
    pub expires_ns: u64,
    /// Traffic that it stopped.
    pub stopped: Amount,
}

/// Refusals of one guard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Peers in windows, by what is known of them.
    pub rows: ByLabel<u64>,
    /// Addresses.
    pub peers: BTreeSet<IpAddr>,
}

/// Effect on one attack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttackEffect {
    /// Time of the first block of one of its sources, or limit on its service, in ns.
    pub first_block_ns: Option<u64>,
    /// Time of the first limit on the service that it aims at, in ns.
    pub first_limit_ns: Option<u64>,
    /// Its sources that were blocked.
    pub blocked: BTreeSet<IpAddr>,
    /// Traffic of the attack that was stopped.
    pub stopped: Amount,
    /// Traffic of the attack in windows that begin after its first block.
    pub sent_after: Amount,
}

/// Effect of a setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// Its blocks, in the order in which they were decided.
    pub blocks: Vec<BlockEffect>,
    /// Its limits on services, in the order in which they were decided.
    pub services: Vec<ServiceEffect>,
    /// Times that the breaker opened.
    pub breaker_openings: u64,
    /// By attack, in the stream's order.
    pub attacks: Vec<AttackEffect>,
    /// Traffic that was stopped, by label.
    pub stopped: ByLabel<Amount>,
    /// Addresses of which something was stopped.
    pub hit: ByLabel<BTreeSet<IpAddr>>,
    /// Anomalous peer-windows on which nothing was done, by guard.
    pub refused: BTreeMap<Refusal, Refused>,
    /// The most blocks that stood at once.
    pub peak_active: u64,
}

impl Effect {
    /// Runs a setting's policy, which has no past, over the stream.
    #[must_use]
    pub fn of(stream: &Stream, policy: Policy) -> Self {
        Self::watched(stream, policy, |_, _| ())
    }

    /// The same; `see` gets what was decided on each window.
    #[must_use]
    pub fn watched(
        stream: &Stream,
        policy: Policy,
        mut see: impl FnMut(&WindowFacts, &Verdicts),
    ) -> Self {
        let mut run = Run {
            rate: policy.config().expert.rate_limit_pps,
            policy,
            active: BTreeMap::new(),
            limited: BTreeMap::new(),
            effect: Self {
                attacks: vec![AttackEffect::default(); stream.attacks().len()],
                ..Self::default()
            },
        };
        for moment in stream.moments() {
            run.take(moment, &mut see);
        }
        run.effect
    }

    /// The most blocks that were decided within any 60 seconds.
    #[must_use]
    pub fn peak_per_minute(&self) -> u64 {
        let times: Vec<u64> = self.blocks.iter().map(|block| block.decided_ns).collect();
        most_within_a_minute(&times)
    }

    /// Counts what was stopped of a row.
    fn stop(&mut self, row: &Row, stopped: Amount) {
        self.stopped.of(row.label).add(stopped);
        if stopped != Amount::default() {
            self.hit.of(row.label).insert(row.evidence.address);
        }
        if let RowLabel::Attack(number) = row.label {
            self.attacks[number].stopped.add(stopped);
        }
    }
}

/// The most of these sorted times that lie within any 60 seconds.
pub(super) fn most_within_a_minute(times_ns: &[u64]) -> u64 {
    const MINUTE_NS: u64 = 60_000_000_000;
    let (mut first, mut most) = (0, 0);
    for (last, time_ns) in times_ns.iter().enumerate() {
        while time_ns.saturating_sub(times_ns[first]) >= MINUTE_NS {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as u64
}

/// What stands for a time and may let a rate pass.
struct Lease {
    expires_ns: u64,
    allowance: Allowance,
    /// Up to when the allowance has been reckoned.
    reckoned_ns: u64,
}

impl Lease {
    const fn new(expires_ns: u64, allowance: Allowance, reckoned_ns: u64) -> Self {
        Self { expires_ns, allowance, reckoned_ns }
    }

    /// What came in the part of the window in which it stood, and the length of that part.
    fn met(&self, amount: Amount, facts: &WindowFacts) -> (Amount, u64) {
        let covered_ns = self.expires_ns.min(facts.end_ns).saturating_sub(facts.start_ns);
        let length_ns = facts.end_ns.saturating_sub(facts.start_ns);
        (part(amount, covered_ns, length_ns), covered_ns)
    }

    /// What was above its rate.
    fn above(&mut self, amount: Amount, facts: &WindowFacts) -> Amount {
        let (met, covered_ns) = self.met(amount, facts);
        self.allowance.rest(facts.start_ns.saturating_sub(self.reckoned_ns));
        self.reckoned_ns = facts.start_ns.saturating_add(covered_ns);
        let above = met.packets - self.allowance.pass(met.packets, covered_ns);
        part(met, above, met.packets)
    }
}

/// A block that stands.
struct ActiveBlock {
    action: Action,
    scope: Scope,
    lease: Lease,
    /// Its place in [`Effect::blocks`].
    block: usize,
}

impl ActiveBlock {
    /// Part of a peer's window that the block stops.
    fn stop(&mut self, amount: Amount, facts: &WindowFacts) -> Amount {
        match self.action {
            Action::Shadow => Amount::default(),
            Action::Drop => self.lease.met(amount, facts).0,
            Action::RateLimit => self.lease.above(amount, facts),
        }
    }
}

/// A policy under way.
struct Run {
    policy: Policy,
    rate: u32,
    active: BTreeMap<IpAddr, ActiveBlock>,
    limited: BTreeMap<Service, Limited>,
    effect: Effect,
}

/// A limit on a service that stands.
struct Limited {
    lease: Lease,
    /// Its place in [`Effect::services`].
    place: usize,
}

impl Run {
    fn take(&mut self, moment: &Moment, see: &mut impl FnMut(&WindowFacts, &Verdicts)) {
        let facts = moment.facts;
        self.active.retain(|_, block| block.lease.expires_ns > facts.start_ns);
        self.limited.retain(|_, limit| limit.lease.expires_ns > facts.start_ns);
        let above = self.above_limits(moment);
        let mut evidence = Vec::with_capacity(moment.rows.len());
        let mut labels = BTreeMap::new();
        for row in &moment.rows {
            self.note_attack(row, &facts);
            if self.hold(row, &facts) {
                if self.block_on(&row.evidence).is_none()
                    && let Some((service, above)) = limited_service(row, &above)
                {
                    self.limit(row, service, above);
                }
                labels.insert(row.evidence.address, row.label);
                evidence.push(row.evidence.clone());
            }
        }
        let verdicts = self.policy.decide(evidence, &facts);
        see(&facts, &verdicts);
        for notice in &verdicts.notices {
            self.heed(notice);
        }
        for limit in &verdicts.services {
            self.limit_service(limit, moment);
        }
        for decision in verdicts.peers {
            let address = decision.evidence.address;
            let label = labels.get(&address).copied().unwrap_or(RowLabel::Unlabelled);
            self.carry_out(decision, label, &facts);
        }
        let active = self.active.values().filter(|block| block.lease.expires_ns > facts.end_ns);
        self.effect.peak_active = self.effect.peak_active.max(active.count() as u64);
    }

    /// Of each limited service, the packets of its unproven sources in a window, and how many of
    /// these are above the limit.
    fn above_limits(&mut self, moment: &Moment) -> BTreeMap<Service, (u64, u64)> {
        let mut sent: BTreeMap<Service, u64> = BTreeMap::new();
        for row in &moment.rows {
            let Some(service) = unproven(&row.evidence) else { continue };
            if self.limited.contains_key(&service) && self.block_on(&row.evidence).is_none() {
                let sum = sent.entry(service).or_default();
                *sum = sum.saturating_add(row.evidence.packets);
            }
        }
        let above = |(service, packets)| {
            let limit = self.limited.get_mut(&service)?;
            let sent = Amount { packets, bytes: 0 };
            Some((service, (limit.lease.above(sent, &moment.facts).packets, packets)))
        };
        sent.into_iter().filter_map(above).collect()
    }

    /// Stops a source's part of what is above its service's limit.
    fn limit(&mut self, row: &Row, service: Service, (above, sent): (u64, u64)) {
        let Some(limit) = self.limited.get(&service) else { return };
        let stopped = part(row.amount(), above, sent);
        self.effect.services[limit.place].stopped.add(stopped);
        self.effect.stop(row, stopped);
    }

    fn limit_service(&mut self, told: &ServiceLimit, moment: &Moment) {
        // The breaker is open: nothing is limited.
        if told.action == Action::Shadow {
            return;
        }
        let decided_ns = moment.facts.end_ns;
        let rate = told.packets_per_second;
        let services = &mut self.effect.services;
        let limit = self.limited.entry(told.service).or_insert_with(|| {
            services.push(ServiceEffect {
                service: told.service,
                decided_ns,
                expires_ns: told.expires_ns,
                stopped: Amount::default(),
            });
            let lease = Lease::new(told.expires_ns, Allowance::new(rate, rate), decided_ns);
            Limited { lease, place: services.len() - 1 }
        });
        limit.lease.expires_ns = told.expires_ns;
        services[limit.place].expires_ns = told.expires_ns;
        for row in &moment.rows {
            if let (RowLabel::Attack(number), Some(service)) = (row.label, unproven(&row.evidence))
                && service == told.service
            {
                let attack = &mut self.effect.attacks[number];
                attack.first_block_ns.get_or_insert(decided_ns);
                attack.first_limit_ns.get_or_insert(decided_ns);
            }
        }
    }

    /// Turns blocks to shadow where the policy takes them back.
    fn heed(&mut self, notice: &Notice) {
        let demoted = match notice {
            Notice::BreakerOpened { demoted, .. } => {
                self.effect.breaker_openings += 1;
                demoted
            }
            Notice::FellBack { demoted, .. } => demoted,
            Notice::BreakerClosed => return,
        };
        for peer in demoted {
            if let Some(block) = self.active.get_mut(peer) {
                block.action = Action::Shadow;
            }
        }
    }

    /// Counts what a window has of an attack that was met by a block before.
    fn note_attack(&mut self, row: &Row, facts: &WindowFacts) {
        let RowLabel::Attack(number) = row.label else { return };
        let address = row.evidence.address;
        let is_acted_on =
            self.block_on(&row.evidence).is_some_and(|block| block.action != Action::Shadow);
        let attack = &mut self.effect.attacks[number];
        if is_acted_on {
            // From an attack before this one, perhaps.
            attack.first_block_ns.get_or_insert(facts.start_ns);
            attack.blocked.insert(address);
        } else if unproven(&row.evidence).is_some_and(|one| self.limited.contains_key(&one)) {
            attack.first_block_ns.get_or_insert(facts.start_ns);
            attack.first_limit_ns.get_or_insert(facts.start_ns);
        }
        if attack.first_block_ns.is_some_and(|first_ns| first_ns <= facts.start_ns) {
            attack.sent_after.add(row.amount());
        }
    }

    /// Stops what a active block stops; tells whether the policy gets to see the row.
    fn hold(&mut self, row: &Row, facts: &WindowFacts) -> bool {
        let Some(block) = self.active.get_mut(&row.evidence.address) else { return true };
        if block.action == Action::Shadow || !block.scope.covers(row.evidence.standing) {
            return true;
        }
        let stopped = block.stop(row.amount(), facts);
        let withheld = block.lease.expires_ns >= facts.end_ns;
        self.effect.blocks[block.block].stopped.add(stopped);
        self.effect.stop(row, stopped);
        !withheld
    }

    /// The block that stands and acts on what this is evidence of.
    fn block_on(&self, evidence: &Evidence) -> Option<&ActiveBlock> {
        let block = self.active.get(&evidence.address);
        block.filter(|block| block.scope.covers(evidence.standing))
    }

    fn carry_out(&mut self, decision: Decision, label: RowLabel, facts: &WindowFacts) {
        let address = decision.evidence.address;
        let (action, scope, expires_ns, offence) = match decision.outcome {
            Outcome::Refused(refusal) => {
                let refused = self.effect.refused.entry(refusal).or_default();
                *refused.rows.of(label) += 1;
                refused.peers.insert(address);
                return;
            }
            Outcome::Block { action, scope, expires_ns, offence, .. } => {
                (action, scope, expires_ns, offence)
            }
        };
        let decided_ns = facts.end_ns;
        if let (RowLabel::Attack(number), true) = (label, action != Action::Shadow) {
            let attack = &mut self.effect.attacks[number];
            attack.first_block_ns.get_or_insert(decided_ns);
            attack.blocked.insert(address);
        }
        let allowance = Allowance::new(self.rate, self.rate.saturating_mul(BURST_S));
        let lease = Lease::new(expires_ns, allowance, decided_ns);
        let active = ActiveBlock { action, scope, lease, block: self.effect.blocks.len() };
        self.active.insert(address, active);
        let stopped = Amount::default();
        let effect =
            BlockEffect { decision, action, decided_ns, expires_ns, offence, label, stopped };
        self.effect.blocks.push(effect);
    }
}

/// The service that an unproven source turned to: what a limit on it holds.
fn unproven(evidence: &Evidence) -> Option<Service> {
    evidence.service.filter(|_| evidence.standing == Standing::Unproven)
}

fn limited_service(
    row: &Row,
    above: &BTreeMap<Service, (u64, u64)>,
) -> Option<(Service, (u64, u64))> {
    let service = unproven(&row.evidence)?;
    above.get(&service).map(|above| (service, *above))
}

/// An amount's share, rounded down: packets of an even stream.
fn part(amount: Amount, of: u64, whole: u64) -> Amount {
    let share = |value: u64| {
        if whole == 0 || of >= whole {
            return if whole == 0 && of == 0 { 0 } else { value };
        }
        u64::try_from(u128::from(value) * u128::from(of) / u128::from(whole)).unwrap_or(value)
    };
    Amount { packets: share(amount.packets), bytes: share(amount.bytes) }
}

#[cfg(test)]
mod tests;
