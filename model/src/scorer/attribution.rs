//! What a row's contributions are parts of.

use crate::forest::PathShortening;

/// What the contributions of an explanation add up to, and in what unit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attribution {
    /// Of a forest: levels by which a feature's splits shortened the row's mean path (see
    /// [`IsolationForest::path_shortening`](crate::IsolationForest::path_shortening)). They add up
    /// to `expected - path`, up to 2⁻¹⁶ levels.
    PathShortening {
        /// Mean path length of the training rows, in levels.
        expected: f64,
        /// Mean path length of this row, in levels.
        path: f64,
    },
    /// Of an autoencoder: the squared error of a feature's reconstruction, in the scaled space
    /// of the network. They add up to `total`.
    SquaredError {
        /// The sum of all.
        total: f64,
    },
    /// Of anything else: the part of the raw score that a feature makes, against the median of
    /// the training rows. They add up to the difference for trees, and only roughly for a
    /// network.
    RawScore {
        /// The row's raw score: what the model put out before it was brought into [0, 1].
        raw: f64,
    },
}

/// An [`Attribution`] with the amount of each input.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributed {
    /// What the amounts are parts of.
    pub attribution: Attribution,
    /// One per input; above 0 where it set the row apart.
    pub amounts: Vec<f64>,
}

impl Attribution {
    /// The unit of a contribution, for people to read after the number.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Self::PathShortening { .. } => "levels off the path",
            Self::SquaredError { .. } => "squared error",
            Self::RawScore { .. } => "of the raw score",
        }
    }
}

impl From<PathShortening> for Attributed {
    fn from(paths: PathShortening) -> Self {
        let PathShortening { expected, path, by_feature } = paths;
        Self { attribution: Attribution::PathShortening { expected, path }, amounts: by_feature }
    }
}
