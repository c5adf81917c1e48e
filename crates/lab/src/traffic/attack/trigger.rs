//! Beginning of an attack, and amount that it sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::Moment;
use crate::truth::Sent;

/// Amount that an attack has sent so far.
#[derive(Debug, Default)]
pub(super) struct SentCounters {
    frames: AtomicU64,
    refused_frames: AtomicU64,
    connections: AtomicU64,
    bytes: AtomicU64,
    ended: Mutex<Option<Moment>>,
}

impl SentCounters {
    /// The counts; exact once the attack's threads have ended.
    pub(super) fn sent(&self) -> Sent {
        // The threads were joined, or the counts are only looked at: no order is needed.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Sent {
            frames: read(&self.frames),
            refused_frames: read(&self.refused_frames),
            connections: read(&self.connections),
            bytes: read(&self.bytes),
        }
    }

    /// Time of the last packet.
    pub(super) fn ended(&self) -> Option<Moment> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(Moment::now());
    }
}

/// Signal of the first frame's moment, and keeper of the counters of what was sent. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    sent_counters: Arc<SentCounters>,
    began: Arc<OnceLock<Moment>>,
    tell: Sender<Moment>,
}

impl Trigger {
    pub(super) fn new(sent_counters: Arc<SentCounters>) -> (Self, Receiver<Moment>) {
        let (tell, told) = mpsc::channel();
        (Self { sent_counters, began: Arc::default(), tell }, told)
    }

    /// To be called right before each sending; the first call tells the moment.
    pub(super) fn pull(&self) {
        self.began.get_or_init(|| {
            let now = Moment::now();
            // Whoever started the attack waits for this, or has given it up.
            let _ = self.tell.send(now);
            now
        });
    }

    /// Counts frames the kernel took.
    pub(super) fn frames(&self, count: u64) {
        self.sent_counters.add(&self.sent_counters.frames, count);
    }

    /// Counts frames the kernel did not take.
    pub(super) fn refused_frames(&self, count: u64) {
        self.sent_counters.refused_frames.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts a connection that is begun.
    pub(super) fn connection(&self) {
        self.sent_counters.add(&self.sent_counters.connections, 1);
    }

    /// Counts payload bytes.
    pub(super) fn bytes(&self, count: u64) {
        self.sent_counters.add(&self.sent_counters.bytes, count);
    }
}
