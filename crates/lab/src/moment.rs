//! One instant on the two clocks that matter here.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// An instant on the boot clock (weir's windows) and on the wall clock (captures).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub boot_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub unix_ns: u64,
}

impl Moment {
    /// Reads both clocks, one right after the other.
    #[must_use]
    pub fn now() -> Self {
        Self { boot_ns: boot_ns(), unix_ns: read(ClockId::CLOCK_REALTIME) }
    }

    /// The time from `earlier` to this moment on the boot clock, zero if it is the other way.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.boot_ns.saturating_sub(earlier.boot_ns))
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`, the clock of weir's windows.
#[must_use]
pub fn boot_ns() -> u64 {
    read(ClockId::CLOCK_BOOTTIME)
}

fn read(clock: ClockId) -> u64 {
    // Both clocks exist on every kernel that has network namespaces.
    clock_gettime(clock)
        .map_or(0, |time| u64::try_from(Duration::from(time).as_nanos()).unwrap_or(u64::MAX))
}
