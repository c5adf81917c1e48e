//! Scorer: what turns a row into how anomalous it is.

mod attribution;
mod onnx;
mod scale;

pub use self::onnx::OnnxScorer;
pub use attribution::{Attributed, Attribution};
pub use scale::Scale;

use forest::IsolationForest;

use crate::profile::FeatureRange;

/// A scorer of the rows of a detector's inputs.
///
/// A score is in [0, 1], **higher is more anomalous**. Isolation scores and probabilities are
/// what they are; any other raw score passes through a [`Scale`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scorer {
    /// An isolation forest, standard or extended.
    Forest(IsolationForest),
    /// A model that was made elsewhere, or here as a network.
    Onnx(OnnxScorer),
}

impl Scorer {
    /// Features per row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        match self {
            Self::Forest(forest) => forest.n_features(),
            Self::Onnx(scorer) => scorer.model().n_features(),
        }
    }

    /// Its kind, in words.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Forest(forest) if forest.extension_level() > 0 => {
                "extended isolation forest".to_owned()
            }
            Self::Forest(_) => "isolation forest".to_owned(),
            Self::Onnx(scorer) => scorer.model().kind().to_string(),
        }
    }

    /// The forest, if it is one that was grown here.
    #[must_use]
    pub fn forest(&self) -> Option<&IsolationForest> {
        match self {
            Self::Forest(forest) => Some(forest),
            Self::Onnx(_) => None,
        }
    }

    /// Scores one row.
    ///
    /// # Panics
    ///
    /// If `row` does not have [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn score_row(&self, row: &[f32]) -> f32 {
        match self {
            Self::Forest(forest) => forest.score_row(row),
            Self::Onnx(scorer) => scorer.scale().score(scorer.model().score_row(row)),
        }
    }

    /// Scores rows that lie side by side, on the calling thread.
    ///
    /// # Panics
    ///
    /// If `rows` does not hold exactly `scores.len()` rows of
    /// [`n_features`](Self::n_features) values.
    pub fn score_rows(&self, rows: &[f32], scores: &mut [f32]) {
        self.raw_rows(rows, scores);
        if let Self::Onnx(scorer) = self {
            for score in scores {
                *score = scorer.scale().score(*score);
            }
        }
    }

    /// Which inputs set `row` apart, and by how much. `ranges` are those of the inputs: what is
    /// usual, against which some kinds of model compare.
    #[must_use]
    pub fn attribute(&self, row: &[f32], ranges: &[FeatureRange]) -> Attributed {
        debug_assert_eq!(ranges.len(), self.n_features());
        match self {
            Self::Forest(forest) => forest.path_shortening(row).into(),
            Self::Onnx(scorer) => scorer.attribute(row, ranges),
        }
    }

    /// The scores of rows before they are brought into [0, 1].
    pub(crate) fn raw_rows(&self, rows: &[f32], raw: &mut [f32]) {
        match self {
            Self::Forest(forest) => forest.score_rows(rows, raw),
            Self::Onnx(scorer) => scorer.raw_rows(rows, raw),
        }
    }

    /// A score on a scale with room above: the raw one, up to what its squashing was measured in.
    pub(crate) fn spread(&self, score: f32) -> f32 {
        match self {
            Self::Forest(_) => score,
            Self::Onnx(scorer) => scorer.scale().spread(score),
        }
    }

    /// Finds the scale from the raw scores of held-out benign rows, and brings them into [0, 1].
    pub(crate) fn settle(&mut self, raw: &mut [f32]) {
        let Self::Onnx(scorer) = self else { return };
        // Trees that vote without a link function call themselves a classifier and give margins.
        let within = raw.iter().all(|score| (0.0..=1.0).contains(score));
        if !(scorer.is_bounded() && within || raw.is_empty()) {
            scorer.set_scale(Scale::of(raw.to_vec()));
        }
        for score in raw {
            *score = scorer.scale().score(*score);
        }
    }
}
