//! Seeded draws. The distributions are written out here, because a library's may change from
//! release to release, and with them every forest of a given seed.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// The generator of one tree.
#[derive(Clone, Debug)]
pub struct Draws(Xoshiro256PlusPlus);

impl Draws {
    /// Each tree has a stream of its own, so that threads may grow trees in any order.
    #[must_use]
    pub fn new(seed: u64, tree: usize) -> Self {
        // Golden-ratio steps keep neighbouring (seed, tree) pairs apart; SplitMix64 inside
        // `seed_from_u64` then spreads them over the whole state.
        let step = (tree as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add(step)))
    }

    /// Uniform in `0..bound`, without bias (Lemire 2019).
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a 128-bit product")]
    pub fn below(&mut self, bound: usize) -> usize {
        debug_assert!(bound > 0, "an empty range has no element");
        let bound = bound as u64;
        let mut product = u128::from(self.0.next_u64()) * u128::from(bound);
        if (product as u64) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u64) < threshold {
                product = u128::from(self.0.next_u64()) * u128::from(bound);
            }
        }
        (product >> 64) as usize
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in [`low`, `high`); `low` where rounding would reach `high`.
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the feature's own type")]
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        let (from, to) = (f64::from(low), f64::from(high));
        let drawn = (from + self.unit() * (to - from)) as f32;
        if drawn < high { drawn } else { low }
    }

    /// Standard normal (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_between_two_neighbouring_floats_stays_below_the_upper() {
        let mut rng = Draws::new(1, 0);
        let (low, high) = (1.0_f32, 1.0_f32.next_up());
        assert!((0..1_000).all(|_| rng.between(low, high).to_bits() == low.to_bits()));
        assert!((0..1_000).all(|_| rng.between(f32::MIN, f32::MAX).is_finite()));
    }

    #[test]
    fn normal_draws_have_mean_zero_and_variance_one() {
        let mut rng = Draws::new(7, 3);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| draw * draw).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
