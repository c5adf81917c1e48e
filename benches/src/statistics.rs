//! Timing of several things in turn, and what is said of the samples.

use std::time::Instant;

use serde::Serialize;

/// The least, the middle and the largest of some samples.
///
/// A median of few samples stands for "what it takes here"; the ends tell how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The least sample.
    pub min: f64,
    /// The middle one; the mean of the two middle ones where their number is even.
    pub median: f64,
    /// The largest.
    pub max: f64,
    /// Number of samples.
    pub samples: usize,
}

impl Spread {
    /// Spread of the samples; `None` where there are none.
    ///
    /// The order of samples does not matter. A NaN counts as larger than any number.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { min, median, max, samples: sorted.len() })
    }

    /// A single sample: a size, or something that is done once.
    #[must_use]
    pub const fn once(value: f64) -> Self {
        Self { min: value, median: value, max: value, samples: 1 }
    }
}

/// The samples of several contestants that took turns, so that whatever else the machine was
/// doing met them all alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turns {
    /// By contestant, then by round.
    samples: Vec<Vec<f64>>,
}

/// Contestant that takes its turn in each round and returns its measurement.
pub type Contestant<'a> = dyn FnMut() -> anyhow::Result<f64> + 'a;

impl Turns {
    /// Lets each contestant have its turn, `rounds` times: A B C A B C … One round before those
    /// warms caches and branch predictors up, and is not kept.
    ///
    /// # Errors
    /// The first that a contestant reports.
    pub fn take(rounds: usize, contestants: &mut [&mut Contestant<'_>]) -> anyhow::Result<Self> {
        let mut samples = vec![Vec::with_capacity(rounds); contestants.len()];
        for round in 0..=rounds {
            for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
                let sample = contestant()?;
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        Ok(Self { samples })
    }

    /// Spread of one contestant's samples.
    ///
    /// # Panics
    /// If there is no such contestant or there were no rounds.
    #[must_use]
    pub fn spread(&self, contestant: usize) -> Spread {
        spread(&self.samples[contestant])
    }

    /// As [`Turns::spread`], each sample put through a function first: a time into a rate.
    ///
    /// # Panics
    /// As [`Turns::spread`].
    #[must_use]
    pub fn map(&self, contestant: usize, function: impl Fn(f64) -> f64) -> Spread {
        spread(&self.samples[contestant].iter().map(|&sample| function(sample)).collect::<Vec<_>>())
    }

    /// The ratios `one / other`, round by round.
    ///
    /// # Panics
    /// As [`Turns::spread`].
    #[must_use]
    pub fn ratio(&self, one: usize, other: usize) -> Spread {
        let pairs = self.samples[one].iter().zip(&self.samples[other]);
        spread(&pairs.map(|(one, other)| one / other).collect::<Vec<_>>())
    }

    /// The differences `one - other`, round by round.
    ///
    /// # Panics
    /// As [`Turns::spread`].
    #[must_use]
    pub fn difference(&self, one: usize, other: usize) -> Spread {
        let pairs = self.samples[one].iter().zip(&self.samples[other]);
        spread(&pairs.map(|(one, other)| one - other).collect::<Vec<_>>())
    }
}

fn spread(samples: &[f64]) -> Spread {
    Spread::of(samples).expect("at least one round")
}

/// Seconds that `work` takes by the monotonic clock, and what it returned.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_of_samples_has_a_middle_one() {
        let spread = Spread::of(&[9.0, 1.0, 4.0]).unwrap();
        assert_eq!(spread, Spread { min: 1.0, median: 4.0, max: 9.0, samples: 3 });
    }

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(Spread::of(&[8.0, 2.0, 4.0, 1.0]).map(|spread| spread.median), Some(3.0));
    }

    #[test]
    fn no_samples_have_no_spread() {
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn contestants_take_turns_and_the_first_round_is_not_kept() {
        let order = std::cell::RefCell::new(String::new());
        let mut a = || {
            order.borrow_mut().push('a');
            Ok(order.borrow().len() as f64)
        };
        let mut b = || {
            order.borrow_mut().push('b');
            Ok(1.0)
        };
        let turns = Turns::take(2, &mut [&mut a, &mut b]).unwrap();
        assert_eq!(*order.borrow(), "ababab");
        assert_eq!(turns.spread(0), Spread { min: 3.0, median: 4.0, max: 5.0, samples: 2 });
        assert_eq!(turns.ratio(0, 1).max.to_bits(), 5.0_f64.to_bits());
        assert_eq!(turns.difference(0, 1).min.to_bits(), 2.0_f64.to_bits());
    }

    #[test]
    fn an_error_ends_the_rounds() {
        let mut fails = || anyhow::bail!("no");
        assert!(Turns::take(3, &mut [&mut fails]).is_err());
    }
}
