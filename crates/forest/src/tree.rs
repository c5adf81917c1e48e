//! The trees of a standard forest: one contiguous run of nodes, each tree in preorder.

use crate::errors::IsolationForestError;
use crate::path_length::{FixedPath, leaf_path};

/// A node as seen from outside: for forests made elsewhere and for exporting this one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TreeNode {
    /// Rows whose `feature` is at most `threshold` go to `left`, all others to `right`.
    Split {
        /// Feature index, from 0.
        feature: usize,
        /// Threshold, finite, in the feature's unit.
        threshold: f32,
        /// Index of the left child within the tree.
        left: usize,
        /// Index of the right child within the tree.
        right: usize,
    },
    /// Rows that end here.
    Leaf {
        /// Training rows that ended here.
        samples: usize,
    },
}

/// A node in 16 bytes. The left child is the next node; a leaf has no right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Index of the right child in the forest, 0 for a leaf (no right child is the first node).
    pub(crate) right: u32,
    /// Training rows of the tree's sample that came this way.
    pub(crate) samples: u32,
    /// A leaf's path length; an inner node's mean over its leaves, weighted by their rows.
    pub(crate) path: FixedPath,
    /// Feature that is cut.
    pub(crate) feature: u8,
    /// Index of the cut: ranks up to this one go left.
    pub(crate) cut: u8,
}

impl Node {
    pub(crate) fn is_leaf(&self) -> bool {
        self.right == 0
    }
}

/// All trees, node after node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trees {
    pub(crate) nodes: Vec<Node>,
    /// Index of each tree's first node.
    pub(crate) roots: Vec<u32>,
}

/// A tree on its way into [`Trees`]: a split by cut index, or a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sketch {
    Split { feature: u8, cut: u8, left: Box<Sketch>, right: Box<Sketch> },
    Leaf { samples: u32 },
}

impl Sketch {
    /// Training rows in all leaves.
    pub(crate) fn samples(&self) -> u64 {
        match self {
            Self::Leaf { samples } => u64::from(*samples),
            Self::Split { left, right, .. } => left.samples() + right.samples(),
        }
    }
}

impl Trees {
    pub(crate) fn n_trees(&self) -> usize {
        self.roots.len()
    }

    /// The nodes of one tree; indices inside are those of the forest.
    pub(crate) fn tree(&self, tree: usize) -> &[Node] {
        let end = self.roots.get(tree + 1).map_or(self.nodes.len(), |next| *next as usize);
        &self.nodes[self.roots[tree] as usize..end]
    }

    pub(crate) fn push(&mut self, tree: &Sketch) {
        self.roots.push(index(self.nodes.len()));
        self.place(tree, 0);
    }

    /// Appends a subtree and returns its index.
    fn place(&mut self, tree: &Sketch, depth: usize) -> usize {
        let at = self.nodes.len();
        match tree {
            Sketch::Leaf { samples } => self.nodes.push(Node {
                right: 0,
                samples: *samples,
                path: leaf_path(depth, *samples as usize),
                feature: 0,
                cut: 0,
            }),
            Sketch::Split { feature, cut, left, right } => {
                self.nodes.push(Node {
                    right: 0,
                    samples: 0,
                    path: 0,
                    feature: *feature,
                    cut: *cut,
                });
                let left = self.place(left, depth + 1);
                let right = self.place(right, depth + 1);
                let (samples, path) = mean_path(&self.nodes[left], &self.nodes[right]);
                let node = &mut self.nodes[at];
                node.right = index(right);
                node.samples = samples;
                node.path = path;
            }
        }
        at
    }

    /// Path length of the row whose rank of feature `f` is `rank(f)`.
    #[inline]
    pub(crate) fn path(&self, tree: usize, rank: impl Fn(u8) -> u8) -> FixedPath {
        let mut at = self.roots[tree] as usize;
        loop {
            let node = &self.nodes[at];
            if node.is_leaf() {
                return node.path;
            }
            at = if rank(node.feature) <= node.cut { at + 1 } else { node.right as usize };
        }
    }

    /// Levels of the deepest tree; 0 where every tree is a single leaf.
    pub(crate) fn depth(&self) -> usize {
        (0..self.n_trees())
            .map(|tree| self.depth_below(self.roots[tree] as usize))
            .max()
            .unwrap_or(0)
    }

    fn depth_below(&self, at: usize) -> usize {
        let node = &self.nodes[at];
        if node.is_leaf() {
            0
        } else {
            1 + self.depth_below(at + 1).max(self.depth_below(node.right as usize))
        }
    }
}

/// Rows of two siblings, and their mean path length.
pub(crate) fn mean_path(left: &Node, right: &Node) -> (u32, FixedPath) {
    let samples = left.samples + right.samples;
    let weighted = u64::from(left.samples) * u64::from(left.path)
        + u64::from(right.samples) * u64::from(right.path);
    let mean = if samples == 0 {
        u64::from(left.path.midpoint(right.path))
    } else {
        weighted / u64::from(samples)
    };
    (samples, FixedPath::try_from(mean).expect("a mean is within its terms"))
}

/// Checks a tree given from outside: a binary tree over `n_features` features that reaches
/// each node once, no deeper than `max_depth`, with finite thresholds. Calls `cut` for each
/// split, to turn its threshold into the index of a cut.
pub(crate) fn sketch_of(
    nodes: &[TreeNode],
    tree: usize,
    n_features: usize,
    max_depth: usize,
    cut: &impl Fn(usize, f32) -> u8,
) -> Result<Sketch, IsolationForestError> {
    let mut visit = Visit { nodes, tree, n_features, max_depth, visited: vec![false; nodes.len()] };
    let sketch = visit.sketch(0, 0, cut)?;
    if let Some(node) = visit.visited.iter().position(|visited| !visited) {
        return Err(visit.invalid(node, "no split leads here"));
    }
    if sketch.samples() > crate::limits::MAX_SAMPLES as u64 {
        return Err(visit.invalid(0, TOO_MANY_ROWS));
    }
    Ok(sketch)
}

const TOO_MANY_ROWS: &str = "more rows than a tree may be grown from";

struct Visit<'a> {
    nodes: &'a [TreeNode],
    tree: usize,
    n_features: usize,
    max_depth: usize,
    visited: Vec<bool>,
}

impl Visit<'_> {
    fn invalid(&self, node: usize, what: &'static str) -> IsolationForestError {
        IsolationForestError::InvalidTree { tree: self.tree, node, what }
    }

    fn sketch(
        &mut self,
        at: usize,
        depth: usize,
        cut: &impl Fn(usize, f32) -> u8,
    ) -> Result<Sketch, IsolationForestError> {
        let Some(node) = self.nodes.get(at) else {
            return Err(self.invalid(at, "a split leads past the last node"));
        };
        if std::mem::replace(&mut self.visited[at], true) {
            return Err(self.invalid(at, "two splits lead here, a tree has no cycles"));
        }
        match *node {
            TreeNode::Leaf { samples } => u32::try_from(samples)
                .map(|samples| Sketch::Leaf { samples })
                .map_err(|_| self.invalid(at, TOO_MANY_ROWS)),
            TreeNode::Split { feature, threshold, left, right } => {
                if depth == self.max_depth {
                    return Err(self.invalid(at, "splits below the deepest level allowed"));
                }
                if !threshold.is_finite() {
                    return Err(self.invalid(at, "the threshold is not finite"));
                }
                let Some(name) = u8::try_from(feature).ok().filter(|_| feature < self.n_features)
                else {
                    return Err(self.invalid(at, "splits on a feature that rows do not have"));
                };
                Ok(Sketch::Split {
                    feature: name,
                    cut: cut(feature, threshold),
                    left: Box::new(self.sketch(left, depth + 1, cut)?),
                    right: Box::new(self.sketch(right, depth + 1, cut)?),
                })
            }
        }
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("1,000 trees over 2²⁰ rows stay below 2³² nodes")
}
