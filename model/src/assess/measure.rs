//! Measure of a peer: by a detector's scorer or by its novelty.

use std::ops::Range;

use super::{Subject, simes};
use crate::detector::DetectorModel;
use crate::novelty::LEAST_HIGHEST;
use conformal::{Calibration, PValue};

/// Rows under one detector, with their scores and novelties.
#[derive(Debug)]
pub(super) struct Rated<'a> {
    pub(super) detector: &'a DetectorModel,
    pub(super) scores: Vec<f32>,
    pub(super) novelties: Vec<f32>,
    rows: &'a [f32],
    width: usize,
}

/// Result of one of the four measures: the scorer or the novelty, of the peer or of its flows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measure {
    pub(super) subject: Subject,
    /// By the novelty; by the scorer otherwise.
    pub(super) novel: bool,
    /// The row it is about: the peer's, or that of its most anomalous flow.
    pub(super) row: usize,
    pub(super) score: f32,
    pub(super) p_value: PValue,
    pub(super) excess: f64,
}

impl<'a> Rated<'a> {
    pub(super) fn new(detector: &'a DetectorModel, rows: &'a [f32]) -> Self {
        let width = detector.schema().features.len();
        let mut scores = vec![0.0; rows.len() / width];
        detector.score_rows(rows, &mut scores);
        let novelties = detector.novelties(rows);
        Self { detector, scores, novelties, rows, width }
    }

    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.width..][..self.width]
    }

    /// Joint result of scorer and novelty over these rows; `None` for no rows.
    pub(super) fn measures(&self, subject: Subject, rows: Range<usize>) -> [Option<Measure>; 2] {
        let by_score = (false, self.detector.calibration(), &self.scores);
        let by_novelty = (true, self.detector.novelty_calibration(), &self.novelties);
        [by_score, by_novelty].map(|(novel, calibration, scores)| {
            let (row, score, p_value) = combine(calibration, scores, rows.clone())?;
            let least = if novel { LEAST_HIGHEST } else { 0.0 };
            let excess = excess(score, calibration.max().max(least));
            Some(Measure { subject, novel, row, score, p_value, excess })
        })
    }
}

/// The most anomalous row, its score, and the p-value of all rows together.
fn combine(
    calibration: &Calibration,
    scores: &[f32],
    rows: Range<usize>,
) -> Option<(usize, f32, PValue)> {
    let row = rows.clone().max_by(|&a, &b| scores[a].total_cmp(&scores[b]))?;
    // One flow is what most peers have: no list for it.
    if rows.len() == 1 {
        return Some((row, scores[row], calibration.p_value(scores[row])));
    }
    let (mut marginal, mut conditional): (Vec<f64>, Vec<f64>) = rows
        .map(|row| calibration.p_value(scores[row]))
        .map(|p_value| (p_value.marginal, p_value.conditional))
        .unzip();
    let p_value = PValue { marginal: simes(&mut marginal), conditional: simes(&mut conditional) };
    Some((row, scores[row], p_value))
}

/// Excess of a score over the highest calibration score, as a share of the way to 1.
fn excess(score: f32, highest: f32) -> f64 {
    (f64::from(score) - f64::from(highest)) / (1.0 - f64::from(highest)).max(f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::novelty::novelty;
    use crate::profile::FeatureRange;

    #[test]
    fn one_feature_alone_however_far_does_not_stand_half_way_to_one() {
        let range = FeatureRange { min: 0.0, p01: 0.0, median: 0.0, p99: 0.0, max: 0.0 };
        let of = |row: &[f32]| excess(novelty(&vec![range; row.len()], row), LEAST_HIGHEST);
        assert!((0.4..0.5).contains(&of(&[1e9])), "{}", of(&[1e9]));
        assert!(of(&[1e9, 1e9]) > 0.5, "{}", of(&[1e9, 1e9]));
    }
}
