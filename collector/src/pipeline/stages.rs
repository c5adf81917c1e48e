//! The stages behind the drain.

use std::sync::mpsc::{Receiver, SyncSender};

use std::time::Duration;

use super::{DrainedWindow, Outlet};
use crate::{
    clock::Clocks,
    event::{Event, WindowEvent, window_event},
    node::{AssessedWindow, Node},
    sink::Sink,
};
use engine::detector::Detector;

/// Windows of more than so many times their length are no measure of a rate.
const LONGEST_WINDOW: u32 = 3;

pub(super) fn assess(
    mut detector: Detector,
    length: Duration,
    drained: &Receiver<DrainedWindow>,
    assessed: &SyncSender<AssessedWindow>,
) {
    let mut clocks = Clocks::now();
    for (number, DrainedWindow { window, late }) in (1..).zip(drained) {
        let found = detector.assess(&window);
        let mut facts = found.facts(&window);
        let too_long = Duration::from_nanos(window.end_ns.saturating_sub(window.start_ns))
            > length * LONGEST_WINDOW;
        facts.interrupted = clocks.slept() || too_long;
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
        let summary = WindowEvent { peers: found.peers, late, ..window_event(number, &window) };
        let next = AssessedWindow { summary, assessed: found, facts };
        if assessed.send(next).is_err() {
            break;
        }
    }
}

pub(super) fn decide(node: &Node, assessed: &Receiver<AssessedWindow>, outlet: &Outlet) {
    for window in assessed {
        node.decide(window).into_iter().for_each(|event| outlet.put(event));
    }
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
