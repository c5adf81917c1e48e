//! Scoring many rows: values become ranks, block by block, and ranks become path lengths.

mod portable;

use super::cuts::Cuts;
use super::path_length::FixedPath;
use super::tree::Trees;

/// Rows ranked together: one 64-byte lane per feature.
pub(super) const BLOCK: usize = 64;

/// Scores with the fastest path that this CPU and these trees allow.
#[derive(Clone, Debug)]
pub(super) struct Scorer {}

impl Scorer {
    pub(super) fn new(_trees: &Trees) -> Self {
        Self {}
    }

    /// Writes the sum of each row's path lengths.
    pub(super) fn path_sums(
        &self,
        cuts: &Cuts,
        trees: &Trees,
        rows: &[f32],
        sums: &mut [FixedPath],
    ) {
        let n_features = cuts.n_features();
        let mut ranks = vec![[0; BLOCK]; n_features];
        for (rows, sums) in rows.chunks(BLOCK * n_features).zip(sums.chunks_mut(BLOCK)) {
            portable::rank(cuts, rows, &mut ranks);
            portable::path_sums(trees, &ranks, sums);
        }
    }
}
