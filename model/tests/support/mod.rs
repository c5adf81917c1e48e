//! Small models for tests of the file.

use features::SchemaId;
use forest::IsolationForest;
use linfa::ParamGuard;
use weir_model::{DetectorModel, ModelFile};

pub(crate) const CREATED: &str = "2026-01-31T12:00:00Z";

fn schema(name: &str, features: &[&str]) -> SchemaId {
    SchemaId {
        name: name.to_owned(),
        hash: "0123456789abcdef".to_owned(),
        features: features.iter().map(ToString::to_string).collect(),
    }
}

fn detector(name: &str, features: &[&str], extension_level: usize) -> DetectorModel {
    let width = u16::try_from(features.len()).unwrap();
    let rows: Vec<f32> = (0..200 * width).map(|i| f32::from(i * 7 % 101)).collect();
    let (train, held_out) = rows.split_at(rows.len() / 2);
    let params = IsolationForest::params().n_trees(3).max_samples(16);
    let params = params.extension_level(extension_level).check().unwrap();
    DetectorModel::fit(schema(name, features), train, held_out, &params).unwrap()
}

/// A standard forest over flows and an extended one over peers.
pub(crate) fn forests() -> ModelFile {
    let flow = detector("weir.flow.v1", &["rate", "size", "age"], 0);
    let peer = detector("weir.peer.v1", &["flows", "ports"], 1);
    ModelFile::new(flow, peer, CREATED).unwrap()
}
