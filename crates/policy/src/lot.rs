//! Seeded lots.

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};

/// A stream of uniform numbers; the same seed gives the same stream in every release.
#[derive(Debug)]
pub(crate) struct Lot(Xoshiro256PlusPlus);

impl Lot {
    pub(crate) fn new(seed: u64) -> Self {
        // A golden-ratio step ahead: the stream that early releases have always been drawn from.
        Self(Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)))
    }

    /// The next number, uniform in [0, 1), of 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_what_the_models_generator_draws_of_it() {
        let (mut lot, mut draws) = (Lot::new(42), model::sample::Draws::new(42, 0));
        assert!((0..1_000).all(|_| lot.unit().to_bits() == draws.unit().to_bits()));
    }
}
