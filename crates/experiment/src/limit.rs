//! Packets that a rate limit lets pass, computed from a window's counts.

/// A rate limit under way: the kernel's algorithm (GCRA) on packets that are spread evenly over
/// their window, in which case the sum below is exact to one packet, for bursts of two packets and
/// more, which weir's limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "each is a time, and says its unit")]
pub struct Allowance {
    /// Cost of one packet, in ns.
    cost_ns: u64,
    /// Bound of `ahead_ns`, in ns.
    burst_ns: u64,
    /// Time by which the packets passed so far run ahead of the clock, in ns.
    ahead_ns: u64,
}

impl Allowance {
    /// Packets a second, and how many may come at once; at least one each.
    #[must_use]
    pub const fn new(packets_per_second: u32, burst_packets: u32) -> Self {
        let rate = if packets_per_second == 0 { 1 } else { packets_per_second };
        let burst = if burst_packets == 0 { 1 } else { burst_packets };
        let cost_ns = 1_000_000_000 / rate as u64;
        Self { cost_ns, burst_ns: cost_ns.saturating_mul(burst as u64), ahead_ns: 0 }
    }

    /// Packets that pass, of so many within a span in ns; the next span follows at once.
    pub fn pass(&mut self, packets: u64, span_ns: u64) -> u64 {
        let room_ns = span_ns.saturating_add(self.burst_ns).saturating_sub(self.ahead_ns);
        let passed = packets.min(room_ns / self.cost_ns.max(1));
        let used_ns = self.ahead_ns.saturating_add(passed.saturating_mul(self.cost_ns));
        self.ahead_ns = used_ns.saturating_sub(span_ns);
        passed
    }

    /// Time without packets.
    pub const fn rest(&mut self, span_ns: u64) {
        self.ahead_ns = self.ahead_ns.saturating_sub(span_ns);
    }
}

#[cfg(test)]
mod tests {
    use flows_common::guard::{Rate, conform};
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_flood_keeps_the_burst_once_and_then_its_rate() {
        let mut five = Allowance::new(5, 10);
        assert_eq!([5, 5].map(|_| five.pass(1_000, SECOND)), [15, 5]);
        five.rest(10 * SECOND);
        assert_eq!(five.pass(1_000, SECOND), 15, "the burst has come back");
    }

    #[test]
    fn what_stays_below_the_rate_passes_whole() {
        let mut five = Allowance::new(5, 10);
        assert!((0..20).all(|_| five.pass(5, SECOND) == 5));
    }

    /// The kernel's own arithmetic on packets at even distances.
    fn simulated(packets_per_second: u32, burst: u32, windows: &[u64]) -> Vec<u64> {
        let packet_cost_ns = SECOND / u64::from(packets_per_second);
        let burst_ns = packet_cost_ns * u64::from(burst - 1);
        let rate = Rate { packet_cost_ns, burst_ns };
        let mut arrival_ns = 0;
        (0..)
            .zip(windows)
            .map(|(window, &packets)| {
                let times = (0..packets).map(|i| window * SECOND + i * SECOND / packets);
                times
                    .filter(|&now_ns| {
                        let next = conform(&rate, arrival_ns, now_ns);
                        arrival_ns = next.unwrap_or(arrival_ns);
                        next.is_some()
                    })
                    .count() as u64
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_sum_is_the_kernels_to_a_packet(
            rate in 1_u32..200,
            // With a burst of one, packets that come a little early are dropped by halves.
            burst in 2_u32..50,
            windows in proptest::collection::vec(1_u64..400, 1..12),
        ) {
            let mut allowance = Allowance::new(rate, burst);
            let passed: u64 =
                windows.iter().map(|&packets| allowance.pass(packets, SECOND)).sum();
            let kernel: u64 = simulated(rate, burst, &windows).iter().sum();
            prop_assert!(passed.abs_diff(kernel) <= windows.len() as u64, "{passed} {kernel}");
        }
    }
}
