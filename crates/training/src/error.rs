use thiserror::Error;

use crate::autoencoder::AutoencoderError;
use crate::source::SourceError;

/// Reason for which no detector came out of a stream.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The stream could not be read.
    #[error(transparent)]
    Source(SourceError),
    /// The parts of a block do not fit together: a fault of the source's maker.
    #[error("a block has {got} {what} where {expected} are needed: give one per row")]
    Block {
        /// The part that does not fit.
        what: &'static str,
        /// Number found.
        got: usize,
        /// Number expected.
        expected: usize,
    },
    /// A value is NaN or infinite.
    #[error(
        "row {row} has {value} in feature `{feature}`: features must be finite, remove the row \
         or make the table again"
    )]
    NonFinite {
        /// The row's number in the stream, from 0.
        row: u64,
        /// The feature's name.
        feature: String,
        /// The value found.
        value: f32,
    },
    /// Nothing is left to train on.
    #[error(
        "no rows are left to train on ({read} read, {why}): capture benign traffic for longer, or \
         loosen the selection"
    )]
    NoTrainingRows {
        /// Rows read.
        read: u64,
        /// Causes for which the rows were left out.
        why: String,
    },
    /// Nothing, or too little, is left to calibrate on.
    #[error(
        "{got} rows are left to calibrate on, at least {min} are needed ({read} read, {why}): \
         capture benign traffic for longer, or train on a smaller share of the time"
    )]
    NoHeldOutRows {
        /// Rows left.
        got: u64,
        /// Rows needed.
        min: u64,
        /// Rows read.
        read: u64,
        /// Causes for which the rows were left out.
        why: String,
    },
    /// Every feature is constant.
    #[error(
        "none of the {features} features varies over the training rows: train on more than one \
         kind of traffic, or keep constant features"
    )]
    AllConstant {
        /// Features looked at.
        features: usize,
    },
    /// A parameter is outside its bounds.
    #[error("`{name}` must be {bounds}, got {got}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Bounds of the value.
        bounds: &'static str,
        /// Value found.
        got: String,
    },
    /// Trimming by peer needs to know the peers.
    #[error("rows have no peers to trim by: trim by rows, or give each row's remote address")]
    NoPeers,
    /// The choice of features is not one.
    #[error(transparent)]
    Inputs(#[from] model::InputsError),
    /// The forest could not be fitted.
    #[error(transparent)]
    Forest(#[from] forest::IsolationForestError),
    /// The autoencoder could not be fitted.
    #[error(transparent)]
    Autoencoder(#[from] AutoencoderError),
    /// The parts do not make a detector.
    #[error(transparent)]
    Detector(#[from] model::DetectorError),
    /// The training rows have no profile.
    #[error(transparent)]
    Profile(#[from] model::EmptyProfile),
    /// The model that was fitted could not be written as ONNX.
    #[error("the fitted model cannot be written: {0}")]
    Write(#[from] onnx::WriteError),
    /// The model that was written could not be read back.
    #[error("the fitted model cannot be read back: {0}")]
    Read(#[from] onnx::OnnxError),
}

impl TrainingError {
    /// True where there were too few rows to fit to or to calibrate on, or none unlike the others.
    #[must_use]
    pub const fn is_of_too_few_rows(&self) -> bool {
        matches!(
            self,
            Self::NoTrainingRows { .. }
                | Self::NoHeldOutRows { .. }
                | Self::AllConstant { .. }
                | Self::Forest(forest::IsolationForestError::TooFewRows { .. })
                | Self::Autoencoder(AutoencoderError::NoRows)
        )
    }
}
