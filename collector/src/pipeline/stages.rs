//! The stages behind the drain.

use std::sync::mpsc::{Receiver, SyncSender};

use policy::{Decision, Outcome, Policy, WindowFacts};

use super::{DrainedWindow, Outlet};
use crate::{
    cli::one_line,
    clock::boot_ns,
    detector::{Assessed, Detector},
    event::{AnomalyEvent, Deed, Event, ExpiredEvent, FailureEvent, WindowEvent},
    sink::Sink,
};

/// A scored window on its way to the policy.
pub(super) struct AssessedWindow {
    summary: WindowEvent,
    assessed: Assessed,
    facts: WindowFacts,
}

/// What carries decisions out.
pub trait Act: Send {
    /// Does what was decided.
    ///
    /// # Errors
    /// The entry could not be made; nothing was changed.
    fn act(&mut self, decision: &Decision, now_ns: u64) -> anyhow::Result<Deed>;

    /// Removes what has run out, and tells of it.
    ///
    /// # Errors
    /// The table cannot be read.
    fn sweep(&mut self, now_ns: u64) -> anyhow::Result<Vec<ExpiredEvent>>;
}

/// Observe mode: decisions are told and nothing is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observe;

impl Act for Observe {
    fn act(&mut self, decision: &Decision, _: u64) -> anyhow::Result<Deed> {
        Ok(match decision.outcome {
            Outcome::Refused(_) => Deed::Refused,
            Outcome::Block { .. } => Deed::WouldBlock,
        })
    }

    fn sweep(&mut self, _: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        Ok(Vec::new())
    }
}

pub(super) fn assess(
    mut detector: Detector,
    drained: &Receiver<DrainedWindow>,
    assessed: &SyncSender<AssessedWindow>,
) {
    for (number, DrainedWindow { window, late }) in (1..).zip(drained) {
        let found = detector.assess(&window);
        for one in found.evidence.iter().filter(|one| one.excess > 0.0) {
            tracing::debug!(
                window = number,
                peer = %one.address,
                p = one.p_value,
                score = one.peer_score,
                flow_score = one.flow_score,
                novelty = one.novelty,
                excess = one.excess,
                "above calibration"
            );
        }
        let summary = WindowEvent { peers: found.peers, late, ..WindowEvent::of(number, &window) };
        let facts = found.facts(&window);
        let next = AssessedWindow { summary, assessed: found, facts };
        if assessed.send(next).is_err() {
            break;
        }
    }
}

pub(super) fn decide(
    mut policy: Policy,
    mut act: Box<dyn Act>,
    assessed: &Receiver<AssessedWindow>,
    outlet: &Outlet,
) {
    for AssessedWindow { mut summary, mut assessed, facts } in assessed {
        // First, so that a peer blocked anew is not taken for one whose lease goes on.
        match act.sweep(boot_ns()) {
            Ok(ended) => ended.into_iter().for_each(|event| outlet.put(Event::Expired(event))),
            Err(error) => outlet.put(failure("sweep", &error)),
        }
        let evidence = std::mem::take(&mut assessed.evidence);
        for decision in policy.decide(evidence, &facts).peers {
            let address = decision.evidence.address;
            let deed = match act.act(&decision, boot_ns()) {
                Ok(deed) => deed,
                Err(error) => {
                    policy.forget_block(address);
                    outlet.put(failure("block", &error));
                    Deed::Failed
                }
            };
            let reasons = assessed.reasons.remove(&address).unwrap_or_default();
            outlet.put(Event::Anomaly(AnomalyEvent::of(
                summary.number,
                boot_ns(),
                &decision,
                deed,
                reasons,
            )));
        }
        summary.decided_after_us = boot_ns().saturating_sub(summary.end_ns) / 1_000;
        outlet.put(Event::Window(summary));
    }
}

fn failure(what: &'static str, error: &anyhow::Error) -> Event {
    Event::Failure(FailureEvent { what, error: one_line(error) })
}

/// Hands each event to every sink. A sink that fails is reported once and left out from then on:
/// a full disk stops no block.
pub(super) fn deliver(mut sinks: Vec<Box<dyn Sink>>, events: &Receiver<Event>) {
    for event in events {
        sinks.retain_mut(|sink| match sink.take(&event) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "sink left out from here on");
                false
            }
        });
    }
    for sink in &mut sinks {
        if let Err(error) = sink.flush() {
            tracing::error!(%error, "sink not flushed");
        }
    }
}
