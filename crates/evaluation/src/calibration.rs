//! Calibration: whether p-values keep what they claim.

use serde::{Deserialize, Serialize};

use crate::{discrimination::needed_for, proportion::Proportion, ranking::Point};

/// The claims that are checked.
pub const CLAIMS: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];

/// Claimed against realised false-alarm rates on benign rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationCheck {
    /// Benign rows with a p-value.
    pub benign: u64,
    /// The smallest p-value of any row, attack rows included: the finest claim made here.
    pub smallest_p: f64,
    /// Claims, one per level of [`CLAIMS`].
    pub claims: Vec<Claim>,
    /// The greatest distance between the p-values' distribution and the uniform one
    /// (Kolmogorov–Smirnov), whichever way. P-values may well be larger than uniform: that is
    /// caution, not error.
    pub distance: f64,
    /// The greatest by which small p-values are too frequent: what false alarms are made of.
    pub too_small_by: f64,
    /// The p-value at which that is so.
    pub too_small_at: f64,
    /// Claimed (x) against realised (y) rate, five levels to the decade.
    pub curve: Vec<Point>,
}

/// A claimed rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// A p-value of at most this is claimed to befall this share of benign rows.
    pub alpha: f64,
    /// Benign rows below which the claim cannot be checked, `1 / alpha`.
    pub needs_benign: u64,
    /// Benign rows with such a p-value.
    pub realised: Proportion,
    /// Verdict on the claim.
    pub verdict: Verdict,
}

/// Verdict on a claimed rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The claim lies within the interval of what was realised.
    Holds,
    /// Fewer false alarms than claimed, beyond chance.
    Cautious,
    /// More false alarms than claimed, beyond chance.
    TooMany,
    /// No p-value here is as small: the model cannot claim this rate.
    OutOfReach,
    /// Too few benign rows to tell.
    NotMeasurable,
}

impl Verdict {
    /// The verdict as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Cautious => "cautious: fewer false alarms than claimed",
            Self::TooMany => "broken: more false alarms than claimed",
            Self::OutOfReach => "never claimed: no p-value here is as small",
            Self::NotMeasurable => "not measurable: too few benign rows",
        }
    }
}

impl CalibrationCheck {
    /// Checks the p-values of benign rows, in any order; `smallest_p` is that of all rows. None
    /// without any.
    #[must_use]
    pub fn of(mut benign: Vec<f64>, smallest_p: f64) -> Option<Self> {
        if benign.is_empty() {
            return None;
        }
        benign.sort_unstable_by(f64::total_cmp);
        let n = benign.len() as u64;
        let at_most = |alpha: f64| benign.partition_point(|p| *p <= alpha) as u64;
        let claims = CLAIMS.map(|alpha| {
            let realised = Proportion::new(at_most(alpha), n);
            let needs_benign = needed_for(alpha);
            let verdict = if n < needs_benign {
                Verdict::NotMeasurable
            } else if realised.low > alpha {
                Verdict::TooMany
            } else if smallest_p > alpha {
                Verdict::OutOfReach
            } else if realised.high < alpha {
                Verdict::Cautious
            } else {
                Verdict::Holds
            };
            Claim { alpha, needs_benign, realised, verdict }
        });
        let curve = (0..=20)
            .map(|fifth| 10.0_f64.powf(f64::from(fifth) / 5.0 - 4.0))
            .map(|alpha| Point { x: alpha, y: at_most(alpha) as f64 / n as f64 })
            .collect();
        let (distance, too_small_by, too_small_at) = distances(&benign);
        Some(Self {
            benign: n,
            smallest_p,
            claims: claims.to_vec(),
            distance,
            too_small_by,
            too_small_at,
            curve,
        })
    }
}

/// The two-sided distance to the uniform distribution, and the one-sided with its place.
fn distances(ascending: &[f64]) -> (f64, f64, f64) {
    let n = ascending.len() as f64;
    let (mut below, mut above, mut place) = (0.0_f64, 0.0_f64, 1.0);
    for (index, p) in ascending.iter().enumerate() {
        below = below.max(p - index as f64 / n);
        let excess = (index + 1) as f64 / n - p;
        if excess > above {
            (above, place) = (excess, *p);
        }
    }
    (above.max(below), above, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(i + ½) / n`: as uniform as n values can be.
    fn uniform(n: u32) -> Vec<f64> {
        (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).collect()
    }

    fn verdicts(check: &CalibrationCheck) -> Vec<Verdict> {
        check.claims.iter().map(|claim| claim.verdict).collect()
    }

    #[test]
    fn uniform_p_values_hold_at_every_level_that_can_be_measured() {
        use Verdict::{Holds, NotMeasurable};
        let check = CalibrationCheck::of(uniform(2_000), 1e-5).unwrap();
        assert_eq!(verdicts(&check), [Holds, Holds, Holds, NotMeasurable]);
        assert!((check.distance - 0.00025).abs() < 1e-12, "{}", check.distance);
        assert_eq!(check.claims[1].realised.count, 20);
    }

    #[test]
    fn p_values_that_are_too_small_break_the_claim() {
        let squared = uniform(10_000).into_iter().map(|p| p * p).collect();
        let check = CalibrationCheck::of(squared, 1e-9).unwrap();
        assert_eq!(verdicts(&check), [Verdict::TooMany; 4]);
        // P(p ≤ x) = √x exceeds x the most at a quarter, by a quarter.
        assert!(
            (check.too_small_by - 0.25).abs() < 1e-3 && (check.too_small_at - 0.25).abs() < 1e-2
        );
    }

    #[test]
    fn p_values_that_are_too_large_are_cautious_and_not_wrong() {
        let large = uniform(10_000).into_iter().map(f64::sqrt).collect();
        let check = CalibrationCheck::of(large, 1e-9).unwrap();
        assert_eq!(verdicts(&check)[..2], [Verdict::Cautious; 2]);
        assert!(check.too_small_by < 1e-3 && check.distance > 0.2);
    }

    #[test]
    fn a_level_below_every_p_value_was_never_claimed() {
        let coarse = uniform(10_000).into_iter().map(|p| p.max(0.05)).collect();
        let check = CalibrationCheck::of(coarse, 0.05).unwrap();
        assert_eq!(verdicts(&check)[1..], [Verdict::OutOfReach; 3]);
        assert_eq!(CalibrationCheck::of(Vec::new(), 1.0), None);
    }

    #[test]
    fn ties_are_one_step_of_the_distribution() {
        // All p-values at 0.5: the distribution jumps there from 0 to 1.
        let (distance, too_small_by, at) = distances(&[0.5; 8]);
        assert_eq!((distance, too_small_by, at), (0.5, 0.5, 0.5));
    }
}
