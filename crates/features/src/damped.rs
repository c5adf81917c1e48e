//! Sums that forget: exponential damping by a half-life.

/// Time in which a damped sum falls to one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HalfLife {
    /// 10 s: bursts.
    Short,
    /// 60 s: sessions.
    Medium,
    /// 600 s: slow scans and slow leaks.
    Long,
}

impl HalfLife {
    /// Number of half-lives.
    pub const COUNT: usize = 3;

    /// All, from short to long.
    pub const ALL: [Self; Self::COUNT] = [Self::Short, Self::Medium, Self::Long];

    /// Its place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// In seconds.
    #[must_use]
    pub const fn seconds(self) -> f64 {
        match self {
            Self::Short => 10.0,
            Self::Medium => 60.0,
            Self::Long => 600.0,
        }
    }

    /// Share of 1 that is left after `elapsed_ns`: `2^(-elapsed / half-life)`.
    #[must_use]
    pub fn left_after(self, elapsed_ns: u64) -> f64 {
        (-(elapsed_ns as f64) / (self.seconds() * 1e9)).exp2()
    }

    /// The rate behind a damped sum that was gathered over `elapsed_s` seconds, in units per
    /// second.
    ///
    /// A quantity that arrives at a steady rate `r` makes a damped sum of
    /// `r * (1 - 2^(-elapsed / half-life)) * half-life / ln 2`; this gives `r` back from the start
    /// on, so that a peer's rate does not seem to grow while the memory of it fills.
    #[must_use]
    pub fn rate(self, damped_sum: f64, elapsed_s: f64) -> f64 {
        let filled = 1.0 - (-elapsed_s.max(0.0) / self.seconds()).exp2();
        if filled > 0.0 {
            damped_sum * std::f64::consts::LN_2 / (self.seconds() * filled)
        } else {
            0.0
        }
    }
}

/// Damped sums of what a peer did.
///
/// Additions of a window count as of the window's end: an event of weight `w` in a window that
/// ended `t` ago contributes `w * 2^(-t / half-life)`. Pairs are by
/// [`flows_common::Direction::index`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Damped {
    /// Flows opened, by the side that opened them.
    pub opened: [f64; 2],
    /// SYNs of new TCP flows, sent by the remote.
    pub syns: f64,
    /// Those of `syns` without a SYN-ACK. A late answer takes back what its SYN had added.
    pub unanswered: f64,
    /// Flows in which either side sent an RST.
    pub resets: f64,
    /// Estimated number of local targets (address, protocol, port) that the remote had not
    /// tried before.
    pub new_targets: f64,
    /// Short TCP flows: opened by the remote, and closed within [`SHORT_FLOW_NS`] of opening.
    pub short_flows: f64,
    /// Bytes on the wire, by direction.
    pub bytes: [f64; 2],
    /// Bytes of TCP payload from the remote.
    pub tcp_payload_in: f64,
}

/// A TCP flow that closes sooner than this after its first packet is short, in ns.
///
/// 10 s: a refused password is out in a few, a session that somebody uses takes longer.
pub const SHORT_FLOW_NS: u64 = 10_000_000_000;

impl Damped {
    /// Lets every sum fall to its share `left`.
    pub(crate) fn decay(&mut self, left: f64) {
        self.combine(&Self::default(), |sum, _| sum * left);
    }

    /// Adds what a window brought; never falls below 0.
    pub(crate) fn add(&mut self, news: &Self) {
        self.combine(news, |sum, one| (sum + one).max(0.0));
    }

    fn combine(&mut self, other: &Self, with: impl Fn(f64, f64) -> f64) {
        let both = self.fields_mut().into_iter().zip(other.fields());
        for (sum, one) in both {
            *sum = with(*sum, one);
        }
    }

    fn fields_mut(&mut self) -> [&mut f64; 10] {
        let [opened_by_remote, opened_by_local] = &mut self.opened;
        let [bytes_in, bytes_out] = &mut self.bytes;
        [
            opened_by_remote,
            opened_by_local,
            &mut self.syns,
            &mut self.unanswered,
            &mut self.resets,
            &mut self.new_targets,
            &mut self.short_flows,
            bytes_in,
            bytes_out,
            &mut self.tcp_payload_in,
        ]
    }

    fn fields(mut self) -> [f64; 10] {
        self.fields_mut().map(|field| *field)
    }
}

/// The intervals between the starts of a peer's flows, forgotten by count.
///
/// Forgetting by count, not by time, makes a beacon of one minute and one of one hour equally
/// visible. The weight of an interval halves with every 8 further ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Starts {
    last_ns: Option<u64>,
    weight: f64,
    sum_s: f64,
    sum_sq_s2: f64,
}

impl Starts {
    /// Share of an interval's weight that is left when the next one comes: `2^(-1/8)`.
    const LEFT: f64 = 0.917_004_043_204_671_2;

    /// Adds a start. One that lies before the last is taken as simultaneous with it.
    pub(crate) fn add(&mut self, start_ns: u64) {
        if let Some(last_ns) = self.last_ns {
            let interval_s = start_ns.saturating_sub(last_ns) as f64 / 1e9;
            self.weight = self.weight * Self::LEFT + 1.0;
            self.sum_s = self.sum_s * Self::LEFT + interval_s;
            self.sum_sq_s2 = self.sum_sq_s2 * Self::LEFT + interval_s * interval_s;
        }
        self.last_ns = Some(self.last_ns.map_or(start_ns, |last_ns| last_ns.max(start_ns)));
    }

    /// The damped number of intervals: at most `1 / (1 - 2^(-1/8))`, about 12.05.
    #[must_use]
    pub const fn weight(&self) -> f64 {
        self.weight
    }

    /// The damped mean interval in seconds, 0 before the first.
    #[must_use]
    pub fn mean_s(&self) -> f64 {
        if self.weight > 0.0 { self.sum_s / self.weight } else { 0.0 }
    }

    /// The damped coefficient of variation: 0 for a clock, 1 for a Poisson process, above for
    /// bursts; `None` before the first interval, or where all starts coincide.
    #[must_use]
    pub fn variation(&self) -> Option<f64> {
        let mean = self.mean_s();
        let variance = (self.sum_sq_s2 / self.weight - mean * mean).max(0.0);
        (mean > 0.0).then(|| variance.sqrt() / mean)
    }

    /// Regularity of the starts, in [0, 1]; 1 for a clock's.
    ///
    /// `(1 - variation, at least 0) * weight / (weight + 4)`: the second factor holds back
    /// judgement until there are some intervals to judge by.
    #[must_use]
    pub fn regularity(&self) -> f64 {
        let clock_like = self.variation().map_or(0.0, |variation| (1.0 - variation).max(0.0));
        clock_like * self.weight / (self.weight + 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_falls_to_one_half_in_a_half_life() {
        for (half_life, seconds) in HalfLife::ALL.into_iter().zip([10, 60, 600]) {
            let left = half_life.left_after(seconds * 1_000_000_000);
            assert!((left - 0.5).abs() < 1e-12, "{half_life:?}");
        }
    }

    #[test]
    fn every_sum_decays_and_adds() {
        let one = Damped {
            opened: [1.0, 2.0],
            syns: 3.0,
            unanswered: 4.0,
            resets: 5.0,
            new_targets: 6.0,
            short_flows: 7.0,
            bytes: [8.0, 9.0],
            tcp_payload_in: 10.0,
        };
        let mut sum = one;
        sum.decay(0.5);
        sum.add(&one);
        for (sum, one) in sum.fields().into_iter().zip(one.fields()) {
            assert!((sum - 1.5 * one).abs() < 1e-12, "{sum} of {one}");
        }
    }

    #[test]
    fn a_clock_is_regular_and_a_burst_is_not() {
        let (mut clock, mut burst) = (Starts::default(), Starts::default());
        for beat in 0..40 {
            clock.add(beat * 60_000_000_000);
            burst.add((beat / 10) * 60_000_000_000 + beat);
        }
        assert!((clock.mean_s() - 60.0).abs() < 1e-9);
        assert!(clock.regularity() > 0.74, "{}", clock.regularity());
        assert!(burst.regularity() < 0.01, "{}", burst.regularity());
    }

    #[test]
    fn two_starts_are_not_yet_a_beacon() {
        let mut starts = Starts::default();
        starts.add(0);
        starts.add(60_000_000_000);
        assert!(starts.regularity() <= 0.2);
    }
}
