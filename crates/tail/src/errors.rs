use conformal::TailError;
use thiserror::Error;

/// Failure to configure, fit or assemble tails.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TailsError {
    /// There are no features.
    #[error("tails need at least one feature, got none: name a column for each")]
    NoFeatures,
    /// A feature's tail cannot be made.
    #[error("feature {feature}: {source}")]
    Feature {
        /// Feature index, from 0.
        feature: usize,
        /// The reason.
        source: TailError,
    },
    /// A flat slice of rows does not divide into rows.
    #[error("{values} values do not divide into rows of {n_features} features: pass whole rows")]
    PartialRow {
        /// Length of the slice.
        values: usize,
        /// Features per row.
        n_features: usize,
    },
    /// A prior has other features.
    #[error(
        "the prior has {got} features where {n_features} are needed, each one-sided or two-sided \
         alike: fit both to the same columns"
    )]
    PriorWidth {
        /// Features of the prior.
        got: usize,
        /// Features per row.
        n_features: usize,
    },
    /// A prior's weight is no number of rows.
    #[error("a prior counts as a finite number of rows above 0, got {got}")]
    PriorRows {
        /// The weight given.
        got: f64,
    },
    /// A prior has a prior of its own.
    #[error("the prior has a prior of its own: take the tails it was fitted with alone")]
    PriorOfPrior,
    /// An error of linfa's own machinery.
    #[error(transparent)]
    Linfa(#[from] linfa::error::Error),
}
