//! From a raw score to one in [0, 1].

use conformal::quantile_of;

/// Mapping from a model's raw score to one in [0, 1].
///
/// The order of rows stays as it was, and with it every p-value; only the numbers become
/// comparable between kinds of detectors, and bounded.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scale {
    /// The raw score is in [0, 1] already: isolation scores and probabilities.
    AsIs,
    /// `(1 + t / (1 + |t|)) / 2` with `t = (raw − center) / unit`: ½ for a usual row, and with far
    /// more room above than a logistic curve, whose f32 is 1 from `t` = 17 on.
    Squashed {
        /// Median raw score of held-out benign rows; in the raw score's unit.
        center: f32,
        /// From there to their 99th percentile; in the raw score's unit, above 0.
        unit: f32,
    },
}

/// Greatest score below 1: so that an excess over any calibration remains thinkable.
const MOST: f32 = 1.0 - f32::EPSILON;

impl Scale {
    /// The squashing scale of raw scores of held-out benign rows, in any order.
    ///
    /// # Panics
    ///
    /// If `raw` is empty.
    pub(crate) fn of(mut raw: Vec<f32>) -> Self {
        raw.sort_unstable_by(f32::total_cmp);
        let center = quantile_of(&raw, 0.5);
        let usual = quantile_of(&raw, 0.99) - center;
        // Where at least half of the rows share one score, anything of its size will do.
        let unit = if usual > 0.0 { usual } else { center.abs().max(f32::MIN_POSITIVE) };
        Self::Squashed { center, unit: unit.min(f32::MAX) }
    }

    /// The score of a raw one. NaN counts as the greatest: a network gives it where a row drives
    /// it beyond all bounds.
    #[must_use]
    pub fn score(self, raw: f32) -> f32 {
        if raw.is_nan() {
            return MOST;
        }
        match self {
            Self::AsIs => raw.clamp(0.0, 1.0),
            Self::Squashed { center, unit } => squash(raw, center, unit),
        }
    }

    /// The score on a scale that has room above: `t` of a squashed one, as far as an f32 tells it,
    /// any other as it is.
    #[must_use]
    pub fn spread(self, score: f32) -> f32 {
        let Self::Squashed { .. } = self else { return score };
        let side = 2.0 * score.clamp(0.0, MOST) - 1.0;
        side / (1.0 - side.abs()).max(f32::EPSILON)
    }
}

fn squash(raw: f32, center: f32, unit: f32) -> f32 {
    let far = (f64::from(raw) - f64::from(center)) / f64::from(unit);
    let score = if far >= f64::MAX { 1.0 } else { 0.5 + 0.5 * far / (1.0 + far.abs()) };
    #[expect(clippy::cast_possible_truncation, reason = "a score needs no more digits")]
    let score = score as f32;
    score.clamp(0.0, MOST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_row_scores_a_half_and_the_99th_percentile_three_quarters() {
        let scale = Scale::of((0..=100_u8).map(f32::from).collect());
        assert_eq!(scale, Scale::Squashed { center: 50.0, unit: 49.0 });
        assert!((scale.score(50.0) - 0.5).abs() < 1e-7);
        assert!((scale.score(99.0) - 0.75).abs() < 1e-7);
        assert!((scale.score(f32::NAN) - MOST).abs() < f32::EPSILON / 2.0);
        for far in [0.0, 1.0, 30.0, -3.0] {
            let spread = scale.spread(scale.score(50.0 + 49.0 * far));
            assert!((spread - far).abs() < 1e-3, "{far}: {spread}");
        }
    }

    #[test]
    fn equal_raw_scores_make_a_scale_still() {
        for raw in [0.0, 3.0, -2.0] {
            let scale = Scale::of(vec![raw; 10]);
            assert!((scale.score(raw) - 0.5).abs() < 1e-7);
            assert!(scale.score(raw + 1.0) > 0.5);
        }
    }

    proptest! {
        #[test]
        fn a_higher_raw_score_is_never_a_lower_score(
            benign in prop::collection::vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), 2..40),
            one in any::<f32>(),
            other in any::<f32>(),
        ) {
            let scale = Scale::of(benign);
            let (low, high) = if one < other { (one, other) } else { (other, one) };
            prop_assert!(scale.score(low) <= scale.score(high) || low.is_nan());
            prop_assert!((0.0..1.0).contains(&scale.score(one)));
            let (low, high) = (scale.spread(scale.score(low)), scale.spread(scale.score(high)));
            prop_assert!(low.is_finite() && low <= high || one.is_nan() || other.is_nan());
        }
    }
}
