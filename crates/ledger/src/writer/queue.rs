//! The queue between those who decide and the thread that writes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

use super::Health;
use crate::{LedgerError, Record, Retained};

/// Records of one transaction at most, unless one batch has more: retention gets its turn between.
const TRANSACTION_RECORDS: usize = 4_096;
/// Batches of which it is remembered that a record was refused.
const REMEMBERED: usize = 256;

/// Number of a writer's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// A batch that was not queued.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Dropped {
    /// The queue is full.
    #[error(
        "the ledger's queue is full: {records} records do not fit beside {queued} of at most \
         {bound}; see why it does not write{}",
        failing.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
    )]
    Full {
        /// Records of the batch.
        records: usize,
        /// Records that wait.
        queued: usize,
        /// Records that may wait.
        bound: usize,
        /// Reason of the last failure to write.
        failing: Option<String>,
    },
    /// The writer has stopped.
    #[error("the ledger's writer has stopped")]
    Stopped,
}

/// A batch that is not known to be durable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotDurable {
    /// It waits still, and will be written when that works.
    #[error(
        "not recorded within {limit:?}{}",
        failing.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
    )]
    Late {
        /// Time waited.
        limit: Duration,
        /// Reason of the last failure to write.
        failing: Option<String>,
    },
    /// A record was refused.
    #[error("not recorded: {0}")]
    Rejected(String),
    /// The writer ended before it could write it.
    #[error("not recorded: the ledger's writer has stopped")]
    Stopped,
}

/// Next work of the thread.
pub(super) enum Work {
    /// Write these.
    Append(Batches),
    /// Take a step of retention.
    Retain(i64),
    /// End.
    End,
}

/// Batches that go into one transaction.
#[derive(Default)]
pub(super) struct Batches {
    pub(super) records: Vec<Record>,
    /// Each batch, with where it ends among the records.
    ends: Vec<(Ticket, usize)>,
}

impl Batches {
    fn last(&self) -> Ticket {
        self.ends.last().map_or(Ticket(0), |&(ticket, _)| ticket)
    }

    fn of(&self, index: usize) -> Ticket {
        let place = self.ends.partition_point(|&(_, end)| end <= index);
        self.ends.get(place).map_or(Ticket(0), |&(ticket, _)| ticket)
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    bound: usize,
    state: Mutex<State>,
    /// For the thread: there is work, or a reason to try again.
    work: Condvar,
    /// For those who wait: something was written, or never will be.
    done: Condvar,
}

/// Progress of the thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Running,
    /// It writes what is queued, and takes nothing more.
    Stopping,
    Ended,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Ticket, Vec<Record>)>,
    /// Records waiting or in the thread's hands.
    queued: usize,
    put: u64,
    done: u64,
    rejected: BTreeMap<Ticket, String>,
    retain: Option<i64>,
    /// Retention's turn comes after each batch, so that neither keeps the other waiting.
    retention_next: bool,
    try_now: bool,
    life: Life,
    health: Health,
}

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        let state = Mutex::new(State::default());
        Self { bound, state, work: Condvar::new(), done: Condvar::new() }
    }

    pub(super) fn put(&self, batch: Vec<Record>) -> Result<Ticket, Dropped> {
        let mut state = self.state();
        let records = batch.len();
        let stopped = state.life != Life::Running;
        if stopped || state.queued + records > self.bound {
            state.health.dropped += records as u64;
            return Err(if stopped {
                Dropped::Stopped
            } else {
                let failing = state.health.failing.clone();
                Dropped::Full { records, queued: state.queued, bound: self.bound, failing }
            });
        }
        state.put += 1;
        state.queued += records;
        let ticket = Ticket(state.put);
        state.waiting.push_back((ticket, batch));
        self.work.notify_one();
        Ok(ticket)
    }

    /// From the first batch that is not durable to the last that was put.
    pub(super) fn unwritten(&self) -> RangeInclusive<Ticket> {
        let state = self.state();
        Ticket(state.done + 1)..=Ticket(state.put)
    }

    pub(super) fn wait(
        &self,
        tickets: RangeInclusive<Ticket>,
        limit: Duration,
    ) -> Result<(), NotDurable> {
        let last = *tickets.end();
        let mut state = self.state();
        if state.done < last.0 && state.health.failing.is_some() {
            state.try_now = true;
            self.work.notify_one();
        }
        let (state, _) = self
            .done
            .wait_timeout_while(state, limit, |state| {
                state.done < last.0 && state.life != Life::Ended
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reason)) = state.rejected.iter().find(|(one, _)| tickets.contains(one)) {
            Err(NotDurable::Rejected(reason.clone()))
        } else if state.done >= last.0 {
            Ok(())
        } else if state.life == Life::Ended {
            Err(NotDurable::Stopped)
        } else {
            Err(NotDurable::Late { limit, failing: state.health.failing.clone() })
        }
    }

    pub(super) fn retain(&self, now_ns: i64) {
        self.state().retain = Some(now_ns);
        self.work.notify_one();
    }

    pub(super) fn stop(&self) {
        let mut state = self.state();
        if state.life == Life::Running {
            state.life = Life::Stopping;
        }
        self.work.notify_one();
    }

    pub(super) fn health(&self) -> Health {
        let state = self.state();
        Health { queued: state.queued as u64, ..state.health.clone() }
    }

    /// Waits for something to do.
    pub(super) fn next(&self) -> Work {
        let idle = |state: &mut State| {
            state.waiting.is_empty() && state.retain.is_none() && state.life == Life::Running
        };
        let mut state =
            self.work.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let retention = state.retain.filter(|_| state.life == Life::Running);
        match retention {
            Some(now_ns) if state.retention_next || state.waiting.is_empty() => {
                state.retention_next = false;
                Work::Retain(now_ns)
            }
            _ if state.waiting.is_empty() => Work::End,
            _ => {
                state.retention_next = true;
                Work::Append(take(&mut state.waiting))
            }
        }
    }

    /// The batches are durable, but for the records of them that were refused, by place.
    pub(super) fn written(&self, batches: &Batches, rejected: Vec<(usize, String)>) {
        let mut state = self.state();
        let all = batches.records.len();
        state.queued -= all;
        state.done = batches.last().0;
        state.health.appended += (all - rejected.len()) as u64;
        state.health.rejected += rejected.len() as u64;
        state.health.failing = None;
        for (index, reason) in rejected {
            state.rejected.insert(batches.of(index), reason);
            if state.rejected.len() > REMEMBERED {
                state.rejected.pop_first();
            }
        }
        self.done.notify_all();
    }

    /// A try failed: waits before the next one. Whether there shall be no more than that one.
    pub(super) fn failed(&self, error: &LedgerError, pause: Duration) -> bool {
        let mut state = self.state();
        state.health.failures += 1;
        state.health.failing = Some(error.to_string());
        let (mut state, _) = self
            .work
            .wait_timeout_while(state, pause, |state| !state.try_now && state.life == Life::Running)
            .unwrap_or_else(PoisonError::into_inner);
        state.try_now = false;
        state.life != Life::Running
    }

    /// The batches will never be written.
    pub(super) fn abandoned(&self, batches: &Batches) {
        let mut state = self.state();
        state.queued -= batches.records.len();
        state.health.abandoned += batches.records.len() as u64;
    }

    /// A step of retention was taken.
    pub(super) fn retained(&self, step: Result<&Retained, &LedgerError>) {
        let mut state = self.state();
        match step {
            Ok(step) => {
                state.health.removed += step.removed.iter().map(|(_, rows)| rows).sum::<u64>();
                state.health.over_bytes = step.over_bytes;
                state.health.retention_failing = None;
                if !step.more {
                    state.retain = None;
                }
            }
            Err(error) => {
                state.health.retention_failing = Some(error.to_string());
                state.retain = None;
            }
        }
    }

    /// The thread is gone: nobody shall wait for it.
    pub(super) fn ended(&self) {
        self.state().life = Life::Ended;
        self.done.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole batches, one at least, as many as one transaction takes.
fn take(waiting: &mut VecDeque<(Ticket, Vec<Record>)>) -> Batches {
    let mut batches = Batches::default();
    while let Some((ticket, batch)) = waiting.pop_front_if(|(_, batch)| {
        batches.ends.is_empty() || batches.records.len() + batch.len() <= TRANSACTION_RECORDS
    }) {
        batches.records.extend(batch);
        batches.ends.push((ticket, batches.records.len()));
    }
    batches
}
