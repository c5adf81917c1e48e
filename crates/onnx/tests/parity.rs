//! Models written by the real exporters score as onnxruntime and the original libraries score
//! them. `fixtures/make.py` makes the files and the numbers.

mod support;

use support::{expected, fixture, numbers, rows};
use weir_onnx::{OnnxKind, OnnxModel};

/// Largest difference allowed, relative to the score where that is above 1.
const TOLERANCE: f64 = 1e-6;

/// Of PROBIT: onnxruntime's formula subtracts nearly equal `f32`s, which costs it a digit.
const PROBIT_TOLERANCE: f64 = 1e-5;

fn kind(name: &str) -> OnnxKind {
    match name {
        "IsolationForest" => OnnxKind::IsolationForest,
        "TreeRegressor" => OnnxKind::TreeRegressor,
        "TreeClassifier" => OnnxKind::TreeClassifier,
        "Autoencoder" => OnnxKind::Autoencoder,
        "Network" => OnnxKind::Network,
        other => panic!("no kind {other}"),
    }
}

/// Largest difference between a model's scores and the expected ones.
fn difference(model: &OnnxModel, rows: &[f32], expected: &[f64]) -> f64 {
    let mut scores = vec![0.0; expected.len()];
    model.score_rows(rows, &mut scores);
    let pairs = scores.iter().zip(expected);
    let relative = pairs.map(|(got, want)| (f64::from(*got) - want).abs() / want.abs().max(1.0));
    relative.fold(0.0, f64::max)
}

#[test]
fn every_exported_model_scores_as_its_makers_do() {
    let expected = expected();
    let plain = rows(&expected["rows"]);
    let gaps = rows(&expected["rows_nan"]);
    let mut worse = Vec::new();
    for (name, entry) in expected["models"].as_object().expect("models") {
        let model = match OnnxModel::from_bytes(&fixture(&format!("{name}.onnx"))) {
            Ok(model) => model,
            Err(error) => {
                worse.push(format!("{name}: {error}"));
                continue;
            }
        };
        let wanted = kind(entry["kind"].as_str().expect("a kind"));
        if model.kind() != wanted {
            worse.push(format!("{name}: {} instead of {wanted}", model.kind()));
        }
        let mut differences = Vec::new();
        for (of, rows) in [("onnxruntime", &plain), ("library", &plain), ("onnxruntime_nan", &gaps)]
        {
            if let Some(scores) = entry.get(of) {
                let difference = difference(&model, rows, &numbers(scores));
                differences.push(format!("{of} {difference:.1e}"));
                let probit = name.ends_with("probit");
                if difference > if probit { PROBIT_TOLERANCE } else { TOLERANCE } {
                    worse.push(format!("{name}: {difference:e} from {of}"));
                }
            }
        }
        println!("{name}: {}", differences.join(", "));
    }
    assert!(worse.is_empty(), "\n{}", worse.join("\n"));
}
