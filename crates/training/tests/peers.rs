//! HBOS and ECOD against `PyOD` 2: the same scores, so the same order. The fixture was written by
//! `fixtures/peers.py`, which names the versions.

use onnx::write::Steps;
use serde_json::Value;
use training::{Ecod, Hbos, Heights};

struct Fixture {
    train: Vec<f32>,
    new: Vec<f32>,
    hbos: Vec<f64>,
    ecod: Vec<f64>,
}

const WIDTH: usize = 4;

#[expect(clippy::cast_possible_truncation, reason = "they were f32 when they were written")]
fn fixture() -> Fixture {
    let json: Value = serde_json::from_str(include_str!("fixtures/pyod.json")).expect("JSON");
    let numbers = |name: &str| -> Vec<f64> {
        json[name].as_array().expect(name).iter().filter_map(Value::as_f64).collect()
    };
    let rows = |name: &str| -> Vec<f32> {
        let rows = json[name].as_array().expect(name).iter().filter_map(Value::as_array).flatten();
        rows.filter_map(Value::as_f64).map(|value| value as f32).collect()
    };
    Fixture { train: rows("train"), new: rows("new"), hbos: numbers("hbos"), ecod: numbers("ecod") }
}

fn scores(steps: &[Steps], rows: &[f32]) -> Vec<f64> {
    let value =
        |(steps, x): (&Steps, &f32)| steps.values[steps.edges.partition_point(|edge| edge < x)];
    rows.chunks_exact(WIDTH).map(|row| steps.iter().zip(row).map(value).sum()).collect()
}

fn assert_near(ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (row, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((ours - theirs).abs() <= tolerance, "row {row}: {ours}, PyOD {theirs}");
    }
}

#[test]
fn hbos_with_densities_scores_as_pyod_does() {
    let Fixture { train, new, hbos, .. } = fixture();
    let steps = Hbos { bins: 10, heights: Heights::Density }.fit_rows(&train, WIDTH).unwrap();
    assert_near(&scores(&steps, &new), &hbos, 1e-5);
}

#[test]
fn ecod_scores_single_new_rows_as_pyod_does() {
    let Fixture { train, new, ecod, .. } = fixture();
    let fit = Ecod::default().fit_rows(&train, WIDTH);
    let bound: f64 = fit.error.iter().sum();
    assert!(bound < 0.2, "{bound}");
    let ours = scores(&fit.steps, &new);
    assert_near(&ours, &ecod, bound + 1e-6);
    // And the same order, wherever two rows are further apart than that.
    for (a, theirs_a) in ours.iter().zip(&ecod) {
        for (b, theirs_b) in ours.iter().zip(&ecod) {
            assert!(theirs_a - theirs_b <= 2.0 * bound || a > b);
        }
    }
}
