//! Rows beyond the training rows, so that trees can split where these have nothing.
//!
//! A tree cuts between the least and the greatest value of its rows. On a feature that was
//! constant it never cuts, and everything above the greatest value scores alike. With some rows
//! whose values lie farther out there is something to cut off.

use conformal::{Tail, TailError};

use crate::random::Draws;

/// Features of such a row that are drawn anew.
const DRAWN: usize = 3;

/// The drawn tail is so many times as long as that of the training rows.
const STRETCH: f64 = 3.0;

/// Least scale of a tail, in the feature's own unit. A feature that was constant has none of its
/// own; in what unit it is does not matter then, for a cut above a constant is one however far.
const FLOOR: f64 = 0.15;

/// Rows at most that tails are fitted to.
pub(crate) const TAIL_ROWS: usize = 4_096;

/// Draws values beyond the 0.95-quantile of each feature.
#[derive(Clone, Debug)]
pub(crate) struct Beyond {
    share: f64,
    features: Vec<Far>,
}

#[derive(Clone, Copy, Debug)]
struct Far {
    /// The 0.95-quantile.
    from: f64,
    scale: f64,
    /// From there to the greatest value.
    reach: f64,
}

impl Beyond {
    /// From rows of at least one value.
    pub(crate) fn new(share: f64, rows: &[f32], n_features: usize) -> Result<Self, TailError> {
        let far = |feature: usize| {
            let values = rows.iter().skip(feature).step_by(n_features).copied().collect();
            let tail = Tail::new(values, FLOOR)?;
            let from = tail.threshold();
            let reach = (f64::from(tail.greatest()) - from).max(0.0);
            Ok(Far { from, scale: tail.scale(), reach })
        };
        let features = (0..n_features).map(far).collect::<Result<_, _>>()?;
        Ok(Self { share, features })
    }

    /// Sends the share of a tree's rows beyond, each in up to three features.
    pub(crate) fn send(&self, rows: &mut [f32], rng: &mut Draws) {
        let n_features = self.features.len();
        let mut features: Vec<usize> = (0..n_features).collect();
        for row in rows.chunks_exact_mut(n_features) {
            if rng.unit() >= self.share {
                continue;
            }
            for drawn in 0..DRAWN.min(n_features) {
                features.swap(drawn, drawn + rng.below(n_features - drawn));
                let feature = features[drawn];
                row[feature] = self.features[feature].draw(rng);
            }
        }
    }
}

impl Far {
    /// The quantile, an exponential draw and a share of the way to the greatest value; finite.
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the feature's own type")]
    fn draw(self, rng: &mut Draws) -> f32 {
        let tail = -(1.0 - rng.unit()).ln() * self.scale * STRETCH;
        let value = (self.from + tail + self.reach * rng.unit()) as f32;
        value.clamp(f32::MIN, f32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_rows_has_three_values_beyond_and_all_others_stay() {
        let before: Vec<f32> = (0..40_000_u32).map(|i| (i * 37 % 101) as f32 / 101.0).collect();
        let beyond = Beyond::new(0.3, &before, 8).unwrap();
        let mut after = before.clone();
        beyond.send(&mut after, &mut Draws::new(1, 0));
        let (mut sent, rows) = (0, before.len() / 8);
        for (before, after) in before.chunks(8).zip(after.chunks(8)) {
            let changed: Vec<usize> =
                (0..8).filter(|at| before[*at].to_bits() != after[*at].to_bits()).collect();
            assert!(changed.is_empty() || changed.len() == DRAWN, "{changed:?}");
            assert!(changed.iter().all(|at| after[*at] > 0.94));
            sent += usize::from(!changed.is_empty());
        }
        let share = sent as f64 / rows as f64;
        assert!((share - 0.3).abs() < 0.02, "{share}");
    }

    #[test]
    fn the_greatest_float_has_nothing_beyond() {
        let beyond = Beyond::new(0.5, &[f32::MAX, f32::MIN, f32::MAX, f32::MIN], 2).unwrap();
        let mut rows = vec![0.0; 200];
        beyond.send(&mut rows, &mut Draws::new(1, 0));
        assert!(rows.iter().all(|value| value.is_finite()));
    }
}
