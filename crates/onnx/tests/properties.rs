//! Properties of any step function and any tree that is written.

use proptest::collection::vec;
use proptest::num::f32::{ANY, INFINITE, NEGATIVE, NORMAL, POSITIVE, QUIET_NAN, SUBNORMAL, ZERO};
use proptest::prelude::*;
use weir_onnx::OnnxModel;
use weir_onnx::write::{Facts, Node, Steps, isolation_forest, tree_sum};

/// Any `f32` but signalling NaN.
fn value() -> impl Strategy<Value = f32> {
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO | INFINITE | QUIET_NAN
}

fn edges() -> impl Strategy<Value = Vec<f32>> {
    vec(ANY, 0..40).prop_map(|mut edges| {
        edges.retain(|edge| edge.is_finite());
        for edge in &mut edges {
            *edge += 0.0; // −0.0 and 0.0 are one edge
        }
        edges.sort_unstable_by(f32::total_cmp);
        edges.dedup();
        edges
    })
}

proptest! {
    #[test]
    fn a_step_function_has_its_value_at_every_float(edges in edges(), x in value(), at in 0..40_usize) {
        let values: Vec<f64> = (0..=edges.len()).map(|at| at as f64).collect();
        // On an edge as often as not: there a comparison goes wrong first.
        let x = edges.get(at).copied().unwrap_or(x);
        let wanted = if x.is_nan() { 0 } else { edges.partition_point(|edge| *edge < x) };
        let steps = Steps { edges, values, hits: Vec::new() };
        let bytes = tree_sum(&[steps], 0.0, &Facts::default()).unwrap();
        let score = OnnxModel::from_bytes(&bytes).unwrap().score_row(&[x]);
        prop_assert_eq!(score.to_bits(), (wanted as f32).to_bits());
    }

    #[test]
    fn a_split_sends_every_float_where_it_says(threshold in ANY, x in value()) {
        prop_assume!(threshold.is_finite());
        let tree = vec![
            Node::Split { feature: 0, threshold, left: 1, right: 2 },
            Node::Leaf { path: 1.0, samples: 1 },
            Node::Leaf { path: 3.0, samples: 1 },
        ];
        let bytes = isolation_forest(1, 1.0, &[tree], &Facts::default()).unwrap();
        let model = OnnxModel::from_bytes(&bytes).unwrap();
        let left = x <= threshold || x.is_nan();
        let score: f32 = if left { 0.5 } else { 0.125 };
        prop_assert_eq!(model.score_row(&[x]).to_bits(), score.to_bits());
        // Levels that the split took off the mean path of 2.
        prop_assert_eq!(model.contributions(&[x], &[0.0]), [if left { 1.0 } else { -1.0 }]);
    }
}
