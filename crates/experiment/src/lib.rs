//! Experiments: the blocks that each of many settings of `[policy]` would make, and their harm.
//!
//! The expensive part is done once: [`stream`] holds the evidence of every peer in every window,
//! with its label. [`grid`] makes the settings, [`effect`] runs each one's policy over the stream
//! and computes the traffic that its blocks would have stopped, [`report`] puts it together, and
//! [`text`] and [`page`] show it. [`shadow`] makes the same report of the record of a node that ran
//! in shadow mode.
//!
//! Never here: files, clocks, randomness. The same stream and the same grid give the same bytes,
//! however many threads work on it.

mod absent;
pub mod effect;
pub mod grid;
pub mod limit;
pub mod page;
pub mod report;
#[cfg(test)]
mod sample;
pub mod shadow;
pub mod stream;
pub mod text;
mod trade_off;

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use policy::Policy;

use effect::Effect;
use stream::Stream;

pub use absent::Absent;
pub use report::{Report, SCHEMA};
pub use trade_off::TradeOff;

/// Runs every setting over the stream on so many threads, in the settings' order; `policy` makes
/// the policy of the setting of a place, without a past.
#[must_use]
pub fn run_all(
    stream: &Stream,
    settings: usize,
    policy: impl Fn(usize) -> Policy + Sync,
    threads: usize,
) -> Vec<Effect> {
    let next = AtomicUsize::new(0);
    let effects: Vec<Mutex<Effect>> = (0..settings).map(|_| Mutex::default()).collect();
    let work = || {
        while let Some(place) = claim(&next, settings) {
            let effect = Effect::of(stream, policy(place));
            *effects[place].lock().unwrap_or_else(PoisonError::into_inner) = effect;
        }
    };
    std::thread::scope(|scope| {
        // This thread is one of them.
        for _ in 1..threads.min(settings) {
            scope.spawn(work);
        }
        work();
    });
    effects
        .into_iter()
        .map(|effect| effect.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}

fn claim(next: &AtomicUsize, count: usize) -> Option<usize> {
    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|place| *place < count)
}
