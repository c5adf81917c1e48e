//! Synthetic feature rows: skewed, of differing scale, the same for the same seed.

use std::{fs::File, io, io::Write as _, path::Path};

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Rows of `f32` side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    values: Vec<f32>,
    width: usize,
}

impl Rows {
    /// Draws rows whose values are products of uniform ones, which is about as skewed as rates
    /// and sizes of flows are; the second half of the features has whole numbers, as counts do.
    #[must_use]
    pub fn draw(rows: usize, width: usize, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut uniform = || (random.next_u64() >> 40) as f32 / (1_u32 << 24) as f32;
        let mut values = Vec::with_capacity(rows * width);
        for _ in 0..rows {
            for feature in 0..width {
                let skewed = 1.0 / (uniform() * uniform()).max(1e-6);
                let scaled = skewed * (feature + 1) as f32;
                values.push(if feature < width / 2 { scaled } else { scaled.floor() });
            }
        }
        Self { values, width }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Values in a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// The first rows, side by side.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn first(&self, rows: usize) -> &[f32] {
        &self.values[..rows * self.width]
    }

    /// Writes them as little-endian `f32` with nothing around them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        let mut bytes = Vec::new();
        for values in self.values.chunks(1 << 16) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            file.write_all(&bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_finite_rows() {
        let rows = Rows::draw(100, 16, 7);
        assert_eq!(rows, Rows::draw(100, 16, 7));
        assert_ne!(rows, Rows::draw(100, 16, 8));
        assert_eq!((rows.len(), rows.width(), rows.first(3).len()), (100, 16, 48));
        assert!(rows.first(100).iter().all(|value| value.is_finite()));
    }
}
