//! ECOD: Li, Zhao, Hu, Botta, Ionescu, Chen 2022, *ECOD: Unsupervised Outlier Detection Using
//! Empirical Cumulative Distribution Functions* (IEEE TKDE, arXiv 2201.00382).

use forest::RowSample;
use onnx::write::Steps;

use crate::steps::{Piece, joined};

/// Rows at most whose tails are measured; of more, a uniform sample. A tail probability is then
/// off by at most √(ln(2/δ) / 2n) with probability 1 − δ (Dvoretzky, Kiefer, Wolfowitz; Massart
/// 1990): 0.4 % for δ = 5 %. Memory: 4 bytes per feature and row, 21 MB for 40 features.
pub(crate) const ECOD_ROWS: usize = 1 << 17;
const STREAM: usize = usize::MAX - 17;

/// Tail probabilities: a row's score is the sum over its features of −ln of how likely a value so
/// far out is. No parameter is to be chosen; like HBOS it is blind to unusual combinations.
///
/// The probability of a tail is (1 + rows that far out) / (1 + rows), which is never 0 and what
/// `PyOD` finds for a single new row. A feature's tail probabilities are a step function with a
/// step at each training value; more than 255 steps are joined such that the greatest error is
/// as small as can be, and [`EcodFit::error`] tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ecod {
    /// Tails of a feature that count.
    pub tails: Tails,
}

/// Tails of a feature that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tails {
    /// The one in which the value lies, feature by feature: what `PyOD` 2 does. The paper takes
    /// the greatest of three sums instead, which no sum over features can express.
    #[default]
    Nearer,
    /// The longer one: the left of a feature with negative skewness, else the right
    /// (`O_auto` of the paper).
    Skewed,
}

/// Result of fitting.
#[derive(Clone, Debug, PartialEq)]
pub struct EcodFit {
    /// Of each feature, −ln of the tail probability.
    pub steps: Vec<Steps>,
    /// Of each feature, by how much a step's value may differ from the exact one.
    pub error: Vec<f64>,
}

impl Ecod {
    /// Fits to rows that lie side by side, finite.
    ///
    /// # Panics
    /// If `rows` does not hold whole rows.
    #[must_use]
    pub fn fit_rows(&self, rows: &[f32], width: usize) -> EcodFit {
        assert!(rows.len().is_multiple_of(width), "rows must be whole");
        let mut fit = EcodFit { steps: Vec::new(), error: Vec::new() };
        for feature in 0..width {
            let mut column: Vec<f32> =
                rows.iter().skip(feature).step_by(width).map(|value| value + 0.0).collect();
            column.sort_unstable_by(f32::total_cmp);
            let (pieces, last) = self.pieces(&column);
            let (steps, error) = joined(&pieces, last);
            fit.steps.push(steps);
            fit.error.push(error);
        }
        fit
    }

    /// The sample of a stream from which [`fit_rows`](Self::fit_rows) is to be called.
    pub(crate) fn sample(width: usize, seed: u64) -> RowSample {
        RowSample::new(ECOD_ROWS, width, seed, STREAM)
    }

    /// The exact step function of an ascending column: a step at each value, where both tails
    /// hold it, and one between each two.
    fn pieces(self, column: &[f32]) -> (Vec<Piece>, f64) {
        let rows = column.len();
        let right_is_longer = skewness(column) >= 0.0;
        let surprise = |left: usize, right: usize| {
            let [left, right] =
                [left, right].map(|rows_there| -((1 + rows_there) as f64 / (1 + rows) as f64).ln());
            match self.tails {
                Tails::Nearer => left.max(right),
                Tails::Skewed if right_is_longer => right,
                Tails::Skewed => left,
            }
        };
        let mut pieces = Vec::new();
        let mut below = 0;
        for equal in column.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
            let value = equal[0];
            // Above the value before, and below this one.
            let before = value.next_down();
            let is_between = pieces.last().is_none_or(|last: &Piece| last.edge < before);
            // Below the least f32 there is nothing.
            if is_between && before.is_finite() {
                pieces.push(Piece { edge: before, value: surprise(below, rows - below) });
            }
            let up_to = below + equal.len();
            pieces.push(Piece { edge: value, value: surprise(up_to, rows - below) });
            below = up_to;
        }
        (pieces, surprise(rows, 0))
    }
}

/// The sign of a column's skewness is that of its third central moment.
fn skewness(column: &[f32]) -> f64 {
    let n = column.len().max(1) as f64;
    let mean = column.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    column.iter().map(|value| (f64::from(*value) - mean).powi(3)).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steps::{MAX_EDGES, value_at};

    /// The definition, straight from the rows.
    fn exact(column: &[f32], x: f32) -> f64 {
        let left = column.iter().filter(|value| **value <= x).count();
        let right = column.iter().filter(|value| **value >= x).count();
        let tail = |rows: usize| -((1 + rows) as f64 / (1 + column.len()) as f64).ln();
        tail(left).max(tail(right))
    }

    #[test]
    fn the_tail_follows_the_skewness() {
        let right: Vec<f32> = (0..200_u16).map(|i| (f32::from(i) / 40.0).exp()).collect();
        let left: Vec<f32> = right.iter().map(|value| -value).collect();
        let ecod = Ecod { tails: Tails::Skewed };
        let score = |column: &[f32], x| value_at(&ecod.fit_rows(column, 1).steps[0], x);
        assert!(score(&right, 500.0) > 5.0 && score(&right, -500.0) < 0.01);
        assert!(score(&left, -500.0) > 5.0 && score(&left, 500.0) < 0.01);
        let nearer = Ecod::default().fit_rows(&right, 1);
        assert!(value_at(&nearer.steps[0], -500.0) > 5.0);
    }

    #[test]
    fn many_values_are_joined_within_a_small_error() {
        let column: Vec<f32> = (0..100_000_u32).map(|i| (i * 7_919 % 100_003) as f32).collect();
        let fit = Ecod::default().fit_rows(&column, 1);
        assert!((MAX_EDGES - 5..=MAX_EDGES).contains(&fit.steps[0].edges.len()));
        // From ln 2 in the middle to ln 100,001 at both ends, in 255 equal steps.
        let bound = 2.0 * (100_001_f64.ln() - 2_f64.ln()) / 255.0 / 2.0;
        assert!(fit.error[0] <= bound * 1.05, "{} > {bound}", fit.error[0]);
    }

    proptest! {
        #[test]
        fn the_step_function_is_the_definition_within_the_error_told(
            column in prop::collection::vec(
                prop_oneof![(-20_i8..20).prop_map(f32::from), -5.0_f32..5.0],
                1..600,
            ),
            others in prop::collection::vec(-30.0_f32..30.0, 20),
        ) {
            let fit = Ecod::default().fit_rows(&column, 1);
            for x in column.iter().flat_map(|x| [*x, x.next_up(), x.next_down()]).chain(others) {
                let found = value_at(&fit.steps[0], x);
                prop_assert!(
                    (found - exact(&column, x)).abs() <= fit.error[0] + 1e-9,
                    "{found} for {}", exact(&column, x)
                );
            }
        }
    }
}
