//! Path lengths, in fixed point so that a sum does not depend on the order of its terms.

/// Fractional bits of a fixed-point path length. The rounding of a leaf, 2⁻¹⁷ levels, moves
/// a score by at most 3·10⁻⁷.
const FRACTION_BITS: u32 = 16;

/// A path length in 2⁻¹⁶ levels. At most [`MAX_DEPTH`](crate::MAX_DEPTH) + c([`MAX_SAMPLES`](crate::MAX_SAMPLES)) ≈ 51
/// levels, so that the sum over [`MAX_TREES`](crate::MAX_TREES) trees fits.
pub(crate) type FixedPath = u32;

/// Average path length of an unsuccessful search in a binary search tree of `n` rows: what a
/// leaf that stopped growing with `n` rows still lacks (Liu et al. 2008, equation 1).
///
/// As in scikit-learn: c(0) = c(1) = 0, c(2) = 1, else 2(ln(n−1) + γ) − 2(n−1)/n.
#[must_use]
pub fn average_path_length(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let n = n as f64;
            2.0 * ((n - 1.0).ln() + std::f64::consts::EULER_GAMMA) - 2.0 * (n - 1.0) / n
        }
    }
}

/// Path length of a row that ends in a leaf at `depth` holding `samples` training rows.
pub(crate) fn leaf_path(depth: usize, samples: usize) -> FixedPath {
    to_fixed(depth as f64 + average_path_length(samples))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a path length is between 0 and 52 levels"
)]
pub(crate) fn to_fixed(levels: f64) -> FixedPath {
    (levels * f64::from(1 << FRACTION_BITS)).round() as FixedPath
}

pub(crate) fn to_levels(path: FixedPath) -> f64 {
    f64::from(path) / f64::from(1 << FRACTION_BITS)
}

/// Turns sums of path lengths into scores: 2^(−E[h] / c(ψ)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoreScale {
    /// −1 / (trees × c(ψ)), per unit of [`FixedPath`].
    exponent: f64,
}

impl ScoreScale {
    pub(crate) fn new(n_trees: usize, max_samples: usize) -> Self {
        let full = n_trees as f64 * average_path_length(max_samples);
        Self { exponent: -1.0 / (full * f64::from(1 << FRACTION_BITS)) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a score is an f32 in (0, 1]")]
    pub(crate) fn score(self, path_sum: FixedPath) -> f32 {
        (f64::from(path_sum) * self.exponent).exp2() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_path_length_is_scikit_learns() {
        // sklearn.ensemble._iforest._average_path_length([0, 1, 2, 3, 10, 256])
        let known = [
            (0, 0.0),
            (1, 0.0),
            (2, 1.0),
            (3, 1.207_392_357_589_623),
            (10, 3.748_880_484_475_505),
            (256, 10.244_770_920_119_917),
        ];
        for (n, expected) in known {
            assert!((average_path_length(n) - expected).abs() < 1e-12, "c({n})");
        }
    }

    #[test]
    fn the_longest_sum_of_paths_fits() {
        let longest = leaf_path(crate::limits::MAX_DEPTH, crate::limits::MAX_SAMPLES);
        let trees = u32::try_from(crate::MAX_TREES).unwrap();
        assert!(longest.checked_mul(trees).is_some());
    }

    #[test]
    fn a_path_of_average_length_scores_one_half() {
        let scale = ScoreScale::new(1, 256);
        let score = scale.score(to_fixed(average_path_length(256)));
        assert!((score - 0.5).abs() < 1e-6);
    }
}
