//! A dense autoencoder: a network that reproduces benign rows through a bottleneck, and rows
//! unlike them badly.

mod adam;
mod network;
mod params;
mod scaling;

use forest::{Draws, RowSample};
use onnx::write::{Layer, Scaling};

pub use params::{AutoencoderError, AutoencoderParams};

use adam::Adam;
use network::{Batch, Network};

/// Rows at most that the network is trained on; of more, a uniform sample.
pub(crate) const TRAINING_ROWS: usize = 1 << 16;
/// Rows at most by which it is told when to stop.
pub(crate) const STOPPING_ROWS: usize = 1 << 14;
const STREAM: usize = usize::MAX - 20;

/// Gathers what an autoencoder is trained on: rows to learn from, and later ones that say when to
/// stop.
#[derive(Debug)]
pub(crate) struct AutoencoderRows {
    learning: RowSample,
    stopping: RowSample,
}

/// A trained network.
#[derive(Clone, Debug)]
pub(crate) struct Autoencoder {
    pub(crate) layers: Vec<Layer>,
    pub(crate) scaling: Scaling,
    /// Times all rows were gone through.
    pub(crate) epochs: usize,
    /// Mean squared error of the rows that told when to stop, in scaled units.
    pub(crate) error: f64,
}

impl AutoencoderRows {
    pub(crate) fn new(width: usize, seed: u64) -> Self {
        Self {
            learning: RowSample::new(TRAINING_ROWS, width, seed, STREAM),
            stopping: RowSample::new(STOPPING_ROWS, width, seed, STREAM + 1),
        }
    }

    pub(crate) fn learn_from(&mut self, rows: &[f32]) {
        self.learning.extend(rows);
    }

    pub(crate) fn stop_by(&mut self, rows: &[f32]) {
        self.stopping.extend(rows);
    }

    /// The rows that say when to stop: those meant for it, or where there are none the learning
    /// rows themselves.
    fn stopping(&self) -> &[f32] {
        let later = self.stopping.rows();
        if later.is_empty() { self.learning.rows() } else { later }
    }
}

impl AutoencoderParams {
    /// Trains on what was gathered. Time is that of six multiplications per weight, row and
    /// epoch; memory that of the rows in f64.
    pub(crate) fn fit(
        &self,
        rows: &AutoencoderRows,
        width: usize,
        seed: u64,
    ) -> Result<Autoencoder, AutoencoderError> {
        let learning = rows.learning.rows();
        if learning.is_empty() {
            return Err(AutoencoderError::NoRows);
        }
        let scaling = scaling::robust(learning, width);
        let learning = scaling::scaled(learning, &scaling);
        let stopping = scaling::scaled(rows.stopping(), &scaling);
        let mut draws = Draws::new(seed, STREAM + 2);
        let mut network = Network::new(&self.widths(width), self.activation, &mut draws);
        let mut adam = Adam::new(network.weights().len(), self.learning_rate);
        let mut batch = Batch::default();
        let mut order: Vec<usize> = (0..learning.len() / width).collect();
        let mut best = (network.mean_error(&stopping, &mut batch), network.clone(), 0);
        for epoch in 1..=self.epochs {
            shuffle(&mut order, &mut draws);
            for chosen in order.chunks(self.batch) {
                batch.load(&learning, width, chosen);
                let gradient = network.gradient(&mut batch);
                adam.step(network.weights_mut(), gradient);
            }
            let error = network.mean_error(&stopping, &mut batch);
            if !error.is_finite() {
                return Err(AutoencoderError::Diverged { epoch, rate: self.learning_rate });
            }
            if error < best.0 * (1.0 - self.least_gain) {
                best = (error, network.clone(), epoch);
            } else if epoch >= best.2 + self.patience {
                break;
            }
        }
        let (error, network, epochs) = best;
        Ok(Autoencoder { layers: network.layers(), scaling, epochs, error })
    }
}

/// Fisher–Yates.
fn shuffle(order: &mut [usize], draws: &mut Draws) {
    for at in (1..order.len()).rev() {
        order.swap(at, draws.below(at + 1));
    }
}

impl Autoencoder {
    /// The reconstruction error of a row, as the written model will compute it up to rounding:
    /// the mean over the features of the squared error in scaled units.
    #[cfg(test)]
    fn score(&self, row: &[f32]) -> f64 {
        let scaled = scaling::scaled(row, &self.scaling);
        let mut values = scaled.clone();
        for layer in &self.layers {
            let outputs = layer.bias.len();
            let mut next: Vec<f64> = layer.bias.iter().map(|bias| f64::from(*bias)).collect();
            for (input, value) in values.iter().enumerate() {
                for (output, next) in next.iter_mut().enumerate() {
                    *next += value * f64::from(layer.weights[input * outputs + output]);
                }
            }
            network::activate(layer.activation, &mut next);
            values = next;
        }
        let squares = values.iter().zip(&scaled).map(|(out, x)| (out - x).powi(2));
        squares.sum::<f64>() / row.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows on a curve in four dimensions.
    fn curve(n: u16, offset: u16) -> Vec<f32> {
        (0..n)
            .map(|i| f32::from(i.wrapping_mul(7_919).wrapping_add(offset) % 1_000) / 1_000.0)
            .flat_map(|t| [t, t * t, 1.0 - t, 5.0 + 40.0 * (t - 0.5)])
            .collect()
    }

    fn fitted(params: &AutoencoderParams, seed: u64) -> Autoencoder {
        let mut rows = AutoencoderRows::new(4, seed);
        rows.learn_from(&curve(1_500, 0));
        rows.stop_by(&curve(300, 17));
        params.fit(&rows, 4, seed).unwrap()
    }

    #[test]
    fn what_breaks_the_relation_between_features_is_reconstructed_worst() {
        let params = AutoencoderParams { epochs: 60, ..AutoencoderParams::default() };
        let fitted = fitted(&params, 3);
        assert!(fitted.error < 0.15, "{}", fitted.error);
        let benign: f64 =
            curve(50, 3).chunks_exact(4).map(|row| fitted.score(row)).fold(0.0, f64::max);
        // Each value is usual; together they never were.
        let broken = fitted.score(&[0.1, 0.9, 0.1, 5.0]);
        assert!(broken > 2.0 * benign, "{broken} against {benign}");
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_to_the_bit() {
        let params = AutoencoderParams { epochs: 3, ..AutoencoderParams::default() };
        let bits = |seed| -> Vec<u32> {
            let fitted = fitted(&params, seed);
            fitted.layers.iter().flat_map(|l| &l.weights).map(|w| w.to_bits()).collect()
        };
        assert_eq!(bits(1), bits(1));
        assert_ne!(bits(1), bits(2));
    }

    #[test]
    fn training_stops_when_later_rows_gain_nothing_more() {
        let params =
            AutoencoderParams { epochs: 200, least_gain: 0.5, patience: 2, ..Default::default() };
        assert!(fitted(&params, 3).epochs < 100);
    }

    #[test]
    fn a_rate_far_too_high_is_told_as_such() {
        let params =
            AutoencoderParams { epochs: 50, learning_rate: 1e200, ..AutoencoderParams::default() };
        let mut rows = AutoencoderRows::new(4, 1);
        rows.learn_from(&curve(1_500, 0));
        let error = params.fit(&rows, 4, 1).unwrap_err().to_string();
        assert!(error.contains("lower the learning rate"), "{error}");
        let none = AutoencoderRows::new(4, 1);
        assert!(matches!(params.fit(&none, 4, 1), Err(AutoencoderError::NoRows)));
    }
}
