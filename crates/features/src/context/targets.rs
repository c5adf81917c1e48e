//! Which local targets a peer has tried: a bitmap that estimates how many are new.

use flows_common::FlowKey;

const WORDS: usize = 8;
const BITS: u32 = 512;

/// Length of a generation, in ns; a target stays known for one to two of these.
///
/// An hour: long beside the slowest half-life, and short enough that the bitmap of a busy peer
/// does not stay full.
const GENERATION_NS: u64 = 3_600_000_000_000;

/// The local targets (address, protocol, port) that one peer has tried, in 512 bits.
///
/// Each target sets one bit chosen by a hash. Where `z` of the bits are still zero, a bit that
/// is set stands for `512 / z` new targets (the martingale estimator: Cohen 2015, Ting 2014), so
/// that the estimate stays unbiased up to a few thousand targets; a full bitmap finds nothing
/// new. Two generations take turns, so that it empties again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Targets {
    current: [u64; WORDS],
    previous: [u64; WORDS],
    since_ns: u64,
}

impl Targets {
    /// Starts a new generation if it is time.
    pub(crate) fn age(&mut self, now_ns: u64) {
        let generations = now_ns.saturating_sub(self.since_ns) / GENERATION_NS;
        if generations == 0 {
            return;
        }
        self.previous = if generations == 1 { self.current } else { [0; WORDS] };
        self.current = [0; WORDS];
        self.since_ns = now_ns;
    }

    /// Notes the target of a flow; returns the estimated number of new targets it stands for.
    pub(crate) fn note(&mut self, key: &FlowKey) -> f64 {
        let [word, bit, ..] = hash(key).to_le_bytes();
        let (word, mask) = (usize::from(word) % WORDS, 1_u64 << (bit % 64));
        let known = (self.current[word] | self.previous[word]) & mask != 0;
        let zeros = self.zeros();
        self.current[word] |= mask;
        if known { 0.0 } else { f64::from(BITS) / f64::from(zeros) }
    }

    fn zeros(&self) -> u32 {
        let both = self.current.iter().zip(&self.previous);
        both.map(|(current, previous)| (current | previous).count_zeros()).sum()
    }
}

/// Which bit a target sets. It decides values of features, so it is written out here: no
/// library's next version may change it.
fn hash(key: &FlowKey) -> u64 {
    let (halves, _) = key.local.as_chunks();
    let target = u64::from(key.local_port) | u64::from(key.protocol) << 16;
    let words = halves.iter().map(|half| u64::from_be_bytes(*half)).chain([target]);
    words.fold(0, |state, word| mix(state ^ word))
}

/// A step of `SplitMix64` (Steele et al. 2014).
const fn mix(state: u64) -> u64 {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(port: u16) -> FlowKey {
        FlowKey { local_port: port, protocol: 6, ..FlowKey::default() }
    }

    #[test]
    fn a_target_is_new_once() {
        let mut targets = Targets::default();
        assert!((targets.note(&target(80)) - 1.0).abs() < f64::EPSILON);
        assert!(targets.note(&target(80)).abs() < f64::EPSILON);
    }

    #[test]
    fn a_thousand_ports_are_estimated_within_a_tenth() {
        let mut targets = Targets::default();
        let estimate: f64 = (0..1000).map(|port| targets.note(&target(port))).sum();
        assert!((900.0..1100.0).contains(&estimate), "{estimate}");
    }

    #[test]
    fn every_port_there_is_stays_finite() {
        let mut targets = Targets::default();
        let estimate: f64 = (0..=u16::MAX).map(|port| targets.note(&target(port))).sum();
        assert!(estimate.is_finite() && estimate > 2000.0, "{estimate}");
    }

    #[test]
    fn a_target_is_forgotten_after_two_generations_and_not_after_one() {
        let mut targets = Targets::default();
        targets.note(&target(22));
        targets.age(GENERATION_NS);
        assert!(targets.note(&target(22)).abs() < f64::EPSILON, "renewed");
        targets.age(2 * GENERATION_NS);
        targets.age(3 * GENERATION_NS);
        assert!(targets.note(&target(22)) > 0.0);
    }
}
