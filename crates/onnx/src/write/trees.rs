//! Trees as the lists of a `TreeEnsembleRegressor`.

use super::proto::{floats, int, ints, text, texts};
use crate::errors::{OnnxError, WriteError};
use crate::pb::AttributeProto;
use crate::trees::{PlainNode, PlainTree, Test, Trees, narrow};

/// A node with what the file says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Written {
    Split { feature: usize, threshold: f32, left: usize, right: usize },
    Leaf { value: f64, hits: f32 },
}

/// The attributes of one `TreeEnsembleRegressor`.
///
/// All splits are `BRANCH_LEQ`, and NaN goes left as well: the native forest ranks it below
/// every threshold.
pub(super) fn attributes(
    trees: &[Vec<Written>],
    n_features: usize,
    aggregate: &str,
    base: Option<f32>,
) -> Result<Vec<AttributeProto>, WriteError> {
    let mut lists = Lists::default();
    for (tree, nodes) in trees.iter().enumerate() {
        check(tree, nodes, n_features)?;
        lists.push(tree, nodes);
    }
    let mut attributes = vec![
        text("aggregate_function", aggregate),
        int("n_targets", 1),
        ints("nodes_falsenodeids", lists.right),
        ints("nodes_featureids", lists.features),
        floats("nodes_hitrates", lists.hits),
        ints("nodes_missing_value_tracks_true", lists.tracks),
        texts("nodes_modes", &lists.modes),
        ints("nodes_nodeids", lists.nodes),
        ints("nodes_treeids", lists.trees),
        ints("nodes_truenodeids", lists.left),
        floats("nodes_values", lists.thresholds),
        text("post_transform", "NONE"),
        ints("target_ids", vec![0; lists.weights.len()]),
        ints("target_nodeids", lists.leaf_nodes),
        ints("target_treeids", lists.leaf_trees),
        floats("target_weights", lists.weights),
    ];
    if let Some(base) = base {
        attributes.insert(1, floats("base_values", vec![base]));
    }
    Ok(attributes)
}

/// The same checks as for trees that are read.
fn check(tree: usize, nodes: &[Written], n_features: usize) -> Result<(), WriteError> {
    let plain = |node: &Written| match *node {
        Written::Leaf { .. } => PlainNode::Leaf,
        Written::Split { feature, threshold, left, right } => PlainNode::Split {
            test: Test::AtMost,
            feature,
            threshold,
            takes_nan: true,
            pass: left,
            fail: right,
        },
    };
    let invalid = |node: usize, what| WriteError::InvalidTree { tree, node, what };
    for (at, node) in nodes.iter().enumerate() {
        match node {
            Written::Split { threshold, .. } if !threshold.is_finite() => {
                return Err(invalid(at, "the threshold is not finite"));
            }
            Written::Leaf { value, .. } if !narrow(*value).is_finite() => {
                return Err(invalid(at, "the leaf's value is not a finite f32"));
            }
            _ => {}
        }
    }
    let tree = PlainTree {
        id: as_id(tree),
        nodes: nodes.iter().map(plain).collect(),
        ids: (0..nodes.len()).map(as_id).collect(),
    };
    match Trees::default().push(&tree, n_features, "") {
        Ok(_) => Ok(()),
        Err(OnnxError::InvalidTree { at, what, .. }) => {
            Err(invalid(usize::try_from(at).unwrap_or(nodes.len()), what))
        }
        Err(_) => Err(invalid(0, "not a tree")),
    }
}

#[derive(Default)]
struct Lists {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    thresholds: Vec<f32>,
    modes: Vec<&'static str>,
    left: Vec<i64>,
    right: Vec<i64>,
    tracks: Vec<i64>,
    hits: Vec<f32>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    weights: Vec<f32>,
}

impl Lists {
    fn push(&mut self, tree: usize, nodes: &[Written]) {
        let hits = hits(nodes);
        for (at, node) in nodes.iter().enumerate() {
            self.trees.push(as_id(tree));
            self.nodes.push(as_id(at));
            self.hits.push(hits[at]);
            match *node {
                Written::Split { feature, threshold, left, right } => {
                    self.features.push(as_id(feature));
                    self.thresholds.push(threshold);
                    self.modes.push("BRANCH_LEQ");
                    self.left.push(as_id(left));
                    self.right.push(as_id(right));
                    self.tracks.push(1);
                }
                Written::Leaf { value, .. } => {
                    self.features.push(0);
                    self.thresholds.push(0.0);
                    self.modes.push("LEAF");
                    self.left.push(0);
                    self.right.push(0);
                    self.tracks.push(0);
                    self.leaf_trees.push(as_id(tree));
                    self.leaf_nodes.push(as_id(at));
                    self.weights.push(narrow(value));
                }
            }
        }
    }
}

/// Training rows that came through each node: those of the leaves below it.
fn hits(nodes: &[Written]) -> Vec<f32> {
    let mut parents = vec![None; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if let Written::Split { left, right, .. } = *node {
            parents[left] = Some(at);
            parents[right] = Some(at);
        }
    }
    let mut hits = vec![0.0_f32; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        if let Written::Leaf { hits: rows, .. } = node {
            let mut above = Some(at);
            while let Some(at) = above {
                hits[at] += rows;
                above = parents[at];
            }
        }
    }
    hits
}

fn as_id(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
