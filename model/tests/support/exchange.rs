//! Fixtures of crate `onnx` as detectors.

use std::fs;
use std::path::Path;

use features::SchemaId;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use weir_model::{
    DetectorModel, Inputs, OnnxScorer, ProfileBuilder, RowsDigest, Scorer, Source, TrainingFacts,
};

/// The fixtures' features, as their `make.py` draws them, in another order and with one more.
pub(crate) const FEATURES: [&str; 7] = ["f5", "f4", "f3", "unread", "f2", "f1", "f0"];
/// The order in which the fixtures read them.
pub(crate) const READ: [&str; 6] = ["f0", "f1", "f2", "f3", "f4", "f5"];

pub(crate) fn onnx(name: &str) -> OnnxScorer {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/onnx/tests/fixtures").join(name);
    OnnxScorer::from_bytes(&fs::read(path).unwrap()).unwrap()
}

/// Roughly standard normal.
fn normal(rng: &mut Xoshiro256PlusPlus) -> f32 {
    let unit = |rng: &mut Xoshiro256PlusPlus| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
    (0..12).map(|_| unit(rng)).sum::<f32>() - 6.0
}

/// Whole rows as the fixtures were trained on.
pub(crate) fn rows(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut row = || {
        let [f0, f1, f2, f3, f4, f5, unread] = std::array::from_fn(|_| normal(&mut rng));
        [f5, f4, f3 * 1e5, unread, (f2 * 3.0).round(), f1.exp(), f0]
    };
    (0..count).flat_map(|_| row()).collect()
}

/// A detector of a fixture, calibrated on so many rows.
pub(crate) fn packed(name: &str, held_out: usize) -> DetectorModel {
    let features = FEATURES.map(String::from).to_vec();
    let schema = SchemaId { name: "weir.flow.v1".into(), hash: "00".into(), features };
    let inputs = Inputs::of(&schema, &READ).unwrap();
    let scorer = onnx(name);
    let source = Source { file: name.to_owned(), sha256: scorer.digest() };
    let (train, held_out) = (rows(2_000, 1), rows(held_out, 2));
    let mut profile = ProfileBuilder::new(&inputs, 1);
    profile.extend(&inputs.project(&train));
    let mut digest = RowsDigest::new();
    digest.update(&train);
    let profile = profile.finish().unwrap();
    let mut detector =
        DetectorModel::assemble(schema, inputs, Scorer::Onnx(scorer), profile, 1).unwrap();
    for piece in held_out.chunks(7 * 500) {
        detector.take(piece).unwrap();
        digest.update(piece);
    }
    let facts = TrainingFacts { source: Some(source), ..TrainingFacts::default() };
    detector.calibrate(digest, facts).unwrap()
}
