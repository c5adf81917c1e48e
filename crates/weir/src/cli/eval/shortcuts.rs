//! A check for shortcuts: what each feature finds by itself, and the tails without it.

use ::model::{Channel, DetectorModel, Horizon};
use evaluation::{FeatureCheck, Peaks};

use super::candidate::truth;
use crate::cli::reading::Piece;

/// Scores of a feature: its value, its negated value, and the tails of all others.
const SCORES: usize = 3;

/// Goes along with the rows of one table over one horizon.
pub(super) struct Shortcuts {
    horizon: Horizon,
    detector: DetectorModel,
    peaks: Peaks,
    row: Vec<f64>,
}

impl Shortcuts {
    pub(super) fn new((channel, detector): (Channel, DetectorModel)) -> Self {
        let scores = SCORES * detector.inputs().len();
        Self {
            horizon: channel.horizon,
            detector,
            peaks: Peaks::new(scores),
            row: vec![0.0; scores],
        }
    }

    pub(super) fn take(&mut self, rows: &Piece) {
        let inputs = self.detector.inputs();
        for (index, label) in rows.labels.iter().enumerate() {
            if rows.horizons[index] != self.horizon {
                continue;
            }
            let values = inputs.project(rows.row(index));
            let tails = without_each(&self.detector, &values);
            let scores = self.row.chunks_exact_mut(SCORES);
            for ((scores, value), tails) in scores.zip(values.iter()).zip(tails) {
                let value = f64::from(*value);
                scores.copy_from_slice(&[value, -value, tails]);
            }
            self.peaks.push(rows.about(index), truth(label), &self.row);
        }
    }

    pub(super) fn finish(&self) -> Vec<FeatureCheck> {
        let names = self.detector.inputs().names();
        let of = |(feature, name): (usize, &String)| {
            let [high, low, without] =
                [0, 1, 2].map(|score| self.peaks.budgets(SCORES * feature + score));
            let found = |at: &[evaluation::Budget; 2]| at.map(|one| one.attacks_found.count);
            let alone = if found(&low) > found(&high) { low } else { high };
            FeatureCheck { feature: name.clone(), alone, without }
        };
        names.iter().enumerate().map(of).collect()
    }
}

/// The tail score of a row without each of its features in turn: the three largest surprises of
/// the others, each of which is what it is whatever the others are.
fn without_each(detector: &DetectorModel, values: &[f32]) -> Vec<f64> {
    let tails = detector.tails();
    let surprises: Vec<f32> =
        (0..).zip(values).map(|(at, value)| tails.surprise(at, *value)).collect();
    let mut falling: Vec<usize> = (0..surprises.len()).collect();
    falling.sort_by(|a, b| surprises[*b].total_cmp(&surprises[*a]));
    let sum = |left_out: usize| {
        let others = falling.iter().filter(|at| **at != left_out).take(::model::PARTS);
        others.map(|at| f64::from(surprises[*at])).sum()
    };
    (0..surprises.len()).map(sum).collect()
}
