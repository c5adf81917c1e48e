//! A standard forest: cuts and trees, and scoring over ranks.

use crate::cuts::Cuts;
use crate::limits::MAX_FEATURES;
use crate::path_length::{FixedPath, to_levels};
use crate::score::Scorer;
use crate::tree::Trees;

#[derive(Clone, Debug)]
pub(crate) struct StandardForest {
    cuts: Cuts,
    trees: Trees,
    /// Made from the two above, so it takes no part in comparisons.
    scorer: Scorer,
}

impl PartialEq for StandardForest {
    fn eq(&self, other: &Self) -> bool {
        self.cuts == other.cuts && self.trees == other.trees
    }
}

impl StandardForest {
    pub(crate) fn new(cuts: Cuts, trees: Trees) -> Self {
        let scorer = Scorer::new(&trees);
        Self { cuts, trees, scorer }
    }

    pub(crate) fn cuts(&self) -> &Cuts {
        &self.cuts
    }

    pub(crate) fn trees(&self) -> &Trees {
        &self.trees
    }

    pub(crate) fn path_sum(&self, row: &[f32]) -> FixedPath {
        self.scorer.path_sum(&self.cuts, &self.trees, row)
    }

    pub(crate) fn path_sums(&self, rows: &[f32], sums: &mut [FixedPath]) {
        self.scorer.path_sums(&self.cuts, &self.trees, rows, sums);
    }

    /// Adds up what each split on the row's way took off its path. Returns the sums of the
    /// trees' mean paths and of the row's.
    pub(crate) fn credit(&self, row: &[f32], by_feature: &mut [f64]) -> (FixedPath, FixedPath) {
        let ranks = self.ranks(row);
        let (mut expected, mut path) = (0, 0);
        for root in &self.trees.roots {
            let mut at = *root as usize;
            expected += self.trees.nodes[at].path;
            loop {
                let node = &self.trees.nodes[at];
                if node.is_leaf() {
                    path += node.path;
                    break;
                }
                let feature = usize::from(node.feature);
                at = if ranks[feature] <= node.cut { at + 1 } else { node.right as usize };
                by_feature[feature] += to_levels(node.path) - to_levels(self.trees.nodes[at].path);
            }
        }
        (expected, path)
    }

    fn ranks(&self, row: &[f32]) -> [u8; MAX_FEATURES] {
        let mut ranks = [0; MAX_FEATURES];
        for (feature, (rank, value)) in ranks.iter_mut().zip(row).enumerate() {
            *rank = self.cuts.rank(feature, *value);
        }
        ranks
    }
}
