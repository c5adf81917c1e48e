//! Decision on a window: the policy decides, the kernel is written, all is recorded.

use std::{
    convert::Infallible,
    net::IpAddr,
    time::{Duration, Instant},
};

use control::wire::{self, DriftState};
use engine::{CarryOut, WindowEnd, judge};
use events::{Alert, Entity, OwnAlert, Stamp};
use flows_common::{Loss, service::VERIFIED_NS};
use jiff::Timestamp;
use ledger::{How, Moment, Origin, Record};
use policy::{Decision, Evidence, Outcome, Reason, ServiceLimit, Standing, statistics::Drift};

use super::{
    AssessedWindow, Inner, Node,
    effects::Effects,
    journal::{DECISIONS_RECORDED, moment},
    known::KnownBlock,
    status::timestamp,
};
use crate::{
    clock::boot_ns,
    enforcer::{FIRST_OF_PEOPLE, host},
    event::{
        ActionTaken, ClosedEvent, DecisionRecord, DriftEvent, Event, ExpiredEvent, NoticeEvent,
        OutageEvent, ServiceEvent, SiteEvent, WindowEvent,
    },
    event_text::{describe_outage, describe_site},
};
use datapath::Target;

/// Remotes told to the kernel as proven in one window at most; the rest are told in later ones.
const PROVEN_AT_ONCE: usize = 1_024;
/// Time after which a remote that is still proven is told again, in ns: long before the kernel
/// forgets it.
const PROVEN_AGAIN_NS: u64 = VERIFIED_NS / 12;
/// Remotes that are remembered as told; beyond it all are told anew.
const PROVEN_LIMIT: usize = 65_536;

impl Node {
    /// Decides on a window, does what was decided, and returns what happened, in order.
    pub fn decide(&self, window: AssessedWindow) -> Vec<Event> {
        let AssessedWindow { mut summary, assessed, model } = window;
        let mut inner = self.inner();
        let mut effects =
            Effects { events: std::mem::take(&mut inner.outbox), records: Vec::new() };
        // First, so that a peer blocked anew is not taken for one whose lease goes on.
        self.sweep(&mut inner, &mut effects);
        if let Some(told) = model {
            self.go_over(&mut inner, *told, &mut effects);
        }
        self.protect_heard(&mut inner);
        self.watch_guard(&mut inner, &summary, &mut effects);
        inner.exempt_proven(&assessed.evidence, &mut effects);
        let judged = judge(&mut inner.policy, assessed);
        let facts = judged.facts;
        inner.note_drift(&judged.drift, facts.end_ns);
        let mut incidents = std::mem::take(&mut inner.incidents);
        let writer = &mut Writer {
            node: self,
            inner: &mut inner,
            effects: &mut effects,
            blocks: Vec::new(),
        };
        let Ok(untold) = judged.carry_out(&mut incidents, writer);
        summary.untold = untold;
        inner.incidents = incidents;
        self.align(&mut inner, &mut effects);
        summary.decided_after_us = boot_ns().saturating_sub(summary.end_ns) / 1_000;
        inner.note_window(&summary, facts.lossy);
        let mode = inner.policy.mode().name();
        effects.records.push(self.journal.window(&summary, facts.lossy, facts.drifting, mode));
        effects.events.push(Event::Window(summary));
        // Under the lock: the ledger has the order of what happened.
        self.journal.put(effects.records);
        drop(inner);
        effects.events
    }

    /// Limits closed ports for remotes that scan ahead of the end of a window of this length, which
    /// tells of it.
    pub fn limit_ahead(&self, remotes: &[IpAddr], window: Duration) {
        let mut inner = self.inner();
        let now_ns = boot_ns();
        // Longer than the window and the decision on it.
        let Some(limit) = inner.policy.limit_ahead(remotes, now_ns, 2 * window) else { return };
        match inner.enforcer.limit(&limit, now_ns) {
            Ok(taken) => {
                tracing::info!(taken = taken.name(), "a fast scan: closed ports are limited");
            }
            Err(error) => {
                let mut effects = Effects::default();
                effects.failed("limit closed ports", &error);
                inner.outbox.append(&mut effects.events);
            }
        }
    }

    fn sweep(&self, inner: &mut Inner, effects: &mut Effects) {
        match inner.enforcer.sweep(boot_ns()) {
            Ok(ended) => {
                if !ended.is_empty() {
                    self.forget_listing();
                }
                for event in ended {
                    self.note_ended(inner, &event, effects);
                    effects.events.push(Event::Expired(event));
                }
            }
            Err(error) => effects.failed("sweep", &error),
        }
    }

    fn note_ended(&self, inner: &mut Inner, event: &ExpiredEvent, effects: &mut Effects) {
        let target = Target::from(event.peer.net());
        let Some(known) = inner.known.remove(&target) else { return };
        let how = if known.early { How::ReleasedEarly } else { How::Expired };
        effects.records.push(self.journal.ending(known.id, target, how, event));
    }

    /// Carries one decision out; with it come the records of the block that was made, if one was,
    /// and of the narrower one that it replaced.
    fn carry_out(
        &self,
        inner: &mut Inner,
        decision: &Decision,
        id: u64,
        effects: &mut Effects,
    ) -> (ActionTaken, Vec<Record>) {
        let Outcome::Block { scope, expires_ns, offence, early, .. } = decision.outcome else {
            return (ActionTaken::Refused, Vec::new());
        };
        let address = decision.evidence.address;
        let block = self.journal.next_block();
        let taken = match inner.enforcer.enforce(decision, entry_number(block), boot_ns()) {
            Ok(taken) => taken,
            Err(error) => {
                inner.policy.forget_block(address);
                inner.failed += 1;
                effects.failed("block", &error);
                return (ActionTaken::Failed, Vec::new());
            }
        };
        let Some(action) = taken.entry() else { return (taken, Vec::new()) };
        self.forget_listing();
        let made = moment();
        let known = KnownBlock {
            id: block,
            origin: Origin::Model,
            scope,
            action,
            who: None,
            reason: None,
            decision: Some(id),
            p_value: Some(decision.evidence.p_value),
            offence: Some(offence),
            early,
            made,
            expires: Moment { wall_ns: made.wall_ns_at(expires_ns), boot_ns: expires_ns },
        };
        let target = host(address);
        let mut records = vec![self.journal.block(target, &known)];
        if let Some(before) = inner.known.insert(target, known) {
            let hits = ExpiredEvent { at_ns: made.boot_ns, ..ExpiredEvent::nothing(target) };
            records.push(self.journal.ending(before.id, target, How::Replaced, &hits));
        }
        (taken, records)
    }
}

/// The kernel's writer, and what was written.
struct Writer<'a> {
    node: &'a Node,
    inner: &'a mut Inner,
    effects: &'a mut Effects,
    /// Records of the blocks that the decision in hand made or replaced.
    blocks: Vec<Record>,
}

impl Writer<'_> {
    /// Records news of this host's own side, and remembers them as an alert.
    fn tell(&mut self, alert: OwnAlert) {
        self.effects.records.push(self.node.own_act(alert.act(), &alert));
        self.inner.remember_alert(Alert::Own(alert));
    }
}

impl CarryOut for Writer<'_> {
    type Error = Infallible;

    fn drift(&mut self, event: DriftEvent) -> Result<(), Infallible> {
        self.effects.events.push(Event::Drift(event));
        Ok(())
    }

    fn notice(&mut self, event: NoticeEvent) -> Result<(), Infallible> {
        tracing::warn!(notice = ?event.notice, "the policy changed");
        self.effects.events.push(Event::Notice(event));
        Ok(())
    }

    fn limit(
        &mut self,
        at: WindowEnd,
        (id, time): (u64, Timestamp),
        limit: ServiceLimit,
    ) -> Result<ServiceEvent, Infallible> {
        let outcome = self.inner.limit(&limit, self.effects);
        let at_ns = boot_ns();
        Ok(ServiceEvent { id, time, window: at.number, at_ns, limit, outcome, incident: None })
    }

    fn stamp(&mut self, _: WindowEnd) -> (u64, Timestamp) {
        (self.node.journal.next_decision(), timestamp(moment().wall_ns))
    }

    fn decide(
        &mut self,
        at: WindowEnd,
        decision: Decision,
        reasons: Vec<Reason>,
    ) -> Result<DecisionRecord, Infallible> {
        let Self { node, inner, effects, blocks } = self;
        let id = node.journal.next_decision();
        let (taken, made) = node.carry_out(inner, &decision, id, effects);
        *blocks = made;
        let now = moment();
        let time = timestamp(now.wall_ns);
        let stamp = Stamp { id, window: at.number, at_ns: now.boot_ns, time };
        Ok(DecisionRecord::of(stamp, decision, taken, reasons))
    }

    fn limited(&mut self, event: ServiceEvent) -> Result<(), Infallible> {
        self.inner.note_limit(&event);
        self.node.own_side_stood_out();
        if event.is_news() {
            self.tell(OwnAlert::Service(event));
        }
        self.effects.events.push(Event::Service(event));
        Ok(())
    }

    fn outage(&mut self, event: OutageEvent) -> Result<(), Infallible> {
        self.inner.note_outage(&event);
        if event.is_news() {
            tracing::warn!("{}", describe_outage(&event));
            self.tell(OwnAlert::Outage(event));
        }
        self.effects.events.push(Event::Outage(event));
        Ok(())
    }

    fn site(&mut self, event: SiteEvent) -> Result<(), Infallible> {
        self.inner.note_alarm(&event);
        self.node.own_side_stood_out();
        if event.is_news() {
            tracing::warn!("{}", describe_site(&event));
            self.tell(OwnAlert::Site(event.clone()));
        }
        self.effects.events.push(Event::Site(event));
        Ok(())
    }

    fn decided(&mut self, rank: usize, record: DecisionRecord) -> Result<(), Infallible> {
        let Self { node, inner, effects, blocks } = self;
        let blocks = std::mem::take(blocks);
        node.was_reported(&record);
        if record.is_news() {
            if rank < DECISIONS_RECORDED || !blocks.is_empty() {
                effects.records.push(node.journal.decision(record.clone(), &inner.model.hash));
            } else {
                inner.unrecorded += 1;
            }
            inner.remember_alert(record.clone().into());
        }
        effects.records.extend(blocks);
        effects.events.push(Event::Anomaly(record));
        Ok(())
    }

    fn closed(&mut self, event: ClosedEvent) -> Result<(), Infallible> {
        if !matches!(event.entity, Entity::Remote { .. }) {
            self.effects.records.push(self.node.own_act("closed", &event));
        }
        self.effects.events.push(Event::Closed(event));
        Ok(())
    }
}

impl Inner {
    /// Exempts remotes that completed handshakes from limits of services, before a flood comes.
    fn exempt_proven(&mut self, evidence: &[Evidence], effects: &mut Effects) {
        let now_ns = boot_ns();
        if self.proven.len() > PROVEN_LIMIT {
            self.proven.clear();
        }
        let is_due = |at_ns: &u64| now_ns.saturating_sub(*at_ns) > PROVEN_AGAIN_NS;
        let due: Vec<IpAddr> = evidence
            .iter()
            .filter(|peer| peer.standing == Standing::Proven)
            .map(|peer| peer.address)
            // A /64 is no address; the kernel notes who proves one by itself.
            .filter(|peer| matches!(host(*peer), Target::Address(_)))
            .filter(|peer| self.proven.get(peer).is_none_or(is_due))
            .take(PROVEN_AT_ONCE)
            .collect();
        if due.is_empty() {
            return;
        }
        match self.enforcer.exempt(&due, now_ns) {
            Ok(()) => self.proven.extend(due.into_iter().map(|peer| (peer, now_ns))),
            Err(error) => effects.failed("exempt", &error),
        }
    }

    fn limit(&mut self, limit: &ServiceLimit, effects: &mut Effects) -> ActionTaken {
        self.enforcer.limit(limit, boot_ns()).unwrap_or_else(|error| {
            effects.failed("limit a service", &error);
            ActionTaken::Failed
        })
    }

    fn note_drift(&mut self, drift: &Drift, now_ns: u64) {
        let state = match (drift.suspended, drift.relearning) {
            (true, _) => DriftState::Drifting,
            (false, true) => DriftState::Relearning,
            (false, false) => DriftState::Steady,
        };
        let since = match &self.drift {
            Some(before) if before.state == state => before.since,
            _ => Some(timestamp(moment().wall_ns_at(now_ns))),
        };
        let moved = drift.features.iter().map(|one| wire::MovedFeature {
            subject: one.subject.name().to_owned(),
            feature: one.feature.clone(),
            psi: one.index,
        });
        self.drift = Some(wire::Drift { state, since, moved: moved.collect() });
    }

    fn note_window(&mut self, window: &WindowEvent, lossy: bool) {
        self.decided = Some(Instant::now());
        // What is not IP is told by what it carries instead.
        let losses = window.losses.iter().filter(|(cause, _)| cause != Loss::NotIp.name());
        let not_ip = window
            .not_ip
            .iter()
            .map(|(class, packets)| (format!("{}_{class}", Loss::NotIp.name()).into(), *packets));
        let other = [
            ("evicted", window.evicted[1]),
            ("unaccounted", window.imbalance.unsigned_abs()),
            ("unseen", window.unseen),
        ];
        let other = other.into_iter().filter(|&(_, packets)| packets > 0);
        let other = other.map(|(cause, packets)| (events::Text::from(cause), packets));
        for (cause, packets) in losses.cloned().chain(not_ip).chain(other) {
            let sum = self.losses.entry(cause).or_default();
            *sum = sum.saturating_add(packets);
        }
        self.evicted_peers = self.evicted_peers.saturating_add(window.evicted_peers);
        self.late = self.late.saturating_add(window.late);
        let span_ns = window.end_ns.saturating_sub(window.start_ns).max(1);
        let packets = window.packets.iter().fold(0, |sum: u64, one| sum.saturating_add(*one));
        self.window = Some(control::wire::WindowInfo {
            number: window.number,
            ended: timestamp(moment().wall_ns_at(window.end_ns)),
            length_ms: span_ns / 1_000_000,
            decided_after_ms: window.decided_after_us as f64 / 1e3,
            flows: window.flows as u64,
            peers: window.peers as u64,
            packets_per_second: packets as f64 * 1e9 / span_ns as f64,
            lossy,
        });
    }
}

/// Part of a block's number that a kernel entry carries: its lower half, never a value reserved for
/// blocks by hand or of a list.
pub(super) const fn entry_number(block: u64) -> u32 {
    let lower = block % (FIRST_OF_PEOPLE as u64);
    #[expect(clippy::cast_possible_truncation, reason = "below a u32")]
    let number = lower as u32;
    number
}
