use thiserror::Error;

/// Failure to read an ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// Something in the file is larger than this crate reads.
    #[error("the model has {got} {what}, at most {max} are read: export a smaller model")]
    TooLarge {
        /// Name of the things that are too many, in the plural.
        what: &'static str,
        /// Number in the file.
        got: usize,
        /// Largest number that is read.
        max: usize,
    },
    /// The bytes are not an ONNX model, or not all of one.
    #[error("not a readable ONNX model ({what}): check that the file is whole, or export it anew")]
    Malformed {
        /// Name of the part that did not fit.
        what: String,
    },
    /// The graph needs an operator that is not read.
    #[error("operator `{op}` of node `{node}` is not supported: {way_out}")]
    UnsupportedOperator {
        /// The operator, with its domain where that is not the default one.
        op: String,
        /// The node's name, or its first output's where it has none.
        node: String,
        /// The nearest way to a model that is read.
        way_out: String,
    },
    /// The graph's inputs or outputs are not those of a scorer of rows.
    #[error("{what}: {way_out}")]
    UnsupportedGraph {
        /// The unusual part.
        what: String,
        /// The nearest way to a model that is read.
        way_out: &'static str,
    },
    /// An attribute or an input of a node contradicts the operator's definition.
    #[error("node `{node}`: {what}: export the model anew")]
    InvalidNode {
        /// The node's name, or its first output's where it has none.
        node: String,
        /// The fault, with the value.
        what: String,
    },
    /// A tree is not one that ends for every row.
    #[error("node `{node}`, tree {tree}, tree node {at}: {what}: export the model anew")]
    InvalidTree {
        /// The graph's node that holds the tree.
        node: String,
        /// The tree's id in the file.
        tree: i64,
        /// The tree node's id in the file.
        at: i64,
        /// The fault found in it.
        what: &'static str,
    },
    /// A constant of the graph cannot be used.
    #[error("tensor `{name}`: {what}: export the model anew, with its weights inside the file")]
    InvalidTensor {
        /// The tensor's name.
        name: String,
        /// The fault found in it.
        what: String,
    },
    /// The model is a dense network, and the feature `networks` of this crate is off.
    #[error("the model is a dense network, and this program is built without the engine for one")]
    NoEngine,
    /// The dense network is valid ONNX, but cannot be prepared for running.
    #[error("the network cannot be run ({what}): export it with static widths, opset 13 to 18")]
    Network {
        /// The engine's message.
        what: String,
    },
}

/// Failure to write a model as ONNX.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is nothing to write.
    #[error("a model needs at least one of {what}")]
    Empty {
        /// Name of the missing things, in the plural.
        what: &'static str,
    },
    /// Two parts of the model do not fit together.
    #[error("{what}: got {got}, expected {expected}")]
    Shape {
        /// Name of the part.
        what: String,
        /// Its size.
        got: usize,
        /// The size that fits.
        expected: usize,
    },
    /// A number is NaN or infinite.
    #[error("{what} is {value}: only finite numbers can be written")]
    NonFinite {
        /// Name of the number.
        what: String,
        /// Its value, as text.
        value: String,
    },
    /// Tree nodes do not form a binary tree that starts at node 0.
    #[error("tree {tree}, node {node}: {what}")]
    InvalidTree {
        /// Tree index, from 0.
        tree: usize,
        /// Node index within the tree, from 0.
        node: usize,
        /// The fault found in it.
        what: &'static str,
    },
    /// Edges of a step function that do not ascend.
    #[error("feature {feature}, edge {edge}: edges must ascend strictly")]
    UnsortedEdges {
        /// Feature index, from 0.
        feature: usize,
        /// Index of the edge that is not above the one before it.
        edge: usize,
    },
    /// A feature's name would break the list of names.
    #[error("feature name \"{name}\" has a line break: names are written one per line")]
    FeatureName {
        /// The name, escaped.
        name: String,
    },
    /// The model has a part that no ONNX operator expresses.
    #[error("{what} cannot be written as ONNX: {way_out}")]
    Inexpressible {
        /// The part.
        what: &'static str,
        /// The nearest way to a model that can be written.
        way_out: &'static str,
    },
}
