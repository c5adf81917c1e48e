//! Number of benign peers in a window.

/// Span of the mean, in seconds.
const MEMORY_S: f64 = 3_600.0;

/// Seconds of a day.
pub(super) const DAY_S: f64 = 86_400.0;

/// A running mean of the ordinary peers per second, over the last hour or so.
///
/// Peers called anomalous do not count, and one window moves the mean by no more than twice what
/// the mean expects: neither a flood nor its end changes what is expected of the next window. It
/// is told of a window only after the window was decided on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Ordinary peers per window.
    peers: f64,
    seen_s: f64,
}

impl Traffic {
    /// A mean that begins with that of the training, where it is known.
    #[must_use]
    pub fn expecting(peers_per_window: Option<f64>) -> Self {
        let Some(peers) = peers_per_window.filter(|peers| *peers > 0.0) else {
            return Self::default();
        };
        // As if seen for a minute: the node's own traffic soon outweighs it.
        Self { peers, seen_s: 60.0 }
    }

    /// Ordinary peers that the next window lets expect, at least 1; `present` where no window came
    /// before.
    #[must_use]
    pub fn expected(&self, present: usize) -> f64 {
        let expected = if self.seen_s > 0.0 { self.peers } else { present as f64 };
        expected.max(1.0)
    }

    /// Peers in windows of a day at this rate, with windows as long as this one.
    #[must_use]
    pub fn peer_windows_a_day(&self, present: usize, seconds: f64) -> f64 {
        self.expected(present) * DAY_S / seconds.max(1e-3)
    }

    /// Counts a whole window's ordinary peers.
    pub fn note(&mut self, ordinary: usize, seconds: f64) {
        let counted = if self.seen_s > 0.0 {
            (ordinary as f64).min(2.0 * self.peers.max(1.0))
        } else {
            ordinary as f64
        };
        self.seen_s = (self.seen_s + seconds).min(MEMORY_S);
        self.peers += (counted - self.peers) * (seconds / self.seen_s.max(1e-9)).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_moves_the_mean_by_no_more_than_a_window_of_twice_the_traffic() {
        let mut traffic = Traffic::default();
        for _ in 0..1_000 {
            traffic.note(10, 1.0);
        }
        traffic.note(100_000, 1.0);
        assert!((10.0..10.02).contains(&traffic.expected(0)), "{traffic:?}");
    }

    #[test]
    fn growth_that_lasts_is_followed() {
        let mut traffic = Traffic::default();
        for _ in 0..1_000 {
            traffic.note(10, 1.0);
        }
        for _ in 0..20_000 {
            traffic.note(15, 1.0);
        }
        assert!((14.9..15.1).contains(&traffic.expected(0)), "{traffic:?}");
        assert!((traffic.peer_windows_a_day(0, 1.0) / 1.296e6 - 1.0).abs() < 0.01);
    }

    #[test]
    fn the_first_window_goes_by_its_own_peers_or_by_what_training_saw() {
        assert!((Traffic::default().expected(7) - 7.0).abs() < 1e-12);
        assert!((Traffic::expecting(Some(30.0)).expected(7) - 30.0).abs() < 1e-12);
        assert!((Traffic::default().expected(0) - 1.0).abs() < 1e-12);
    }
}
