//! Instants and spans.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// From one instant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSpan {
    /// The first instant.
    pub from: Timestamp,
    /// The instant after the last.
    pub to: Timestamp,
}

impl TimeSpan {
    /// From and to unix nanoseconds.
    #[must_use]
    pub fn of_ns(from: i64, to: i64) -> Self {
        Self { from: instant(from), to: instant(to) }
    }

    /// True where two spans share an instant.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64()
    }
}

/// Unix nanoseconds as an instant.
pub(crate) fn instant(unix_ns: i64) -> Timestamp {
    let known = Timestamp::from_nanosecond(i128::from(unix_ns));
    known.expect("every i64 of nanoseconds lies between the years 1677 and 2262")
}

/// Seconds from one unix nanosecond to another.
pub(crate) fn seconds(from: i64, to: i64) -> f64 {
    (i128::from(to) - i128::from(from)) as f64 / 1e9
}

/// An instant to the second, as a person reads it.
pub(crate) fn clock_text(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instant_a_table_can_hold_is_one() {
        assert_eq!(instant(i64::MIN).as_nanosecond(), i128::from(i64::MIN));
        assert_eq!(instant(i64::MAX).as_nanosecond(), i128::from(i64::MAX));
        assert_eq!(clock_text(instant(0)), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn spans_that_only_touch_do_not_overlap() {
        let (a, b, c) = (TimeSpan::of_ns(0, 5), TimeSpan::of_ns(5, 9), TimeSpan::of_ns(4, 6));
        assert!(!a.overlaps(&b) && a.overlaps(&c) && c.overlaps(&b));
    }
}
