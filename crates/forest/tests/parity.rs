//! The same trees give the same scores as in scikit-learn.

use serde_json::Value;
use weir_forest::{IsolationForest, IsolationForestError, TreeNode};

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/forest_from_sklearn.json")).unwrap()
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

#[expect(clippy::cast_possible_truncation, reason = "the fixture holds f32 values")]
fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn node(node: &Value) -> TreeNode {
    match node.get("samples") {
        Some(samples) => TreeNode::Leaf { samples: count(samples) },
        None => TreeNode::Split {
            feature: count(&node["feature"]),
            threshold: number(&node["threshold"]),
            left: count(&node["left"]),
            right: count(&node["right"]),
        },
    }
}

fn trees(fixture: &Value) -> Vec<Vec<TreeNode>> {
    let trees = fixture["trees"].as_array().unwrap();
    trees.iter().map(|tree| tree.as_array().unwrap().iter().map(node).collect()).collect()
}

fn forest(fixture: &Value) -> IsolationForest {
    let (features, samples) = (count(&fixture["n_features"]), count(&fixture["max_samples"]));
    IsolationForest::from_trees(features, samples, &trees(fixture)).unwrap()
}

#[test]
fn on_identical_trees_scores_equal_scikit_learns_to_one_in_a_million() {
    let fixture = fixture();
    let forest = forest(&fixture);
    let rows: Vec<f32> = fixture["rows"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap().iter().map(number))
        .collect();
    let expected: Vec<f64> =
        fixture["scores"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    let mut scores = vec![0.0; expected.len()];
    forest.score_rows(&rows, &mut scores);
    for (row, (score, expected)) in scores.iter().zip(&expected).enumerate() {
        let apart = (f64::from(*score) - expected).abs();
        assert!(apart < 1e-6, "row {row}: {score} and {expected}");
    }
    for (row, score) in rows.chunks(forest.n_features()).zip(scores) {
        assert_eq!(forest.score_row(row).to_bits(), score.to_bits());
    }
}

#[test]
fn trees_survive_the_way_in_and_out() {
    let fixture = fixture();
    let exported = forest(&fixture).trees().unwrap();
    let again = IsolationForest::from_trees(4, 64, &exported).unwrap();
    assert_eq!(again, forest(&fixture));
    assert_eq!(again.trees().unwrap(), exported);
}

#[test]
fn what_is_no_tree_is_refused_by_tree_and_node() {
    let split = |left, right| TreeNode::Split { feature: 0, threshold: 0.5, left, right };
    let leaf = TreeNode::Leaf { samples: 1 };
    let error = |tree: &[TreeNode]| {
        let error = IsolationForest::from_trees(1, 2, &[vec![leaf], tree.to_vec()]).unwrap_err();
        assert!(matches!(error, IsolationForestError::InvalidTree { .. }), "{error}");
        error.to_string()
    };
    assert!(error(&[]).starts_with("tree 1, node 0: "));
    assert!(error(&[split(1, 2), leaf]).starts_with("tree 1, node 2: a split leads past"));
    assert!(error(&[split(0, 1), leaf]).starts_with("tree 1, node 0: two splits lead here"));
    assert!(error(&[split(1, 1), leaf]).starts_with("tree 1, node 1: two splits lead here"));
    assert!(error(&[leaf, leaf]).starts_with("tree 1, node 1: no split leads here"));
    let other = TreeNode::Split { feature: 1, threshold: 0.5, left: 1, right: 2 };
    assert!(error(&[other, leaf, leaf]).contains("a feature that rows do not have"));
    let infinite = TreeNode::Split { feature: 0, threshold: f32::NAN, left: 1, right: 2 };
    assert!(error(&[infinite, leaf, leaf]).contains("the threshold is not finite"));
    let many = TreeNode::Leaf { samples: usize::MAX };
    assert!(error(&[split(1, 2), many, leaf]).contains("more rows than"));
}
