//! The forest's AUROC on `ADBench`'s http and smtp (KDD Cup 99), against scikit-learn's and
//! isotree's, whose values `fixtures/peers.py` wrote.
//!
//! "Within noise" was defined before any value was looked at: over five seeds each, our mean may
//! lie below the other's by at most 2.306 standard errors of the difference of the two means, the
//! 97.5th percentile of Student's t with the 8 degrees of freedom that ten runs leave.

use std::io::Read as _;
use std::path::Path;

use forest::IsolationForest;
use linfa::ParamGuard;
use serde_json::Value;

const T: f64 = 2.306;

#[test]
fn the_forest_reaches_scikit_learn_and_isotree_within_noise() {
    let Some(data) = test_support::shared_data() else { return };
    let folder = data.join("adbench/adbench/datasets/Classical");
    let peers: Value = serde_json::from_str(include_str!("fixtures/adbench.json")).expect("JSON");
    for name in ["16_http", "34_smtp"] {
        let path = folder.join(format!("{name}.npz"));
        if !path.exists() {
            test_support::skip(&format!("no {name}.npz in the shared data"));
            continue;
        }
        let (rows, labels, width) = read(&path);
        assert_eq!(labels.len() as u64, peers[name]["rows"].as_u64().unwrap());
        let ours: Vec<f64> =
            (1..=5).map(|seed| fitted_auroc(&rows, &labels, width, seed)).collect();
        let (mean, variance) = moments(&ours);
        println!("{name}: weir {mean:.4} ± {:.4} {ours:.4?}", variance.sqrt());
        for peer in ["scikit-learn", "isotree"] {
            let theirs = peers[name]["auroc"][peer].as_array().expect("five values");
            let theirs: Vec<f64> = theirs.iter().filter_map(Value::as_f64).collect();
            assert_eq!(theirs.len(), 5);
            let (their_mean, their_variance) = moments(&theirs);
            let noise = T * ((variance + their_variance) / 5.0).sqrt();
            println!("{name}: {peer} {their_mean:.4} ± {:.4}", their_variance.sqrt());
            assert!(
                mean + noise >= their_mean,
                "{name}: {mean:.4} is below {peer}'s {their_mean:.4} by more than {noise:.4}"
            );
        }
    }
}

fn fitted_auroc(rows: &[f32], labels: &[bool], width: usize, seed: u64) -> f64 {
    let params = IsolationForest::params().seed(seed).check().expect("valid parameters");
    let forest = params.fit_rows(rows, width).expect("a forest");
    // Without optimisation it takes minutes to score all: of many benign rows every eighth will do,
    // which moves the AUROC by less than a tenth of the noise.
    let thin = if cfg!(debug_assertions) && labels.len() > 200_000 { 8 } else { 1 };
    let chosen = (0..labels.len()).filter(|row| labels[*row] || row % thin == 0);
    let (chosen, labels): (Vec<usize>, Vec<bool>) = chosen.map(|row| (row, labels[row])).unzip();
    let rows: Vec<f32> =
        chosen.iter().flat_map(|row| &rows[row * width..(row + 1) * width]).copied().collect();
    let mut scores = vec![0.0; labels.len()];
    forest.score_rows(&rows, &mut scores);
    auroc(&scores, &labels)
}

/// By the rank sum of Mann and Whitney; equal scores share their ranks.
fn auroc(scores: &[f32], labels: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut before, mut sum) = (0.0, 0.0);
    for equal in order.chunk_by(|a, b| scores[*a].to_bits() == scores[*b].to_bits()) {
        let rank = before + f64::midpoint(equal.len() as f64, 1.0);
        sum += rank * equal.iter().filter(|row| labels[**row]).count() as f64;
        before += equal.len() as f64;
    }
    let attacks = labels.iter().filter(|attack| **attack).count() as f64;
    (sum - attacks * (attacks + 1.0) / 2.0) / (attacks * (labels.len() as f64 - attacks))
}

/// Mean and unbiased variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// Rows, labels and width of an `ADBench` file: a zip with the arrays `X` and `y`.
#[expect(clippy::cast_possible_truncation, reason = "f32 is what a forest takes")]
fn read(path: &Path) -> (Vec<f32>, Vec<bool>, usize) {
    let file = std::fs::File::open(path).expect("an npz");
    let mut archive = zip::ZipArchive::new(file).expect("a zip");
    let mut array = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).expect(name).read_to_end(&mut bytes).expect("an array");
        values(&bytes)
    };
    let ((labels, _), (mut rows, is_by_column)) = (array("y.npy"), array("X.npy"));
    let (n_rows, width) = (labels.len(), rows.len() / labels.len());
    if is_by_column {
        let value = |at: usize| rows[at % width * n_rows + at / width];
        rows = (0..rows.len()).map(value).collect();
    }
    let narrow = rows.into_iter().map(|value| value as f32).collect();
    (narrow, labels.into_iter().map(|label| label > 0.5).collect(), width)
}

/// The values of an array of `NumPy`'s format 1.0, whatever numbers they are, and whether they lie
/// column by column.
fn values(npy: &[u8]) -> (Vec<f64>, bool) {
    assert_eq!(&npy[..8], b"\x93NUMPY\x01\x00", "NumPy's format 1.0");
    let header = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    let (header, data) = npy[10..].split_at(header);
    let header = String::from_utf8_lossy(header);
    let is_by_column = header.contains("'fortran_order': True");
    let of = |kind: &str| header.contains(&format!("'descr': '{kind}'"));
    let values = if of("<f8") {
        data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    } else if of("<f4") {
        data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect()
    } else if of("<i8") {
        data.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect()
    } else if of("|u1") {
        data.iter().map(|byte| f64::from(*byte)).collect()
    } else {
        panic!("an array of another type: {header}")
    };
    (values, is_by_column)
}
