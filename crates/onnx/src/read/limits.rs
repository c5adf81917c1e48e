//! Bounds of what is read. Each is checked before the memory it speaks of is taken.

/// Bytes of a file. 1,000 boosted trees of 256 leaves take 25 MB.
pub(crate) const FILE_BYTES: usize = 128 << 20;

/// Bytes that a file may become in memory once decoded: protobuf packs small integers and
/// empty messages so tightly that a file can grow a hundredfold.
pub(crate) const DECODED_BYTES: usize = 512 << 20;

/// Nodes of the graph. scikit-learn's isolation forest takes 33 per tree.
pub(crate) const GRAPH_NODES: usize = 50_000;

/// Constants of the graph.
pub(crate) const TENSORS: usize = 50_000;

/// Elements of one constant.
pub(crate) const TENSOR_ELEMENTS: usize = 16 << 20;

/// Dimensions of a constant.
pub(crate) const TENSOR_RANK: usize = 8;

/// Features of a row.
pub(crate) const FEATURES: usize = 4_096;

/// Bytes of a name.
pub(crate) const NAME_BYTES: usize = 4_096;

/// Trees of an ensemble.
pub(crate) const TREES: usize = 20_000;

/// Nodes of all trees.
pub(crate) const TREE_NODES: usize = 8 << 20;

/// Levels of a tree.
pub(crate) const TREE_DEPTH: usize = 1_024;

/// Operators between the trees and the score.
pub(crate) const TAIL: usize = 256;

/// Classes or targets of an ensemble.
pub(crate) const TARGETS: usize = 1_024;

/// Values of all leaves: leaves × targets.
pub(crate) const LEAF_VALUES: usize = 16 << 20;

/// Leaf values computed while reading, over all operators that follow trees.
pub(crate) const FOLDED_VALUES: usize = 256 << 20;

/// Values of one intermediate result of a dense network, for one row.
pub(crate) const ROW_VALUES: usize = 65_536;

/// Values of all intermediate results of a dense network, for one row.
pub(crate) const NETWORK_VALUES: usize = 1 << 18;

/// Products of a dense network for one row: its weights, where each is used once.
pub(crate) const NETWORK_PRODUCTS: usize = 16 << 20;
