use thiserror::Error;

use crate::limits::MAX_BEYOND;

/// Failure to configure, fit or assemble a forest.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IsolationForestError {
    /// A hyper-parameter is outside its bounds.
    #[error("`{name}` must be between {min} and {max}, got {got}")]
    ParameterOutOfBounds {
        /// The setter's name.
        name: &'static str,
        /// Smallest value accepted.
        min: usize,
        /// Largest value accepted.
        max: usize,
        /// The value that was set.
        got: usize,
    },
    /// The share of rows beyond the training rows is none, or leaves too few of these.
    #[error("`beyond` must be between 0 and {MAX_BEYOND}, got {got}")]
    Beyond {
        /// The share that was set.
        got: f64,
    },
    /// There are too few training rows for a single split.
    #[error(
        "a forest needs at least 2 training rows, got {got}: capture benign traffic for longer"
    )]
    TooFewRows {
        /// Training rows given.
        got: usize,
    },
    /// The rows have no features, or more than a feature index can name.
    #[error("a row must have between 1 and {max} features, got {got}")]
    FeatureCount {
        /// Features per row given.
        got: usize,
        /// Largest number of features supported.
        max: usize,
    },
    /// A flat slice of rows does not divide into rows.
    #[error("{values} values do not divide into rows of {n_features} features: pass whole rows")]
    PartialRow {
        /// Length of the slice.
        values: usize,
        /// Features per row.
        n_features: usize,
    },
    /// A training value is NaN or infinite.
    #[error(
        "training row {row} has {value} in feature {feature}: features must be finite, \
         remove the row or correct the feature"
    )]
    NonFinite {
        /// Row index, from 0.
        row: usize,
        /// Feature index, from 0.
        feature: usize,
        /// The value found.
        value: f32,
    },
    /// An extended forest was asked to cut along more features than there are.
    #[error(
        "`extension_level` must be below the number of features ({n_features}), got {got}: \
         use {} for fully extended splits", n_features - 1
    )]
    ExtensionLevel {
        /// The extension level asked for.
        got: usize,
        /// Features per row.
        n_features: usize,
    },
    /// A tree given from outside is not a binary tree over these features.
    #[error("tree {tree}, node {node}: {what}")]
    InvalidTree {
        /// Tree index, from 0.
        tree: usize,
        /// Node index within the tree, from 0.
        node: usize,
        /// The fault found in it.
        what: &'static str,
    },
    /// A forest given from outside has more thresholds in a feature than ranks can tell apart.
    #[error(
        "feature {feature} has {got} distinct thresholds, at most {max} fit in u8 ranks: \
         use fewer trees, or train here, where thresholds are binned"
    )]
    TooManyThresholds {
        /// Feature index, from 0.
        feature: usize,
        /// Distinct thresholds found.
        got: usize,
        /// Largest number supported.
        max: usize,
    },
    /// An error of linfa's own machinery.
    #[error(transparent)]
    Linfa(#[from] linfa::error::Error),
}
