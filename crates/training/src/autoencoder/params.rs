use onnx::write::Activation;
use thiserror::Error;

use crate::error::TrainingError;

/// A dense autoencoder: d → d/2 → d/4 → d/2 → d features, the last layer linear.
///
/// Features are centred at their median and divided by their usual spread, so that a few extreme
/// rows do not set the scale. It is trained by Adam (Kingma, Ba 2015, arXiv 1412.6980) on
/// mini-batches of a uniform sample of at most 65,536 rows, and keeps the weights of the epoch
/// that reconstructed the *later* 15 % of the training time best.
///
/// All arithmetic is in f64, one operation after the other: the same rows and seed give the same
/// weights to the bit.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoencoderParams {
    /// Widths of the hidden layers; empty for d/2, d/4, d/2.
    pub hidden: Vec<usize>,
    /// Activation behind each hidden layer: `Tanh` or `Relu`.
    pub activation: Activation,
    /// Times that all rows are gone through at most, 1 to 10,000.
    pub epochs: usize,
    /// Epochs without a gain after which training stops, from 1.
    pub patience: usize,
    /// Share by which the error must fall to count as a gain, 0 to below 1.
    pub least_gain: f64,
    /// Rows of a mini-batch, from 1.
    pub batch: usize,
    /// Adam's step size, above 0.
    pub learning_rate: f64,
}

/// Reason for which an autoencoder could not be trained.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum AutoencoderError {
    /// No row to learn from.
    #[error("an autoencoder needs training rows, got none: capture benign traffic for longer")]
    NoRows,
    /// The error is no number any more.
    #[error(
        "the autoencoder's error is no longer finite after epoch {epoch} at a learning rate of \
         {rate}: lower the learning rate"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The learning rate.
        rate: f64,
    },
}

impl Default for AutoencoderParams {
    fn default() -> Self {
        Self {
            hidden: Vec::new(),
            activation: Activation::Tanh,
            epochs: 40,
            patience: 4,
            least_gain: 1e-3,
            batch: 64,
            learning_rate: 2e-3,
        }
    }
}

impl AutoencoderParams {
    pub(crate) fn check(&self) -> Result<(), TrainingError> {
        let refuse =
            |name, bounds, got: String| Err(TrainingError::Parameter { name, bounds, got });
        if !(1..=10_000).contains(&self.epochs) {
            return refuse("epochs", "between 1 and 10000", self.epochs.to_string());
        }
        if self.patience == 0 {
            return refuse("patience", "at least 1", "0".to_owned());
        }
        if self.batch == 0 {
            return refuse("batch", "at least 1", "0".to_owned());
        }
        if !(0.0..1.0).contains(&self.least_gain) {
            return refuse("least_gain", "from 0 to below 1", self.least_gain.to_string());
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse("learning_rate", "above 0", self.learning_rate.to_string());
        }
        if self.hidden.len() > 16 || self.hidden.iter().any(|n| !(1..=4_096).contains(n)) {
            let got = format!("{:?}", self.hidden);
            return refuse("hidden", "at most 16 layers of 1 to 4096 neurons", got);
        }
        if !matches!(self.activation, Activation::Tanh | Activation::Relu) {
            return refuse("activation", "`Tanh` or `Relu`", format!("{:?}", self.activation));
        }
        Ok(())
    }

    /// Widths of all layers for `width` features, from input to output.
    pub(crate) fn widths(&self, width: usize) -> Vec<usize> {
        let (half, quarter) = (width.div_ceil(2), width.div_ceil(4));
        let hidden =
            if self.hidden.is_empty() { vec![half, quarter, half] } else { self.hidden.clone() };
        [vec![width], hidden, vec![width]].concat()
    }
}
