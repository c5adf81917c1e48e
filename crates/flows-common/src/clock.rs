//! The boot clock, which the programs and user space share, and its unit.

use core::time::Duration;

/// A duration in ns, held at the largest that fits.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Now, in ns of `CLOCK_BOOTTIME`: the clock of leases and windows. It goes on while the machine
/// is suspended.
///
/// # Panics
/// Never on Linux 2.6.39 or later, where this clock always exists.
#[cfg(all(feature = "std", target_os = "linux"))]
#[must_use]
pub fn boot_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours, and all that is written.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    assert_eq!(result, 0, "Linux has a boot clock");
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_beyond_what_fits_is_the_longest() {
        assert_eq!(nanos(Duration::from_micros(3)), 3_000);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }
}
