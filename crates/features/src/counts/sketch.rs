//! Counts of distinct things in a fixed number of bits, and the memory of what was seen before.

use flows_common::Direction;

use crate::kept::kept;

/// Distinct things, in `64 * W` bits.
///
/// Each sets one bit chosen by a hash, and `-m ln(zero bits / m)` estimates how many there were
/// (linear counting: Whang et al. 1990). The union of two is that of their bits, so that a longer
/// time is a merge of shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distinct<const W: usize>([u64; W]);

kept!(Distinct<const W> { 0 });

impl<const W: usize> Default for Distinct<W> {
    fn default() -> Self {
        Self([0; W])
    }
}

impl<const W: usize> Distinct<W> {
    /// Notes a thing by its hash.
    pub(crate) const fn note(&mut self, hash: u64) {
        let bit = bit_of(hash, W);
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    /// Adds what another one noted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one |= other);
    }

    /// The estimated number, rounded; for a full one, as if half a bit were zero.
    #[must_use]
    pub fn count(&self) -> f64 {
        let bits = (W * 64) as f64;
        let zeros: u32 = self.0.iter().map(|word| word.count_zeros()).sum();
        (bits * (bits / f64::from(zeros).max(0.5)).ln()).round()
    }

    /// The estimated number of what either noted.
    #[must_use]
    pub fn union(&self, other: &Self) -> f64 {
        let mut both = *self;
        both.merge(other);
        both.count()
    }
}

/// The estimated number of distinct values behind the kernel's bitmap, rounded.
pub(crate) fn of_bitmap<const W: usize>(words: [u64; W]) -> f64 {
    Distinct(words).count()
}

/// Length of a generation, in ns; a thing stays known for one to two of these.
///
/// An hour: long beside the longest horizon, and short enough that the bitmap of a busy peer does
/// not stay full.
const GENERATION_NS: u64 = 3_600_000_000_000;

/// Memory of what was seen before, in `64 * W` bits.
///
/// A thing sets one bit chosen by a hash. Where `z` of the bits are still zero, a bit that is set
/// stands for `bits / z` new things (the martingale estimator: Cohen 2015, Ting 2014), so that the
/// sum stays unbiased far beyond the number of bits; a full bitmap finds nothing new. Two
/// generations of an hour take turns, so that it empties again.
#[derive(Clone, Copy)]
pub(crate) struct Seen<const W: usize> {
    current: [u64; W],
    previous: [u64; W],
    since_ns: Option<u64>,
}

kept!(Seen<const W> { current, previous, since_ns });

impl<const W: usize> Default for Seen<W> {
    fn default() -> Self {
        Self { current: [0; W], previous: [0; W], since_ns: None }
    }
}

impl<const W: usize> Seen<W> {
    /// Starts a new generation if it is time.
    pub(crate) fn age(&mut self, now_ns: u64) {
        let since_ns = *self.since_ns.get_or_insert(now_ns);
        let generations = now_ns.saturating_sub(since_ns) / GENERATION_NS;
        if generations == 0 {
            return;
        }
        self.previous = if generations == 1 { self.current } else { [0; W] };
        self.current = [0; W];
        self.since_ns = Some(now_ns);
    }

    /// Notes a thing by its hash; the estimated number of new things that it stands for, 0 where
    /// it is known.
    pub(crate) fn note(&mut self, hash: u64) -> f32 {
        let bit = bit_of(hash, W);
        let (word, mask) = (bit / 64, 1_u64 << (bit % 64));
        let known = (self.current[word] | self.previous[word]) & mask != 0;
        let both = self.current.iter().zip(&self.previous);
        let zeros: u32 = both.map(|(current, previous)| (current | previous).count_zeros()).sum();
        self.current[word] |= mask;
        if known { 0.0 } else { (W * 64) as f32 / zeros as f32 }
    }
}

/// The bit of so many words that stands for a hash.
#[expect(clippy::cast_possible_truncation, reason = "what is left is below the bits")]
const fn bit_of(hash: u64, words: usize) -> usize {
    (hash % (words as u64 * 64)) as usize
}

/// Hash of words. It decides values of features, so it is written out here: no library's next
/// version may change it.
pub(crate) fn hash(words: impl IntoIterator<Item = u64>) -> u64 {
    words.into_iter().fold(0, |state, word| mix(state ^ word))
}

/// The words of an address.
pub(crate) fn words(address: [u8; 16]) -> [u64; 2] {
    let whole = u128::from_be_bytes(address);
    #[expect(clippy::cast_possible_truncation, reason = "its lower half")]
    [(whole >> 64) as u64, whole as u64]
}

/// A service as one word: protocol, port, and the side that opens.
pub(crate) const fn service_word(protocol: u8, port: u16, initiator: Direction) -> u64 {
    (initiator.index() as u64) << 24 | (protocol as u64) << 16 | port as u64
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

    fn target(port: u64) -> u64 {
        hash([7, port])
    }

    #[test]
    fn few_things_are_counted_and_many_estimated() {
        for (things, least, most) in
            [(0, 0.0, 0.0), (1, 1.0, 1.0), (9, 8.0, 10.0), (300, 260.0, 340.0)]
        {
            let mut distinct = Distinct::<4>::default();
            (0..things).chain(0..things).for_each(|thing| distinct.note(target(thing)));
            let count = distinct.count();
            assert!((least..=most).contains(&count), "{things}: {count}");
        }
    }

    #[test]
    fn a_merge_counts_what_both_noted_once() {
        let (mut one, mut other) = (Distinct::<4>::default(), Distinct::<4>::default());
        (0..5).for_each(|thing| one.note(target(thing)));
        (3..8).for_each(|thing| other.note(target(thing)));
        let together = one.union(&other);
        one.merge(&other);
        assert!((one.count() - together).abs() < f64::EPSILON);
        assert!((7.0..=9.0).contains(&together), "{together}");
    }

    #[test]
    fn a_target_is_new_once() {
        let mut seen = Seen::<8>::default();
        assert!((seen.note(target(80)) - 1.0).abs() < f32::EPSILON);
        assert!(seen.note(target(80)).abs() < f32::EPSILON);
    }

    #[test]
    fn a_thousand_targets_are_estimated_within_a_tenth_and_every_port_stays_finite() {
        let mut seen = Seen::<8>::default();
        let estimate: f32 = (0..1_000).map(|port| seen.note(target(port))).sum();
        assert!((900.0..1_100.0).contains(&estimate), "{estimate}");
        let more: f32 = (0..=u64::from(u16::MAX)).map(|port| seen.note(target(port))).sum();
        assert!(more.is_finite() && more > 1_000.0, "{more}");
    }

    #[test]
    fn a_target_is_forgotten_after_two_generations_and_not_after_one() {
        let mut seen = Seen::<8>::default();
        seen.age(0);
        seen.note(target(22));
        seen.age(GENERATION_NS);
        assert!(seen.note(target(22)).abs() < f32::EPSILON, "renewed");
        seen.age(2 * GENERATION_NS);
        seen.age(3 * GENERATION_NS);
        assert!(seen.note(target(22)) > 0.0);
    }
}
