//! An instant on the two clocks that matter here.

use std::time::{Duration, SystemTime};

use flows_common::clock::{boot_ns, nanos};
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
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self { boot_ns: boot_ns(), unix_ns: nanos(since_epoch) }
    }

    /// The time from `earlier` to this moment on the boot clock, zero if it is the other way.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.boot_ns.saturating_sub(earlier.boot_ns))
    }
}
