//! Standard forests from and to plain trees.

use crate::algorithm::{IsolationForest, Kind, Origin};
use crate::cuts::{Cuts, MAX_CUTS};
use crate::errors::IsolationForestError;
use crate::limits::{MAX_DEPTH, MAX_FEATURES, MAX_SAMPLES, MAX_TREES};
use crate::standard::StandardForest;
use crate::tree::{TreeNode, Trees, sketch_of};

impl IsolationForest {
    /// Assembles a standard forest from trees grown elsewhere, each with its root first.
    ///
    /// `max_samples` is ψ, the rows each tree was grown from. A threshold of higher precision
    /// than `f32` must be rounded down: then the same `f32` values go left.
    ///
    /// # Errors
    ///
    /// If a tree is not a binary tree over `n_features` features, or one feature has more than
    /// 255 distinct thresholds over all trees.
    pub fn from_trees(
        n_features: usize,
        max_samples: usize,
        trees: &[Vec<TreeNode>],
    ) -> Result<Self, IsolationForestError> {
        if !(1..=MAX_FEATURES).contains(&n_features) {
            let max = MAX_FEATURES;
            return Err(IsolationForestError::FeatureCount { got: n_features, max });
        }
        for (name, got, min, max) in
            [("n_trees", trees.len(), 1, MAX_TREES), ("max_samples", max_samples, 2, MAX_SAMPLES)]
        {
            if !(min..=max).contains(&got) {
                return Err(IsolationForestError::ParameterOutOfBounds { name, min, max, got });
            }
        }
        let cuts = cuts_of(n_features, trees)?;
        let cut = |feature: usize, threshold: f32| {
            let at = cuts.of(feature).partition_point(|cut| *cut < threshold);
            // `cuts_of` refuses more than 255 cuts, and this threshold is one of them.
            u8::try_from(at).unwrap_or(u8::MAX)
        };
        let mut assembled = Trees::default();
        for (tree, nodes) in trees.iter().enumerate() {
            assembled.push(&sketch_of(nodes, tree, n_features, MAX_DEPTH, &cut)?);
        }
        let origin = Origin {
            n_features,
            max_samples,
            max_depth: assembled.depth(),
            extension_level: 0,
            beyond: 0.0,
            seed: 0,
        };
        Ok(Self::from_parts(origin, Kind::Standard(StandardForest::new(cuts, assembled))))
    }

    /// The trees of a standard forest, each with its root first and in preorder; none of an
    /// extended one.
    #[must_use]
    pub fn trees(&self) -> Option<Vec<Vec<TreeNode>>> {
        let (_, Kind::Standard(forest)) = self.parts() else {
            return None;
        };
        let (cuts, trees) = (forest.cuts(), forest.trees());
        let plain = |tree: usize| {
            let root = trees.roots[tree] as usize;
            let plain = |(at, node): (usize, &crate::tree::Node)| {
                if node.is_leaf() {
                    return TreeNode::Leaf { samples: node.samples as usize };
                }
                let feature = usize::from(node.feature);
                TreeNode::Split {
                    feature,
                    threshold: cuts.of(feature)[usize::from(node.cut)],
                    left: at + 1,
                    right: node.right as usize - root,
                }
            };
            trees.tree(tree).iter().enumerate().map(plain).collect()
        };
        Some((0..trees.n_trees()).map(plain).collect())
    }
}

/// All distinct thresholds of each feature.
fn cuts_of(n_features: usize, trees: &[Vec<TreeNode>]) -> Result<Cuts, IsolationForestError> {
    let mut per_feature = vec![Vec::new(); n_features];
    for node in trees.iter().flatten() {
        if let TreeNode::Split { feature, threshold, .. } = *node {
            // Features and thresholds that may not be are named when the tree is read.
            if feature < n_features && threshold.is_finite() {
                per_feature[feature].push(threshold + 0.0);
            }
        }
    }
    for (feature, cuts) in per_feature.iter_mut().enumerate() {
        cuts.sort_unstable_by(f32::total_cmp);
        cuts.dedup();
        if cuts.len() > MAX_CUTS {
            let (got, max) = (cuts.len(), MAX_CUTS);
            return Err(IsolationForestError::TooManyThresholds { feature, got, max });
        }
    }
    Ok(Cuts::new(&per_feature))
}
