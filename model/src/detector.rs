//! A detector: a forest with its schema, its calibration and what is usual for each feature.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::calibration::{Calibration, CalibrationError, PValue};
use crate::explain::{Explanation, FeatureHistogram, FeatureRange, profile};
use crate::forest::{IsolationForest, IsolationForestError, IsolationForestValidParams};
use crate::novelty::{NoveltyPart, novel_features, novelty};
use crate::schema::SchemaId;

/// What a detector was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Training {
    /// Rows the forest was fitted on.
    pub rows: u64,
    /// Rows the calibration was made from.
    pub held_out: u64,
    /// SHA-256 over all values of both, as little-endian `f32`, in hexadecimal.
    pub digest: String,
}

/// A fitted, calibrated forest over the rows of one schema.
///
/// ```
/// use linfa::ParamGuard;
/// use model::{DetectorModel, IsolationForest, SchemaId};
///
/// let schema = SchemaId {
///     name: "example.v1".into(),
///     hash: "00".into(),
///     features: vec!["rate".into(), "size".into()],
/// };
/// let benign: Vec<f32> = (0..4_000_u32).map(|i| (i * 37 % 101) as f32).collect();
/// let (train, held_out) = benign.split_at(2_000);
/// let params = IsolationForest::params().check()?;
/// let detector = DetectorModel::fit(schema, train, held_out, &params)?;
///
/// let row = [5_000.0, 50.0];
/// assert!(detector.p_value(detector.score_row(&row)).conditional < 0.01);
/// let explanation = detector.explain(&row);
/// assert_eq!(explanation.leading(1).next().unwrap().name, "rate");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorModel {
    pub(crate) schema: SchemaId,
    pub(crate) forest: IsolationForest,
    pub(crate) calibration: Calibration,
    pub(crate) novelty_calibration: Calibration,
    pub(crate) ranges: Vec<FeatureRange>,
    pub(crate) histograms: Vec<FeatureHistogram>,
    pub(crate) training: Training,
}

/// Why a detector could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DetectorError {
    /// The forest could not be fitted.
    #[error(transparent)]
    Forest(#[from] IsolationForestError),
    /// The calibration could not be made.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The held-out values do not divide into rows.
    #[error(
        "{values} held-out values do not divide into rows of {n_features} features: \
         pass whole rows"
    )]
    PartialRow {
        /// Number of values.
        values: usize,
        /// Features per row.
        n_features: usize,
    },
}

/// A detector reads other features than this build makes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "model expects {} hash {}, this build makes {} hash {}{}: \
     train again with this version, or run the version that trained the model",
    expected.name, short(&expected.hash), made.name, short(&made.hash), difference(expected, made)
)]
pub struct SchemaMismatch {
    /// The schema the model was trained on.
    pub expected: Box<SchemaId>,
    /// The schema this build makes.
    pub made: Box<SchemaId>,
}

impl DetectorModel {
    /// Fits a forest to `train` and calibrates it on `held_out`, benign rows that must not be
    /// among `train`; both hold rows of `schema.features.len()` values side by side.
    pub fn fit(
        schema: SchemaId,
        train: &[f32],
        held_out: &[f32],
        params: &IsolationForestValidParams,
    ) -> Result<Self, DetectorError> {
        let n_features = schema.features.len();
        let forest = params.fit_rows(train, n_features)?;
        let values = held_out.len();
        if !values.is_multiple_of(n_features) {
            return Err(DetectorError::PartialRow { values, n_features });
        }
        let mut scores = vec![0.0; values / n_features];
        forest.score_rows(held_out, &mut scores);
        let training = Training {
            rows: (train.len() / n_features) as u64,
            held_out: scores.len() as u64,
            digest: digest_of(train, held_out),
        };
        let calibration = Calibration::new(scores)?;
        let (ranges, histograms) = profile(train, n_features);
        let novelties = held_out.chunks_exact(n_features).map(|row| novelty(&ranges, row));
        let novelty_calibration = Calibration::new(novelties.collect())?;
        Ok(Self { schema, forest, calibration, novelty_calibration, ranges, histograms, training })
    }

    /// The schema of the rows it reads.
    #[must_use]
    pub fn schema(&self) -> &SchemaId {
        &self.schema
    }

    /// The forest.
    #[must_use]
    pub fn forest(&self) -> &IsolationForest {
        &self.forest
    }

    /// The calibration of the forest's scores.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The calibration of novelties.
    #[must_use]
    pub fn novelty_calibration(&self) -> &Calibration {
        &self.novelty_calibration
    }

    /// What is usual for each feature.
    #[must_use]
    pub fn ranges(&self) -> &[FeatureRange] {
        &self.ranges
    }

    /// How the training rows are spread in each feature.
    #[must_use]
    pub fn histograms(&self) -> &[FeatureHistogram] {
        &self.histograms
    }

    /// What it was made from.
    #[must_use]
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// Refuses a schema that is not the one it was trained on, in name, hash and features.
    pub fn check_schema(&self, made: &SchemaId) -> Result<(), SchemaMismatch> {
        if self.schema == *made {
            return Ok(());
        }
        Err(SchemaMismatch {
            expected: Box::new(self.schema.clone()),
            made: Box::new(made.clone()),
        })
    }

    /// As [`IsolationForest::score_row`].
    #[must_use]
    pub fn score_row(&self, row: &[f32]) -> f32 {
        self.forest.score_row(row)
    }

    /// As [`IsolationForest::score_rows`].
    pub fn score_rows(&self, rows: &[f32], scores: &mut [f32]) {
        self.forest.score_rows(rows, scores);
    }

    /// The novelty of a row; see [`crate::novelty`].
    #[must_use]
    pub fn novelty(&self, row: &[f32]) -> f32 {
        novelty(&self.ranges, row)
    }

    /// The features that make a row's novelty, the farthest first.
    #[must_use]
    pub fn novel_features(&self, row: &[f32]) -> Vec<NoveltyPart> {
        novel_features(&self.ranges, row)
    }

    /// As [`Calibration::p_value`], of a forest's score.
    #[must_use]
    pub fn p_value(&self, score: f32) -> PValue {
        self.calibration.p_value(score)
    }

    /// Explains one row by its features; see [`Explanation`].
    #[must_use]
    pub fn explain(&self, row: &[f32]) -> Explanation {
        Explanation::of(&self.forest, &self.schema.features, &self.ranges, row)
    }
}

/// SHA-256, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn digest_of(train: &[f32], held_out: &[f32]) -> String {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::new();
    for rows in [train, held_out] {
        for values in rows.chunks(16_384) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            hasher.update(&bytes);
        }
    }
    format!("{:x}", hasher.finalize())
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Names the first difference between the feature lists, if that is where they differ.
fn difference(expected: &SchemaId, made: &SchemaId) -> String {
    let (old, new) = (&expected.features, &made.features);
    match old.iter().zip(new).position(|(old, new)| old != new) {
        Some(at) => format!(", feature {at} was {} and is {}", old[at], new[at]),
        None if old.len() != new.len() => {
            format!(", which had {} features and has {}", old.len(), new.len())
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard;

    use super::*;

    fn schema(features: &[&str]) -> SchemaId {
        let features = features.iter().map(ToString::to_string).collect();
        SchemaId { name: "weir.flow.v1".into(), hash: "1234567890abcdef".into(), features }
    }

    fn detector() -> DetectorModel {
        let rows: Vec<f32> = (0..2_000_u16).map(|i| f32::from(i * 7 % 101)).collect();
        let params = IsolationForest::params().n_trees(10).check().unwrap();
        DetectorModel::fit(schema(&["a", "b"]), &rows[..1_000], &rows[1_000..], &params).unwrap()
    }

    #[test]
    fn a_schema_that_differs_is_refused_by_name() {
        let detector = detector();
        assert_eq!(detector.check_schema(&schema(&["a", "b"])), Ok(()));

        let other = SchemaId { hash: "fedcba0987654321".into(), ..schema(&["a", "b"]) };
        assert_eq!(
            detector.check_schema(&other).unwrap_err().to_string(),
            "model expects weir.flow.v1 hash 1234567890ab, this build makes weir.flow.v1 hash \
             fedcba098765: train again with this version, or run the version that trained the \
             model"
        );
        let error =
            |features: &[&str]| detector.check_schema(&schema(features)).unwrap_err().to_string();
        assert!(error(&["a", "c"]).contains(", feature 1 was b and is c:"));
        assert!(error(&["a", "b", "c"]).contains(", which had 2 features and has 3:"));
    }

    #[test]
    fn a_detector_knows_what_it_was_made_from() {
        let training = detector().training;
        assert_eq!((training.rows, training.held_out), (500, 500));
        assert_eq!(training.digest.len(), 64);
    }

    #[test]
    fn half_a_row_is_refused() {
        let params = IsolationForest::params().check().unwrap();
        let fit = |train: &[f32], held_out: &[f32]| {
            DetectorModel::fit(schema(&["a", "b"]), train, held_out, &params).unwrap_err()
        };
        assert!(fit(&[0.0; 5], &[0.0; 4]).to_string().contains("5 values do not divide"));
        assert!(fit(&[0.0; 4], &[0.0; 5]).to_string().contains("5 held-out values"));
    }
}
