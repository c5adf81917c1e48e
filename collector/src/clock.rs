//! The boot clock: the one that kernel and collector share.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Now, in ns of `CLOCK_BOOTTIME`; it goes on while the machine is suspended.
///
/// # Panics
/// Never on Linux 2.6.39 or later, where this clock always exists.
#[must_use]
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has a boot clock");
    nanos(Duration::from(now))
}

/// A duration in ns, held at the largest that fits.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
