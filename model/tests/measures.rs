//! What each of a detector's two measures finds, on made-up rows.

use features::SchemaId;
use forest::{Draws, IsolationForest};
use linfa::ParamGuard;
use weir_model::assess::{self, HorizonRows};
use weir_model::{Channel, DetectorModel, Detectors};

const FEATURES: usize = 8;

/// Rows of features that know nothing of each other, each exponential.
#[expect(clippy::cast_possible_truncation, reason = "values need no more digits")]
fn benign(rows: usize, seed: u64) -> Vec<f32> {
    let mut draws = Draws::new(seed, 0);
    (0..rows * FEATURES).map(|_| -(1.0 - draws.unit()).ln() as f32).collect()
}

fn detector(name: &str) -> DetectorModel {
    let features = (0..FEATURES).map(|feature| format!("f{feature}")).collect();
    let schema = SchemaId { name: name.into(), hash: "00".into(), features };
    let params = IsolationForest::params().beyond(0.3).check().unwrap();
    DetectorModel::fit(schema, &benign(6_000, 1), &benign(4_000, 2), &params).unwrap()
}

/// Surprises of the scorer and of the tails.
fn measured(detector: &DetectorModel, row: &[f32]) -> [f64; 2] {
    let (score, tail) = (detector.score_row(row), detector.tail_score(row));
    [detector.surprise(score), detector.tail_surprise(tail)]
}

/// A little of everything: each feature at a value that one row in twenty exceeds.
fn combination() -> [f32; FEATURES] {
    [20.0_f32.ln(); FEATURES]
}

/// One feature far out.
fn outlier() -> [f32; FEATURES] {
    let mut row = [std::f32::consts::LN_2; FEATURES];
    row[3] = 16.0;
    row
}

#[test]
fn a_little_of_everything_is_found_by_the_forest_and_not_by_the_tails() {
    let detector = detector("test.v1");
    let [forest, tails] = measured(&detector, &combination());
    assert!(forest > 3.0 && tails < 1.5, "{forest} {tails}");
}

#[test]
fn one_feature_far_out_is_found_by_the_tails_which_name_it_and_by_a_forest_grown_beyond() {
    let detector = detector("test.v1");
    let [forest, tails] = measured(&detector, &outlier());
    assert!(tails > 3.0 && forest > 3.0, "{forest} {tails}");
    let parts = detector.tail_parts(&outlier());
    assert_eq!(parts[0].feature, 3);
}

#[test]
fn what_either_finds_surprises_and_is_explained() {
    let channel: Channel = "peer-1s".parse().unwrap();
    let detectors = Detectors::from([(channel, detector("peer.v1"))]);
    let rows = [&combination()[..], &outlier(), &benign(200, 3)].concat();
    let peers = rows.len() / FEATURES;
    let rows = [HorizonRows { horizon: channel.horizon, rows, of: (0..peers).collect() }];
    let assessment = assess::assess(&detectors, channel.kind, &rows, peers);
    let surprises: Vec<f64> = assessment.entities().iter().map(|one| one.surprise).collect();
    let mut benign = surprises[2..].to_vec();
    benign.sort_by(f64::total_cmp);
    assert!(surprises[0] > benign[197] && surprises[1] > benign[199], "{surprises:?}");
    assert!(assessment.reasons(1)[0].feature == "f3");
}
