//! A model made elsewhere, as a scorer.

use std::sync::Arc;

use onnx::{OnnxError, OnnxKind, OnnxModel};

use super::attribution::{Attributed, Attribution};
use super::scale::Scale;
use crate::digest::sha256;
use crate::profile::{FeatureRange, as_scored};

/// A scorer that was read from ONNX.
///
/// The meaning of a raw score depends on the [kind](OnnxKind); [`Scale`] brings it into [0, 1].
#[derive(Clone, Debug)]
pub struct OnnxScorer {
    model: OnnxModel,
    bytes: Arc<[u8]>,
    scale: Scale,
}

impl PartialEq for OnnxScorer {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.scale == other.scale
    }
}

impl OnnxScorer {
    /// Reads and validates a model. Its scale is found when it is calibrated, from held-out benign
    /// rows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OnnxError> {
        Self::with_scale(bytes, Scale::AsIs)
    }

    pub(crate) fn with_scale(bytes: &[u8], scale: Scale) -> Result<Self, OnnxError> {
        Ok(Self { model: OnnxModel::from_bytes(bytes)?, bytes: bytes.into(), scale })
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &OnnxModel {
        &self.model
    }

    /// The file's content, as it was read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file's content, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(&self.bytes)
    }

    /// Mapping from raw scores to scores.
    #[must_use]
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// True if raw scores are in [0, 1] by themselves.
    pub(crate) fn is_bounded(&self) -> bool {
        self.model.is_bounded()
    }

    pub(super) fn set_scale(&mut self, scale: Scale) {
        self.scale = scale;
    }

    pub(super) fn raw_rows(&self, rows: &[f32], raw: &mut [f32]) {
        self.model.score_rows(rows, raw);
    }

    pub(super) fn attribute(&self, row: &[f32], ranges: &[FeatureRange]) -> Attributed {
        let baseline: Vec<f32> = ranges.iter().map(|range| range.median).collect();
        let row: Vec<f32> = row.iter().map(|value| as_scored(*value)).collect();
        let mut amounts = self.model.contributions(&row, &baseline);
        // Finite each, but their sum may not be.
        for amount in &mut amounts {
            *amount = amount.clamp(-1e300, 1e300);
        }
        let total = amounts.iter().sum();
        let attribution = match self.model.kind() {
            OnnxKind::IsolationForest => Attribution::PathShortening { total },
            OnnxKind::Autoencoder => Attribution::SquaredError { total },
            OnnxKind::TreeRegressor | OnnxKind::TreeClassifier => Attribution::TreeSum { total },
            _ => Attribution::RawScore { raw: self.model.score_row(&row).into() },
        };
        Attributed { attribution, amounts }
    }
}
