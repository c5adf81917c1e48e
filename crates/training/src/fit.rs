//! A method being fitted to rows that stream by.

use forest::{ForestStream, RowSample};
use model::{Inputs, OnnxScorer, Scorer};
use onnx::write::{self, Facts, Steps};

use crate::autoencoder::{AutoencoderParams, AutoencoderRows, STOPPING_ROWS, TRAINING_ROWS};
use crate::ecod::{ECOD_ROWS, Ecod};
use crate::error::TrainingError;
use crate::features::Extremes;
use crate::hbos::HbosCounts;
use crate::plan::{Method, Plan};

/// The part of the training time, at its end, that tells an autoencoder when to stop.
pub(crate) const STOPPING_SHARE: f64 = 0.15;

pub(crate) enum Fitting<'a> {
    Forest(ForestStream),
    Hbos(HbosCounts),
    Ecod(Ecod, RowSample),
    Autoencoder { params: &'a AutoencoderParams, rows: AutoencoderRows, stop_from_ns: i64 },
    Given(&'a Scorer),
}

pub(crate) struct Fitted {
    pub(crate) scorer: Scorer,
    /// Description of the fit, where the scorer has none.
    pub(crate) method: Option<String>,
}

impl<'a> Fitting<'a> {
    /// `extremes` are wanted for histograms alone.
    pub(crate) fn begin(
        plan: &'a Plan,
        inputs: &Inputs,
        extremes: Option<&Extremes>,
        stop_from_ns: i64,
    ) -> Result<Self, TrainingError> {
        let width = inputs.len();
        Ok(match &plan.method {
            Method::Forest(params) => Self::Forest(params.stream(width)?),
            Method::Hbos(hbos) => {
                Self::Hbos(hbos.counts(extremes.expect("histograms are given their extremes")))
            }
            Method::Given(given) => Self::Given(&given.scorer),
            Method::Ecod(ecod) => Self::Ecod(*ecod, Ecod::sample(width, plan.seed)),
            Method::Autoencoder(params) => {
                let rows = AutoencoderRows::new(width, plan.seed);
                Self::Autoencoder { params, rows, stop_from_ns }
            }
        })
    }

    /// Takes rows of inputs, side by side, with the starts of their windows.
    pub(crate) fn extend(&mut self, rows: &[f32], starts_ns: &[i64]) -> Result<(), TrainingError> {
        match self {
            Self::Forest(stream) => stream.extend(rows)?,
            Self::Hbos(counts) => counts.extend(rows),
            Self::Ecod(_, sample) => sample.extend(rows),
            Self::Given(_) => {}
            Self::Autoencoder { rows: gathered, stop_from_ns, .. } => {
                let width = rows.len() / starts_ns.len().max(1);
                for (row, start) in rows.chunks_exact(width.max(1)).zip(starts_ns) {
                    if start < stop_from_ns {
                        gathered.learn_from(row);
                    } else {
                        gathered.stop_by(row);
                    }
                }
            }
        }
        Ok(())
    }

    /// Fits to the rows taken.
    pub(crate) fn finish(self, inputs: &Inputs, seed: u64) -> Result<Fitted, TrainingError> {
        match self {
            Self::Forest(stream) => {
                Ok(Fitted { scorer: Scorer::Forest(stream.finish()?), method: None })
            }
            Self::Given(scorer) => Ok(Fitted { scorer: scorer.clone(), method: None }),
            Self::Hbos(counts) => {
                let method = format!("HBOS, {} bins", counts.bins());
                sum_of_steps(&counts.finish(), inputs, method)
            }
            Self::Ecod(ecod, sample) => {
                let fit = ecod.fit_rows(sample.rows(), inputs.len());
                let error = fit.error.iter().copied().fold(0.0, f64::max);
                let method = format!(
                    "ECOD, tails of {} rows, a feature's part within {error:.2e}",
                    sample.rows().len() / inputs.len()
                );
                sum_of_steps(&fit.steps, inputs, method)
            }
            Self::Autoencoder { params, rows, .. } => {
                let fitted = params.fit(&rows, inputs.len(), seed)?;
                let widths: Vec<String> =
                    params.widths(inputs.len()).iter().map(ToString::to_string).collect();
                let method = format!(
                    "autoencoder {}, {} epochs, error {:.3e} on later rows",
                    widths.join("-"),
                    fitted.epochs,
                    fitted.error
                );
                let facts = facts("autoencoder: reconstruction of scaled features", inputs);
                let bytes = write::dense_autoencoder(&fitted.layers, &fitted.scaling, &facts)?;
                Ok(Fitted { scorer: read_back(&bytes)?, method: Some(method) })
            }
        }
    }

    /// Bytes that the method keeps of `rows` rows.
    pub(crate) fn memory(plan: &Plan, width: usize, rows: u64) -> u64 {
        let rows_of = |limit: usize| rows.min(limit as u64) * width as u64;
        match &plan.method {
            Method::Forest(params) => {
                rows_of(params.max_samples()) * params.n_trees() as u64 * size_of::<f32>() as u64
            }
            Method::Hbos(hbos) => (hbos.bins * width * 12) as u64,
            Method::Given(_) => 0,
            Method::Ecod(_) => rows_of(ECOD_ROWS) * size_of::<f32>() as u64,
            Method::Autoencoder(_) => {
                // Once as they came, once scaled in f64.
                rows_of(TRAINING_ROWS + STOPPING_ROWS)
                    * (size_of::<f32>() + size_of::<f64>()) as u64
            }
        }
    }
}

fn sum_of_steps(steps: &[Steps], inputs: &Inputs, method: String) -> Result<Fitted, TrainingError> {
    let bytes = write::tree_sum(steps, 0.0, &facts(&method, inputs))?;
    Ok(Fitted { scorer: read_back(&bytes)?, method: Some(method) })
}

fn facts<'a>(summary: &'a str, inputs: &'a Inputs) -> Facts<'a> {
    Facts {
        producer: "weir",
        producer_version: env!("CARGO_PKG_VERSION"),
        summary,
        feature_names: inputs.names(),
        ..Facts::default()
    }
}

/// Scorer of the bytes that were written, rounding and all: what is calibrated is what runs.
fn read_back(bytes: &[u8]) -> Result<Scorer, TrainingError> {
    Ok(Scorer::Onnx(OnnxScorer::from_bytes(bytes)?))
}
