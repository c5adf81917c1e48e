//! Origin of a detector.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Origin of a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Rows it was trained on; those that its profile describes.
    pub rows: u64,
    /// Rows held out for the calibration. Of more than
    /// [`CALIBRATION_ROWS`](super::CALIBRATION_ROWS) it keeps a uniform sample.
    pub held_out: u64,
    /// SHA-256 over all values of both, as little-endian `f32`, in hexadecimal.
    pub digest: String,
    /// Facts about them, from the maker.
    pub facts: TrainingFacts,
}

/// Facts about the training rows that only a detector's maker knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingFacts {
    /// The file that the scorer came from, where it was made elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Selections and omissions, each in words: `no rows of 192.0.2.0/24`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub selection: Vec<String>,
    /// Labels whose rows were left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded_labels: Vec<String>,
    /// Share of the training rows that were left out as the most anomalous, as they may not be
    /// benign; in [0, 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trimmed: Option<f64>,
    /// Windows that the rows come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<u64>,
    /// Length of these windows, in ns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ns: Option<u64>,
    /// Start of the first window, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// End of the last window, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Training method, in words, where the scorer itself does not tell: `autoencoder 24-12-24, 30
    /// epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// A file that a scorer came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its name, without folders.
    pub file: String,
    /// SHA-256 of its content, hexadecimal.
    pub sha256: String,
}

/// SHA-256 over rows that stream by.
///
/// Training hashes the rows it is fitted on and then those held out, each once.
#[derive(Clone, Debug, Default)]
pub struct RowsDigest(Sha256);

impl RowsDigest {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds values.
    pub fn update(&mut self, rows: &[f32]) {
        let mut bytes = Vec::with_capacity(rows.len().min(16_384) * size_of::<f32>());
        for values in rows.chunks(16_384) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            self.0.update(&bytes);
        }
    }

    /// The digest, hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        format!("{:x}", self.0.finalize())
    }
}
