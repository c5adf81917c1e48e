//! Held-out rows of a model, and the smallest p-value that they support.

use conformal::Calibration;
use serde::Serialize;

use super::PValues;

/// Measures of a peer that Simes' rule combines in a window that ends no longer horizon: its score
/// and its tail score. Each horizon that ends brings two more.
pub const MEASURES: u32 = 2;

/// Held-out rows behind a model's calibrations of peers over a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeldOut {
    /// Rows of the scores.
    pub scores: u64,
    /// Rows of the tail scores.
    pub tails: u64,
}

impl HeldOut {
    /// The same number of rows for each.
    #[must_use]
    pub const fn each(rows: u64) -> Self {
        Self { scores: rows, tails: rows }
    }

    /// Rows of the smallest calibration.
    #[must_use]
    pub fn fewest(&self) -> u64 {
        self.scores.min(self.tails)
    }

    /// The p-value of a peer that lies beyond every held-out row by one of its [`MEASURES`]: Simes'
    /// `p · 2 / 1`.
    #[must_use]
    pub fn finest(&self, p_values: PValues) -> f64 {
        let rows = self.fewest();
        let one = match p_values {
            PValues::Conditional => Calibration::smallest_p_of(rows),
            PValues::Marginal => 1.0 / (rows as f64 + 1.0),
        };
        (f64::from(MEASURES) * one).min(1.0)
    }
}

/// Facts of a model's calibration that claims of an error rate rest on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Basis {
    /// Rows behind each calibration.
    pub held_out: HeldOut,
    /// Ordinary peers in a window of the training; `None` where they are not known.
    pub peers_per_window: Option<f64>,
    /// Share of the peer rows learnt from that were held out.
    pub held_out_share: f64,
    /// Held-out rows that a model keeps at most.
    pub most_rows: u64,
}

impl Default for Basis {
    /// A model that nothing is known of: no rows, held out as `weir learn` does, and no bound on
    /// the rows that it could keep.
    fn default() -> Self {
        Self {
            held_out: HeldOut::each(0),
            peers_per_window: None,
            held_out_share: 0.4,
            most_rows: u64::MAX,
        }
    }
}

/// Held-out rows with which [`HeldOut::finest`] is at most `level`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive count; a level too small to count for saturates"
)]
pub(super) fn rows_for(level: f64, p_values: PValues) -> u64 {
    let one = level / f64::from(MEASURES);
    if one.is_nan() || one <= 0.0 {
        return u64::MAX;
    }
    match p_values {
        PValues::Conditional => Calibration::rows_for(one.min(0.5)),
        PValues::Marginal => (1.0 / one - 1.0).ceil().max(2.0) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_said_to_suffice_do_and_fewer_do_not() {
        for p_values in [PValues::Conditional, PValues::Marginal] {
            for level in [0.05, 0.01, 0.001, 1.2e-5] {
                let rows = rows_for(level, p_values);
                let finest = |rows| HeldOut::each(rows).finest(p_values);
                assert!(finest(rows) <= level * (1.0 + 1e-9), "{p_values:?} {level} {rows}");
                assert!(finest(rows - 2) > level, "{p_values:?} {level} {rows}");
            }
        }
    }

    #[test]
    fn the_smaller_of_two_calibrations_is_what_counts() {
        let held_out = HeldOut { scores: 330, tails: 7_200 };
        let expected = 2.0 * -(0.1_f64.ln() / 165.0).exp_m1();
        assert!((held_out.finest(PValues::Conditional) - expected).abs() < 1e-12);
        assert!((held_out.finest(PValues::Marginal) - 2.0 / 331.0).abs() < 1e-12);
    }
}
