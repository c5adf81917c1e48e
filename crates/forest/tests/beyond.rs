//! Rows beyond the training rows: what a forest then sees, and what it still does.

use linfa::ParamGuard;
use weir_forest::{Draws, IsolationForest};

const FEATURES: usize = 6;

/// Rows of two kinds, in two features; two more vary by themselves, one is constant, one is nearly
/// always 0.
fn benign(rows: usize) -> Vec<f32> {
    (0..rows)
        .flat_map(|row| {
            let at = |step: usize| (row * step % 101) as f32 / 101.0;
            let high =
                if row % 2 == 0 { [0.2 * at(7), 4.0 + at(13)] } else { [4.0 + at(7), at(13)] };
            let rare = if row % 97 == 0 { 1.0 } else { 0.0 };
            [high[0], high[1], at(31), at(57), 0.0, rare]
        })
        .collect()
}

/// The share of benign rows that score as high as this one.
fn reached(forest: &IsolationForest, row: &[f32]) -> f64 {
    let benign = benign(4_000);
    let mut scores = vec![0.0; benign.len() / FEATURES];
    forest.score_rows(&benign, &mut scores);
    let score = forest.score_row(row);
    scores.iter().filter(|one| **one >= score).count() as f64 / scores.len() as f64
}

fn forest(share: f64) -> IsolationForest {
    IsolationForest::params()
        .beyond(share)
        .check()
        .unwrap()
        .fit_rows(&benign(4_000), FEATURES)
        .unwrap()
}

#[test]
fn a_forest_with_rows_beyond_sees_what_was_constant_in_training() {
    let row = [0.1, 4.5, 0.5, 0.5, 3.0, 0.0];
    let (without, with) = (reached(&forest(0.0), &row), reached(&forest(0.3), &row));
    assert!(without > 0.1, "a standard forest cannot split there: {without}");
    assert!(with < 0.001, "{with}");
}

#[test]
fn a_forest_with_rows_beyond_tells_apart_what_lies_above_every_training_row() {
    let far = |value| [0.1, 4.5, value, 0.5, 0.0, 0.0];
    let (without, with) = (forest(0.0), forest(0.3));
    assert!((without.score_row(&far(1.2)) - without.score_row(&far(2.5))).abs() < f32::EPSILON);
    assert!(with.score_row(&far(2.5)) > with.score_row(&far(1.2)));
}

/// Rows of eight features, each exponential and none knowing of the others.
#[expect(clippy::cast_possible_truncation, reason = "values need no more digits")]
fn independent(rows: usize, seed: u64) -> Vec<f32> {
    let mut draws = Draws::new(seed, 0);
    (0..rows * 8).map(|_| -(1.0 - draws.unit()).ln() as f32).collect()
}

#[test]
fn a_little_of_everything_at_once_is_still_seen() {
    let (benign, others) = (independent(4_000, 1), independent(4_000, 2));
    // Each at its 0.95-quantile, which one row in twenty exceeds.
    let row = [20.0_f32.ln(); 8];
    for share in [0.0, 0.1, 0.3] {
        let forest = IsolationForest::params().beyond(share).check().unwrap();
        let forest = forest.fit_rows(&benign, 8).unwrap();
        let mut scores = vec![0.0; 4_000];
        forest.score_rows(&others, &mut scores);
        let score = forest.score_row(&row);
        let above = scores.iter().filter(|one| **one >= score).count();
        assert!(above <= 12, "{share}: {above} of 4,000");
    }
}

#[test]
fn the_share_travels_with_the_forest() {
    let forest = forest(0.3);
    let read = IsolationForest::from_bytes(&forest.to_bytes()).unwrap();
    assert_eq!(read, forest);
    assert!((read.beyond() - 0.3).abs() < f64::EPSILON);
}
