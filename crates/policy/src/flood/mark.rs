//! Ordinary mark of a service: the most unproven sources that it ordinarily sees in a second.
//!
//! An attacker writes what is seen here, so a mark follows it late and slowly: windows are held
//! back, those before a limit are discarded, and the mark doubles in [`GROWTH_A_MINUTE`] steps. A
//! flood that begins in the middle of a window, or ramps up over a few, never makes itself
//! ordinary; growth by popularity, which takes hours, does.

use serde::{Deserialize, Serialize};

/// Time in which a mark halves, in ns.
const HALF_LIFE_NS: f64 = 3_600e9;
/// Length of the stretches whose highest window is kept, in ns.
const STRETCH_NS: u64 = 60_000_000_000;
/// Stretches that are held back: three minutes and the one that runs.
const HELD_BACK: usize = 4;
/// Factor by which a stretch lifts a mark at most: it doubles in ten minutes.
const GROWTH_A_MINUTE: f64 = 1.071_8;
/// Sources a second that a mark may grow from, however few there were.
const LEAST: f64 = 10.0;

/// The highest window of a stretch.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Stretch {
    begin_ns: u64,
    per_second: f64,
}

/// Ordinary mark of one service.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Sources a second, damped to `at_ns`.
    per_second: f64,
    at_ns: u64,
    /// Stretches not yet taken for ordinary, the latest first.
    held_back: [Option<Stretch>; HELD_BACK],
    limited_until_ns: u64,
}

impl Mark {
    /// Sources a second that are ordinary.
    pub(super) fn ordinary(&self, now_ns: u64) -> f64 {
        let apart = now_ns.saturating_sub(self.at_ns) as f64;
        self.per_second * (-apart / HALF_LIFE_NS).exp2()
    }

    /// The highest of what is ordinary and of what is held back.
    pub(super) fn highest(&self, now_ns: u64) -> f64 {
        let held_back = self.held_back.iter().flatten().map(|stretch| stretch.per_second);
        held_back.fold(self.ordinary(now_ns), f64::max)
    }

    /// True while its service is limited.
    pub(super) const fn is_limited(&self, now_ns: u64) -> bool {
        self.limited_until_ns > now_ns
    }

    /// Notes that the service is limited until then. The minutes before may belong to the flood.
    pub(super) fn limit(&mut self, until_ns: u64) {
        self.limited_until_ns = self.limited_until_ns.max(until_ns);
        self.held_back = Default::default();
    }

    /// Notes a window under no flood. `is_known` is false in the first minute, whose windows are
    /// ordinary at once: a name server has thousands of strangers from the start.
    pub(super) fn note(&mut self, per_second: f64, is_known: bool, now_ns: u64) {
        if self.is_limited(now_ns) {
            // Traffic that a limit lets through is no measure of the ordinary.
            return;
        }
        if !is_known {
            return self.lift(per_second, now_ns);
        }
        match &mut self.held_back[0] {
            Some(stretch) if now_ns.saturating_sub(stretch.begin_ns) < STRETCH_NS => {
                stretch.per_second = stretch.per_second.max(per_second);
            }
            _ => {
                let ripe = self.held_back[HELD_BACK - 1];
                self.held_back.rotate_right(1);
                self.held_back[0] = Some(Stretch { begin_ns: now_ns, per_second });
                if let Some(ripe) = ripe {
                    let most = self.ordinary(now_ns).max(LEAST) * GROWTH_A_MINUTE;
                    self.lift(ripe.per_second.min(most), now_ns);
                }
            }
        }
    }

    fn lift(&mut self, per_second: f64, now_ns: u64) {
        self.per_second = self.ordinary(now_ns).max(per_second);
        self.at_ns = now_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_is_seen_becomes_ordinary_minutes_later_and_by_doubling_in_ten() {
        let mut mark = Mark::default();
        let mut at = |from: u64, to: u64| {
            (from..to).for_each(|second| mark.note(1_000.0, true, second * SECOND));
            mark.ordinary(to * SECOND)
        };
        assert!(at(0, 240) < 1e-9, "held back");
        let begun = at(240, 241);
        assert!((10.0..11.0).contains(&begun), "{begun}");
        let later = at(241, 841);
        assert!((1.7..2.0).contains(&(later / begun)), "{begun} to {later}");
    }

    #[test]
    fn the_minutes_before_a_limit_are_discarded() {
        let mut mark = Mark::default();
        (0..200).for_each(|second| mark.note(1_000.0, true, second * SECOND));
        mark.limit(320 * SECOND);
        (200..320).for_each(|second| mark.note(5_000.0, true, second * SECOND));
        assert!(mark.highest(320 * SECOND) < 1e-9);
    }

    #[test]
    fn the_first_minute_is_ordinary_at_once_and_halves_in_an_hour() {
        let mut mark = Mark::default();
        mark.note(3_000.0, false, SECOND);
        assert!((mark.ordinary(3_601 * SECOND) - 1_500.0).abs() < 1.0);
    }
}
