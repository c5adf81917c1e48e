//! Split of the time into a part that trains and a part that calibrates.

use crate::error::TrainingError;

/// A split in time. Windows that start in the first [`share`](Self::share) of the time train; the
/// later ones calibrate.
///
/// Never at random: rows of neighbouring windows resemble each other, and features with a long
/// memory carry one into the other, so that a calibration on rows from in between would promise
/// what it cannot hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeSplit {
    /// The share of the time, from the first window's start to the last one's, that trains; above
    /// 0 and below 1.
    pub share: f64,
    /// Windows on each side of the boundary that neither train nor calibrate.
    pub gap_windows: u32,
    /// Windows at the start that only filled the features' memory: in them everything is new.
    pub warm_up_windows: u32,
}

impl Default for TimeSplit {
    fn default() -> Self {
        Self { share: 0.6, gap_windows: 0, warm_up_windows: 0 }
    }
}

/// Part that a window belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Filling the features' memory.
    WarmUp,
    /// Training.
    Train,
    /// Keeping the two apart.
    Gap,
    /// Calibration.
    HeldOut,
}

/// The split of one stream; all in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundaries {
    warm_until: i64,
    /// The last start that trains, but for the gap.
    pub(crate) boundary: i64,
    gap: i64,
}

impl TimeSplit {
    pub(crate) fn check(&self) -> Result<(), TrainingError> {
        if self.share > 0.0 && self.share < 1.0 {
            return Ok(());
        }
        let got = self.share.to_string();
        Err(TrainingError::Parameter { name: "split", bounds: "above 0 and below 1", got })
    }

    /// The boundaries of a stream whose windows start between `first_ns` and `last_ns` and are
    /// `window_ns` long.
    #[expect(clippy::cast_possible_truncation, reason = "a share of what fits")]
    pub(crate) fn boundaries(&self, first_ns: i64, last_ns: i64, window_ns: i64) -> Boundaries {
        let windows = |count: u32| window_ns.saturating_mul(i64::from(count));
        let warm_until = first_ns.saturating_add(windows(self.warm_up_windows));
        let from = warm_until.min(last_ns);
        let length = (i128::from(last_ns) - i128::from(from)) as f64 * self.share;
        Boundaries {
            warm_until,
            boundary: from.saturating_add(length as i64),
            gap: windows(self.gap_windows),
        }
    }
}

impl Boundaries {
    /// Part of the window that starts at `start_ns`.
    pub(crate) fn part(&self, start_ns: i64) -> Part {
        if start_ns < self.warm_until {
            Part::WarmUp
        } else if start_ns <= self.boundary.saturating_sub(self.gap) {
            Part::Train
        } else if start_ns <= self.boundary.saturating_add(self.gap) {
            Part::Gap
        } else {
            Part::HeldOut
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(split: TimeSplit) -> Vec<Part> {
        let boundaries = split.boundaries(0, 9_000, 1_000);
        (0..10).map(|window| boundaries.part(window * 1_000)).collect()
    }

    #[test]
    fn the_first_part_of_the_time_trains_and_the_later_calibrates() {
        let parts = parts(TimeSplit::default());
        assert_eq!(parts[..6], [Part::Train; 6]);
        assert_eq!(parts[6..], [Part::HeldOut; 4]);
    }

    #[test]
    fn a_gap_keeps_them_apart_on_both_sides() {
        let parts = parts(TimeSplit { gap_windows: 2, ..TimeSplit::default() });
        assert_eq!(parts[..4], [Part::Train; 4]);
        assert_eq!(parts[4..8], [Part::Gap; 4]);
        assert_eq!(parts[8..], [Part::HeldOut; 2]);
    }

    #[test]
    fn a_warm_up_does_not_count_as_time() {
        let parts = parts(TimeSplit { warm_up_windows: 4, share: 0.5, ..TimeSplit::default() });
        assert_eq!(parts[..4], [Part::WarmUp; 4]);
        assert_eq!(parts[4..7], [Part::Train; 3]);
        assert_eq!(parts[7..], [Part::HeldOut; 3]);
    }

    #[test]
    fn extremes_of_time_do_not_overflow() {
        let split = TimeSplit { gap_windows: u32::MAX, ..TimeSplit::default() };
        let boundaries = split.boundaries(i64::MIN, i64::MAX, i64::MAX);
        assert_eq!(boundaries.part(0), Part::Gap);
    }

    #[test]
    fn a_share_that_is_none_is_refused() {
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            let error = TimeSplit { share, ..TimeSplit::default() }.check().unwrap_err();
            assert!(error.to_string().starts_with("`split` must be above 0 and below 1"));
        }
    }
}
