//! Attribution of a row's sum to features, along its paths.

use super::ensemble::Aggregate;
use super::{Ensemble, is_leaf};

impl Ensemble {
    /// For every split on the row's way, the expected value behind it less the one before it,
    /// credited to the feature that was tested (Saabas 2014, *Interpreting random forests*).
    /// In units of the trees' aggregate; of a least or greatest tree, that tree's alone.
    pub(crate) fn credit(&self, row: &[f32], by_feature: &mut [f64]) {
        let trees = &self.trees;
        let value = |tree: usize| self.expected[trees.leaf(tree, row)];
        match self.aggregate {
            Aggregate::Sum | Aggregate::Average => {
                let average = self.aggregate == Aggregate::Average;
                let share = if average { 1.0 / trees.n_trees() as f64 } else { 1.0 };
                for tree in 0..trees.n_trees() {
                    self.credit_tree(tree, row, share, by_feature);
                }
            }
            Aggregate::Min | Aggregate::Max => {
                let all = 0..trees.n_trees();
                let by_value = |a: &usize, b: &usize| value(*a).total_cmp(&value(*b));
                let deciding = if self.aggregate == Aggregate::Min {
                    all.min_by(by_value)
                } else {
                    all.max_by(by_value)
                };
                if let Some(tree) = deciding {
                    self.credit_tree(tree, row, 1.0, by_feature);
                }
            }
        }
    }

    fn credit_tree(&self, tree: usize, row: &[f32], share: f64, by_feature: &mut [f64]) {
        let mut at = self.trees.roots[tree] as usize;
        while !is_leaf(&self.trees.nodes[at], at) {
            let node = &self.trees.nodes[at];
            let feature = usize::from(node.feature);
            let next = if node.passes(row[feature]) { at + 1 } else { node.fail as usize };
            let change = f64::from(self.expected[next]) - f64::from(self.expected[at]);
            by_feature[feature] += share * change;
            at = next;
        }
    }
}
