//! Calibration: from a score to a p-value, by held-out benign rows.
//!
//! A [`Calibration`] takes the scores of held-out rows once, and then answers for any new score:
//! [`Calibration::p_value`] with its p-values, [`Calibration::supports`] with the error rates that
//! so many rows carry, [`Calibration::rows_for`] with the rows that a rate needs. It knows nothing
//! of what was scored, and does neither I/O nor chance.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod tail;

use thiserror::Error;

pub use tail::{KNOTS, Tail, TailError};

/// Probability with which the conditional p-values may fail for a given calibration set: the
/// δ of Bates et al., and the value they use.
pub const DELTA: f64 = 0.1;

/// Fewest scores that a calibration may have.
pub const MIN_SCORES: usize = 2;

/// Scores of benign rows that a detector was not fitted on, as the measure of new scores.
///
/// Split-conformal p-values after Bates, Candès, Lei, Romano, Sesia 2023, *Testing for outliers
/// with conformal p-values* (Annals of Statistics 51(1), arXiv 2104.08279). They hold for rows
/// exchangeable with the held-out ones: benign, of the same network, the same window length.
///
/// ```
/// use weir_conformal::Calibration;
///
/// let held_out = (0..999_u16).map(|i| f32::from(i) / 1_000.0).collect();
/// let calibration = Calibration::new(held_out)?;
/// assert_eq!(calibration.p_value(0.9985).marginal, 0.001);
/// assert!(calibration.supports(0.01).is_ok());
/// let error = calibration.supports(0.001).unwrap_err().to_string();
/// assert!(error.contains("needs 4604 held-out rows"), "{error}");
/// # Ok::<(), weir_conformal::CalibrationError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Ascending, no NaN.
    scores: Vec<f32>,
    /// `adjusted[m]`: the conditional p-value when `m` held-out scores reach the new one.
    adjusted: Vec<f64>,
    /// Made from the scores; of none, the prior's.
    tail: Tail,
    prior: Option<Prior>,
}

/// Scores of other rows, which count as some rows in surprises and in nothing else.
#[derive(Clone, Debug, PartialEq)]
struct Prior {
    /// Ascending, no NaN.
    scores: Vec<f32>,
    rows: f64,
    tail: Tail,
}

/// Chance of a benign row to score as high. Small means anomalous.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PValue {
    /// (1 + #{held-out ≥ score}) / (n + 1): holds on average over calibration sets. P-values
    /// of one calibration set depend on each other.
    pub marginal: f64,
    /// Holds for this calibration set, with probability 1 − [`DELTA`] over its drawing, at all
    /// levels at once; given the set, p-values of independent rows are independent. Never
    /// below `marginal`. Decide by this one.
    pub conditional: f64,
}

/// Reason for which a calibration cannot be made, or cannot claim an error rate.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CalibrationError {
    /// Too few scores.
    #[error(
        "calibration needs at least {MIN_SCORES} held-out benign rows, got {got}: \
         capture benign traffic for longer"
    )]
    TooFewScores {
        /// Scores given.
        got: usize,
    },
    /// A prior that counts as no number of rows.
    #[error("the prior must count as a finite number of rows above 0, got {got}")]
    PriorRows {
        /// The number given.
        got: f64,
    },
    /// A score is NaN or infinite.
    #[error("calibration score {at} is {value}: scores must be finite")]
    NonFinite {
        /// Index of the score, from 0.
        at: usize,
        /// The value found.
        value: f32,
    },
    /// An error rate that is none.
    #[error("an error rate must be above 0 and below 1, got {got}")]
    RateOutOfBounds {
        /// The rate asked for.
        got: f64,
    },
    /// An error rate that so few held-out rows cannot support.
    #[error(
        "an error rate of {rate} needs {needed} held-out rows, this model has {held_out}: \
         capture benign traffic for longer, or accept a rate of at least {smallest:.2e}"
    )]
    RateTooFine {
        /// The rate asked for.
        rate: f64,
        /// Held-out rows that would support it.
        needed: usize,
        /// Held-out rows there are.
        held_out: usize,
        /// Smallest rate they support.
        smallest: f64,
    },
}

impl Calibration {
    /// Takes the scores of held-out benign rows, in any order.
    pub fn new(mut scores: Vec<f32>) -> Result<Self, CalibrationError> {
        if scores.len() < MIN_SCORES {
            return Err(CalibrationError::TooFewScores { got: scores.len() });
        }
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            return Err(CalibrationError::NonFinite { at, value: scores[at] });
        }
        scores.sort_unstable_by(f32::total_cmp);
        let (adjusted, tail) = (simes_adjustment(scores.len()), tail_of(&scores));
        Ok(Self { scores, adjusted, tail, prior: None })
    }

    /// Takes held-out scores, of which there may be few or none, and those of rows from elsewhere
    /// that count as `rows` of them in each surprise: its chance becomes (rows · p of the prior +
    /// n · p) / (rows + n). No p-value, and so no error rate, rests on them.
    pub fn with_prior(
        scores: Vec<f32>,
        mut prior: Vec<f32>,
        rows: f64,
    ) -> Result<Self, CalibrationError> {
        if !(rows.is_finite() && rows > 0.0) {
            return Err(CalibrationError::PriorRows { got: rows });
        }
        if prior.len() < MIN_SCORES {
            return Err(CalibrationError::TooFewScores { got: prior.len() });
        }
        if let Some(at) = prior.iter().position(|score| !score.is_finite()) {
            return Err(CalibrationError::NonFinite { at, value: prior[at] });
        }
        prior.sort_unstable_by(f32::total_cmp);
        let tail = tail_of(&prior);
        let own = match Self::new(scores) {
            // Of a single one no p-value is told.
            Err(CalibrationError::TooFewScores { .. }) => {
                Self { scores: vec![], adjusted: vec![1.0], tail: tail.clone(), prior: None }
            }
            own => own?,
        };
        Ok(Self { prior: Some(Prior { scores: prior, rows, tail }), ..own })
    }

    /// Takes surprises on another scale, where that of the scores has no room above: `scale` is
    /// finite and never falls. What [`surprise`](Self::surprise) is asked for then is on it.
    #[must_use]
    pub fn on_scale(mut self, scale: impl Fn(f32) -> f32) -> Self {
        let of = |scores: &[f32]| tail_of(&scores.iter().copied().map(&scale).collect::<Vec<_>>());
        if let Some(prior) = &mut self.prior {
            prior.tail = of(&prior.scores);
        }
        self.tail = match &self.prior {
            Some(prior) if self.scores.is_empty() => prior.tail.clone(),
            _ => of(&self.scores),
        };
        self
    }

    /// Surprise of a score: −log10 of its chance by the [`Tail`] of the held-out scores, which goes
    /// on beyond them, mixed with a [prior](Self::with_prior)'s. It claims no error rate, and tells
    /// apart what no p-value can. NaN has 0.
    #[must_use]
    pub fn surprise(&self, score: f32) -> f64 {
        let Some(prior) = &self.prior else { return self.tail.surprise(score) };
        let own = self.scores.len() as f64;
        let p = prior.rows * prior.tail.p_value(score) + own * self.tail.p_value(score);
        // Not −0.
        -(p / (prior.rows + own)).log10() + 0.0
    }

    /// The scores of the prior, ascending, and the rows that they count as.
    #[must_use]
    pub fn prior(&self) -> Option<(&[f32], f64)> {
        self.prior.as_ref().map(|prior| (&prior.scores[..], prior.rows))
    }

    /// The p-values of a score. NaN, of which nothing is known, has 1.
    #[must_use]
    pub fn p_value(&self, score: f32) -> PValue {
        if score.is_nan() {
            return PValue { marginal: 1.0, conditional: 1.0 };
        }
        let reaching = self.scores.len() - self.scores.partition_point(|held| *held < score);
        PValue {
            marginal: (reaching + 1) as f64 / (self.scores.len() + 1) as f64,
            conditional: self.adjusted[reaching],
        }
    }

    /// The smallest conditional p-value that any score can have: 1 − δ^(2/n), about 4.6/n.
    #[must_use]
    pub fn smallest_p(&self) -> f64 {
        self.adjusted[0]
    }

    /// The value of [`smallest_p`](Self::smallest_p) for this many held-out scores; 1 of too few
    /// for any.
    #[must_use]
    pub fn smallest_p_of(held_out: u64) -> f64 {
        if held_out < MIN_SCORES as u64 {
            return 1.0;
        }
        -(DELTA.ln() / (held_out / 2) as f64).exp_m1()
    }

    /// The fewest held-out scores with which a conditional p-value can be as small as `rate`,
    /// which is above 0 and below 1.
    #[must_use]
    pub fn rows_for(rate: f64) -> u64 {
        rows_for(rate) as u64
    }

    /// True if a conditional p-value can be as small as `rate`.
    ///
    /// For Benjamini–Hochberg at rate q over m peers, ask for q/m.
    pub fn supports(&self, rate: f64) -> Result<(), CalibrationError> {
        check_rate(rate)?;
        let (held_out, smallest) = (self.scores.len(), self.smallest_p());
        if smallest <= rate {
            return Ok(());
        }
        Err(CalibrationError::RateTooFine { rate, needed: rows_for(rate), held_out, smallest })
    }

    /// The score above which, and only above which, the conditional p-value is at most `rate`.
    pub fn threshold(&self, rate: f64) -> Result<f32, CalibrationError> {
        self.supports(rate)?;
        let reaching = self.adjusted.partition_point(|p| *p <= rate) - 1;
        // `rate` is below 1, the p-value when all held-out scores reach the new one.
        Ok(self.scores[self.scores.len() - 1 - reaching])
    }

    /// Number of held-out scores.
    #[must_use]
    pub fn held_out(&self) -> usize {
        self.scores.len()
    }

    /// The held-out scores, ascending.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// The held-out score at `fraction` (0 the least, 1 the greatest; anything else counts as
    /// the nearer of the two, NaN as 0), without interpolation; of no held-out scores the prior's.
    #[must_use]
    pub fn quantile(&self, fraction: f64) -> f32 {
        match &self.prior {
            Some(prior) if self.scores.is_empty() => quantile_of(&prior.scores, fraction),
            _ => quantile_of(&self.scores, fraction),
        }
    }

    /// The middle held-out score.
    #[must_use]
    pub fn median(&self) -> f32 {
        self.quantile(0.5)
    }
}

/// Least scale of a tail of scores: a twentieth of their standard deviation.
const LEAST_SCALE: f64 = 0.05;

/// Least scale where they hardly vary: a thousandth, of scores up to 1 or more.
const NARROWEST: f64 = 1e-3;

/// The tail of finite, ascending scores.
fn tail_of(ascending: &[f32]) -> Tail {
    let n = ascending.len() as f64;
    let mean = ascending.iter().map(|score| f64::from(*score)).sum::<f64>() / n;
    let squares = ascending.iter().map(|score| (f64::from(*score) - mean).powi(2)).sum::<f64>();
    let floor = (LEAST_SCALE * (squares / n).sqrt()).clamp(NARROWEST, f64::MAX);
    Tail::of_sorted(ascending, floor).expect("scores are there, and the floor is above 0")
}

/// The element of an ascending, non-empty slice nearest to `fraction` of its length (0 the first,
/// 1 the last; anything else counts as the nearer of the two, NaN as 0), without interpolation.
///
/// # Panics
/// If the slice is empty.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the last index"
)]
pub fn quantile_of(ascending: &[f32], fraction: f64) -> f32 {
    let last = ascending.len() - 1;
    let at = (fraction.clamp(0.0, 1.0) * last as f64).round() as usize;
    ascending[at.min(last)]
}

/// Conditional p-values by the generalised Simes inequality with k = n/2 (Bates et al. 2023,
/// section 3.2): `b(n+1−i) = 1 − δ^(1/k) · (i···(i−k+1) / n···(n−k+1))^(1/k)`, and 1 last.
fn simes_adjustment(n: usize) -> Vec<f64> {
    let k = n / 2;
    let mut adjusted = vec![1.0; n + 1];
    // ln of the products' ratio, from i = n, where it is 0, downwards; below k a factor is 0.
    let mut ln_ratio = 0.0;
    for i in (k..=n).rev() {
        adjusted[n - i] = -((DELTA.ln() + ln_ratio) / k as f64).exp_m1();
        ln_ratio -= (i as f64).ln();
        ln_ratio += ((i - k) as f64).ln();
    }
    adjusted
}

/// Held-out rows with which 1 − δ^(1/k), k = n/2, is at most `rate`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive count; a rate too small to count for saturates"
)]
fn rows_for(rate: f64) -> usize {
    let k = (DELTA.ln() / (-rate).ln_1p()).ceil();
    (2.0 * k) as usize
}

fn check_rate(rate: f64) -> Result<(), CalibrationError> {
    if rate > 0.0 && rate < 1.0 {
        Ok(())
    } else {
        Err(CalibrationError::RateOutOfBounds { got: rate })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    use super::*;

    fn uniform(rng: &mut Xoshiro256PlusPlus, n: usize) -> Vec<f32> {
        (0..n).map(|_| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32).collect()
    }

    #[test]
    fn marginal_p_values_of_benign_rows_are_superuniform_on_average() {
        const ROUNDS: u32 = 20_000;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut small = [0_u32; 3];
        for _ in 0..ROUNDS {
            let calibration = Calibration::new(uniform(&mut rng, 99)).unwrap();
            let p = calibration.p_value(uniform(&mut rng, 1)[0]).marginal;
            for (count, level) in small.iter_mut().zip([0.01, 0.05, 0.5]) {
                *count += u32::from(p <= level);
            }
        }
        for (count, level) in small.into_iter().zip([0.01, 0.05, 0.5]) {
            let rate = f64::from(count) / f64::from(ROUNDS);
            let error = 4.0 * (level / f64::from(ROUNDS)).sqrt();
            assert!(rate <= level + error, "{rate} > {level}");
        }
    }

    #[test]
    fn a_prior_enters_surprises_and_no_p_value_and_vanishes_as_scores_grow() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let prior = || (0..200_u8).map(|i| f32::from(i) / 100.0).collect();
        let mut surprises = Vec::new();
        for n in [0, 20, 400, 40_000] {
            let own = uniform(&mut rng, n);
            let mixed = Calibration::with_prior(own.clone(), prior(), 10.0).unwrap();
            surprises.push(mixed.surprise(1.5));
            if n == 0 {
                assert_eq!(mixed.p_value(9.0), PValue { marginal: 1.0, conditional: 1.0 });
                assert!(mixed.supports(0.5).is_err() && mixed.threshold(0.5).is_err());
            } else {
                let alone = Calibration::new(own).unwrap();
                assert_eq!(mixed.p_value(0.9), alone.p_value(0.9));
                assert!(mixed.surprise(1.5) < alone.surprise(1.5));
            }
        }
        assert!(surprises.is_sorted() && surprises[0] < 0.7 && surprises[3] > 3.0, "{surprises:?}");
        let error = |prior, rows| Calibration::with_prior(vec![], prior, rows).unwrap_err();
        assert!(matches!(error(prior(), 0.0), CalibrationError::PriorRows { .. }));
        assert!(matches!(error(vec![], 10.0), CalibrationError::TooFewScores { got: 0 }));
    }

    #[test]
    fn conditional_p_values_hold_at_all_levels_at_once_for_nine_sets_in_ten() {
        // Benign scores uniform in [0, 1): P(p ≤ adjusted[m] | set) is known exactly, one
        // minus the (m + 1)-th greatest held-out score.
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        for n in [20, 201, 1_000] {
            let failures = (0..400).filter(|_| {
                let calibration = Calibration::new(uniform(&mut rng, n)).unwrap();
                (0..n).any(|m| {
                    let chance = 1.0 - f64::from(calibration.scores[n - 1 - m]);
                    chance > calibration.adjusted[m] + 1e-9
                })
            });
            let failures = failures.count();
            assert!(failures <= 130, "n = {n}: {failures} of 1,000 sets, at most 100 expected");
        }
    }

    #[test]
    fn a_set_too_small_for_a_rate_says_how_many_rows_it_takes() {
        let calibration = Calibration::new(vec![0.5; 800]).unwrap();
        let error = calibration.supports(0.0001).unwrap_err();
        let CalibrationError::RateTooFine { needed, .. } = error else { panic!("{error}") };
        assert!(Calibration::new(vec![0.5; needed]).unwrap().supports(0.0001).is_ok());
        assert!(Calibration::new(vec![0.5; needed - 2]).unwrap().supports(0.0001).is_err());
        assert_eq!(
            error.to_string(),
            "an error rate of 0.0001 needs 46050 held-out rows, this model has 800: capture \
             benign traffic for longer, or accept a rate of at least 5.74e-3"
        );
    }

    #[test]
    fn surprise_tells_apart_what_lies_beyond_every_held_out_score() {
        let calibration = Calibration::new(vec![0.5; 100]).unwrap();
        assert!(calibration.surprise(0.5).abs() < 1e-9);
        assert!(calibration.surprise(0.6) > 2.0);
        assert!(calibration.surprise(0.7) > calibration.surprise(0.6) + 1.0);
        let wide = calibration.on_scale(|score| score * 1_000.0);
        assert!(wide.surprise(500.0).abs() < 1e-9 && wide.surprise(600.0) > 2.0);
    }

    #[test]
    fn a_score_that_is_not_a_number_is_no_evidence() {
        let p = Calibration::new(vec![0.1, 0.2]).unwrap().p_value(f32::NAN);
        assert_eq!(p, PValue { marginal: 1.0, conditional: 1.0 });
        let error = Calibration::new(vec![0.1, f32::NAN]).unwrap_err();
        assert_eq!(error.to_string(), "calibration score 1 is NaN: scores must be finite");
        assert_eq!(
            Calibration::new(vec![0.1]).unwrap_err(),
            CalibrationError::TooFewScores { got: 1 }
        );
        for got in [0.0, 1.0, f64::NAN] {
            let refused = Calibration::new(vec![0.1, 0.2]).unwrap().supports(got);
            assert!(matches!(refused, Err(CalibrationError::RateOutOfBounds { .. })));
        }
    }

    proptest! {
        #[test]
        fn the_threshold_is_where_the_p_value_crosses_the_rate(
            scores in prop::collection::vec(0.0_f32..1.0, 40..400),
            rate in 0.3_f64..0.95,
            score in 0.0_f32..1.0,
        ) {
            let calibration = Calibration::new(scores).unwrap();
            let threshold = calibration.threshold(rate).unwrap();
            for score in [score, threshold, threshold.next_up()] {
                prop_assert_eq!(calibration.p_value(score).conditional <= rate, score > threshold);
            }
        }

        #[test]
        fn p_values_fall_with_the_score_and_conditional_is_never_below_marginal(
            scores in prop::collection::vec(0.0_f32..1.0, 2..300),
            one in any::<f32>(),
            other in any::<f32>(),
        ) {
            let calibration = Calibration::new(scores).unwrap();
            let (one, other) = (one.min(other), one.max(other));
            let (low, high) = (calibration.p_value(one), calibration.p_value(other));
            prop_assert!(high.marginal <= low.marginal && high.conditional <= low.conditional);
            prop_assert!(low.conditional >= low.marginal - 1e-12);
            prop_assert!(high.conditional >= calibration.smallest_p());
            prop_assert!(high.marginal > 0.0 && low.conditional <= 1.0);
        }
    }
}
