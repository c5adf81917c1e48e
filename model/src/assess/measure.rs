//! Measure of a peer: by a detector's scorer or by its tails.

use std::ops::Range;

use super::{Subject, WEIGHTS, simes};
use crate::detector::DetectorModel;
use conformal::PValue;

/// Ways in which a detector measures a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Scorer,
    Tails,
}

/// Rows under one detector, with their scores and tail scores.
#[derive(Debug)]
pub(super) struct Rated<'a> {
    pub(super) detector: &'a DetectorModel,
    pub(super) scores: Vec<f32>,
    pub(super) tails: Vec<f32>,
    rows: &'a [f32],
    width: usize,
}

/// Result of one of the four measures: the scorer or the tails, of the peer or of its flows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measure {
    pub(super) subject: Subject,
    pub(super) by: By,
    /// The row it is about: the peer's, or that of its most anomalous flow.
    pub(super) row: usize,
    pub(super) score: f32,
    pub(super) p_value: PValue,
    /// −log10 of the chance by the calibration's tail, of all rows together.
    pub(super) surprise: f64,
}

impl Measure {
    /// Weight in the joint surprise.
    pub(super) fn weight(&self) -> f64 {
        let [peer_tails, peer_scorer, flow_tails, flow_scorer] = WEIGHTS;
        match (self.subject, self.by) {
            (Subject::Peer, By::Tails) => peer_tails,
            (Subject::Peer, By::Scorer) => peer_scorer,
            (Subject::Flow, By::Tails) => flow_tails,
            (Subject::Flow, By::Scorer) => flow_scorer,
        }
    }
}

impl<'a> Rated<'a> {
    pub(super) fn new(detector: &'a DetectorModel, rows: &'a [f32]) -> Self {
        let width = detector.schema().features.len();
        let (mut scores, mut tails) =
            (vec![0.0; rows.len() / width], vec![0.0; rows.len() / width]);
        detector.score_rows(rows, &mut scores);
        detector.tail_scores(rows, &mut tails);
        Self { detector, scores, tails, rows, width }
    }

    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.width..][..self.width]
    }

    /// Joint result of scorer and tails over these rows; `None` for no rows.
    pub(super) fn measures(&self, subject: Subject, rows: Range<usize>) -> [Option<Measure>; 2] {
        [By::Scorer, By::Tails].map(|by| self.measure(subject, by, rows.clone()))
    }

    fn measure(&self, subject: Subject, by: By, rows: Range<usize>) -> Option<Measure> {
        let (scores, calibration) = match by {
            By::Scorer => (&self.scores, self.detector.calibration()),
            By::Tails => (&self.tails, self.detector.tail_calibration()),
        };
        let surprise = |score| match by {
            By::Scorer => self.detector.surprise(score),
            By::Tails => self.detector.tail_surprise(score),
        };
        let row = rows.clone().max_by(|&a, &b| scores[a].total_cmp(&scores[b]))?;
        let score = scores[row];
        // One flow is what most peers have: no list for it.
        let (p_value, surprise) = if rows.len() == 1 {
            (calibration.p_value(score), surprise(score))
        } else {
            let of = |p_value: &dyn Fn(f32) -> f64| {
                simes(
                    &mut scores[rows.clone()]
                        .iter()
                        .map(|score| p_value(*score))
                        .collect::<Vec<_>>(),
                )
            };
            let p_value = PValue {
                marginal: of(&|score| calibration.p_value(score).marginal),
                conditional: of(&|score| calibration.p_value(score).conditional),
            };
            (p_value, -of(&|score| 10_f64.powf(-surprise(score))).log10())
        };
        Some(Measure { subject, by, row, score, p_value, surprise })
    }
}
