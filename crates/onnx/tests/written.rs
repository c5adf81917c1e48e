//! Files that this crate writes, it reads, and onnxruntime scores alike.
//!
//! The files in `fixtures/written_*.onnx` are this crate's own; `WEIR_BLESS=1` writes them anew,
//! and `fixtures/make.py` then asks onnxruntime for their scores.

mod support;

use support::{Random, expected, fixture, numbers, path, rows};
use weir_onnx::write::{
    Activation, Facts, Layer, Node, Scaling, Steps, dense_autoencoder, isolation_forest, tree_sum,
};
use weir_onnx::{OnnxKind, OnnxModel, WriteError};

const N_FEATURES: usize = 6;

/// c(64).
const NORMALISER: f64 = 7.451_573_682_3;

fn names() -> Vec<String> {
    (0..N_FEATURES).map(|feature| format!("feature_{feature}")).collect()
}

fn facts(names: &[String]) -> Facts<'_> {
    Facts {
        producer: "weir",
        producer_version: "test",
        summary: "made by a test",
        feature_names: names,
        metadata: &[],
    }
}

/// Grows a tree whose thresholds are values of the rows, so that rows meet them exactly.
fn grow(
    random: &mut Random,
    rows: &[f32],
    samples: usize,
    depth: usize,
    tree: &mut Vec<Node>,
) -> usize {
    let at = tree.len();
    if depth == 6 || samples <= 1 {
        let lacking = if samples > 2 { (samples as f64).log2() } else { 0.0 };
        tree.push(Node::Leaf { path: depth as f64 + lacking, samples });
        return at;
    }
    let feature = random.below(N_FEATURES);
    let threshold = rows[random.below(rows.len() / N_FEATURES) * N_FEATURES + feature];
    tree.push(Node::Split { feature, threshold, left: 0, right: 0 });
    let part = 1 + random.below(samples - 1);
    let left = grow(random, rows, part, depth + 1, tree);
    let right = grow(random, rows, samples - part, depth + 1, tree);
    tree[at] = Node::Split { feature, threshold, left, right };
    at
}

fn forest(rows: &[f32]) -> Vec<Vec<Node>> {
    let mut random = Random(7);
    let grown = |_| {
        let mut tree = Vec::new();
        grow(&mut random, rows, 64, 0, &mut tree);
        tree
    };
    (0..20).map(grown).collect()
}

/// The path that a row takes, by the rule that [`Node::Split`] states.
fn path_of(tree: &[Node], row: &[f32]) -> f64 {
    let mut at = 0;
    loop {
        match tree[at] {
            Node::Leaf { path, .. } => return path,
            Node::Split { feature, threshold, left, right } => {
                let value = row[feature];
                at = if value <= threshold || value.is_nan() { left } else { right };
            }
        }
    }
}

fn steps(rows: &[f32]) -> Vec<Steps> {
    let mut random = Random(8);
    let of_feature = |feature: usize| {
        let n_edges = [40, 7, 1, 0, 12, 3][feature];
        let mut edges: Vec<f32> = (0..n_edges).map(|at| rows[at * N_FEATURES + feature]).collect();
        edges.sort_unstable_by(f32::total_cmp);
        edges.dedup();
        let values: Vec<f64> = (0..=edges.len()).map(|_| f64::from(random.unit())).collect();
        let hits = (0..=edges.len()).map(|_| random.unit().abs() * 100.0).collect();
        Steps { edges, values, hits }
    };
    (0..N_FEATURES).map(of_feature).collect()
}

fn autoencoder() -> (Vec<Layer>, Scaling) {
    let mut random = Random(9);
    let widths = [N_FEATURES, 9, 4, 9, 9, N_FEATURES];
    let activations = [
        Activation::Relu,
        Activation::Tanh,
        Activation::LeakyRelu,
        Activation::Sigmoid,
        Activation::Identity,
    ];
    let layers = widths.windows(2).zip(activations).map(|(widths, activation)| Layer {
        weights: (0..widths[0] * widths[1]).map(|_| random.unit()).collect(),
        bias: (0..widths[1]).map(|_| random.unit()).collect(),
        activation,
    });
    let layers = layers.collect();
    let scaling = Scaling {
        offset: vec![0.1, 1.5, -0.5, 250.0, 0.0, 0.2],
        scale: vec![1.0, 0.5, 0.3, 1e-5, 1.0, 0.9],
    };
    (layers, scaling)
}

/// Compares with the committed file, or writes it.
fn settled(name: &str, written: &[u8]) {
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(path(name), written).expect("the fixture can be written");
    }
    assert!(fixture(name) == written, "{name} differs: run with WEIR_BLESS=1, then make.py");
}

/// Largest difference from what onnxruntime gave.
fn difference(name: &str, model: &OnnxModel, rows: &[f32]) -> f64 {
    let wanted = numbers(&expected()["written"][name]);
    let mut scores = vec![0.0; wanted.len()];
    model.score_rows(rows, &mut scores);
    let pairs = scores.iter().zip(wanted);
    pairs
        .map(|(got, want)| (f64::from(*got) - want).abs() / want.abs().max(1.0))
        .fold(0.0, f64::max)
}

#[test]
fn a_written_forest_scores_as_its_trees_and_as_onnxruntime_does() {
    let expected = expected();
    let (rows, gaps) = (rows(&expected["rows"]), rows(&expected["rows_nan"]));
    let (trees, names) = (forest(&rows), names());
    let written = isolation_forest(N_FEATURES, NORMALISER, &trees, &facts(&names)).unwrap();
    settled("written_forest.onnx", &written);

    let model = OnnxModel::from_bytes(&written).unwrap();
    assert_eq!(model.kind(), OnnxKind::IsolationForest);
    assert_eq!(model.feature_names(), names);
    for row in rows.chunks_exact(N_FEATURES).chain(gaps.chunks_exact(N_FEATURES)) {
        let mean = trees.iter().map(|tree| path_of(tree, row)).sum::<f64>() / trees.len() as f64;
        let wanted = (-mean / NORMALISER).exp2();
        assert!((f64::from(model.score_row(row)) - wanted).abs() < 1e-6);
    }
    let all = [rows, gaps].concat();
    let difference = difference("written_forest", &model, &all);
    assert!(difference <= 1e-6, "{difference:e}");
}

#[test]
fn credit_of_a_written_forest_adds_up_to_what_the_path_lost() {
    let rows = rows(&expected()["rows"]);
    let trees = forest(&rows);
    let written = isolation_forest(N_FEATURES, NORMALISER, &trees, &Facts::default()).unwrap();
    let model = OnnxModel::from_bytes(&written).unwrap();
    let mean_of_tree = |tree: &Vec<Node>| {
        let leaves = tree.iter().filter_map(|node| match node {
            Node::Leaf { path, samples } => Some((*path, *samples as f64)),
            Node::Split { .. } => None,
        });
        let (sum, all) = leaves.fold((0.0, 0.0), |(sum, all), (path, n)| (sum + path * n, all + n));
        sum / all
    };
    let expected = trees.iter().map(mean_of_tree).sum::<f64>() / trees.len() as f64;
    for row in rows.chunks_exact(N_FEATURES) {
        let path = trees.iter().map(|tree| path_of(tree, row)).sum::<f64>() / trees.len() as f64;
        let credit: f64 = model.contributions(row, &[0.0; N_FEATURES]).iter().sum();
        assert!((credit - (expected - path)).abs() < 1e-5, "{credit} for {}", expected - path);
    }
}

#[test]
fn a_written_sum_of_steps_scores_as_its_steps_and_as_onnxruntime_does() {
    let expected = expected();
    let (rows, gaps) = (rows(&expected["rows"]), rows(&expected["rows_nan"]));
    let features = steps(&rows);
    let written = tree_sum(&features, 0.75, &Facts::default()).unwrap();
    settled("written_steps.onnx", &written);

    let model = OnnxModel::from_bytes(&written).unwrap();
    assert_eq!(model.kind(), OnnxKind::TreeRegressor);
    let value = |steps: &Steps, x: f32| steps.values[steps.edges.partition_point(|edge| *edge < x)];
    for row in rows.chunks_exact(N_FEATURES).chain(gaps.chunks_exact(N_FEATURES)) {
        let wanted: f64 = features.iter().zip(row).map(|(steps, x)| value(steps, *x)).sum();
        assert!((f64::from(model.score_row(row)) - wanted - 0.75).abs() < 1e-6);
    }
    let all = [rows, gaps].concat();
    let difference = difference("written_steps", &model, &all);
    assert!(difference <= 1e-6, "{difference:e}");
}

#[test]
fn a_written_autoencoder_is_read_and_scores_as_onnxruntime_does() {
    let rows = rows(&expected()["rows"]);
    let (layers, scaling) = autoencoder();
    let names = names();
    let written = dense_autoencoder(&layers, &scaling, &facts(&names)).unwrap();
    settled("written_autoencoder.onnx", &written);

    let model = OnnxModel::from_bytes(&written).unwrap();
    assert_eq!(model.kind(), OnnxKind::Autoencoder);
    let difference = difference("written_autoencoder", &model, &rows);
    assert!(difference <= 1e-6, "{difference:e}");
    for row in rows.chunks_exact(N_FEATURES) {
        let shares = model.contributions(row, &[0.0; N_FEATURES]);
        let score = f64::from(model.score_row(row));
        assert!((shares.iter().sum::<f64>() - score).abs() <= 1e-6 * score.max(1.0));
    }
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    let facts = Facts::default();
    let refused = |result: Result<Vec<u8>, WriteError>| result.unwrap_err().to_string();
    let leaf = Node::Leaf { path: 1.0, samples: 1 };
    assert_eq!(
        refused(isolation_forest(2, 1.0, &[], &facts)),
        "a model needs at least one of trees"
    );
    let cycle = vec![Node::Split { feature: 0, threshold: 0.0, left: 1, right: 0 }, leaf];
    assert!(refused(isolation_forest(2, 1.0, &[cycle], &facts)).starts_with("tree 0, node "));
    let infinite = f32::INFINITY;
    let endless =
        vec![Node::Split { feature: 0, threshold: infinite, left: 1, right: 2 }, leaf, leaf];
    assert_eq!(
        refused(isolation_forest(2, 1.0, &[vec![leaf], endless], &facts)),
        "tree 1, node 0: the threshold is not finite"
    );
    let unsorted = Steps { edges: vec![1.0, 1.0], values: vec![0.0; 3], hits: Vec::new() };
    assert_eq!(
        refused(tree_sum(&[unsorted], 0.0, &facts)),
        "feature 0, edge 1: edges must ascend strictly"
    );
    let short = Steps { edges: vec![1.0], values: vec![0.0], hits: Vec::new() };
    assert_eq!(refused(tree_sum(&[short], 0.0, &facts)), "values of feature 0: got 1, expected 2");
    let scaling = Scaling { offset: vec![0.0; 2], scale: vec![1.0; 2] };
    let narrow = Layer { weights: vec![0.0; 2], bias: vec![0.0], activation: Activation::Identity };
    assert_eq!(
        refused(dense_autoencoder(&[narrow], &scaling, &facts)),
        "outputs of the last layer: got 1, expected 2"
    );
    let names = ["a\nb".to_owned(), "c".to_owned()];
    let broken = Facts { feature_names: &names, ..facts };
    assert_eq!(
        refused(isolation_forest(2, 1.0, &[vec![leaf]], &broken)),
        "feature name \"a\\nb\" has a line break: names are written one per line"
    );
}
