//! Procedures: levels for the p-values of a window.

use super::{ProcedureChoice, Share, benjamini_hochberg, online::Online};
use crate::config::PolicyConfig;

/// The p-values of one window, and the facts of it known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// P-values, one per peer, in any order.
    pub p_values: &'a [f64],
    /// Benign peers that the windows before let expect, at least 1.
    pub expected: f64,
    /// Length of the window.
    pub seconds: f64,
    /// The window is whole. Of one that lost flows a procedure remembers nothing.
    pub whole: bool,
}

/// A choice of a level window by window; the same windows give the same levels.
pub trait Procedure: std::fmt::Debug + Send {
    /// The level of this window: the peers with a p-value at or below it are anomalous.
    fn anomalous(&mut self, batch: &Batch<'_>) -> f64;
}

/// Benjamini and Hochberg's procedure (1995) in each window by itself.
///
/// In each window the expected share of benign peers among those called anomalous is at most the
/// rate, where the p-values of benign peers are independent or positively dependent (PRDS,
/// Benjamini and Yekutieli 2001), as those of one calibration set are (Bates et al. 2023).
///
/// It does not promise that share over a day. Nearly all windows hold benign peers alone; then
/// every alarm is false, and the rate is the share of *windows* with a false alarm: at a rate of
/// 1 in 10 and windows of a second up to 8,640 a day. `policy.false_alarms` bounds those.
#[derive(Clone, Copy, Debug)]
pub struct PerWindow {
    rate: Share,
}

impl PerWindow {
    /// A procedure at this rate in each window.
    #[must_use]
    pub const fn new(rate: Share) -> Self {
        Self { rate }
    }
}

impl Procedure for PerWindow {
    fn anomalous(&mut self, batch: &Batch<'_>) -> f64 {
        let peers = batch.p_values.len().max(1) as f64;
        let rejected = benjamini_hochberg(batch.p_values, self.rate.value())
            .map_or(1, |largest| batch.p_values.iter().filter(|p| **p <= largest).count());
        // The level that the last of them had to reach; with none, that of the first.
        self.rate.value() * rejected as f64 / peers
    }
}

/// The procedure that a configuration chooses.
#[must_use]
pub(super) fn procedure(config: &PolicyConfig) -> Box<dyn Procedure> {
    match config.expert.procedure {
        ProcedureChoice::PerWindow => Box::new(PerWindow::new(config.wrong_blocks)),
        ProcedureChoice::Online => Box::new(Online::new(config.wrong_blocks, config.expert.memory)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(p_values: &[f64]) -> f64 {
        let batch = Batch { p_values, expected: 1.0, seconds: 1.0, whole: true };
        PerWindow::new(Share::TENTH).anomalous(&batch)
    }

    #[test]
    fn the_level_rises_with_the_number_of_anomalous_peers() {
        assert!((level(&[0.5; 10]) - 0.01).abs() < 1e-12);
        assert!((level(&[0.001, 0.002, 0.5, 0.5]) - 0.05).abs() < 1e-12);
        assert!((level(&[]) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn the_level_parts_the_same_peers_as_benjamini_and_hochberg() {
        let p_values = [0.001, 0.012, 0.028, 0.03, 0.2, 0.9];
        let largest = benjamini_hochberg(&p_values, 0.1).expect("some");
        let level = level(&p_values);
        for p in p_values {
            assert_eq!(p <= level, p <= largest, "{p}");
        }
    }
}
