//! The path for any CPU and any tree: one row, one tree, one node at a time.

use super::super::cuts::{Cuts, rank_in};
use super::super::path_length::FixedPath;
use super::super::tree::Trees;
use super::BLOCK;

/// Ranks up to [`BLOCK`] rows: `ranks[feature][row]`.
pub(super) fn rank(cuts: &Cuts, rows: &[f32], ranks: &mut [[u8; BLOCK]]) {
    let n_features = ranks.len();
    for (feature, ranks) in ranks.iter_mut().enumerate() {
        let cuts = cuts.padded(feature);
        for (row, rank) in rows.chunks_exact(n_features).zip(ranks) {
            *rank = rank_in(cuts, row[feature]);
        }
    }
}

/// Sums each row's path lengths over all trees.
pub(super) fn path_sums(trees: &Trees, ranks: &[[u8; BLOCK]], sums: &mut [FixedPath]) {
    sums.fill(0);
    for tree in 0..trees.n_trees() {
        for (row, sum) in sums.iter_mut().enumerate() {
            *sum += trees.path(tree, |feature| ranks[usize::from(feature)][row]);
        }
    }
}
