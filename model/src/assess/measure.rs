//! Measure of a row: by a detector's scorer or by its tails.

use features::Horizon;

use super::{HorizonRows, WEIGHTS};
use crate::detector::DetectorModel;
use conformal::PValue;

/// Ways in which a detector measures a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Tails,
    Scorer,
}

/// Rows under one detector, with their scores and tail scores.
#[derive(Debug)]
pub(super) struct Rated<'a> {
    detector: &'a DetectorModel,
    scores: Vec<f32>,
    tails: Vec<f32>,
    block: &'a HorizonRows,
    width: usize,
}

/// Result of one of the two measures of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measure {
    pub(super) by: By,
    /// The rows that the row is among, and its place there.
    pub(super) block: usize,
    pub(super) row: usize,
    pub(super) score: f32,
    pub(super) p_value: PValue,
    /// −log10 of the chance by the calibration's tail.
    pub(super) surprise: f64,
}

impl Measure {
    /// Weight in the joint surprise.
    pub(super) const fn weight(&self) -> f64 {
        let [tails, scorer] = WEIGHTS;
        match self.by {
            By::Tails => tails,
            By::Scorer => scorer,
        }
    }
}

impl<'a> Rated<'a> {
    pub(super) fn new(detector: &'a DetectorModel, block: &'a HorizonRows) -> Self {
        let width = detector.schema().features.len();
        let count = block.rows.len() / width;
        assert_eq!(count, block.of.len(), "an entity for each row");
        let (mut scores, mut tails) = (vec![0.0; count], vec![0.0; count]);
        detector.score_rows(&block.rows, &mut scores);
        detector.tail_scores(&block.rows, &mut tails);
        Self { detector, scores, tails, block, width }
    }

    pub(super) const fn detector(&self) -> &'a DetectorModel {
        self.detector
    }

    pub(super) const fn horizon(&self) -> Horizon {
        self.block.horizon
    }

    pub(super) fn of(&self) -> &[usize] {
        &self.block.of
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.block.rows[index * self.width..][..self.width]
    }

    /// A row's measures: by the tails, by the scorer.
    pub(super) fn measures(&self, block: usize, row: usize) -> [Measure; 2] {
        let (score, tail_score) = (self.scores[row], self.tails[row]);
        [
            Measure {
                by: By::Tails,
                block,
                row,
                score: tail_score,
                p_value: self.detector.tail_calibration().p_value(tail_score),
                surprise: self.detector.tail_surprise(tail_score),
            },
            Measure {
                by: By::Scorer,
                block,
                row,
                score,
                p_value: self.detector.calibration().p_value(score),
                surprise: self.detector.surprise(score),
            },
        ]
    }
}
