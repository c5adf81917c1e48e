//! Tail: the chance of a value as high, also beyond the values that were seen.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Values that a tail keeps at most.
pub const KNOTS: usize = 64;

/// Knots of a larger sample that lie up to the threshold; the others lie above it, where ranks
/// matter by their ratio.
const BODY: usize = KNOTS / 2;

/// Quantile from which on the exponential tail holds.
const THRESHOLD: f64 = 0.95;

/// Least p-value, so that its logarithm is finite.
const LEAST: f64 = 1e-300;

/// Upper tail of a distribution, by a sample of it.
///
/// With n values, u their 0.95-quantile, k of them above u and b the greater of a floor and the
/// mean of what those exceed u by, the p-value of v is
///
/// ```text
/// e(v) = (1 + #{values ≥ v}) / (n + 1)                         v ≤ u
/// min(e(v), (k + 1) / (n + 1) · exp(−(v − u) / b))             v > u
/// ```
///
/// The exponential is the generalised Pareto tail of peaks over a threshold with shape 0 (Pickands
/// 1975), its scale by maximum likelihood. So what lies beyond every value of the sample is told
/// apart by how far, and a single extreme value moves b by no more than its share of k.
///
/// Of more than [`KNOTS`] values so many are kept, half of them evenly spread up to u and half
/// above it, each with half the ranks to the end of the one before or more; e(v) between two kept
/// neighbours is interpolated. Up to [`KNOTS`] values it is exact.
///
/// ```
/// use weir_conformal::Tail;
///
/// let tail = Tail::new((0..1_000_u16).map(|i| f32::from(i) / 1_000.0).collect(), 0.01)?;
/// assert!((tail.p_value(0.5) - 0.5).abs() < 0.01);
/// assert!(tail.surprise(1.2) < tail.surprise(1.5)); // both beyond every value
/// # Ok::<(), weir_conformal::TailError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Tail {
    /// Ascending, finite.
    knots: Vec<f32>,
    /// e(v) at each knot.
    levels: Vec<f64>,
    values: u64,
    threshold: f64,
    beyond: u64,
    scale: f64,
}

/// Reason for which a tail cannot be made.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum TailError {
    /// There is no value.
    #[error("a tail needs at least one value, got none: check what the selection leaves")]
    Empty,
    /// A value is NaN or infinite.
    #[error("value {at} is {value}: values of a tail must be finite")]
    NonFinite {
        /// Index of the value, from 0.
        at: usize,
        /// The value found.
        value: f32,
    },
    /// The floor is not a width.
    #[error("the floor of a tail's scale must be finite and above 0, got {got}")]
    Floor {
        /// The floor given.
        got: f64,
    },
    /// Parts that were read do not make a tail.
    #[error("a tail {0}")]
    Malformed(&'static str),
}

/// A [`Tail`] as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    knots: Vec<f32>,
    values: u64,
    threshold: f64,
    beyond: u64,
    scale: f64,
}

impl Tail {
    /// Tail of values in any order, `floor` being the least scale, in their unit.
    pub fn new(mut values: Vec<f32>, floor: f64) -> Result<Self, TailError> {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(TailError::NonFinite { at, value: values[at] });
        }
        values.sort_unstable_by(f32::total_cmp);
        Self::of_sorted(&values, floor)
    }

    /// Tail of finite, ascending values.
    ///
    /// # Panics
    /// Where debug assertions are on and the values do not ascend.
    pub fn of_sorted(ascending: &[f32], floor: f64) -> Result<Self, TailError> {
        debug_assert!(ascending.is_sorted(), "values of a tail ascend");
        if !(floor.is_finite() && floor > 0.0) {
            return Err(TailError::Floor { got: floor });
        }
        let Some(last) = ascending.len().checked_sub(1) else { return Err(TailError::Empty) };
        let threshold = interpolated(ascending, THRESHOLD * last as f64);
        let first = ascending.partition_point(|value| f64::from(*value) <= threshold);
        let above = &ascending[first..];
        let excess: f64 = above.iter().map(|value| f64::from(*value) - threshold).sum();
        let mean = if above.is_empty() { 0.0 } else { excess / above.len() as f64 };
        let values = ascending.len() as u64;
        Ok(Self {
            knots: ranks(values).map(|rank| ascending[index(rank)]).collect(),
            levels: levels(values),
            values,
            threshold,
            beyond: above.len() as u64,
            scale: mean.max(floor),
        })
    }

    /// Chance of a value as high as this one, in (0, 1]. NaN, of which nothing is known, has 1.
    #[must_use]
    pub fn p_value(&self, value: f32) -> f64 {
        if value.is_nan() {
            return 1.0;
        }
        let (empirical, value) = (self.empirical(value), f64::from(value));
        let at_threshold = (self.beyond + 1) as f64 / (self.values + 1) as f64;
        if value <= self.threshold {
            return empirical.max(at_threshold);
        }
        let tail = at_threshold * (-(value - self.threshold) / self.scale).exp();
        empirical.min(tail).max(LEAST)
    }

    /// Surprise of a value, −log10 of its p-value: 3 is one in a thousand. In [0, 300].
    #[must_use]
    pub fn surprise(&self, value: f32) -> f64 {
        // Not −0.
        -self.p_value(value).log10() + 0.0
    }

    /// e(v) alone, without anything beyond the sample: (1 + #{values ≥ v}) / (n + 1).
    #[must_use]
    pub fn empirical(&self, value: f32) -> f64 {
        let at = self.knots.partition_point(|knot| *knot < value);
        let (Some(&above), Some(&level)) = (self.knots.get(at), self.levels.get(at)) else {
            return 1.0 / (self.values + 1) as f64;
        };
        let Some(below) = at.checked_sub(1).filter(|_| above > value) else {
            return if above > value { 1.0 } else { level };
        };
        // Of the values from the knot below on, all but that one may reach this value.
        let most = self.levels[below] - 1.0 / (self.values + 1) as f64;
        let from = f64::from(self.knots[below]);
        let share = (f64::from(value) - from) / (f64::from(above) - from);
        most.max(level) + (level - most.max(level)) * share
    }

    /// Number of values it was made of.
    #[must_use]
    pub const fn values(&self) -> u64 {
        self.values
    }

    /// The value u beyond which the exponential tail holds.
    #[must_use]
    pub const fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The scale b of the exponential tail, in the values' unit.
    #[must_use]
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// The greatest value.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a tail has at least one knot")]
    pub fn greatest(&self) -> f32 {
        *self.knots.last().expect("a tail has a knot")
    }
}

impl TryFrom<Parts> for Tail {
    type Error = TailError;

    fn try_from(parts: Parts) -> Result<Self, TailError> {
        let Parts { knots, values, threshold, beyond, scale } = parts;
        let fault = if values == 0 || knots.len() != ranks(values).count() {
            "has another number of knots than so many values make"
        } else if !knots.iter().all(|knot| knot.is_finite()) || !knots.is_sorted() {
            "has knots that are not finite or do not ascend"
        } else if !threshold.is_finite() || beyond >= values {
            "has a threshold that is not finite, or all values beyond it"
        } else if !(scale.is_finite() && scale > 0.0) {
            "has a scale that is not finite or not above 0"
        } else {
            return Ok(Self { levels: levels(values), knots, values, threshold, beyond, scale });
        };
        Err(TailError::Malformed(fault))
    }
}

impl From<Tail> for Parts {
    fn from(tail: Tail) -> Self {
        let Tail { knots, levels: _, values, threshold, beyond, scale } = tail;
        Self { knots, values, threshold, beyond, scale }
    }
}

/// The value at a place between ranks, interpolated.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between 0 and the last index"
)]
fn interpolated(ascending: &[f32], place: f64) -> f64 {
    let below = place.floor() as usize;
    let value = |at: usize| f64::from(ascending[at.min(ascending.len() - 1)]);
    value(below) + (value(below + 1) - value(below)) * (place - below as f64)
}

/// Ranks, from 0, of the values that are kept of so many.
fn ranks(values: u64) -> impl Iterator<Item = u64> {
    let few = values <= KNOTS as u64;
    let kept = if few { values } else { KNOTS as u64 };
    (0..kept).map(move |knot| if few { knot } else { rank(values, index(knot)) })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between 0 and the last rank"
)]
fn rank(values: u64, knot: usize) -> u64 {
    let last = values - 1;
    let body = (THRESHOLD * last as f64).floor();
    if knot < BODY {
        return (body * knot as f64 / (BODY - 1) as f64).round() as u64;
    }
    let above = last as f64 - body;
    let from_the_end = above.powf((KNOTS - 1 - knot) as f64 / (KNOTS - 1 - BODY) as f64);
    last - (from_the_end.round() as u64 - 1)
}

/// e(v) at the kept values of so many.
fn levels(values: u64) -> Vec<f64> {
    ranks(values).map(|rank| (values - rank + 1) as f64 / (values + 1) as f64).collect()
}

fn index(rank: u64) -> usize {
    usize::try_from(rank).expect("a rank among values that lie in memory")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, over all values and without knots.
    fn exact(values: &[f32], floor: f64, value: f32) -> f64 {
        let n = values.len() as f64;
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let u = interpolated(&sorted, 0.95 * (n - 1.0));
        let over: Vec<f64> =
            sorted.iter().map(|x| f64::from(*x) - u).filter(|e| *e > 0.0).collect();
        let b = (over.iter().sum::<f64>() / (over.len() as f64).max(1.0)).max(floor);
        let e = (1.0 + sorted.iter().filter(|x| **x >= value).count() as f64) / (n + 1.0);
        let tail = (over.len() as f64 + 1.0) / (n + 1.0) * (-(f64::from(value) - u) / b).exp();
        if f64::from(value) > u { e.min(tail).max(LEAST) } else { e }
    }

    #[test]
    fn twenty_values_have_the_p_values_that_were_computed_elsewhere() {
        // By numpy: quantile(x, .95), mean of x[x > u] - u, (n - searchsorted(x, v) + 1) / (n + 1).
        let tail = Tail::new((0..20_u8).map(|i| f32::from(i) / 10.0).collect(), 0.15).unwrap();
        for (value, p) in [
            (0.0, 1.0),
            (1.0, 11.0 / 21.0),
            (1.8, 3.0 / 21.0),
            (1.9, 0.050_554_233),
            (2.5, 0.000_925_933),
        ] {
            assert!((tail.p_value(value) - p).abs() < 1e-6, "{value}: {}", tail.p_value(value));
        }
        assert!((tail.threshold() - 1.805).abs() < 1e-6 && (tail.scale() - 0.15).abs() < 1e-12);
    }

    #[test]
    fn of_many_values_the_chance_is_near_the_exact_one_at_every_height() {
        // A heavy body, an atom at 0 and a long tail.
        let values: Vec<f32> =
            (0..20_000_u16).map(|i| (f32::from(i) / 200.0 - 20.0).max(0.0).powi(2)).collect();
        let tail = Tail::new(values.clone(), 0.15).unwrap();
        for value in [0.0, 0.5, 3.0, 900.0, 4_000.0, 5_800.0, 6_100.0, 6_390.0, 7_000.0, 20_000.0] {
            let (found, exact) = (tail.surprise(value), -exact(&values, 0.15, value).log10());
            assert!((found - exact).abs() < 0.03, "{value}: {found} for {exact}");
        }
    }

    #[test]
    fn one_odd_value_in_a_thousand_hides_nothing_that_lies_as_far() {
        let calm: Vec<f32> = (0..1_000_u16).map(|i| f32::from(i % 100) / 100.0).collect();
        let odd = [&calm[..], &[9.0]].concat();
        let surprise = |values: Vec<f32>| Tail::new(values, 0.15).unwrap().surprise(9.0);
        assert!(surprise(calm) > 20.0);
        assert!(surprise(odd) > 5.0);
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        assert_eq!(Tail::new(vec![], 0.1), Err(TailError::Empty));
        let error = Tail::new(vec![0.0, f32::NAN], 0.1).unwrap_err().to_string();
        assert_eq!(error, "value 1 is NaN: values of a tail must be finite");
        for got in [0.0, -1.0, f64::NAN] {
            assert!(matches!(Tail::new(vec![1.0], got), Err(TailError::Floor { .. })));
        }
        let bad = r#"{"knots":[1.0,0.0],"values":2,"threshold":1.0,"beyond":0,"scale":1.0}"#;
        let error = serde_json::from_str::<Tail>(bad).unwrap_err().to_string();
        assert!(error.contains("do not ascend"), "{error}");
    }

    proptest! {
        #[test]
        fn it_is_total_and_falls_with_the_value(
            values in prop::collection::vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), 1..400),
            one in any::<f32>(),
            other in any::<f32>(),
        ) {
            let tail = Tail::new(values, 0.15).unwrap();
            let (low, high) = (tail.p_value(one.min(other)), tail.p_value(one.max(other)));
            prop_assert!((LEAST..=1.0).contains(&low) && (LEAST..=1.0).contains(&high));
            prop_assert!(high <= low || one.is_nan() || other.is_nan());
        }

        #[test]
        fn up_to_its_knots_it_is_the_definition(
            values in prop::collection::vec(-3.0_f32..3.0, 1..=KNOTS),
            value in -4.0_f32..9.0,
        ) {
            let tail = Tail::new(values.clone(), 0.15).unwrap();
            for value in [value, values[0]] {
                let (found, exact) = (tail.p_value(value), exact(&values, 0.15, value));
                prop_assert!((found / exact - 1.0).abs() < 1e-9, "{} {}", found, exact);
            }
        }

        #[test]
        fn beyond_the_threshold_farther_is_less_likely(
            values in prop::collection::vec(-3.0_f32..3.0, 2..200),
            step in 0.01_f32..2.0,
        ) {
            let tail = Tail::new(values, 0.15).unwrap();
            // From where the exponential falls below one in n + 1.
            let far = tail.threshold + tail.scale * ((tail.beyond + 1) as f64).ln();
            #[expect(clippy::cast_possible_truncation, reason = "a few units")]
            let far = tail.greatest().max(far as f32) + step;
            prop_assert!(tail.p_value(far + step) < tail.p_value(far));
        }

        #[test]
        fn it_reads_back_as_it_was_written(values in prop::collection::vec(-1e9_f32..1e9, 1..300)) {
            let tail = Tail::new(values, 0.15).unwrap();
            let json = serde_json::to_string(&tail).unwrap();
            prop_assert_eq!(serde_json::from_str::<Tail>(&json).unwrap(), tail);
        }
    }
}
