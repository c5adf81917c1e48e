//! A capture's timestamps in nanoseconds.

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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = NS_PER_S;

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
}
