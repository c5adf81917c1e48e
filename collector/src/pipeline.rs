//! The live pipeline: one thread a stage, a bounded queue between each two.
//!
//! ```text
//! drain ──DRAINED_QUEUE──► score ──ASSESSED_QUEUE──► decide and act ──EVENT_QUEUE──► sinks
//! ```
//!
//! - A stage that is slower than a window fills the queue before it. The drain then puts its turn
//!   off, so that the window grows, and counts it ([`Late`](DrainedWindow::late)); it never
//!   waits, and the kernel's tables go on counting.
//! - Between two drains the running window is glanced at: a scan that would be over before the window
//!   is has closed ports limited at once, and is told with the window.
//! - Sinks never hold up a decision: an event that finds [`EVENT_QUEUE`] full is dropped and
//!   counted, and so is one that a sink could not take; the sink is tried again with the next.
//! - [`Pipeline::stop`] drains the last window, lets every stage finish what it has, flushes the
//!   sinks and joins every thread. A sink that hangs then is left behind after [`SINKS_WITHIN`].

mod stages;
mod ticker;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use model::Window;

use crate::{
    drain::Drain,
    event::Event,
    node::{Node, Trainer},
    progress::Progress,
    sink::Sink,
};
use engine::Detector;
use stages::{assess, decide, deliver};

/// Drained windows that wait to be scored.
pub const DRAINED_QUEUE: usize = 4;
/// Scored windows that wait to be decided.
pub const ASSESSED_QUEUE: usize = 4;
/// Events that wait to be written.
pub const EVENT_QUEUE: usize = 4_096;
/// Interval at which a running window is glanced at.
pub const GLANCE_EVERY: Duration = Duration::from_millis(50);
/// Longest wait at the end for sinks to take what is queued.
pub const SINKS_WITHIN: Duration = Duration::from_secs(5);

// A window must be able to wait while the one before it is worked on, and memory is bounded by
// these times the flow table.
const _: () = assert!(DRAINED_QUEUE >= 1 && DRAINED_QUEUE + ASSESSED_QUEUE <= 16);

/// A window on its way through the stages.
#[derive(Debug)]
pub struct DrainedWindow {
    /// The window.
    pub window: Window,
    /// Drains put off before it because the next stage had no room.
    pub late: u64,
}

/// A running pipeline.
#[derive(Debug)]
pub struct Pipeline {
    stop: mpsc::Sender<()>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    /// Ends with the thread of the sinks, the last one.
    sinks: Option<Receiver<()>>,
    progress: Arc<Progress>,
}

impl Pipeline {
    /// Starts scoring; without a detector windows are only counted.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn score(
        drain: impl Drain + 'static,
        window: Duration,
        detector: impl Into<Option<Detector>>,
        node: Arc<Node>,
        sinks: Vec<Box<dyn Sink>>,
    ) -> std::io::Result<Self> {
        let (progress, mut detector) = (node.progress(), detector.into());
        let learns = detector.as_mut().is_some_and(|one: &mut Detector| one.learning().is_some());
        let trainer = learns.then(|| Trainer::start(Arc::clone(&node))).transpose()?;
        let (trainer, learning) = trainer.unzip();
        let (stop, stopped) = mpsc::channel();
        let (drained, to_assess) = mpsc::sync_channel(DRAINED_QUEUE);
        let (assessed, to_decide) = mpsc::sync_channel(ASSESSED_QUEUE);
        let (events, to_deliver) = mpsc::sync_channel(EVENT_QUEUE);
        let outlet = Outlet { events, progress: Arc::clone(&progress) };
        let assessing = Arc::clone(&node);
        let (draining, sinking) = (Arc::clone(&progress), Arc::clone(&progress));
        let (delivering, delivered) = mpsc::channel();
        let scanned = Arc::clone(&node);
        let ahead = move |remotes: &[IpAddr]| scanned.limit_ahead(remotes, window);
        let mut threads = vec![
            spawn("weir-drain", move || {
                ticker::run(drain, window, &stopped, &drained, &draining, ahead)
            })?,
            spawn("weir-score", move || {
                assess(&assessing, detector, &to_assess, &assessed, trainer.as_ref());
                Ok(())
            })?,
            spawn("weir-decide", move || {
                decide(&node, &to_decide, &outlet);
                Ok(())
            })?,
            spawn("weir-sink", move || {
                deliver(sinks, &to_deliver, &sinking);
                drop(delivering);
                Ok(())
            })?,
        ];
        // The sinks' stays the last one.
        threads.splice(3..3, learning);
        Ok(Self { stop, threads, sinks: Some(delivered), progress })
    }

    /// Starts feeding windows to a consumer instead, such as a learner.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn feed(
        drain: impl Drain + 'static,
        window: Duration,
        mut consumer: impl FnMut(DrainedWindow) -> anyhow::Result<()> + Send + 'static,
    ) -> std::io::Result<Self> {
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = mpsc::channel();
        let (drained, to_consume) = mpsc::sync_channel(DRAINED_QUEUE);
        let draining = Arc::clone(&progress);
        let threads = vec![
            spawn("weir-drain", move || {
                ticker::run(drain, window, &stopped, &drained, &draining, |_| {})
            })?,
            spawn("weir-feed", move || to_consume.iter().try_for_each(&mut consumer))?,
        ];
        Ok(Self { stop, threads, sinks: None, progress })
    }

    /// Progress so far.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// True where a stage ended on its own, which only an error causes.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Drains the last window, lets every stage finish, and joins all threads.
    ///
    /// # Errors
    /// The first error of any stage, or a sink that hangs.
    pub fn stop(mut self) -> anyhow::Result<()> {
        // A drain that has ended already has dropped the receiver; its error comes from the join.
        let _ = self.stop.send(());
        let sinks = self.sinks.and_then(|delivered| Some((delivered, self.threads.pop()?)));
        let outcome = self.threads.into_iter().map(join).fold(Ok(()), anyhow::Result::and);
        let Some((delivered, thread)) = sinks else { return outcome };
        if delivered.recv_timeout(SINKS_WITHIN) == Err(RecvTimeoutError::Timeout) {
            return outcome.and(Err(anyhow::anyhow!(
                "a sink took no event for {} s at the end: what was queued is lost; see who reads \
                 standard output or the events file",
                SINKS_WITHIN.as_secs()
            )));
        }
        outcome.and(join(thread))
    }
}

fn join(thread: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    let name = thread.thread().name().unwrap_or("weir").to_owned();
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("stage `{name}` panicked; this is a bug")))
}

fn spawn(
    name: &str,
    stage: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> std::io::Result<JoinHandle<anyhow::Result<()>>> {
    thread::Builder::new().name(name.to_owned()).spawn(stage)
}

/// The way of events to the sinks.
#[derive(Debug)]
struct Outlet {
    events: SyncSender<Event>,
    progress: Arc<Progress>,
}

impl Outlet {
    fn put(&self, event: Event) {
        if self.events.try_send(event).is_ok() {
            self.progress.event_queued();
        } else {
            self.progress.lost_at_queue.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
