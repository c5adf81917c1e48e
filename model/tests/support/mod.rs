//! Small models for tests of the file.

use features::SchemaId;
use forest::IsolationForest;
use linfa::ParamGuard;
use weir_model::{Channel, DetectorModel, ModelFile};

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

/// The channel of the standard forest.
pub(crate) fn over_a_second() -> Channel {
    "peer-1s".parse().unwrap()
}

/// A standard forest of peers over a second, and an extended one of hosts over ten.
pub(crate) fn forests() -> ModelFile {
    let peer = detector("weir.peer.v1", &["rate", "size", "age"], 0);
    let host = detector("weir.host.v1", &["flows", "ports"], 1);
    let detectors = [(over_a_second(), peer), ("host-10s".parse().unwrap(), host)];
    ModelFile::new(detectors, CREATED).unwrap()
}
