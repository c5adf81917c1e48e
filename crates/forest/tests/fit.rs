//! Fitting: what goes in, what is refused, and that the same input gives the same forest.

use std::num::NonZeroUsize;

use linfa::traits::{Fit, Predict};
use linfa::{DatasetBase, ParamGuard};
use ndarray::{Array1, Array2};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use weir_forest::{IsolationForest, IsolationForestError, IsolationForestParams};

const FEATURES: usize = 5;

/// Rows spread evenly over [0, 1).
fn benign(n_rows: usize, seed: u64) -> Vec<f32> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    (0..n_rows * FEATURES).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).collect()
}

fn fit(params: IsolationForestParams, rows: &[f32]) -> IsolationForest {
    params.check().unwrap().fit_rows(rows, FEATURES).unwrap()
}

fn refused(params: IsolationForestParams, rows: &[f32], n_features: usize) -> String {
    params.check().unwrap().fit_rows(rows, n_features).unwrap_err().to_string()
}

#[test]
fn the_same_seed_gives_the_same_forest_whatever_the_number_of_threads() {
    let rows = benign(2_000, 1);
    for extension_level in [0, 2] {
        let params = || IsolationForest::params().n_trees(20).extension_level(extension_level);
        let on = |threads| fit(params().threads(NonZeroUsize::new(threads)), &rows);
        let alone = on(1);
        assert_eq!(on(2), alone);
        assert_eq!(on(7), alone);
        assert_eq!(on(64), alone);
        assert_ne!(fit(params().seed(43), &rows), alone);
    }
}

#[test]
fn rows_far_away_score_highest_and_scores_lie_in_zero_to_one() {
    let rows = benign(2_000, 1);
    for extension_level in [0, 1, FEATURES - 1] {
        let forest = fit(IsolationForest::params().extension_level(extension_level), &rows);
        let mut scores = vec![0.0; 2_000];
        forest.score_rows(&rows, &mut scores);
        assert!(scores.iter().all(|score| *score > 0.0 && *score <= 1.0));
        let highest = scores.iter().copied().fold(0.0, f32::max);
        for feature in 0..FEATURES {
            for far in [-30.0, 30.0, f32::INFINITY, f32::NEG_INFINITY] {
                let mut row = [0.5; FEATURES];
                row[feature] = far;
                let usual = forest.score_row(&[0.5; FEATURES]);
                assert!(forest.score_row(&row) > usual + 0.03, "feature {feature}, {far}");
            }
        }
        assert!(forest.score_row(&[30.0; FEATURES]) > highest);
    }
}

#[test]
fn thresholds_number_at_most_255_per_feature() {
    let forest = fit(IsolationForest::params(), &benign(20_000, 1));
    let mut thresholds = vec![Vec::new(); FEATURES];
    for node in forest.trees().unwrap().into_iter().flatten() {
        if let weir_forest::TreeNode::Split { feature, threshold, .. } = node {
            thresholds[feature].push(threshold);
        }
    }
    for mut of_one in thresholds {
        of_one.sort_by(f32::total_cmp);
        of_one.dedup();
        assert!((200..=255).contains(&of_one.len()), "{} thresholds", of_one.len());
    }
}

#[test]
fn a_row_at_the_end_of_a_heavy_tail_is_among_the_most_anomalous() {
    // Bins by quantiles of the rows would hardly part such a tail.
    let mut rows = benign(10_000, 1);
    for value in &mut rows {
        *value = (8.0 * *value).exp();
    }
    let forest = fit(IsolationForest::params().seed(3), &rows);
    let tail = 8.0_f32.exp();
    let mut scores = vec![0.0; 10_000];
    forest.score_rows(&rows, &mut scores);
    let above = |score: f32| scores.iter().filter(|benign| **benign >= score).count();
    assert!(above(forest.score_row(&[tail * 0.99; FEATURES])) <= 10);
}

#[test]
fn rows_without_any_variation_all_score_one_half() {
    let rows = [3.0; 100 * FEATURES];
    for extension_level in [0, 1] {
        let forest = fit(IsolationForest::params().extension_level(extension_level), &rows);
        let score = forest.score_row(&[3.0; FEATURES]);
        assert!((score - 0.5).abs() < 1e-5);
        assert_eq!(score.to_bits(), forest.score_row(&[1e9; FEATURES]).to_bits());
    }
}

#[test]
fn a_value_that_is_not_finite_is_refused_by_row_and_feature() {
    for (bad, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let mut rows = benign(3_000, 1);
        rows[2_001 * FEATURES + 3] = bad;
        assert_eq!(
            refused(IsolationForest::params(), &rows, FEATURES),
            format!(
                "training row 2001 has {name} in feature 3: features must be finite, remove the \
                 row or correct the feature"
            )
        );
    }
}

#[test]
fn too_few_rows_and_wrong_shapes_are_refused() {
    let params = IsolationForest::params;
    assert_eq!(
        refused(params(), &[1.0; FEATURES], FEATURES),
        "a forest needs at least 2 training rows, got 1: capture benign traffic for longer"
    );
    assert_eq!(
        refused(params(), &[1.0; 7], FEATURES),
        "7 values do not divide into rows of 5 features: pass whole rows"
    );
    assert!(refused(params(), &[], 0).contains("between 1 and 256 features, got 0"));
    assert!(refused(params(), &[1.0; 514], 257).contains("got 257"));
    assert_eq!(
        refused(params().extension_level(5), &benign(10, 1), FEATURES),
        "`extension_level` must be below the number of features (5), got 5: use 4 for fully \
         extended splits"
    );
}

#[test]
fn fewer_rows_than_a_sample_are_all_used() {
    let forest = fit(IsolationForest::params(), &benign(40, 1));
    assert_eq!((forest.max_samples(), forest.max_depth()), (40, 6));
    let forest = fit(IsolationForest::params().max_depth(Some(3)), &benign(400, 1));
    assert_eq!((forest.max_samples(), forest.max_depth()), (256, 3));
}

#[test]
fn linfas_traits_and_slices_agree() {
    let rows = benign(500, 1);
    // Column-major, so that the order in memory has to be put right.
    let records = Array2::from_shape_vec((500, FEATURES), rows.clone()).unwrap();
    let records = records.reversed_axes().as_standard_layout().into_owned().reversed_axes();
    let dataset = DatasetBase::from(records);
    let forest = IsolationForest::params().n_trees(10).fit(&dataset).unwrap();
    assert_eq!(forest, fit(IsolationForest::params().n_trees(10), &rows));

    let predicted: Array1<f32> = forest.predict(&dataset);
    let mut scores = vec![0.0; 500];
    forest.score_rows(&rows, &mut scores);
    assert_eq!(predicted.to_vec(), scores);

    let refused = IsolationForest::params().n_trees(0).fit(&dataset);
    assert!(matches!(refused, Err(IsolationForestError::ParameterOutOfBounds { .. })));
}
