//! A detector: a scorer with its schema, its calibration and what is usual for each feature.

mod assembly;
mod training;

use features::SchemaId;
use forest::{IsolationForest, IsolationForestError, IsolationForestValidParams};
use thiserror::Error;

use crate::explain::Explanation;
use crate::inputs::Inputs;
use crate::profile::{
    EmptyProfile, FeatureHistogram, FeatureRange, Profile, ProfileBuilder, as_scored,
};
use crate::scorer::Scorer;
use conformal::{Calibration, CalibrationError, PValue};
use tail::Tails;

pub use assembly::{CALIBRATION_ROWS, Uncalibrated};
pub use training::{RowsDigest, Source, Training, TrainingFacts};

/// A fitted, calibrated scorer over the rows of one schema.
///
/// Rows always have the schema's whole width, `schema.features.len()` values side by side, also
/// where the scorer reads a [choice](Inputs) of them.
///
/// ```
/// use linfa::ParamGuard;
/// use features::SchemaId;
/// use forest::IsolationForest;
/// use weir_model::DetectorModel;
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
    pub(crate) inputs: Inputs,
    pub(crate) scorer: Scorer,
    pub(crate) calibration: Calibration,
    pub(crate) tail_calibration: Calibration,
    pub(crate) profile: Profile,
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
    /// There were no training rows.
    #[error(transparent)]
    Profile(#[from] EmptyProfile),
    /// Two parts do not have the same number of features.
    #[error(
        "{what} has {got} features where {expected} are needed: assemble parts that were made \
         for the same inputs"
    )]
    Width {
        /// The part.
        what: &'static str,
        /// Its features.
        got: usize,
        /// The features it should have.
        expected: usize,
    },
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

/// A feature's part in a row's tail score.
#[derive(Clone, Debug, PartialEq)]
pub struct TailPart {
    /// The feature's index in a whole row of the model's schema, from 0.
    pub feature: usize,
    /// The row's value; finite, as in [`Contribution`](crate::Contribution).
    pub value: f32,
    /// The feature's range in training.
    pub range: FeatureRange,
    /// −log10 of the chance of a value as far out, above 0 and at most 12.
    pub surprise: f32,
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
        let seed = forest.seed();
        let inputs = Inputs::all(&schema);
        let mut profile = ProfileBuilder::new(&inputs, seed);
        profile.extend(train);
        let scorer = Scorer::Forest(forest);
        let mut detector = Self::assemble(schema, inputs, scorer, profile.finish()?, seed)?;
        detector.take(held_out)?;
        let mut digest = RowsDigest::new();
        digest.update(train);
        digest.update(held_out);
        detector.calibrate(digest, TrainingFacts::default())
    }

    /// Joins a scorer with the profile of the rows it was trained on; both of `inputs`. What
    /// comes back wants held-out rows for its calibration, of which the seed draws a sample
    /// where they are very many.
    ///
    /// ```
    /// use linfa::ParamGuard;
    /// use features::SchemaId;
    /// use forest::IsolationForest;
    /// use weir_model::{DetectorModel, Inputs, ProfileBuilder, RowsDigest, Scorer, TrainingFacts};
    ///
    /// let schema = SchemaId {
    ///     name: "example.v1".into(),
    ///     hash: "00".into(),
    ///     features: vec!["rate".into(), "size".into(), "age".into()],
    /// };
    /// let inputs = Inputs::without(&schema, &["size"])?;
    /// let benign: Vec<f32> = (0..6_000_u32).map(|i| (i * 37 % 101) as f32).collect();
    /// let (train, held_out) = benign.split_at(3_000);
    ///
    /// let (mut profile, mut digest) = (ProfileBuilder::new(&inputs, 1), RowsDigest::new());
    /// profile.extend(&inputs.project(train)); // as often as there are pieces
    /// digest.update(train);
    /// let forest = IsolationForest::params().seed(1).check()?;
    /// let forest = forest.fit_rows(&inputs.project(train), inputs.len())?;
    ///
    /// let mut detector =
    ///     DetectorModel::assemble(schema, inputs, Scorer::Forest(forest), profile.finish()?, 1)?;
    /// detector.take(held_out)?; // again as often as there are pieces
    /// digest.update(held_out);
    /// let detector = detector.calibrate(digest, TrainingFacts::default())?;
    /// assert!(detector.score_row(&[900.0, 1.0, 1.0]) > detector.score_row(&[50.0, 1.0, 50.0]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn assemble(
        schema: SchemaId,
        inputs: Inputs,
        scorer: Scorer,
        profile: Profile,
        seed: u64,
    ) -> Result<Uncalibrated, DetectorError> {
        Uncalibrated::new(schema, inputs, scorer, profile, seed)
    }

    /// The schema of the rows it reads.
    #[must_use]
    pub fn schema(&self) -> &SchemaId {
        &self.schema
    }

    /// The features that the scorer reads.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The scorer.
    #[must_use]
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// The forest, where that is what scores.
    #[must_use]
    pub fn forest(&self) -> Option<&IsolationForest> {
        self.scorer.forest()
    }

    /// The calibration of scores.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The calibration of tail scores.
    #[must_use]
    pub fn tail_calibration(&self) -> &Calibration {
        &self.tail_calibration
    }

    /// The tails of the inputs.
    #[must_use]
    pub fn tails(&self) -> &Tails {
        self.profile.tails()
    }

    /// Profile of each input over the training rows.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Range of each input over the training rows.
    #[must_use]
    pub fn ranges(&self) -> &[FeatureRange] {
        self.profile.ranges()
    }

    /// Distribution of the training rows in each input.
    #[must_use]
    pub fn histograms(&self) -> &[FeatureHistogram] {
        self.profile.histograms()
    }

    /// Origin of the detector.
    #[must_use]
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// The same detector, calibrated on other scores and tail scores, as many of each; the note is added
    /// to what its file says of its rows.
    pub fn recalibrated(
        &self,
        scores: Vec<f32>,
        tail_scores: Vec<f32>,
        note: String,
    ) -> Result<Self, CalibrationError> {
        let mut training = Training { held_out: scores.len() as u64, ..self.training.clone() };
        training.facts.selection.push(note);
        Ok(Self {
            calibration: Calibration::new(scores)?.on_scale(|score| self.scorer.spread(score)),
            tail_calibration: Calibration::new(tail_scores)?,
            training,
            ..self.clone()
        })
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

    /// Scores one row, in [0, 1], higher is more anomalous.
    ///
    /// # Panics
    ///
    /// If `row` does not have the schema's width.
    #[must_use]
    pub fn score_row(&self, row: &[f32]) -> f32 {
        self.scorer.score_row(&self.inputs.project(row))
    }

    /// Scores rows that lie side by side, on the calling thread.
    ///
    /// # Panics
    ///
    /// If `rows` does not hold exactly `scores.len()` rows of the schema's width.
    pub fn score_rows(&self, rows: &[f32], scores: &mut [f32]) {
        self.scorer.score_rows(&self.inputs.project(rows), scores);
    }

    /// The tail score of a row: the sum of the three largest surprises of its inputs, 0 to 36; see
    /// [`Tails`].
    ///
    /// # Panics
    ///
    /// If `row` does not have the schema's width.
    #[must_use]
    pub fn tail_score(&self, row: &[f32]) -> f32 {
        self.tails().score_row(&self.inputs.project(row))
    }

    /// The tail scores of rows that lie side by side.
    ///
    /// # Panics
    ///
    /// If `rows` does not hold exactly `scores.len()` rows of the schema's width.
    pub fn tail_scores(&self, rows: &[f32], scores: &mut [f32]) {
        self.tails().score_rows(&self.inputs.project(rows), scores);
    }

    /// The features that make a row's tail score, the largest first; they add up to it.
    ///
    /// # Panics
    ///
    /// If `row` does not have the schema's width.
    #[must_use]
    pub fn tail_parts(&self, row: &[f32]) -> Vec<TailPart> {
        let row = self.inputs.project(row);
        let of = |part: tail::Part| TailPart {
            feature: self.inputs.places()[part.feature],
            value: as_scored(row[part.feature]),
            range: self.ranges()[part.feature],
            surprise: part.surprise,
        };
        self.tails().parts(&row).into_iter().map(of).collect()
    }

    /// Surprise of a score: −log10 of the chance of one as high by the tail of the held-out
    /// scores, which goes on beyond them; see [`conformal::Tail`].
    #[must_use]
    pub fn surprise(&self, score: f32) -> f64 {
        self.calibration.surprise(self.scorer.spread(score))
    }

    /// The same of a tail score.
    #[must_use]
    pub fn tail_surprise(&self, tail_score: f32) -> f64 {
        self.tail_calibration.surprise(tail_score)
    }

    /// As [`Calibration::p_value`], of a score.
    #[must_use]
    pub fn p_value(&self, score: f32) -> PValue {
        self.calibration.p_value(score)
    }

    /// The scorer as an ONNX file: a forest as [`IsolationForest::to_onnx`] writes it, anything
    /// else as it was read. It takes rows of the [inputs](Self::inputs), and gives raw scores.
    ///
    /// # Errors
    ///
    /// If it is an extended forest, which ONNX has no operator for.
    pub fn to_onnx(&self) -> Result<Vec<u8>, onnx::WriteError> {
        let metadata = [
            ("weir.schema", &self.schema.name),
            ("weir.schema.hash", &self.schema.hash),
            ("weir.training.digest", &self.training.digest),
        ]
        .map(|(key, text)| (key.to_owned(), text.clone()));
        match &self.scorer {
            Scorer::Forest(forest) => forest.to_onnx(self.inputs.names(), &metadata),
            Scorer::Onnx(scorer) => Ok(scorer.bytes().to_vec()),
        }
    }

    /// Explains one row by its features; see [`Explanation`].
    #[must_use]
    pub fn explain(&self, row: &[f32]) -> Explanation {
        Explanation::of(&self.scorer, &self.inputs, self.ranges(), &self.inputs.project(row))
    }
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
