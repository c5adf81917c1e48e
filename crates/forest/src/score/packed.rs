//! Trees of at most 8 levels, filled up to complete ones: one byte is enough for a place in
//! the tree, and every row takes the same number of steps.

use crate::path_length::FixedPath;
use crate::tree::{Node, Trees};

/// Deepest tree that has a packed form: its leaves are numbered in one byte.
pub(super) const MAX_LEVELS: usize = 8;

/// Bytes of a path length that are kept. A leaf at 8 levels with 2²⁰ rows has 35 levels,
/// 22 bits in fixed point.
pub(super) const PLANES: usize = 3;

/// All trees, as deep as the deepest.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) levels: usize,
    pub(super) trees: Vec<PackedTree>,
}

/// A tree, its nodes numbered as in a heap: the root is 1, the children of `i` are `2i` and
/// `2i + 1`. So each level begins at a power of two, where vector loads want it. The leaves
/// follow after the last level, their numbers modulo 256.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct PackedTree {
    pub(super) feature: [u8; 256],
    /// Ranks up to the cut go left. 255, which no rank exceeds, below what was a leaf.
    pub(super) cut: [u8; 256],
    /// Path length of each leaf, least significant bytes first.
    pub(super) leaf: [[u8; 256]; PLANES],
}

impl Packed {
    /// The packed form, none if a tree is too deep for it.
    pub(super) fn of(trees: &Trees) -> Option<Self> {
        let levels = trees.depth();
        (levels <= MAX_LEVELS).then(|| Self {
            levels,
            trees: (0..trees.n_trees()).map(|tree| PackedTree::of(trees, tree, levels)).collect(),
        })
    }
}

impl PackedTree {
    fn of(trees: &Trees, tree: usize, levels: usize) -> Self {
        let mut packed = Self { feature: [0; 256], cut: [u8::MAX; 256], leaf: [[0; 256]; PLANES] };
        packed.place(&trees.nodes, trees.roots[tree] as usize, 1, levels);
        packed
    }

    /// Places the subtree at `node` under heap number `number`, with `levels` left to fill.
    fn place(&mut self, nodes: &[Node], node: usize, number: usize, levels: usize) {
        if levels == 0 {
            let bytes = nodes[node].path.to_le_bytes();
            debug_assert!(nodes[node].is_leaf() && bytes[PLANES..] == [0]);
            for (plane, byte) in self.leaf.iter_mut().zip(bytes) {
                plane[number % 256] = byte;
            }
            return;
        }
        let (left, right) = if nodes[node].is_leaf() {
            (node, node)
        } else {
            self.feature[number] = nodes[node].feature;
            self.cut[number] = nodes[node].cut;
            (node + 1, nodes[node].right as usize)
        };
        self.place(nodes, left, 2 * number, levels - 1);
        self.place(nodes, right, 2 * number + 1, levels - 1);
    }

    /// The child of node `at` that a row goes to.
    #[inline]
    pub(super) fn step(&self, at: u8, rank: impl Fn(u8) -> u8) -> u8 {
        let right = rank(self.feature[usize::from(at)]) > self.cut[usize::from(at)];
        at.wrapping_mul(2).wrapping_add(u8::from(right))
    }

    /// Path length of leaf `at`.
    #[inline]
    pub(super) fn path(&self, at: u8) -> FixedPath {
        let at = usize::from(at);
        FixedPath::from_le_bytes([self.leaf[0][at], self.leaf[1][at], self.leaf[2][at], 0])
    }
}
