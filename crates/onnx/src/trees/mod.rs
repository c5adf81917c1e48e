//! Trees, validated and laid out for walking.

mod build;
mod credit;
mod ensemble;
mod finish;
mod shallow;
mod walk;

pub(crate) use build::{PlainNode, PlainTree, Test};
pub(crate) use ensemble::{Aggregate, BLOCK, Ensemble, narrow};
pub(crate) use finish::{Post, Tail};

/// A node in 12 bytes. The child for rows that pass the test is the next node.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    /// Rows whose value is at most this pass; NaN in a leaf, where nothing passes.
    threshold: f32,
    /// The child for rows that do not pass; a leaf's own index.
    fail: u32,
    feature: u16,
    /// NaN passes.
    takes_nan: bool,
    /// Only the threshold itself passes.
    equals: bool,
}

impl Node {
    #[expect(clippy::float_cmp, reason = "ONNX's BRANCH_EQ compares exactly")]
    fn passes(&self, value: f32) -> bool {
        let test = if self.equals { value == self.threshold } else { value <= self.threshold };
        test || (self.takes_nan && value.is_nan())
    }
}

/// Trees side by side, each in preorder.
///
/// Every test is `<=` or `==`: `x < t` is `x <= t'` with t' the float below t, and `x > t` is
/// `x <= t` with its children exchanged; both hold for every float, and NaN, which passes no
/// comparison, is kept apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trees {
    nodes: Vec<Node>,
    /// Index of a leaf among all leaves; 0 for a split.
    leaf_of: Vec<u32>,
    roots: Vec<u32>,
    /// Levels of each tree.
    depths: Vec<u16>,
    n_leaves: usize,
    any_equals: bool,
}

impl Trees {
    pub(crate) fn n_trees(&self) -> usize {
        self.roots.len()
    }

    pub(crate) fn n_leaves(&self) -> usize {
        self.n_leaves
    }

    pub(crate) fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Levels of the deepest tree.
    pub(crate) fn depth(&self) -> u16 {
        self.depths.iter().copied().max().unwrap_or(0)
    }

    /// Depth of each leaf in its tree, in the order of leaves.
    pub(crate) fn leaf_depths(&self) -> Vec<u16> {
        let mut depths = vec![0_u16; self.nodes.len()];
        let mut leaves = vec![0; self.n_leaves];
        for (at, node) in self.nodes.iter().enumerate() {
            if is_leaf(node, at) {
                leaves[self.leaf_of[at] as usize] = depths[at];
            } else {
                for child in [at + 1, node.fail as usize] {
                    depths[child] = depths[at] + 1;
                }
            }
        }
        leaves
    }

    /// Appends other trees; their leaves follow these ones'.
    pub(crate) fn append(&mut self, other: &Trees) {
        let (nodes, leaves) = (index(self.nodes.len()), index(self.n_leaves));
        let moved = |node: &Node| Node { fail: node.fail + nodes, ..*node };
        self.nodes.extend(other.nodes.iter().map(moved));
        let is_leaf = other.nodes.iter().enumerate().map(|(at, node)| is_leaf(node, at));
        let leaf_of = other.leaf_of.iter().zip(is_leaf);
        self.leaf_of.extend(leaf_of.map(|(leaf, is)| if is { leaf + leaves } else { 0 }));
        self.roots.extend(other.roots.iter().map(|root| root + nodes));
        self.depths.extend(&other.depths);
        self.n_leaves += other.n_leaves;
        self.any_equals |= other.any_equals;
    }

    /// Makes each split test the column that its feature was selected from.
    pub(crate) fn select(&mut self, columns: &[u16]) {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if !is_leaf(node, at) {
                node.feature = columns[usize::from(node.feature)];
            }
        }
    }
}

fn is_leaf(node: &Node, at: usize) -> bool {
    node.fail as usize == at
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("limits keep trees below 2³² nodes")
}
