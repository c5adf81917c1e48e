//! Adapting: a detector that was learnt elsewhere, calibrated for the traffic here by windows that
//! nobody has labelled.
//!
//! What is usual elsewhere is scored otherwise here: more or less often. The detector's held-out
//! scores are weighted by how much more often such a score comes here than there, which makes of them
//! the held-out scores of this place (covariate shift; Tibshirani, Foygel Barber, Candès, Ramdas 2019,
//! *Conformal prediction under covariate shift*, arXiv 1904.06019; of a score its own density ratio is
//! all that a calibration needs). A weight is estimated up to the quantile from which a tail goes
//! on, and one for all beyond it, [`MOST_BEYOND`] at most: what an attacker among these windows does far
//! out there moves surprises by that factor, and no further.
//!
//! Weighted scores are worth fewer: (Σ w)² / Σ w² of them. So many are kept, that a claim of an error
//! rate is what these windows and that model support together.

use std::fmt;

use model::{CalibrationError, DetectorModel};
use thiserror::Error;

use crate::error::TrainingError;
use crate::source::{Mark, RowSource};
use crate::train::ENOUGH_HELD_OUT;

/// Parts of the held-out scores up to the quantile from which a tail goes on; what lies beyond it
/// is one more.
const PARTS: usize = 19;

/// Most that scores beyond that quantile may weigh: above it a fifth of what comes here is as rare
/// there as one in twenty, and what is usual there tells nothing of here.
const MOST_BEYOND: f64 = 4.0;

/// Most that other scores may weigh.
const MOST: f64 = 10.0;

/// Rows that are read at most; of more a few say the same.
const ROWS: usize = 1 << 18;

/// Reason for which a detector is not adapted.
#[derive(Debug, Error)]
pub enum AdaptError {
    /// The rows could not be read.
    #[error(transparent)]
    Rows(#[from] TrainingError),
    /// There is nothing to weigh.
    #[error(
        "its {held_out} held-out rows or the {rows} rows here are fewer than {min}: learn here for longer"
    )]
    Few {
        /// Held-out scores of the detector.
        held_out: usize,
        /// Rows here.
        rows: usize,
        /// Rows that are needed of both.
        min: u64,
    },
    /// What comes here is rare there.
    #[error(
        "{share:.0} % of the rows here lie beyond 95 % of those that it was calibrated on, {most:.0} % \
         at most can be weighed: what is usual there is not what is usual here, so learn here \
         (`weir learn`)"
    )]
    Unlike {
        /// Share of the rows beyond, in percent.
        share: f64,
        /// What may be, in percent.
        most: f64,
    },
    /// The weights leave too little.
    #[error(
        "weighted for the rows here its {held_out} held-out rows are worth {effective:.0}, fewer than \
         {min}: learn here (`weir learn`)"
    )]
    Effective {
        /// Held-out scores of the detector.
        held_out: usize,
        /// What they are worth.
        effective: f64,
        /// What is needed.
        min: u64,
    },
    /// The weighted scores make no calibration.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
}

/// What became of a detector.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Adaptation {
    /// Rows here.
    pub rows: usize,
    /// Held-out rows that it had.
    pub held_out: usize,
    /// Rows that these are worth here: what its claims rest on now.
    pub effective: usize,
}

impl fmt::Display for Adaptation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, held_out, effective } = self;
        write!(f, "{held_out} held-out rows are worth {effective} by {rows} rows here")
    }
}

/// Calibrates a detector for the place that these rows are of; nobody needs to know which are benign.
/// Rows of lossy windows, and those labelled as attacks, are left out.
pub fn adapt(
    detector: &DetectorModel,
    rows: &dyn RowSource,
) -> Result<(DetectorModel, Adaptation), AdaptError> {
    let width = detector.inputs().width();
    let [mut scores, mut tail_scores] = [Vec::new(), Vec::new()];
    rows.read(&mut |block| {
        let fits = |mark: &Mark| !matches!(mark, Mark::Lossy | Mark::Attack);
        for (row, _) in block.rows.chunks_exact(width).zip(&block.marks).filter(|(_, m)| fits(m)) {
            if scores.len() < ROWS {
                scores.push(detector.score_row(row));
                tail_scores.push(detector.tail_score(row));
            }
        }
        Ok(())
    })?;
    let (held_out, found) = (detector.calibration().held_out(), scores.len());
    if (held_out.min(found) as u64) < ENOUGH_HELD_OUT {
        return Err(AdaptError::Few { held_out, rows: found, min: ENOUGH_HELD_OUT });
    }
    let weighed = [
        Weighed::of(detector.calibration().scores(), &scores)?,
        Weighed::of(detector.tail_calibration().scores(), &tail_scores)?,
    ];
    // Both rest on the rows here too, by which the weights are known.
    let effective = weighed.iter().map(|one| one.effective).fold(f64::INFINITY, f64::min);
    let effective = 1.0 / (1.0 / effective + 1.0 / found as f64);
    if effective < ENOUGH_HELD_OUT as f64 {
        return Err(AdaptError::Effective { held_out, effective, min: ENOUGH_HELD_OUT });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least a hundred, and at most the rows"
    )]
    let told = Adaptation { rows: found, held_out, effective: effective as usize };
    let [scores, tail_scores] = weighed.map(|one| one.draw(told.effective));
    let note = format!("made elsewhere; {told}");
    Ok((detector.recalibrated(scores, tail_scores, note)?, told))
}

/// Held-out scores with their weights.
struct Weighed<'a> {
    /// Ascending.
    scores: &'a [f32],
    /// Their weights, each with the end of the scores that have it.
    parts: Vec<(usize, f64)>,
    /// What they are worth.
    effective: f64,
}

impl<'a> Weighed<'a> {
    /// `held_out` ascend.
    fn of(held_out: &'a [f32], here: &[f32]) -> Result<Self, AdaptError> {
        let mut here = here.to_vec();
        here.sort_unstable_by(f32::total_cmp);
        let (all, found) = (held_out.len() as f64, here.len() as f64);
        let mut parts = Vec::new();
        let (mut from, mut from_here) = (0, 0);
        for part in 1..=PARTS + 1 {
            let (mut to, mut to_here) = (held_out.len(), here.len());
            if part <= PARTS {
                let end = held_out[held_out.len() * part / (PARTS + 1)];
                to = held_out.partition_point(|score| *score < end);
                to_here = here.partition_point(|score| *score < end);
            }
            // Scores that many rows share may leave a part with nothing.
            if to == from {
                continue;
            }
            let (there, its) = ((to - from) as f64 / all, (to_here - from_here) as f64 / found);
            let most = if part > PARTS { MOST_BEYOND } else { MOST };
            if part > PARTS && its > most * there {
                let most = most * there;
                return Err(AdaptError::Unlike { share: 100.0 * its, most: 100.0 * most });
            }
            parts.push((to, (its / there).min(most)));
            (from, from_here) = (to, to_here);
        }
        let sum = |of: fn(f64) -> f64| -> f64 {
            let mut from = 0;
            let part = |&(to, weight): &(usize, f64)| {
                let rows = to - std::mem::replace(&mut from, to);
                rows as f64 * of(weight)
            };
            parts.iter().map(part).sum()
        };
        let effective = sum(|w| w).powi(2) / sum(|w| w * w).max(f64::MIN_POSITIVE);
        Ok(Self { scores: held_out, parts, effective })
    }

    /// So many of the scores, evenly spread over their weights.
    fn draw(&self, count: usize) -> Vec<f32> {
        let mut from = 0;
        let mut ends = Vec::with_capacity(self.parts.len());
        let mut sum = 0.0;
        for &(to, weight) in &self.parts {
            let rows = to - from;
            ends.push((from, rows, sum, weight));
            sum += rows as f64 * weight;
            from = to;
        }
        (0..count)
            .map(|nth| {
                let at = (nth as f64 + 0.5) / count as f64 * sum;
                let part = ends.partition_point(|(_, _, begin, _)| *begin <= at).max(1) - 1;
                let (from, rows, begin, weight) = ends[part];
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a place among the rows of the part"
                )]
                let within = ((at - begin) / weight.max(f64::MIN_POSITIVE)) as usize;
                self.scores[from + within.min(rows - 1)]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use linfa::ParamGuard as _;
    use model::{Inputs, IsolationForest, SchemaId};
    use proptest::prelude::*;

    use super::*;
    use crate::source::RowBlock;
    use crate::{Blocks, SourceError};

    /// Rows of two features, as many as asked for, each within `spread`.
    fn rows(count: usize, spread: f32, seed: u64) -> Vec<f32> {
        let mut draws = forest::Draws::new(seed, 0);
        #[expect(clippy::cast_possible_truncation, reason = "rows are f32")]
        let value = |draws: &mut forest::Draws| draws.normal() as f32 * spread;
        (0..2 * count).map(|_| value(&mut draws)).collect()
    }

    fn detector() -> DetectorModel {
        let schema = SchemaId {
            name: "example.v1".into(),
            hash: "00".into(),
            features: vec!["rate".into(), "size".into()],
        };
        assert_eq!(Inputs::all(&schema).len(), 2);
        let params = IsolationForest::params().n_trees(50).check().unwrap();
        DetectorModel::fit(schema, &rows(3_000, 1.0, 1), &rows(3_000, 1.0, 2), &params).unwrap()
    }

    fn adapted(rows: Vec<f32>) -> Result<(DetectorModel, Adaptation), AdaptError> {
        let count = rows.len() / 2;
        let block = RowBlock {
            starts_ns: vec![0; count],
            ends_ns: vec![1; count],
            marks: vec![Mark::Unlabelled; count],
            rows,
            ..RowBlock::default()
        };
        adapt(&detector(), &Blocks(|| Ok([Ok::<_, SourceError>(block.clone())].into_iter())))
    }

    /// Rows in a hundred of other ones of that spread whose p-value is a twentieth at most.
    fn alarmed(detector: &DetectorModel, spread: f32) -> f64 {
        let rows = rows(4_000, spread, 9);
        let p = |row: &[f32]| detector.p_value(detector.score_row(row)).marginal;
        let count = rows.chunks_exact(2).filter(|row| p(row) <= 0.05).count();
        count as f64 / 40.0
    }

    #[test]
    fn where_rows_are_spread_wider_fewer_are_alarmed_on_and_fewer_scores_are_left() {
        let before = alarmed(&detector(), 1.2);
        let (after, told) = adapted(rows(2_000, 1.2, 3)).unwrap();
        let now = alarmed(&after, 1.2);
        assert!(before > 12.0 && now < 8.0, "{before} {now}");
        assert!((100..2_000).contains(&told.effective), "{told:?}");
        assert_eq!(after.calibration().held_out(), told.effective);
        assert!(after.training().facts.selection.iter().any(|note| note.contains("elsewhere")));
    }

    #[test]
    fn rows_of_the_same_place_change_little() {
        let (after, told) = adapted(rows(2_000, 1.0, 4)).unwrap();
        assert!((alarmed(&after, 1.0) - 5.0).abs() < 1.5);
        assert!(told.effective > 1_000, "{told:?}");
    }

    #[test]
    fn a_tenth_of_attack_moves_what_lies_far_out_by_half_a_decade_at_most() {
        let mut mixed = rows(1_800, 1.0, 5);
        mixed.extend([9.0; 400]);
        let (after, _) = adapted(mixed).unwrap();
        let far = [9.0, 9.0];
        let surprise = |one: &DetectorModel| one.tail_surprise(one.tail_score(&far));
        let (before, now) = (surprise(&detector()), surprise(&after));
        println!("a tenth of the rows is attack: its surprise goes from {before:.2} to {now:.2}");
        assert!(before > 4.0 && before - now < 0.5 + before / 10.0, "{before} {now}");
    }

    #[test]
    fn a_place_that_is_another_is_refused_in_words() {
        let error = adapted(rows(2_000, 4.0, 6)).unwrap_err();
        assert!(matches!(error, AdaptError::Unlike { .. }), "{error}");
        assert!(error.to_string().ends_with("so learn here (`weir learn`)"), "{error}");
        let error = adapted(rows(60, 1.0, 6)).unwrap_err();
        assert!(matches!(error, AdaptError::Few { rows: 60, .. }), "{error}");
        let narrow = adapted(rows(130, 0.02, 7)).unwrap_err();
        assert!(matches!(narrow, AdaptError::Effective { .. }), "{narrow}");
    }

    proptest! {
        #[test]
        fn scores_that_are_drawn_are_as_many_as_asked_for_and_ascend(
            mut held_out in prop::collection::vec(0_u8..20, 2..400),
            here in prop::collection::vec(0_u8..20, 1..400),
            count in 1_usize..300,
        ) {
            held_out.sort_unstable();
            let held_out: Vec<f32> = held_out.into_iter().map(f32::from).collect();
            let here: Vec<f32> = here.into_iter().map(f32::from).collect();
            if let Ok(weighed) = Weighed::of(&held_out, &here) {
                let drawn = weighed.draw(count);
                prop_assert_eq!(drawn.len(), count);
                prop_assert!(drawn.is_sorted());
                prop_assert!(weighed.effective <= held_out.len() as f64 * (1.0 + 1e-9));
            }
        }
    }
}
