//! The stages behind the drain.

use std::sync::{
    atomic::Ordering,
    mpsc::{Receiver, SyncSender},
};

use super::{DrainedWindow, Outlet};
use crate::{
    clock::Clocks,
    event::{Event, WindowEvent, window_event},
    node::{AssessedWindow, Next, Node, Said, Trainer, past::EVERY_NS},
    progress::{Progress, Stage},
    sink::Sink,
};
use engine::{Arrival, Assessed, Detector};
use model::{Window, assess::UNUSUAL};
use policy::WindowFacts;

pub(super) fn assess(
    node: &Node,
    mut detector: Option<Detector>,
    drained: &Receiver<DrainedWindow>,
    assessed: &SyncSender<AssessedWindow>,
    trainer: Option<&Trainer>,
) {
    let mut clocks = Clocks::now();
    let progress = node.progress();
    let mut kept_ns = None;
    for (number, DrainedWindow { window, late }) in (1..).zip(drained) {
        let arrival = Arrival { slept: clocks.slept(), last: false };
        let mut model = None;
        let found = progress.work(Stage::Score, || match &mut detector {
            Some(detector) => {
                detector.maintain(node.maintained());
                if let Some(Next { model: next, told }) = node.next_model() {
                    detector.replace_model(next);
                    model = Some(Box::new(told));
                }
                let paused = listen(detector, &node.said());
                let found = detector.assess(&window, arrival);
                if let (false, Some(trainer)) = (paused, trainer)
                    && let Some(copy) = detector.due_to_learn()
                {
                    trainer.train(copy, detector.model());
                }
                found
            }
            None => unscored(number, &window),
        });
        for one in found.evidence.iter().filter(|one| one.surprise >= UNUSUAL) {
            tracing::debug!(
                window = found.number,
                peer = %one.address,
                p = one.p_value,
                score = one.peer_score,
                horizon_ms = one.horizon_ms,
                tail_score = one.tail_score,
                surprise = one.surprise,
                "unusual"
            );
        }
        let peers = found.evidence.len();
        let summary = WindowEvent { peers, late, ..window_event(found.number, &window) };
        let next = AssessedWindow { summary, assessed: found, model };
        if assessed.send(next).is_err() {
            break;
        }
        let since_ns = *kept_ns.get_or_insert(window.end_ns);
        if let Some(detector) = &detector
            && window.end_ns.saturating_sub(since_ns) >= EVERY_NS
        {
            node.keep_past(detector);
            kept_ns = Some(window.end_ns);
        }
    }
    if let Some(detector) = &mut detector {
        node.keep_past(detector);
        if let Some(ongoing) = detector.learning() {
            node.keep_gathered(ongoing);
        }
    }
}

/// Tells learning what was said since the last window; returns true where nothing is to be learnt.
fn listen(detector: &mut Detector, said: &Said) -> bool {
    let Some(ongoing) = detector.learning() else { return true };
    if said.anew {
        ongoing.anchor_anew();
    }
    ongoing.hear(&said.words);
    if said.unheard > 0 {
        ongoing.missed_words();
    }
    if said.own_side {
        ongoing.own_side_stood_out();
    }
    if let Some(since_ns) = said.forget_since_ns {
        ongoing.forget_since(since_ns);
    }
    ongoing.pause(said.paused);
    said.paused
}

/// A window that no model scores: it is counted, and nothing is decided on it.
fn unscored(number: u64, window: &Window) -> Assessed {
    let (start_ns, end_ns, lossy) = (window.start_ns, window.end_ns, window.is_lossy());
    let facts = WindowFacts { start_ns, end_ns, lossy, ..WindowFacts::default() };
    Assessed { number, facts, ..Assessed::default() }
}

pub(super) fn decide(node: &Node, assessed: &Receiver<AssessedWindow>, outlet: &Outlet) {
    for window in assessed {
        let events = outlet.progress.work(Stage::Decide, || node.decide(window));
        for event in events {
            outlet.put(event);
        }
    }
}

/// Hands each event to every sink. A sink that fails is reported once and tried again with the next
/// event: a full disk stops no block, and space on it brings the sink back.
pub(super) fn deliver(
    mut sinks: Vec<Box<dyn Sink>>,
    events: &Receiver<Event>,
    progress: &Progress,
) {
    let mut lost = vec![0_u64; sinks.len()];
    for event in events {
        for (sink, lost) in sinks.iter_mut().zip(&mut lost) {
            match progress.work(Stage::Sink, || sink.take(&event)) {
                Ok(()) if *lost > 0 => {
                    tracing::warn!(lost = std::mem::take(lost), "the sink takes events again");
                }
                Ok(()) => {}
                Err(error) => {
                    if *lost == 0 {
                        tracing::error!(%error, "the sink takes no events");
                    }
                    *lost += 1;
                    progress.lost_at_sinks.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        progress.event_delivered();
    }
    for (sink, lost) in sinks.iter_mut().zip(lost) {
        if lost > 0 {
            tracing::error!(lost, "the sink took no events to the end");
        }
        if let Err(error) = sink.flush() {
            tracing::error!(%error, "sink not flushed");
        }
    }
}
