//! Synthetic feature rows: skewed, the same for the same seed.

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
    /// Draws rows of log-normal values (σ = 1), about as skewed as rates and sizes of flows are.
    ///
    /// Not more: where a few values lie far out, nearly all rows take the same way through a
    /// tree, and a walk that guesses its way looks faster than it is.
    #[must_use]
    pub fn draw(rows: usize, width: usize, seed: u64) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        // In (0, 1], for its logarithm is taken.
        let mut uniform = || ((random.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        let values = (0..rows * width)
            .map(|_| {
                // Box and Muller 1958.
                let radius = (-2.0 * uniform().ln()).sqrt();
                narrow((radius * (std::f64::consts::TAU * uniform()).cos()).exp())
            })
            .collect();
        Self { values, width }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// True where there are none.
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

#[expect(clippy::cast_possible_truncation, reason = "rows are f32; e to the 9 fits")]
const fn narrow(value: f64) -> f32 {
    value as f32
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
