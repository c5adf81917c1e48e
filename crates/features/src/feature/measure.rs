//! The arithmetic of formulas: total, in f64.

use flows_common::{DirectionCounters, TcpFlag};

use crate::flow_record::FlowRecord;

/// Ages are held to this, in s: beyond it an age says how long the traffic was watched, which
/// always exceeds what training saw.
pub(super) const AGE_LIMIT_S: f64 = 10.0;

/// A value as a column holds it: 0 for NaN, clamped to what an f32 can say.
#[inline]
pub(super) fn finite(value: f64) -> f32 {
    if value.is_nan() {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the range of f32")]
    let value = value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
    value
}

/// 1 for yes.
#[inline]
pub(super) fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

/// `part / whole`; 0 where `whole` is not above 0.
#[inline]
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// `part / (whole + 2)`, within [0, 1): one of one is not yet all.
#[inline]
pub(super) fn of_two_more(part: f64, whole: f64) -> f64 {
    (part / (whole + 2.0)).min(1.0)
}

/// `part / whole` of counts, within [0, 1].
#[inline]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    ratio(part as f64, whole as f64).min(1.0)
}

/// The first of a pair as a share of both, within [0, 1]; 0 where both are 0.
#[inline]
pub(super) fn share_of_both(one: u64, other: u64) -> f64 {
    ratio(one as f64, one as f64 + other as f64)
}

/// `log2((out + 64) / (in + 64))` of two byte counts, within [-58, 58].
///
/// The 64 (about one small frame) keep a single packet from looking one-sided.
#[inline]
pub(super) fn log_ratio(bytes_out: f64, bytes_in: f64) -> f64 {
    ((bytes_out.max(0.0) + 64.0) / (bytes_in.max(0.0) + 64.0)).log2()
}

/// The standard deviation of `count` values with this sum and this sum of squares; 0 below two.
///
/// Where the sum of squares saturated the variance comes out too small, never negative.
#[inline]
pub(super) fn deviation(count: f64, sum: f64, sum_of_squares: f64) -> f64 {
    if count < 2.0 {
        return 0.0;
    }
    let mean = sum / count;
    (sum_of_squares / count - mean * mean).max(0.0).sqrt()
}

/// Quantities of one direction of one flow.
pub(super) trait DirectionMeasures {
    /// Mean packet length, in bytes.
    fn length_mean(&self) -> f64;
    /// Standard deviation of packet lengths, in bytes.
    fn length_deviation(&self) -> f64;
    /// Shortest packet, in bytes; 0 for no packet.
    fn length_shortest(&self) -> f64;
    /// Mean time between packets, in µs: first to last, over one less than the packets.
    fn iat_mean_us(&self) -> f64;
    /// Standard deviation of the times between packets, in µs.
    fn iat_deviation_us(&self) -> f64;
    /// Shortest time between packets, in µs; 0 until there are two.
    fn iat_shortest_us(&self) -> f64;
}

impl DirectionMeasures for DirectionCounters {
    #[inline]
    fn length_mean(&self) -> f64 {
        ratio(self.bytes as f64, self.packets as f64)
    }

    #[inline]
    fn length_deviation(&self) -> f64 {
        deviation(self.packets as f64, self.bytes as f64, self.length_sum_sq as f64)
    }

    #[inline]
    fn length_shortest(&self) -> f64 {
        if self.packets > 0 { f64::from(self.length_min) } else { 0.0 }
    }

    #[inline]
    fn iat_mean_us(&self) -> f64 {
        let elapsed_ns = self.last_ns.saturating_sub(self.first_ns) as f64;
        ratio(elapsed_ns / 1e3, self.packets.saturating_sub(1) as f64)
    }

    #[inline]
    fn iat_deviation_us(&self) -> f64 {
        let gaps = self.packets.saturating_sub(1) as f64;
        deviation(gaps, self.iat_sum_us as f64, self.iat_sum_sq as f64)
    }

    #[inline]
    fn iat_shortest_us(&self) -> f64 {
        if self.packets > 1 && self.iat_min_us != u32::MAX {
            f64::from(self.iat_min_us)
        } else {
            0.0
        }
    }
}

/// Quantities of both directions of one flow.
pub(super) trait FlowMeasures {
    /// A count per second of the window; 0 for a window without duration.
    fn per_second(&self, count: u64) -> f64;
    /// A 32-bit counter of both directions, per packet, within [0, 1].
    fn per_packet(&self, counter: impl Fn(&DirectionCounters) -> u32) -> f64;
    /// Packets with a TCP flag, per packet, within [0, 1].
    fn flag_ratio(&self, flag: TcpFlag) -> f64;
    /// First to last packet of the window, in seconds.
    fn active_s(&self) -> f64;
}

impl FlowMeasures for FlowRecord {
    #[inline]
    fn per_second(&self, count: u64) -> f64 {
        ratio(count as f64, self.window.duration_s())
    }

    #[inline]
    fn per_packet(&self, counter: impl Fn(&DirectionCounters) -> u32) -> f64 {
        let both = u64::from(counter(self.ingress())) + u64::from(counter(self.egress()));
        share(both, self.counters.packets())
    }

    #[inline]
    fn flag_ratio(&self, flag: TcpFlag) -> f64 {
        self.per_packet(|direction| direction.flags[flag.index()])
    }

    #[inline]
    fn active_s(&self) -> f64 {
        let active = || self.counters.directions.iter().filter(|one| one.packets > 0);
        let first_ns = active().map(|one| one.first_ns).min().unwrap_or(0);
        let last_ns = active().map(|one| one.last_ns).max().unwrap_or(0);
        last_ns.saturating_sub(first_ns) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_f32_can_say_is_clamped() {
        assert_eq!(finite(f64::NAN).to_bits(), 0.0_f32.to_bits());
        assert_eq!(finite(f64::INFINITY).to_bits(), f32::MAX.to_bits());
        assert_eq!(finite(-1e300).to_bits(), f32::MIN.to_bits());
    }

    #[test]
    fn twice_as_much_out_and_twice_as_much_in_mirror_each_other() {
        assert!((log_ratio(1e6, 2e6) + log_ratio(2e6, 1e6)).abs() < 1e-12);
        assert!(log_ratio(u64::MAX as f64, 0.0) <= 58.0);
    }

    #[test]
    fn the_deviation_of_one_and_three_is_one() {
        assert!((deviation(2.0, 4.0, 10.0) - 1.0).abs() < 1e-12);
        assert!(deviation(1.0, 4.0, 16.0).abs() < f64::EPSILON);
    }
}
