//! Random sizes and times from a seeded generator.

use std::time::Duration;

use rand::distr::uniform::SampleUniform;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, Pareto, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seeded source of sizes and times.
#[derive(Debug)]
pub(crate) struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// A source of its own for the `nth` task under a seed.
    pub(crate) fn new(seed: u64, nth: u64) -> Self {
        // The odd constant (2^64 over the golden ratio) keeps the streams of neighbours apart;
        // seeding scrambles the sum.
        let seed = seed.wrapping_add(nth.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// An exponential time with this mean, cut off at ten times the mean.
    pub(crate) fn pause(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.exponential(1.0))
    }

    /// A time that differs from `middle` by at most this share, uniformly.
    pub(crate) fn around(&mut self, middle: Duration, share: f64) -> Duration {
        middle.mul_f64(1.0 + share * self.0.random_range(-1.0..=1.0))
    }

    /// A heavy-tailed size: Pareto of shape 1.2, within bounds.
    pub(crate) fn heavy(&mut self, least: u32, most: u32) -> u64 {
        // The scale is positive, so the distribution exists.
        let size = Pareto::new(f64::from(least.max(1)), 1.2)
            .map_or(f64::from(least), |pareto| pareto.sample(&mut self.0));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number that was just bounded by a u32"
        )]
        let size = size.min(f64::from(most)) as u64;
        size
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn between<T: SampleUniform + PartialOrd>(&mut self, least: T, most: T) -> T {
        self.0.random_range(least..=most)
    }

    /// A number from `least` to `most`, each order of magnitude as likely as another.
    pub(crate) fn magnitude(&mut self, least: f64, most: f64) -> f64 {
        self.0.random_range(least.ln()..=most.ln()).exp()
    }

    /// The same for a whole number, of at least 1.
    pub(crate) fn about(&mut self, least: u32, most: u32) -> u32 {
        let drawn = self.magnitude(f64::from(least.max(1)), f64::from(most.max(1)));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number between two of u32"
        )]
        let whole = drawn.round() as u32;
        whole.clamp(least, most)
    }

    /// An exponential number with this mean, cut off at ten times the mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        let times: f64 = Exp1.sample(&mut self.0);
        mean * times.min(10.0)
    }

    /// A whole number around `middle`, log-normally, with about this relative deviation.
    pub(crate) fn spread(&mut self, middle: u32, deviation: f64) -> u32 {
        let normal: f64 = StandardNormal.sample(&mut self.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and a cast from f64 saturates"
        )]
        let number = (f64::from(middle) * (deviation * normal).exp()).round() as u32;
        number
    }

    /// True in this share of cases.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.0.random::<f64>() < share
    }

    /// One of a list, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.0.random_range(0..list.len())]
    }

    /// Random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.random()
    }

    /// Puts a list in random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.0.random_range(0..=last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let all = |nth| {
            let mut draw = Draw::new(7, nth);
            (draw.bits(), draw.heavy(100, 10_000), draw.pause(Duration::from_secs(1)))
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn heavy_sizes_stay_within_bounds() {
        let mut draw = Draw::new(7, 0);
        for _ in 0..10_000 {
            assert!((100..=5_000).contains(&draw.heavy(100, 5_000)));
        }
    }
}
