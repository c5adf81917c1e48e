//! The boot clock, and how much of it the machine slept.

use std::time::Duration;

pub use flows_common::clock::{boot_ns, nanos};
use nix::time::{ClockId, clock_gettime};

/// Time that the machine was suspended since boot, as of the last reading.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    slept: Duration,
}

impl Clocks {
    /// Largest difference of two readings that is no suspend.
    const SLACK: Duration = Duration::from_millis(50);

    /// A first reading.
    #[must_use]
    pub fn now() -> Self {
        Self { slept: Self::slept_so_far() }
    }

    /// True where the machine was suspended since the last call.
    pub fn slept(&mut self) -> bool {
        let before = std::mem::replace(&mut self.slept, Self::slept_so_far());
        self.slept > before + Self::SLACK
    }

    /// The boot clock goes on in sleep, the monotonic one does not.
    fn slept_so_far() -> Duration {
        let monotonic =
            clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
        Duration::from_nanos(boot_ns()).saturating_sub(monotonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stays_awake_has_not_slept() {
        let mut clocks = Clocks::now();
        assert!(!clocks.slept() && !clocks.slept());
    }

    #[test]
    fn a_sleep_is_told_once() {
        let mut clocks = Clocks::now();
        clocks.slept = clocks.slept.saturating_sub(Duration::from_secs(1));
        // Where the machine never slept there is nothing to take a second from.
        let had_slept = Clocks::slept_so_far() >= Duration::from_secs(1);
        assert_eq!(clocks.slept(), had_slept);
        assert!(!clocks.slept());
    }
}
