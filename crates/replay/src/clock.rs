//! The two clocks of a capture: its timestamps in nanoseconds, and the window's time that never
//! runs backwards.

use super::ClockReport;

const NS_PER_S: u64 = 1_000_000_000;

/// Timestamp resolution and offset of a capture's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolution {
    ticks: Ticks,
    offset_s: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticks {
    /// Nanoseconds per tick.
    Coarse(u64),
    /// Ticks per nanosecond.
    Fine(u64),
    /// A tick is 2⁻ⁿ seconds.
    Binary(u32),
}

impl Resolution {
    pub(super) const MICROSECONDS: Self = Self { ticks: Ticks::Coarse(1_000), offset_s: 0 };
    pub(super) const NANOSECONDS: Self = Self { ticks: Ticks::Coarse(1), offset_s: 0 };

    /// From pcapng's `if_tsresol` (10⁻ⁿ seconds, or 2⁻ⁿ with the top bit set) and `if_tsoffset`
    /// (seconds to add).
    pub(super) const fn of_interface(resolution: u8, offset_s: i64) -> Self {
        let exponent = (resolution & 0x7f) as u32;
        let ticks = if resolution & 0x80 != 0 {
            Ticks::Binary(exponent)
        } else if exponent <= 9 {
            Ticks::Coarse(10_u64.pow(9 - exponent))
        } else if exponent <= 28 {
            Ticks::Fine(10_u64.pow(exponent - 9))
        } else {
            Ticks::Fine(u64::MAX)
        };
        Self { ticks, offset_s }
    }

    /// Nanoseconds since 1970 of a count of ticks, held to what 64 bits can tell (year 2554).
    pub(super) fn time_ns(self, ticks: u64) -> u64 {
        let time_ns = match self.ticks {
            Ticks::Coarse(ns) => ticks.saturating_mul(ns),
            Ticks::Fine(per_ns) => ticks / per_ns,
            Ticks::Binary(exponent) => {
                let scaled = (u128::from(ticks) * u128::from(NS_PER_S)) >> exponent.min(127);
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        };
        let offset_ns = self.offset_s.unsigned_abs().saturating_mul(NS_PER_S);
        if self.offset_s < 0 {
            time_ns.saturating_sub(offset_ns)
        } else {
            time_ns.saturating_add(offset_ns)
        }
    }
}

/// The replay's clock: a frame's own time as long as it lies in the open window or after it.
///
/// A frame that is earlier than the open window, by up to `tolerance_ns`, is *late*: it counts at
/// the window's start, as live counting would have put it into the window that was open when it
/// came. One that is earlier still means that the clock was set back, or that captures were
/// joined: from there on times are moved forward so that the capture goes on where it stood, until
/// its own time has caught up.
#[derive(Clone, Debug)]
pub(super) struct ReplayClock {
    tolerance_ns: u64,
    window_start_ns: u64,
    last_own_ns: u64,
    last_ns: u64,
    shift_ns: u64,
    report: ClockReport,
}

impl ReplayClock {
    pub(super) const fn new(tolerance_ns: u64) -> Self {
        let report = ClockReport { backwards: 0, late: 0, jumps: 0 };
        Self { tolerance_ns, window_start_ns: 0, last_own_ns: 0, last_ns: 0, shift_ns: 0, report }
    }

    /// The time that a frame counts at, never before the open window.
    pub(super) fn place(&mut self, own_ns: u64) -> u64 {
        if own_ns < self.last_own_ns {
            self.report.backwards += 1;
        }
        self.last_own_ns = own_ns;
        let time_ns = self.forward(own_ns);
        self.last_ns = self.last_ns.max(time_ns);
        time_ns
    }

    fn forward(&mut self, own_ns: u64) -> u64 {
        if own_ns >= self.window_start_ns {
            self.shift_ns = 0;
            return own_ns;
        }
        let shifted_ns = own_ns.saturating_add(self.shift_ns);
        if shifted_ns >= self.window_start_ns {
            return shifted_ns;
        }
        if self.window_start_ns - shifted_ns <= self.tolerance_ns {
            self.report.late += 1;
            return self.window_start_ns;
        }
        self.report.jumps += 1;
        self.shift_ns = self.last_ns - own_ns;
        self.last_ns
    }

    /// Report on the capture's clock so far.
    pub(super) const fn report(&self) -> ClockReport {
        self.report
    }

    /// Says that the open window starts at `start_ns`, later than the one before.
    pub(super) fn open_window(&mut self, start_ns: u64) {
        self.window_start_ns = start_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = NS_PER_S;

    fn clock_in_window_100() -> ReplayClock {
        let mut clock = ReplayClock::new(10 * SECOND);
        clock.place(100 * SECOND + 7);
        clock.open_window(100 * SECOND);
        clock
    }

    #[test]
    fn each_resolution_gives_nanoseconds() {
        assert_eq!(Resolution::MICROSECONDS.time_ns(1_000_001), 1_000_001_000);
        assert_eq!(Resolution::of_interface(6, 0), Resolution::MICROSECONDS);
        assert_eq!(Resolution::of_interface(9, 0), Resolution::NANOSECONDS);
        assert_eq!(Resolution::of_interface(0, 3).time_ns(2), 5 * SECOND);
        assert_eq!(Resolution::of_interface(3, -1).time_ns(2_500), 1_500_000_000);
        assert_eq!(Resolution::of_interface(12, 0).time_ns(1_999), 1);
        assert_eq!(Resolution::of_interface(0x8a, 0).time_ns(1_536), 1_500_000_000);
    }

    #[test]
    fn no_resolution_overflows() {
        for resolution in 0..=u8::MAX {
            for offset in [i64::MIN, -1, 0, i64::MAX] {
                let _ = Resolution::of_interface(resolution, offset).time_ns(u64::MAX);
            }
        }
    }

    #[test]
    fn a_frame_out_of_order_within_its_window_keeps_its_time() {
        let mut clock = clock_in_window_100();
        assert_eq!(clock.place(100 * SECOND + 3), 100 * SECOND + 3);
        assert_eq!(clock.report(), ClockReport { backwards: 1, late: 0, jumps: 0 });
    }

    #[test]
    fn a_late_frame_counts_at_the_start_of_the_open_window() {
        let mut clock = clock_in_window_100();
        assert_eq!(clock.place(99 * SECOND), 100 * SECOND);
        assert_eq!(clock.report(), ClockReport { backwards: 1, late: 1, jumps: 0 });
    }

    #[test]
    fn a_clock_set_back_goes_on_from_where_it_stood() {
        let mut clock = clock_in_window_100();
        assert_eq!(clock.place(20 * SECOND), 100 * SECOND + 7);
        assert_eq!(clock.place(21 * SECOND), 101 * SECOND + 7);
        assert_eq!(clock.report(), ClockReport { backwards: 1, late: 0, jumps: 1 });
    }

    #[test]
    fn frames_of_two_clocks_that_alternate_do_not_drift() {
        let mut clock = clock_in_window_100();
        for second in 0..50 {
            let ahead = clock.place((100 + second) * SECOND);
            clock.open_window(ahead);
            let behind = clock.place((20 + second) * SECOND);
            assert!(behind < ahead + SECOND, "at {second} s: {behind} against {ahead}");
        }
    }
}
