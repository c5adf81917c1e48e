//! Models out: forests, sums of step functions and dense autoencoders as ONNX.
//!
//! The same model gives the same bytes. Written for opset 17 and `ai.onnx.ml` 3, which
//! onnxruntime reads from version 1.12 on.

mod proto;
mod trees;

use self::proto::{Chain, ML, float, int};
use self::trees::Written;
use crate::errors::WriteError;
use crate::pb::AttributeProto;
use crate::read::limits;
use crate::trees::narrow;

/// Description that a written file carries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The program that made the model.
    pub producer: &'a str,
    /// Its version.
    pub producer_version: &'a str,
    /// A sentence for a person.
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
    check_features(n_features)?;
    not_empty("trees", trees.len())?;
    if !(normaliser.is_finite() && normaliser > 0.0) {
        return Err(non_finite("c(ψ), a path length above 0,", normaliser));
    }
    let written: Vec<Vec<Written>> =
        trees.iter().map(|tree| tree.iter().map(Node::written).collect()).collect();
    let mut chain = Chain::new();
    let attributes = trees::attributes(&written, n_features, "AVERAGE", None)?;
    chain.then(ML, "TreeEnsembleRegressor", &[], attributes);
    chain.constant("minus_one_per_c", &[1], &[narrow(-1.0 / normaliser)]);
    chain.constant("two", &[1], &[2.0]);
    chain.then("", "Mul", &["minus_one_per_c"], Vec::new());
    chain.then_after("Pow", "two");
    chain.finish("scores", n_features, 1, facts)
}

/// A feature's step function: `values[k]` for values in (`edges[k - 1]`, `edges[k]`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Finite, strictly ascending.
    pub edges: Vec<f32>,
    /// Values, one more than edges, finite. NaN counts as less than any edge.
    pub values: Vec<f64>,
    /// Training rows behind each value, by which explanations weigh it; empty where unknown.
    pub hits: Vec<f32>,
}

/// Writes a sum of step functions, one per feature, as one tree per feature: what histogram-
/// and tail-based detectors (HBOS, ECOD) are. `values` has one more entry than `edges`.
///
/// Input `rows` is `[n, features.len()]`, output `scores` is `[n, 1]`: `offset` plus the sum.
pub fn tree_sum(features: &[Steps], offset: f64, facts: &Facts<'_>) -> Result<Vec<u8>, WriteError> {
    check_features(features.len())?;
    let mut trees = Vec::new();
    let mut base = offset;
    for (feature, steps) in features.iter().enumerate() {
        steps.check(feature)?;
        if let [value] = &*steps.values {
            base += value;
        } else {
            let mut tree = Vec::with_capacity(2 * steps.values.len());
            steps.plant(feature, 0, steps.edges.len(), &mut tree);
            trees.push(tree);
        }
    }
    if trees.is_empty() {
        trees.push(vec![Written::Leaf { value: 0.0, hits: 1.0 }]);
    }
    if !narrow(base).is_finite() {
        return Err(non_finite("the sum of constants", base));
    }
    let mut chain = Chain::new();
    let attributes = trees::attributes(&trees, features.len(), "SUM", Some(narrow(base)))?;
    chain.then(ML, "TreeEnsembleRegressor", &[], attributes);
    chain.finish("scores", features.len(), 1, facts)
}

/// Function after a dense layer's sum.
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
    /// A value per output.
    pub bias: Vec<f32>,
    /// Function after the sum.
    pub activation: Activation,
}

/// Scaling before the first layer: (x − offset) × scale, per feature.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scaling {
    /// A value per feature, in the feature's unit.
    pub offset: Vec<f32>,
    /// A value per feature, in 1 / unit.
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
    let n_features = scaling.offset.len();
    check_features(n_features)?;
    not_empty("layers", layers.len())?;
    same_size("scales, one per offset", scaling.scale.len(), n_features)?;
    let mut chain = Chain::new();
    all_finite("the scaler", scaling.offset.iter().chain(&scaling.scale))?;
    chain.constant("offset", &[n_features], &scaling.offset);
    chain.constant("scale", &[n_features], &scaling.scale);
    chain.then("", "Sub", &["offset"], Vec::new());
    chain.then("", "Mul", &["scale"], Vec::new());
    let mut width = n_features;
    for (at, layer) in layers.iter().enumerate() {
        let outputs = layer.bias.len();
        not_empty("outputs of every layer", outputs)?;
        same_size(&format!("weights of layer {at}"), layer.weights.len(), width * outputs)?;
        all_finite(&format!("layer {at}"), layer.weights.iter().chain(&layer.bias))?;
        let (weights, bias) = (format!("weights_{at}"), format!("bias_{at}"));
        chain.constant(&weights, &[width, outputs], &layer.weights);
        chain.constant(&bias, &[outputs], &layer.bias);
        chain.then("", "Gemm", &[&weights, &bias], vec![int("transB", 0)]);
        if let Some((op, attributes)) = layer.activation.node() {
            chain.then("", op, &[], attributes);
        }
        width = outputs;
    }
    same_size("outputs of the last layer", width, n_features)?;
    chain.finish("reconstruction", n_features, n_features, facts)
}

impl Node {
    fn written(&self) -> Written {
        match *self {
            Self::Split { feature, threshold, left, right } => {
                Written::Split { feature, threshold, left, right }
            }
            Self::Leaf { path, samples } => Written::Leaf { value: path, hits: samples as f32 },
        }
    }
}

impl Steps {
    fn check(&self, feature: usize) -> Result<(), WriteError> {
        let values = self.edges.len() + 1;
        same_size(&format!("values of feature {feature}"), self.values.len(), values)?;
        if !self.hits.is_empty() {
            same_size(&format!("hits of feature {feature}"), self.hits.len(), values)?;
        }
        all_finite(
            &format!("an edge or hit of feature {feature}"),
            self.edges.iter().chain(&self.hits),
        )?;
        if let Some(value) = self.values.iter().find(|value| !narrow(**value).is_finite()) {
            return Err(non_finite(&format!("a value of feature {feature}"), *value));
        }
        if let Some(edge) = self.edges.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(WriteError::UnsortedEdges { feature, edge: edge + 1 });
        }
        Ok(())
    }

    /// Appends a balanced tree over the values `first..=last`; returns its root.
    fn plant(&self, feature: usize, first: usize, last: usize, tree: &mut Vec<Written>) -> usize {
        let at = tree.len();
        if first == last {
            let hits = self.hits.get(first).copied().unwrap_or(1.0);
            tree.push(Written::Leaf { value: self.values[first], hits });
            return at;
        }
        let middle = first.midpoint(last);
        let threshold = self.edges[middle];
        tree.push(Written::Split { feature, threshold, left: 0, right: 0 });
        let left = self.plant(feature, first, middle, tree);
        let right = self.plant(feature, middle + 1, last, tree);
        tree[at] = Written::Split { feature, threshold, left, right };
        at
    }
}

impl Activation {
    fn node(self) -> Option<(&'static str, Vec<AttributeProto>)> {
        Some(match self {
            Self::Identity => return None,
            Self::Relu => ("Relu", Vec::new()),
            Self::LeakyRelu => ("LeakyRelu", vec![float("alpha", 0.01)]),
            Self::Sigmoid => ("Sigmoid", Vec::new()),
            Self::Tanh => ("Tanh", Vec::new()),
        })
    }
}

fn check_features(n_features: usize) -> Result<(), WriteError> {
    not_empty("features", n_features)?;
    let max = limits::FEATURES;
    if n_features > max {
        return Err(WriteError::Shape {
            what: "features, at most".into(),
            got: n_features,
            expected: max,
        });
    }
    Ok(())
}

fn not_empty(what: &'static str, got: usize) -> Result<(), WriteError> {
    if got == 0 { Err(WriteError::Empty { what }) } else { Ok(()) }
}

fn same_size(what: &str, got: usize, expected: usize) -> Result<(), WriteError> {
    if got == expected {
        return Ok(());
    }
    Err(WriteError::Shape { what: what.into(), got, expected })
}

fn all_finite<'a>(what: &str, values: impl IntoIterator<Item = &'a f32>) -> Result<(), WriteError> {
    match values.into_iter().find(|value| !value.is_finite()) {
        Some(value) => Err(non_finite(what, f64::from(*value))),
        None => Ok(()),
    }
}

fn non_finite(what: &str, value: f64) -> WriteError {
    WriteError::NonFinite { what: what.into(), value: value.to_string() }
}
