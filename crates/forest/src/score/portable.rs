//! The path for any CPU; the others must agree with it to the bit.

use super::block::{BLOCK, RankBlock, RankRow};
use super::packed::Packed;
use crate::cuts::{Cuts, rank_in};
use crate::path_length::FixedPath;
use crate::tree::Trees;

/// Trees walked side by side for one row: their loads overlap.
const ABREAST: usize = 8;

/// Ranks one row.
pub(super) fn rank_row(cuts: &Cuts, row: &[f32], ranks: &mut RankRow) {
    for (feature, (rank, value)) in ranks.iter_mut().zip(row).enumerate() {
        *rank = cuts.rank(feature, *value);
    }
}

/// Ranks up to [`BLOCK`] rows.
pub(super) fn rank_block(cuts: &Cuts, rows: &[f32], ranks: &mut RankBlock) {
    let n_features = cuts.n_features();
    for (feature, ranks) in ranks.iter_mut().take(n_features).enumerate() {
        let cuts = cuts.padded(feature);
        for (row, rank) in rows.chunks_exact(n_features).zip(ranks) {
            *rank = rank_in(cuts, row[feature]);
        }
    }
}

/// Sum of one row's path lengths over packed trees.
pub(super) fn packed_row(packed: &Packed, ranks: &RankRow) -> FixedPath {
    let rank = |feature: u8| ranks[usize::from(feature)];
    let mut sum = 0;
    for trees in packed.trees.chunks(ABREAST) {
        let mut at = [1; ABREAST];
        for _ in 0..packed.levels {
            for (at, tree) in at.iter_mut().zip(trees) {
                *at = tree.step(*at, rank);
            }
        }
        sum += trees.iter().zip(at).map(|(tree, at)| tree.path(at)).sum::<FixedPath>();
    }
    sum
}

/// Sums of a block's path lengths over packed trees.
pub(super) fn packed_block(packed: &Packed, ranks: &RankBlock, sums: &mut [FixedPath; BLOCK]) {
    sums.fill(0);
    for tree in &packed.trees {
        let mut at = [1; BLOCK];
        for _ in 0..packed.levels {
            for (row, at) in at.iter_mut().enumerate() {
                *at = tree.step(*at, |feature| ranks[usize::from(feature)][row]);
            }
        }
        for (sum, at) in sums.iter_mut().zip(at) {
            *sum += tree.path(at);
        }
    }
}

/// Sum of one row's path lengths over trees of any depth.
pub(super) fn deep_row(trees: &Trees, ranks: &RankRow) -> FixedPath {
    (0..trees.n_trees()).map(|tree| trees.path(tree, |feature| ranks[usize::from(feature)])).sum()
}
