//! Models out: forests, sums of step functions and dense autoencoders as ONNX.
//!
//! The same model gives the same bytes. Written for opset 17 and `ai.onnx.ml` 3, which
//! onnxruntime reads from version 1.12 on.

use crate::errors::WriteError;

/// What a written file says about itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The program that made the model.
    pub producer: &'a str,
    /// Its version.
    pub producer_version: &'a str,
    /// One sentence for a person.
    pub summary: &'a str,
    /// Names of the features in the order of a row; empty, or one per feature.
    pub feature_names: &'a [String],
    /// Further keys and values for the file's metadata, written in this order.
    pub metadata: &'a [(String, String)],
}

/// A node of a tree to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// Rows whose `feature` is at most `threshold`, and those where it is NaN, go to `left`,
    /// all others to `right`.
    Split {
        /// Feature index, from 0.
        feature: usize,
        /// Threshold, finite.
        threshold: f32,
        /// Index of the left child within the tree.
        left: usize,
        /// Index of the right child within the tree.
        right: usize,
    },
    /// Rows that end here.
    Leaf {
        /// Path length of such a row: the leaf's depth + c(training rows that ended here).
        path: f64,
        /// Training rows that ended here: explanations weigh leaves by it.
        samples: usize,
    },
}

/// The extended forest's way out, for callers that hold one.
#[must_use]
pub fn extended_forest() -> WriteError {
    WriteError::Inexpressible {
        what: "an extended isolation forest, whose splits cut several features at once,",
        way_out: "train with `extension_level` 0, or keep the native model file",
    }
}

/// Writes an isolation forest: its trees, each with its root first, as one
/// `TreeEnsembleRegressor` that averages path lengths, then 2^(−E\[h\] / c).
///
/// `normaliser` is c(ψ), the average path length for the rows each tree was grown from.
/// Input `rows` is `[n, n_features]`, output `scores` is `[n, 1]`: higher is more anomalous.
pub fn isolation_forest(
    n_features: usize,
    normaliser: f64,
    trees: &[Vec<Node>],
    facts: &Facts<'_>,
) -> Result<Vec<u8>, WriteError> {
    let _ = (n_features, normaliser, trees, facts);
    Err(WriteError::Empty { what: "writers" })
}

/// One feature's step function: `values[k]` for values in (`edges[k - 1]`, `edges[k]`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Finite, strictly ascending.
    pub edges: Vec<f32>,
    /// One more than edges, finite. NaN counts as less than any edge.
    pub values: Vec<f64>,
}

/// Writes a sum of step functions, one per feature, as one tree per feature: what histogram-
/// and tail-based detectors (HBOS, ECOD) are. `values` has one more entry than `edges`.
///
/// Input `rows` is `[n, features.len()]`, output `scores` is `[n, 1]`: `offset` plus the sum.
pub fn tree_sum(features: &[Steps], offset: f64, facts: &Facts<'_>) -> Result<Vec<u8>, WriteError> {
    let _ = (features, offset, facts);
    Err(WriteError::Empty { what: "writers" })
}

/// What follows a dense layer's sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The sum as it is.
    Identity,
    /// max(0, x).
    Relu,
    /// x, or 0.01 x below 0.
    LeakyRelu,
    /// 1 / (1 + e^−x).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

/// A dense layer: activation(x · weights + bias).
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Inputs × outputs, row-major: `weights[input * n_outputs + output]`.
    pub weights: Vec<f32>,
    /// One per output.
    pub bias: Vec<f32>,
    /// What follows the sum.
    pub activation: Activation,
}

/// What stands before the first layer: (x − offset) × scale, per feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scaling {
    /// One per feature, in the feature's unit.
    pub offset: Vec<f32>,
    /// One per feature, in 1 / unit.
    pub scale: Vec<f32>,
}

/// Writes a dense network whose last layer is as wide as its input, behind a scaler.
///
/// Input `rows` is `[n, n_features]`, output `reconstruction` as well, in scaled units.
pub fn dense_autoencoder(
    layers: &[Layer],
    scaling: &Scaling,
    facts: &Facts<'_>,
) -> Result<Vec<u8>, WriteError> {
    let _ = (layers, scaling, facts);
    Err(WriteError::Empty { what: "writers" })
}
