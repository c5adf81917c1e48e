//! An online procedure: one rate over a span of windows, with a memory that decays.

use std::{collections::VecDeque, time::Duration};

use super::{Batch, Procedure, Share};

/// Windows that pass before an alarm earns anything. A peer that is odd in one window is odd in
/// the next: what it earned must not be spent on itself.
pub const LAG: usize = 16;

/// Share of the rate that is spent without any alarm; alarms earn the rest.
const BASE: f64 = 0.5;

/// LORD with decaying memory, over windows.
///
/// Levels based On Recent Discovery (Javanmard and Montanari 2018, *Online rules for control of
/// false discovery rate and false discovery exceedance*, LORD 2), with the memory of Ramdas, Yang,
/// Wainwright and Jordan 2017 (*Online control of the false discovery rate with decaying memory*)
/// and a level that never falls below a floor, after Rebjock, Kurt, Januschowski and Callot 2021
/// (*Online false discovery rate control for anomaly detection in time series*), so that weeks
/// without an alarm do not use it up ("alpha-death"). One window is one step.
///
/// Let `V(T)` and `D(T)` be the false alarms and all alarms up to window `T`, each weighted by
/// `exp(−age / memory)`, and α the rate. In each window `aₜ = αₜ / m` is the level of every peer,
/// `m` the benign peers expected, and
///
/// ```text
/// αₜ = α/2 · (1 − d)  +  α/2 · (1 − d) · unspent alarms older than LAG windows,    d = exp(−window / memory)
/// ```
///
/// By construction `Σ d^(T−t) αₜ ≤ α · max(1, D(T))` at every `T`: the first part sums to α/2,
/// the second to α/2 · D(T). So **`E[V(T)] ≤ α · E[max(1, D(T))]`**, however the peers of one
/// window depend on each other, as long as
/// - a benign peer's p-value is at most `a` with probability at most `a`, whatever the alarms
///   more than `LAG` windows ago were (conditional p-values, no drift), and
/// - benign peers per window number `m` on average at most.
///
/// The expected *ratio* of V to max(1, D) keeps the rate as well where benign p-values are
/// independent of each other and of earlier windows (Ramdas et al., theorem 2, with the lag of
/// Zrnic, Ramdas and Jordan 2021, *Asynchronous online testing of multiple hypotheses*). Where
/// a benign peer stays odd for longer than `LAG` windows only the first part is sure.
///
/// The cost: with no alarm in memory the level is `α (1 − d) / 2m`, which is that of
/// [`PerWindow`](super::PerWindow) for one anomalous peer divided by twice the windows in memory;
/// a minute of one-second windows needs about 120 times the held-out rows.
#[derive(Clone, Debug)]
pub struct Online {
    rate: f64,
    memory_s: f64,
    /// Alarms of the last windows, decayed, the oldest first.
    recent: VecDeque<f64>,
    /// Alarms older than that, decayed, which have not been spent.
    unspent: f64,
}

impl Online {
    /// A procedure at this rate over this memory.
    #[must_use]
    pub fn new(rate: Share, memory: Duration) -> Self {
        Self {
            rate: rate.value(),
            memory_s: memory.as_secs_f64().max(f64::MIN_POSITIVE),
            recent: VecDeque::with_capacity(LAG + 1),
            unspent: 0.0,
        }
    }
}

impl Procedure for Online {
    fn anomalous(&mut self, batch: &Batch<'_>) -> f64 {
        let spent = -(-batch.seconds / self.memory_s).exp_m1();
        let kept = 1.0 - spent;
        let unspent = self.unspent * kept;
        let budget = self.rate * spent * (BASE + (1.0 - BASE) * unspent);
        let level = budget / batch.expected.max(1.0);
        // Of a window that is not whole nothing is remembered but that time went by.
        let alarms = batch.p_values.iter().filter(|p| **p <= level && batch.whole).count();
        self.unspent = unspent * kept;
        for alarms in &mut self.recent {
            *alarms *= kept;
        }
        self.recent.push_back(alarms as f64);
        if self.recent.len() > LAG {
            self.unspent += self.recent.pop_front().unwrap_or_default();
        }
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(p_values: &[f64]) -> Batch<'_> {
        Batch { p_values, expected: 10.0, seconds: 1.0, whole: true }
    }

    fn online() -> Online {
        Online::new(Share::TENTH, Duration::from_mins(1))
    }

    #[test]
    fn weeks_without_an_alarm_do_not_use_the_level_up() {
        let mut online = online();
        let first = online.anomalous(&batch(&[0.5]));
        let last = (0..2_000_000).map(|_| online.anomalous(&batch(&[0.5]))).last();
        assert!((first - 0.05 / 10.0 * -(-1.0_f64 / 60.0).exp_m1()).abs() < 1e-12);
        assert!(last.is_some_and(|last| (last - first).abs() < 1e-15), "{last:?}");
    }

    #[test]
    fn an_alarm_earns_only_after_the_lag_and_is_forgotten_again() {
        let mut online = online();
        let floor = online.anomalous(&batch(&[1e-9; 5]));
        let levels: Vec<f64> = (0..2_000).map(|_| online.anomalous(&batch(&[0.5]))).collect();
        assert!(levels[..LAG - 1].iter().all(|level| (level - floor).abs() < 1e-15));
        assert!(levels[LAG] > 3.0 * floor, "{} {floor}", levels[LAG]);
        assert!((levels[1_999] / floor - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_was_spent_never_exceeds_the_rate_times_the_alarms_in_memory() {
        let mut online = online();
        let (mut spent, mut alarms) = (0.0, 0.0);
        let decay = (-1.0_f64 / 60.0).exp();
        for window in 0..5_000_u32 {
            // Bursts of alarms, and long silence between them.
            let odd = if window % 700 < 40 { (window % 7) as usize } else { 0 };
            let p_values = vec![0.0; odd];
            let level = online.anomalous(&batch(&p_values));
            spent = spent * decay + level * 10.0;
            alarms = alarms * decay + odd as f64;
            assert!(spent <= 0.1 * f64::max(1.0, alarms) + 1e-12, "{window}: {spent} {alarms}");
        }
    }

    #[test]
    fn a_window_that_is_not_whole_earns_nothing() {
        let mut online = online();
        let floor = online.anomalous(&Batch { whole: false, ..batch(&[1e-9; 50]) });
        for _ in 0..100 {
            let level = online.anomalous(&batch(&[0.5]));
            assert!((level - floor).abs() < 1e-15);
        }
    }
}
