//! Times: what survives a reboot, and how to get from one clock to the other.

/// A moment on both clocks.
///
/// The boot clock (`CLOCK_BOOTTIME`) never jumps and is what the kernel's leases run on, but it
/// starts anew at every boot, so a boot-clock time means something only next to the id of its boot
/// ([`Run::boot_id`](crate::Run::boot_id)). The wall clock survives a reboot, but may be set.
///
/// From one to the other goes by a moment of the same boot that has both, the nearest one there
/// is: the run's start, or the end of a window. The error is by how much the wall clock was set
/// between the two.
///
/// ```
/// use ledger::Moment;
///
/// // A block of an earlier boot, and this boot's start of weir.
/// let expires = Moment { wall_ns: 1_700_000_600_000_000_000, boot_ns: 99_000_000_000 };
/// let start = Moment { wall_ns: 1_700_000_000_000_000_000, boot_ns: 20_000_000_000 };
/// // Only its wall-clock time still counts; on this boot's clock that is
/// assert_eq!(start.boot_ns_at(expires.wall_ns), 620_000_000_000);
/// assert_eq!(start.wall_ns_at(620_000_000_000), expires.wall_ns);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment {
    /// Wall clock, in ns since 1970-01-01 00:00 UTC.
    pub wall_ns: i64,
    /// Boot clock of its run, in ns since boot.
    pub boot_ns: u64,
}

impl Moment {
    /// The wall-clock time at which the boot clock of the same boot shows `boot_ns`.
    #[must_use]
    pub fn wall_ns_at(self, boot_ns: u64) -> i64 {
        clamped(i128::from(self.wall_ns) + i128::from(boot_ns) - i128::from(self.boot_ns))
    }

    /// Time of the boot clock of the same boot at this wall-clock time; 0 for before the boot.
    #[must_use]
    pub fn boot_ns_at(self, wall_ns: i64) -> u64 {
        let at = i128::from(self.boot_ns) + i128::from(wall_ns) - i128::from(self.wall_ns);
        u64::try_from(at.max(0)).unwrap_or(u64::MAX)
    }
}

fn clamped(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversion_never_overflows() {
        let last = Moment { wall_ns: i64::MAX, boot_ns: 0 };
        assert_eq!(last.wall_ns_at(u64::MAX), i64::MAX);
        assert_eq!(last.boot_ns_at(i64::MIN), 0);
        let first = Moment { wall_ns: i64::MIN, boot_ns: u64::MAX };
        assert_eq!(first.wall_ns_at(0), i64::MIN);
        assert_eq!(first.boot_ns_at(i64::MAX), u64::MAX);
    }
}
