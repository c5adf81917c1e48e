//! Losses of the pipeline, counted for whoever asks.

use std::sync::atomic::AtomicU64;

/// Losses so far.
#[derive(Debug, Default)]
pub struct Losses {
    /// Events that found [`EVENT_QUEUE`](crate::pipeline::EVENT_QUEUE) full.
    pub events: AtomicU64,
    /// Events that a sink could not take, once for each sink.
    pub sinks: AtomicU64,
    /// Drains that were put off.
    pub late: AtomicU64,
}
