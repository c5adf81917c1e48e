//! Putting a detector together from its parts.

use features::SchemaId;
use forest::RowSample;

use super::{DetectorError, DetectorModel, RowsDigest, Training, TrainingFacts};
use crate::inputs::Inputs;
use crate::profile::Profile;
use crate::scorer::Scorer;
use conformal::{Calibration, CalibrationError};

/// Held-out rows at most whose scores make a calibration; of more, a uniform sample does, which
/// is as exchangeable with new benign rows as all of them. With so many, error rates down to
/// 4.4e-6 can be claimed.
pub const CALIBRATION_ROWS: usize = 1 << 20;

/// A detector that lacks its calibration: [`take`](Self::take) held-out benign rows, then
/// [`calibrate`](Self::calibrate). Made by [`DetectorModel::assemble`].
#[derive(Debug)]
pub struct Uncalibrated {
    schema: SchemaId,
    inputs: Inputs,
    scorer: Scorer,
    profile: Profile,
    /// Raw score and tail score of each row.
    held_out: RowSample,
    /// Scores and tail scores from elsewhere, and the held-out rows that they count as.
    prior: Option<(Vec<f32>, Vec<f32>, f64)>,
}

impl Uncalibrated {
    pub(super) fn new(
        schema: SchemaId,
        inputs: Inputs,
        scorer: Scorer,
        profile: Profile,
        seed: u64,
    ) -> Result<Self, DetectorError> {
        if inputs.width() != schema.features.len() {
            let (got, expected) = (inputs.width(), schema.features.len());
            return Err(DetectorError::Width { what: "the choice of inputs", got, expected });
        }
        for (what, got) in
            [("the scorer", scorer.n_features()), ("the profile", profile.ranges().len())]
        {
            if got != inputs.len() {
                return Err(DetectorError::Width { what, got, expected: inputs.len() });
            }
        }
        let held_out = RowSample::new(CALIBRATION_ROWS, 2, seed, usize::MAX - 2);
        Ok(Self { schema, inputs, scorer, profile, held_out, prior: None })
    }

    /// Takes scores and tail scores of held-out rows from elsewhere, by a detector of rows from
    /// elsewhere, which count as so many of its own in each surprise
    /// ([`Calibration::with_prior`]); then there may be no others.
    pub fn take_prior(&mut self, scores: Vec<f32>, tail_scores: Vec<f32>, count_as: f64) {
        self.prior = Some((scores, tail_scores, count_as));
    }

    /// Takes benign rows that the scorer was not fitted on; whole rows of the schema, side by
    /// side. They may come in any number of pieces.
    pub fn take(&mut self, rows: &[f32]) -> Result<(), DetectorError> {
        let (values, n_features) = (rows.len(), self.schema.features.len());
        if !values.is_multiple_of(n_features) {
            return Err(DetectorError::PartialRow { values, n_features });
        }
        let rows = self.inputs.project(rows);
        let (mut scores, mut tails) =
            (vec![0.0; values / n_features], vec![0.0; values / n_features]);
        self.scorer.raw_rows(&rows, &mut scores);
        self.profile.tails().score_rows(&rows, &mut tails);
        for (score, tail) in scores.into_iter().zip(tails) {
            self.held_out.extend(&[score, tail]);
        }
        Ok(())
    }

    /// The features that the scorer reads.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Held-out rows taken.
    #[must_use]
    pub fn held_out(&self) -> u64 {
        self.held_out.seen()
    }

    /// The detector, calibrated on the rows taken. `digest` is that of the training rows and the
    /// held-out ones.
    pub fn calibrate(
        mut self,
        digest: RowsDigest,
        facts: TrainingFacts,
    ) -> Result<DetectorModel, DetectorError> {
        let column = |at: usize| -> Vec<f32> {
            self.held_out.rows().iter().skip(at).step_by(2).copied().collect()
        };
        let (mut scores, tails) = (column(0), column(1));
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            return Err(CalibrationError::NonFinite { at, value: scores[at] }.into());
        }
        self.scorer.settle(&mut scores);
        let (calibration, tail_calibration) = match self.prior {
            None => (Calibration::new(scores)?, Calibration::new(tails)?),
            Some((prior_scores, prior_tails, count_as)) => (
                Calibration::with_prior(scores, prior_scores, count_as)?,
                Calibration::with_prior(tails, prior_tails, count_as)?,
            ),
        };
        Ok(DetectorModel {
            calibration: calibration.on_scale(|score| self.scorer.spread(score)),
            tail_calibration,
            training: Training {
                rows: self.profile.rows(),
                held_out: self.held_out.seen(),
                digest: digest.finish(),
                facts,
            },
            schema: self.schema,
            inputs: self.inputs,
            scorer: self.scorer,
            profile: self.profile,
        })
    }
}
