//! The thread itself: write, or wait and try again.

use super::queue::{Batches, Queue, Work};
use super::{News, WriterOptions};
use crate::Ledger;

/// Runs until the queue is empty and stopped.
pub(super) fn run(
    mut ledger: Ledger,
    queue: &Queue,
    options: WriterOptions,
    mut tell: impl FnMut(News<'_>),
) -> Ledger {
    let _end = End(queue);
    loop {
        match queue.next() {
            Work::Append(batches) => append(&mut ledger, queue, options, &batches, &mut tell),
            Work::Retain(now_ns) => retain(&mut ledger, queue, now_ns, &mut tell),
            Work::End => return ledger,
        }
    }
}

/// Wakes those who wait, also when the callback panics.
struct End<'q>(&'q Queue);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}

fn append(
    ledger: &mut Ledger,
    queue: &Queue,
    options: WriterOptions,
    batches: &Batches,
    tell: &mut impl FnMut(News<'_>),
) {
    let mut pause = options.first_retry;
    let (mut failures, mut is_last) = (0, false);
    loop {
        match ledger.append_what_fits(&batches.records) {
            Ok(rejected) => {
                for one in &rejected {
                    tell(News::Rejected(&one.reason));
                }
                if failures > 0 {
                    tell(News::Recovered { failures });
                }
                let rejected = rejected.into_iter().map(|one| (one.index, one.reason)).collect();
                queue.written(batches, rejected);
                return;
            }
            Err(error) => {
                if failures == 0 {
                    tell(News::Failing(&error));
                }
                failures += 1;
                let stopping = queue.failed(&error, pause);
                if is_last {
                    queue.abandoned(batches);
                    return;
                }
                is_last = stopping;
                pause = pause.saturating_mul(2).min(options.longest_retry);
            }
        }
    }
}

fn retain(ledger: &mut Ledger, queue: &Queue, now_ns: i64, tell: &mut impl FnMut(News<'_>)) {
    let step = ledger.retain(now_ns);
    match &step {
        Ok(step) if !step.removed.is_empty() || step.over_bytes > 0 => tell(News::Retained(step)),
        Ok(_) => {}
        Err(error) => tell(News::RetentionFailing(error)),
    }
    queue.retained(step.as_ref());
}
