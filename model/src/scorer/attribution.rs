//! Sums that a row's contributions are parts of.

use forest::PathShortening;

/// Sum of the contributions of an explanation, with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attribution {
    /// Of an isolation forest: levels by which a feature's splits shortened the row's mean path
    /// (see [`IsolationForest::path_shortening`](crate::IsolationForest::path_shortening)).
    PathShortening {
        /// The sum of all: by how many levels the row's mean path is shorter than that of the
        /// training rows.
        total: f64,
    },
    /// Of an autoencoder: a feature's part of the mean squared error of the reconstruction, in
    /// the scaled space of the network.
    SquaredError {
        /// The sum of all: the row's mean squared error, its raw score.
        total: f64,
    },
    /// Of other trees: the change of the sum of trees, before what becomes of it, at the splits
    /// of a feature (Saabas 2014).
    TreeSum {
        /// The sum of all: the row's sum of trees less that of the training rows.
        total: f64,
    },
    /// Of other networks: by how much the raw score falls when the feature alone takes the median
    /// of the training rows. They add up to nothing in particular.
    RawScore {
        /// The row's raw score, before it was brought into [0, 1].
        raw: f64,
    },
}

/// An [`Attribution`] with the amount of each input.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributed {
    /// Sum that the amounts are parts of.
    pub attribution: Attribution,
    /// An amount per input; above 0 where it set the row apart.
    pub amounts: Vec<f64>,
}

impl Attribution {
    /// The unit of a contribution, for people to read after the number.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Self::PathShortening { .. } => "levels off the path",
            Self::SquaredError { .. } => "of the mean squared error",
            Self::TreeSum { .. } => "of the sum of trees",
            Self::RawScore { .. } => "of the raw score",
        }
    }
}

impl From<PathShortening> for Attributed {
    fn from(paths: PathShortening) -> Self {
        let attribution = Attribution::PathShortening { total: paths.expected - paths.path };
        Self { attribution, amounts: paths.by_feature }
    }
}
