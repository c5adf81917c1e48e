//! Rows through trees: tree by tree over a block of rows, several rows at once.

use super::shallow::Shallow;
use super::{Node, Trees};

/// Rows that walk a tree side by side: their loads overlap, which hides most of the time that
/// one row alone would wait for memory.
const LANES: usize = 16;

/// Levels walked between two looks whether all lanes have arrived.
const STRIDE: u16 = 4;

impl Trees {
    /// The leaf node that `row` ends in.
    pub(super) fn leaf(&self, tree: usize, row: &[f32]) -> usize {
        let mut at = self.roots[tree] as usize;
        loop {
            let node = &self.nodes[at];
            let next = if node.passes(row[usize::from(node.feature)]) {
                at + 1
            } else {
                node.fail as usize
            };
            if next == at {
                return at;
            }
            at = next;
        }
    }

    /// Calls `arrive(row, node)` for the leaf node that each row of the block ends in.
    pub(super) fn leaves(
        &self,
        tree: usize,
        rows: &[f32],
        width: usize,
        shallow: Option<&Shallow>,
        plain: bool,
        mut arrive: impl FnMut(usize, usize),
    ) {
        if !plain {
            for (at, row) in rows.chunks_exact(width).enumerate() {
                arrive(at, self.leaf(tree, row));
            }
            return;
        }
        let root = self.roots[tree];
        let depth = self.depths[tree];
        let blocks = rows.chunks_exact(width * LANES);
        let rest = blocks.remainder();
        let mut first = 0;
        for block in blocks {
            let arrived = match shallow {
                Some(shallow) => shallow.lanes::<LANES>(block, width),
                None => lanes(&self.nodes, root, depth, block, width),
            };
            for (lane, node) in arrived.iter().enumerate() {
                arrive(first + lane, *node as usize);
            }
            first += LANES;
        }
        for (lane, row) in rest.chunks_exact(width).enumerate() {
            arrive(first + lane, self.leaf(tree, row));
        }
    }

    /// True if rows without NaN may take the short cut: every test is `<=`.
    pub(super) fn is_plain(&self, rows: &[f32]) -> bool {
        !self.any_equals && !rows.iter().any(|value| value.is_nan())
    }
}

/// Walks `LANES` rows down one tree. A row that has arrived stays: nothing passes a leaf's
/// NaN, and its way on failure is itself.
fn lanes(nodes: &[Node], root: u32, depth: u16, block: &[f32], width: usize) -> [u32; LANES] {
    let mut at = [root; LANES];
    let mut level = 0;
    while level < depth {
        let before = at;
        for _ in 0..STRIDE.min(depth - level) {
            for (lane, at) in at.iter_mut().enumerate() {
                let node = &nodes[*at as usize];
                let value = block[lane * width + usize::from(node.feature)];
                *at = if value <= node.threshold { *at + 1 } else { node.fail };
            }
        }
        if before == at {
            break;
        }
        level += STRIDE;
    }
    at
}
