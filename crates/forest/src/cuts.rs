//! Binned thresholds: at most 255 cuts per feature, so that a value is one byte, its rank.

/// Most cuts per feature: ranks then run from 0 to 255.
pub(crate) const MAX_CUTS: usize = 255;

/// The places at which each feature may be cut.
///
/// `rank(x)` is the number of cuts below `x`, so `x <= cut[k]` exactly where `rank(x) <= k`:
/// comparing ranks decides as comparing values does, for every value.
///
/// Any value has a rank: −∞ has 0, +∞ has the number of cuts, and NaN, which is above no cut,
/// has 0 like −∞.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cuts {
    /// `MAX_CUTS + 1` entries per feature: its cuts, ascending, then +∞ (above which is nothing).
    padded: Vec<f32>,
    /// The same in heap order: node 1 is the middle, the children of `i` are `2i` and `2i + 1`.
    heaps: Vec<f32>,
    /// Cuts of each feature.
    counts: Vec<usize>,
}

const PADDED: usize = MAX_CUTS + 1;

impl Cuts {
    /// `per_feature` holds each feature's cuts, finite, strictly ascending, at most 255.
    pub(crate) fn new(per_feature: &[Vec<f32>]) -> Self {
        let mut padded = vec![f32::INFINITY; per_feature.len() * PADDED];
        for (slots, cuts) in padded.chunks_exact_mut(PADDED).zip(per_feature) {
            debug_assert!(cuts.len() <= MAX_CUTS && cuts.is_sorted_by(|a, b| a < b));
            slots[..cuts.len()].copy_from_slice(cuts);
        }
        let heaps = padded.chunks_exact(PADDED).flat_map(heap_of).collect();
        Self { padded, heaps, counts: per_feature.iter().map(Vec::len).collect() }
    }

    pub(crate) fn n_features(&self) -> usize {
        self.counts.len()
    }

    /// A feature's cuts, ascending.
    pub(crate) fn of(&self, feature: usize) -> &[f32] {
        &self.padded[feature * PADDED..][..self.counts[feature]]
    }

    /// A feature's cuts, filled up with +∞ to 256 entries.
    pub(crate) fn padded(&self, feature: usize) -> &[f32; PADDED] {
        self.padded[feature * PADDED..].first_chunk().expect("each feature has its padded cuts")
    }

    /// A feature's cuts in heap order, from entry 1, filled up with +∞.
    pub(crate) fn heap(&self, feature: usize) -> &[f32; PADDED] {
        self.heaps[feature * PADDED..].first_chunk().expect("each feature has its heap")
    }

    /// Number of cuts of `feature` below `value`.
    #[inline]
    pub(crate) fn rank(&self, feature: usize, value: f32) -> u8 {
        rank_in(self.padded(feature), value)
    }
}

/// Sorted cuts as a binary search visits them, so that each level of the search is one run.
fn heap_of(sorted: &[f32]) -> [f32; PADDED] {
    let mut heap = [f32::INFINITY; PADDED];
    for (node, slot) in heap.iter_mut().enumerate().skip(1) {
        let level = node.ilog2();
        let within = node - (1 << level);
        // Node `within` of a level parts the `2 * within`-th from the next of its halves.
        *slot = sorted[(2 * within + 1) * ((PADDED / 2) >> level) - 1];
    }
    heap
}

/// Branch-free binary search over the 255 cuts.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "eight steps stay below 256")]
pub(crate) fn rank_in(cuts: &[f32; PADDED], value: f32) -> u8 {
    let mut below = 0;
    let mut step = PADDED / 2;
    while step > 0 {
        // `below + step` is at most 255, and that many cuts lie below `value` where the last
        // of them does.
        below += if value > cuts[(below + step - 1) & MAX_CUTS] { step } else { 0 };
        step /= 2;
    }
    below as u8
}

/// A threshold that a tree would like to use, and how many training rows it would divide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) feature: usize,
    pub(crate) threshold: f32,
    pub(crate) rows: usize,
}

/// Chooses the cuts where the wished-for thresholds are: all of them where they are few, else
/// their quantiles, each weighted by the rows it divides, and always the outermost two.
///
/// Quantiles of thresholds rather than of rows: an isolation tree cuts the empty stretch
/// between the bulk and an outlier most often of all, and a quantile of the rows never falls
/// there.
pub(crate) fn choose_cuts(mut wishes: Vec<Wish>, n_features: usize) -> Cuts {
    for wish in &mut wishes {
        wish.threshold += 0.0; // −0.0 and 0.0 are one cut
    }
    wishes.sort_unstable_by(|a, b| {
        a.feature.cmp(&b.feature).then(a.threshold.total_cmp(&b.threshold))
    });
    let mut per_feature = vec![Vec::new(); n_features];
    for of_one in wishes.chunk_by(|a, b| a.feature == b.feature) {
        per_feature[of_one[0].feature] = quantiles(of_one);
    }
    Cuts::new(&per_feature)
}

fn quantiles(wishes: &[Wish]) -> Vec<f32> {
    let mut distinct: Vec<f32> = wishes.iter().map(|wish| wish.threshold).collect();
    distinct.dedup();
    if distinct.len() <= MAX_CUTS {
        return distinct;
    }
    let total: usize = wishes.iter().map(|wish| wish.rows).sum();
    let inner = MAX_CUTS - 2;
    let mut chosen = vec![distinct[0]];
    let mut passed = 0;
    let mut next = 0;
    for wish in wishes {
        passed += wish.rows;
        // The middle of the `next`-th of `inner` equal shares of the weight.
        while next < inner && passed * 2 * inner >= (2 * next + 1) * total {
            chosen.push(wish.threshold);
            next += 1;
        }
    }
    chosen.push(distinct[distinct.len() - 1]);
    chosen.dedup();
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(threshold: f32, rows: usize) -> Wish {
        Wish { feature: 0, threshold, rows }
    }

    #[test]
    fn few_thresholds_are_all_kept() {
        let cuts = choose_cuts(vec![wish(2.0, 1), wish(-1.0, 5), wish(2.0, 1)], 2);
        assert_eq!(cuts.of(0), [-1.0, 2.0]);
        assert!(cuts.of(1).is_empty());
    }

    #[test]
    fn many_thresholds_keep_their_extremes_and_their_density() {
        let wishes = (0..10_000_u16).map(|i| wish(f32::from(i) + 1.0, 2)).chain([wish(1e9, 2)]);
        let cuts = choose_cuts(wishes.collect(), 1);
        let cuts = cuts.of(0);
        assert!(cuts.len() <= MAX_CUTS);
        assert_eq!((cuts[0], cuts[cuts.len() - 1]), (1.0, 1e9));
        let widest = cuts[..cuts.len() - 1].windows(2).map(|pair| pair[1] - pair[0]);
        assert!(widest.fold(0.0, f32::max) < 60.0);
    }

    #[test]
    fn a_value_that_is_not_finite_has_a_rank() {
        let cuts = Cuts::new(&[vec![-1.0, 0.0, 1.0]]);
        assert_eq!(cuts.rank(0, f32::NAN), 0);
        assert_eq!(cuts.rank(0, f32::NEG_INFINITY), 0);
        assert_eq!(cuts.rank(0, f32::INFINITY), 3);
    }

    proptest! {
        #[test]
        fn a_rank_is_the_number_of_cuts_below(
            cuts in prop::collection::btree_set(-1_000_i16..1_000, 0..=MAX_CUTS),
            value in -1_001_i16..1_001,
            half in 0_u8..2,
        ) {
            let cuts: Vec<f32> = cuts.into_iter().map(f32::from).collect();
            let value = f32::from(value) + f32::from(half) / 2.0;
            let below = cuts.iter().filter(|cut| value > **cut).count();
            let ranked = Cuts::new(&[cuts]);
            prop_assert_eq!(usize::from(ranked.rank(0, value)), below);
        }
    }
}
