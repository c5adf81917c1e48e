//! `TreeEnsembleRegressor` and `TreeEnsembleClassifier` of `ai.onnx.ml` 1 to 3.

use std::collections::HashMap;

use super::attributes::Operator;
use super::limits;
use super::wire::at_most;
use crate::errors::OnnxError;
use crate::trees::{Aggregate, Ensemble, PlainNode, PlainTree, Post, Test, Trees};

/// An ensemble, and the training rows of each leaf where the file holds them.
pub(super) struct ReadEnsemble {
    pub(super) ensemble: Ensemble,
    pub(super) hits: Option<Vec<f32>>,
    pub(super) is_classifier: bool,
}

const DOUBLES: &str = "export it with float32 inputs, its thresholds then are float32";

pub(super) fn read(op: Operator<'_>, n_features: usize) -> Result<ReadEnsemble, OnnxError> {
    if op.proto.attribute.iter().any(|attribute| attribute.name.ends_with("_as_tensor")) {
        return Err(op.unsupported(DOUBLES));
    }
    let (trees, leaves, hits) = read_trees(op, n_features)?;
    let is_classifier = op.proto.op_type == "TreeEnsembleClassifier";
    let post = op.text("post_transform", "NONE");
    let post =
        Post::named(post).ok_or_else(|| op.invalid(format!("post_transform is `{post}`")))?;
    let mut ensemble = if is_classifier {
        classifier(op, trees, &leaves, post)?
    } else {
        regressor(op, trees, &leaves, post)?
    };
    if ensemble.base.iter().any(|base| !base.is_finite()) {
        return Err(op.invalid("a base value is not finite"));
    }
    ensemble.settle(hits.as_deref());
    Ok(ReadEnsemble { ensemble, hits, is_classifier })
}

/// From a tree's id and a node's id to a leaf; none of a split.
type Leaves = HashMap<(i64, i64), Option<u32>>;

fn read_trees(
    op: Operator<'_>,
    n_features: usize,
) -> Result<(Trees, Leaves, Option<Vec<f32>>), OnnxError> {
    let tree_ids = op.ints("nodes_treeids");
    let node_ids = op.ints("nodes_nodeids");
    let n = tree_ids.len();
    at_most("tree nodes", n, limits::TREE_NODES)?;
    let features = op.ints("nodes_featureids");
    let thresholds = op.floats("nodes_values");
    let modes = op.strings("nodes_modes");
    let (pass, fail) = (op.ints("nodes_truenodeids"), op.ints("nodes_falsenodeids"));
    let tracks = op.ints("nodes_missing_value_tracks_true");
    for (name, got) in [
        ("nodes_nodeids", node_ids.len()),
        ("nodes_featureids", features.len()),
        ("nodes_values", thresholds.len()),
        ("nodes_modes", modes.len()),
        ("nodes_truenodeids", pass.len()),
        ("nodes_falsenodeids", fail.len()),
        ("nodes_missing_value_tracks_true", if tracks.is_empty() { n } else { tracks.len() }),
    ] {
        same_length(op, name, got, "nodes_treeids", n)?;
    }

    // Place of each node: its tree, and its index in that tree.
    let mut trees: Vec<PlainTree> = Vec::new();
    let mut tree_at: HashMap<i64, usize> = HashMap::new();
    let mut places: HashMap<(i64, i64), usize> = HashMap::with_capacity(n);
    for (tree, node) in tree_ids.iter().zip(node_ids) {
        let at = *tree_at.entry(*tree).or_insert_with(|| {
            trees.push(PlainTree { id: *tree, ..PlainTree::default() });
            trees.len() - 1
        });
        if places.insert((*tree, *node), trees[at].ids.len()).is_some() {
            return Err(op.invalid(format!("tree {tree} has two nodes {node}")));
        }
        trees[at].ids.push(*node);
    }
    if trees.is_empty() {
        return Err(op.invalid("it has no trees"));
    }
    at_most("trees", trees.len(), limits::TREES)?;

    let missing = usize::MAX;
    for at in 0..n {
        let tree = tree_ids[at];
        let child = |id: i64| places.get(&(tree, id)).copied().unwrap_or(missing);
        let node = match test_of(op, &modes[at])? {
            None => PlainNode::Leaf,
            Some(test) => PlainNode::Split {
                test,
                feature: usize::try_from(features[at]).unwrap_or(missing),
                threshold: thresholds[at],
                takes_nan: tracks.get(at).is_some_and(|track| *track != 0),
                pass: child(pass[at]),
                fail: child(fail[at]),
            },
        };
        trees[tree_at[&tree]].nodes.push(node);
    }

    let mut planted = Trees::default();
    let mut leaves = Leaves::with_capacity(n);
    for tree in &trees {
        let of_nodes = planted.push(tree, n_features, op.name())?;
        leaves.extend(tree.ids.iter().zip(of_nodes).map(|(id, leaf)| ((tree.id, *id), leaf)));
    }
    let hits = hits_of(op, &planted, &leaves);
    Ok((planted, leaves, hits))
}

fn same_length(
    op: Operator<'_>,
    name: &str,
    got: usize,
    other: &str,
    expected: usize,
) -> Result<(), OnnxError> {
    if got == expected {
        return Ok(());
    }
    Err(op.invalid(format!("`{name}` has {got} entries, `{other}` has {expected}")))
}

fn test_of(op: Operator<'_>, mode: &[u8]) -> Result<Option<Test>, OnnxError> {
    Ok(Some(match mode {
        b"BRANCH_LEQ" => Test::AtMost,
        b"BRANCH_LT" => Test::Below,
        b"BRANCH_GTE" => Test::AtLeast,
        b"BRANCH_GT" => Test::Above,
        b"BRANCH_EQ" => Test::Equals,
        b"BRANCH_NEQ" => Test::Differs,
        b"LEAF" => return Ok(None),
        _ => {
            let mode: String = String::from_utf8_lossy(mode).chars().take(40).collect();
            return Err(op.invalid(format!("a node's mode is `{mode}`")));
        }
    }))
}

/// `nodes_hitrates` of the leaves. Exporters that do not know them write 1 everywhere.
fn hits_of(op: Operator<'_>, trees: &Trees, leaves: &Leaves) -> Option<Vec<f32>> {
    let rates = op.floats("nodes_hitrates");
    let ids = op.ints("nodes_treeids").iter().zip(op.ints("nodes_nodeids"));
    let informative = rates.iter().any(|rate| rate.total_cmp(&rates[0]).is_ne());
    let usable = rates.iter().all(|rate| rate.is_finite() && *rate >= 0.0);
    if !informative || !usable || rates.len() != ids.len() {
        return None;
    }
    let mut hits = vec![0.0; trees.n_leaves()];
    for ((tree, node), rate) in ids.zip(rates) {
        if let Some(Some(leaf)) = leaves.get(&(*tree, *node)) {
            hits[*leaf as usize] = *rate;
        }
    }
    Some(hits)
}

/// Adds up the weights that the file gives each leaf, `width` per leaf.
fn leaf_values(
    op: Operator<'_>,
    prefix: &str,
    trees: &Trees,
    leaves: &Leaves,
    width: usize,
    target: impl Fn(i64) -> Option<usize>,
) -> Result<Vec<f32>, OnnxError> {
    let name = |what: &str| format!("{prefix}_{what}");
    let (tree_ids, node_ids) = (op.ints(&name("treeids")), op.ints(&name("nodeids")));
    let (targets, weights) = (op.ints(&name("ids")), op.floats(&name("weights")));
    let n = weights.len();
    same_length(op, &name("treeids"), tree_ids.len(), &name("weights"), n)?;
    same_length(op, &name("nodeids"), node_ids.len(), &name("weights"), n)?;
    same_length(op, &name("ids"), targets.len(), &name("weights"), n)?;
    at_most("leaf values", trees.n_leaves().saturating_mul(width), limits::LEAF_VALUES)?;
    let mut values = vec![0.0; trees.n_leaves() * width];
    for at in 0..n {
        let (tree, node) = (tree_ids[at], node_ids[at]);
        let leaf = leaves
            .get(&(tree, node))
            .ok_or_else(|| op.invalid(format!("a weight is for tree {tree}, node {node}")))?;
        let column = target(targets[at])
            .ok_or_else(|| op.invalid(format!("a weight is for target {}", targets[at])))?;
        if !weights[at].is_finite() {
            return Err(op.invalid(format!("leaf {node} of tree {tree} weighs {}", weights[at])));
        }
        // A split's weight is never reached; onnxruntime passes it over as well.
        if let Some(leaf) = leaf {
            values[*leaf as usize * width + column] += weights[at];
        }
    }
    if values.iter().any(|value| !value.is_finite()) {
        return Err(op.invalid("the weights of a leaf add up to infinity"));
    }
    Ok(values)
}

fn regressor(
    op: Operator<'_>,
    trees: Trees,
    leaves: &Leaves,
    post: Post,
) -> Result<Ensemble, OnnxError> {
    let targets = op.int("n_targets", 1);
    if targets != 1 {
        return Err(op.unsupported(format!(
            "it gives {targets} numbers per row, export a model that gives one score"
        )));
    }
    let values = leaf_values(op, "target", &trees, leaves, 1, |id| (id == 0).then_some(0))?;
    let aggregate = op.text("aggregate_function", "SUM");
    let mut ensemble = Ensemble::new(trees, values, 1);
    ensemble.aggregate = Aggregate::named(aggregate)
        .ok_or_else(|| op.invalid(format!("aggregate_function is `{aggregate}`")))?;
    ensemble.base = match op.floats("base_values") {
        [] => vec![0.0],
        [base] => vec![f64::from(*base)],
        more => return Err(op.invalid(format!("{} base values for one target", more.len()))),
    };
    // Of one target onnxruntime transforms by PROBIT alone.
    ensemble.post = if post == Post::Probit { post } else { Post::None };
    Ok(ensemble)
}

fn classifier(
    op: Operator<'_>,
    trees: Trees,
    leaves: &Leaves,
    post: Post,
) -> Result<Ensemble, OnnxError> {
    let classes = op.ints("classlabels_int64s").len().max(op.strings("classlabels_strings").len());
    if classes == 0 {
        return Err(op.invalid("it has no class labels"));
    }
    at_most("classes", classes, limits::TARGETS)?;
    let ids = op.ints("class_ids");
    let one_sided = ids.iter().all(|id| *id == ids[0]);
    let base = op.floats("base_values");
    // Weights of one class alone stand for two: the other has 1 − s, −s or logistic(−s).
    // onnxruntime gives the sum to the last class, and transforms it by LOGISTIC and PROBIT only.
    if classes <= 2 && one_sided && ids.first().is_none_or(|id| *id == 0) && base.len() <= 1 {
        let values = leaf_values(op, "class", &trees, leaves, 1, |id| (id == 0).then_some(0))?;
        let mut ensemble = Ensemble::new(trees, values, 1);
        ensemble.base = vec![base.first().map_or(0.0, |base| f64::from(*base))];
        ensemble.post = match post {
            Post::Logistic if classes == 2 => Post::Logistic,
            Post::Probit => Post::Probit,
            _ => Post::None,
        };
        return Ok(ensemble);
    }
    let column = |id: i64| usize::try_from(id).ok().filter(|id| *id < classes);
    let values = leaf_values(op, "class", &trees, leaves, classes, column)?;
    let mut ensemble = Ensemble::new(trees, values, classes);
    ensemble.post = post;
    ensemble.column = classes - 1;
    match base.len() {
        0 => {}
        // onnxruntime adds a lone base value to the first class.
        1 => ensemble.base[0] = f64::from(base[0]),
        n if n == classes && classes > 2 => {
            ensemble.base = base.iter().map(|base| f64::from(*base)).collect();
        }
        n => {
            return Err(op.unsupported(format!(
                "{n} base values for {classes} classes mean different things to different \
                 runtimes, export one base value or as many as there are classes above two"
            )));
        }
    }
    Ok(ensemble)
}
