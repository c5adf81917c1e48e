//! The stages behind the drain.

use std::sync::mpsc::{Receiver, SyncSender};

use super::{DrainedWindow, Outlet};
use crate::{
    clock::Clocks,
    event::{Event, WindowEvent, window_event},
    node::{AssessedWindow, Node},
    sink::Sink,
};
use engine::{Arrival, Detector};
use model::assess::UNUSUAL;

pub(super) fn assess(
    mut detector: Detector,
    drained: &Receiver<DrainedWindow>,
    assessed: &SyncSender<AssessedWindow>,
) {
    let mut clocks = Clocks::now();
    for DrainedWindow { window, late } in drained {
        let found = detector.assess(&window, Arrival { slept: clocks.slept() });
        for one in found.evidence.iter().filter(|one| one.surprise >= UNUSUAL) {
            tracing::debug!(
                window = found.number,
                peer = %one.address,
                p = one.p_value,
                score = one.peer_score,
                flow_score = one.flow_score,
                tail_score = one.tail_score,
                surprise = one.surprise,
                "unusual"
            );
        }
        let peers = found.evidence.len();
        let summary = WindowEvent { peers, late, ..window_event(found.number, &window) };
        let next = AssessedWindow { summary, assessed: found };
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
