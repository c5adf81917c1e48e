//! Progress of the pipeline: what its stages cost, and what they lost.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use events::word_set;

word_set! {
    /// A stage of the pipeline.
    Stage {
        /// Reads the kernel's tables.
        Drain = "drain",
        /// Computes features and scores.
        Score = "score",
        /// Decides and acts.
        Decide = "decide",
        /// Hands events to the sinks.
        Sink = "sink",
    }
}

/// Counts since the pipeline started.
#[derive(Debug, Default)]
pub struct Progress {
    busy_ns: [AtomicU64; Stage::ALL.len()],
    queued: AtomicU64,
    delivered: AtomicU64,
    /// Events that found [`EVENT_QUEUE`](crate::pipeline::EVENT_QUEUE) full.
    pub(crate) lost_at_queue: AtomicU64,
    /// Events that a sink could not take, once for each sink.
    pub(crate) lost_at_sinks: AtomicU64,
    /// Drains that were put off.
    pub(crate) late: AtomicU64,
}

impl Progress {
    /// Counts the time that a stage works on something.
    pub(crate) fn work<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns[stage as usize].fetch_add(ns, Ordering::Relaxed);
        done
    }

    pub(crate) fn event_queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn event_delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Time that a stage worked.
    #[must_use]
    pub fn busy(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.busy_ns[stage as usize].load(Ordering::Relaxed))
    }

    /// Events that wait for the sinks.
    #[must_use]
    pub fn queued_events(&self) -> u64 {
        let delivered = self.delivered.load(Ordering::Relaxed);
        self.queued.load(Ordering::Relaxed).saturating_sub(delivered)
    }

    /// Events that found the queue full, and those that a sink could not take.
    #[must_use]
    pub fn lost_events(&self) -> [u64; 2] {
        [&self.lost_at_queue, &self.lost_at_sinks].map(|count| count.load(Ordering::Relaxed))
    }

    /// Drains that were put off.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}
