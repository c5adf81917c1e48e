//! Learning from the benign captures that are for it.

use std::{collections::BTreeMap, time::Duration};

use forest::IsolationForest;
use linfa::ParamGuard as _;
use model::{Channel, ModelFile};
use serde::Serialize;
use training::{BEYOND, Prior, SampledRows, fit_channels};

use super::{
    capture::{Capture, Rows},
    corpus::{Fold, Use},
};

/// Rows of one capture and channel that are learnt from at most, so that no long one speaks for all.
const OF_A_CAPTURE: usize = 4_000;

/// Share of the lab's day that trains; the rest of it calibrates, a split in time.
const TRAINS: f64 = 0.6;

/// Rows that were learnt from.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Learnt {
    /// Captures: those that trained, those that calibrated.
    pub captures: [usize; 2],
    /// Rows of peers, likewise.
    pub peer_rows: [usize; 2],
}

/// Gathers rows to learn from.
#[derive(Default)]
pub struct Lessons {
    rows: BTreeMap<Channel, SampledRows>,
    learnt: Learnt,
}

impl Lessons {
    /// What a fold learns from: everything that it does not test.
    #[must_use]
    pub fn of_fold(captures: &[Capture], fold: usize) -> Self {
        let mut lessons = Self::default();
        for one in captures {
            lessons.take(one, one.fold.usage(&one.name, fold));
        }
        lessons
    }

    /// Takes a capture for its use. One that is always learnt from does for both.
    pub fn take(&mut self, capture: &Capture, usage: Use) {
        let place = match usage {
            Use::Train => 0,
            Use::Calibrate => 1,
            Use::Test => return,
        };
        self.learnt.captures[place] += 1;
        for (channel, rows) in &capture.rows {
            let count = rows.of.len();
            let boundary = match (capture.fold, place) {
                (Fold::Learnt, _) => portion(count, TRAINS),
                (_, 0) => count,
                _ => 0,
            };
            self.add(*channel, rows, boundary);
        }
    }

    /// Adds rows, of which the first train and the others calibrate.
    fn add(&mut self, channel: Channel, rows: &Rows, boundary: usize) {
        let width = rows.width();
        let step = rows.of.len().div_ceil(OF_A_CAPTURE).max(1);
        let gathered = self.rows.entry(channel).or_insert_with(|| SampledRows::new(width));
        for (number, row) in rows.values.chunks_exact(width).enumerate().step_by(step) {
            let place = usize::from(number >= boundary);
            // Two moments, of which a split in time makes the two parts.
            gathered.extend(place as u64, row);
            if channel.kind == features::Kind::Peer {
                self.learnt.peer_rows[place] += 1;
            }
        }
    }

    /// Fits and calibrates detectors as all that learns does, with a prior where they want one.
    ///
    /// # Errors
    /// There are too few rows to learn from.
    pub fn fit(&self, prior: &Prior) -> anyhow::Result<ModelFile> {
        let params = IsolationForest::params().beyond(BEYOND).check()?;
        let created = "1970-01-01T00:00:00Z";
        Ok(fit_channels(&self.rows, Duration::from_secs(1), &params, prior, created)?)
    }

    /// Counts of what it has.
    #[must_use]
    pub const fn learnt(&self) -> Learnt {
        self.learnt
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is at most the count"
)]
fn portion(count: usize, share: f64) -> usize {
    (count as f64 * share) as usize
}
