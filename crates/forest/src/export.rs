//! Standard forests as ONNX.

use onnx::WriteError;
use onnx::write::{Facts, Node, extended_forest, isolation_forest};

use crate::algorithm::IsolationForest;
use crate::path_length::average_path_length;
use crate::tree::TreeNode;

impl IsolationForest {
    /// The forest as an ONNX file, for onnxruntime and whatever else reads
    /// `TreeEnsembleRegressor`. Input `rows` is `[n, n_features]`, output `scores` is `[n, 1]`, higher
    /// is more anomalous: [`score_rows`](Self::score_rows) to 1e-6, the difference being path
    /// lengths in fixed point here and in floating point there.
    ///
    /// `feature_names` are those of a row, in order, or none. The same forest gives the same
    /// bytes.
    ///
    /// # Errors
    ///
    /// If it is an extended forest, whose splits ONNX has no operator for, or if there is
    /// another number of names than of features.
    pub fn to_onnx(
        &self,
        feature_names: &[String],
        metadata: &[(String, String)],
    ) -> Result<Vec<u8>, WriteError> {
        let trees = self.trees().ok_or_else(extended_forest)?;
        let trees: Vec<Vec<Node>> = trees.iter().map(|tree| nodes_of(tree)).collect();
        let summary = format!(
            "isolation forest of {} trees over {} rows each; higher scores are more anomalous",
            self.n_trees(),
            self.max_samples()
        );
        let facts = Facts {
            producer: "weir",
            producer_version: env!("CARGO_PKG_VERSION"),
            summary: &summary,
            feature_names,
            metadata,
        };
        isolation_forest(self.n_features(), average_path_length(self.max_samples()), &trees, &facts)
    }
}

/// A tree with path lengths in its leaves. Children come after their parent.
fn nodes_of(tree: &[TreeNode]) -> Vec<Node> {
    let mut depths = vec![0_u32; tree.len()];
    for (at, node) in tree.iter().enumerate() {
        if let TreeNode::Split { left, right, .. } = *node {
            depths[left] = depths[at] + 1;
            depths[right] = depths[at] + 1;
        }
    }
    let plain = |(node, depth): (&TreeNode, u32)| match *node {
        TreeNode::Split { feature, threshold, left, right } => {
            Node::Split { feature, threshold, left, right }
        }
        TreeNode::Leaf { samples } => {
            Node::Leaf { path: f64::from(depth) + average_path_length(samples), samples }
        }
    };
    tree.iter().zip(depths).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;
    use onnx::OnnxModel;

    use super::*;

    fn forest(extension_level: usize) -> (IsolationForest, Vec<f32>) {
        let rows: Vec<f32> = (0..3_000_u32).map(|i| (i * 37 % 1_009) as f32 / 7.0).collect();
        let params = IsolationForest::params().n_trees(40).extension_level(extension_level);
        (params.check().unwrap().fit_rows(&rows, 3).unwrap(), rows)
    }

    #[test]
    fn what_is_written_scores_alike_when_it_is_read() {
        let (forest, rows) = forest(0);
        let names = ["a", "b", "c"].map(String::from);
        let bytes = forest.to_onnx(&names, &[]).unwrap();
        assert_eq!(bytes, forest.to_onnx(&names, &[]).unwrap(), "the same bytes each time");
        let read = OnnxModel::from_bytes(&bytes).unwrap();
        assert_eq!(read.feature_names(), names);
        let (mut native, mut elsewhere) = (vec![0.0; 1_000], vec![0.0; 1_000]);
        forest.score_rows(&rows, &mut native);
        read.score_rows(&rows, &mut elsewhere);
        let apart = native.iter().zip(&elsewhere).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-6, "{apart}");
    }

    #[test]
    fn an_extended_forest_is_refused_with_the_way_out() {
        let error = forest(1).0.to_onnx(&[], &[]).unwrap_err().to_string();
        assert!(error.contains("`extension_level` 0"), "{error}");
    }
}
