//! Scoring: values become ranks, ranks become path lengths, in integers throughout.
//!
//! There are three kernels for trees of at most 8 levels, chosen once per forest by what the
//! CPU has; deeper trees are walked node by node. All give the same sums.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod packed;
mod portable;

use crate::cuts::Cuts;
use crate::limits::MAX_FEATURES;
use crate::path_length::FixedPath;
use crate::tree::Trees;
use block::{BLOCK, RankBlock};
use packed::Packed;

/// Fewer rows than this are faster one by one than as a block (measured: a block costs as
/// much as about this many rows).
const WORTH_A_BLOCK: usize = 4;

/// Makes a kernel for some trees.
type MakeKernel = fn(&Trees) -> Kernel;

/// Kernel by which blocks are scored.
#[derive(Clone, Debug)]
enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Plan),
    Portable,
}

impl Kernel {
    /// The kernels this CPU can run on trees that have a packed form, fastest first.
    fn available(trees: &Trees) -> impl Iterator<Item = Self> {
        let kernels: [Option<MakeKernel>; _] = [
            #[cfg(target_arch = "x86_64")]
            avx512::available().then_some(|_| Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            avx2::available().then_some(|trees| Self::Avx2(avx2::Plan::of(trees))),
            Some(|_| Self::Portable),
        ];
        kernels.into_iter().flatten().map(|kernel| kernel(trees))
    }

    /// Ranks up to [`BLOCK`] rows and sums their path lengths.
    fn score(
        &self,
        cuts: &Cuts,
        packed: &Packed,
        rows: &[f32],
        ranks: &mut RankBlock,
        sums: &mut [FixedPath; BLOCK],
    ) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::score(cuts, packed, rows, ranks, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(plan) => {
                portable::rank_block(cuts, rows, ranks);
                plan.path_sums(ranks, sums);
            }
            Self::Portable => {
                portable::rank_block(cuts, rows, ranks);
                portable::packed_block(packed, ranks, sums);
            }
        }
    }
}

/// Scores with the fastest kernel that this CPU and these trees allow.
#[derive(Clone, Debug)]
pub(super) struct Scorer {
    /// The trees packed and how to score them; none if they are too deep.
    packed: Option<(Packed, Kernel)>,
}

impl Scorer {
    pub(super) fn new(trees: &Trees) -> Self {
        let kernel = || Kernel::available(trees).next().unwrap_or(Kernel::Portable);
        Self { packed: Packed::of(trees).map(|packed| (packed, kernel())) }
    }

    /// The sum of one row's path lengths.
    pub(super) fn path_sum(&self, cuts: &Cuts, trees: &Trees, row: &[f32]) -> FixedPath {
        let mut ranks = [0; MAX_FEATURES];
        portable::rank_row(cuts, row, &mut ranks);
        match &self.packed {
            Some((packed, _)) => portable::packed_row(packed, &ranks),
            None => portable::deep_row(trees, &ranks),
        }
    }

    /// The sum of each row's path lengths.
    pub(super) fn path_sums(
        &self,
        cuts: &Cuts,
        trees: &Trees,
        rows: &[f32],
        sums: &mut [FixedPath],
    ) {
        let n_features = cuts.n_features();
        let Some((packed, kernel)) = self.packed.as_ref().filter(|_| sums.len() >= WORTH_A_BLOCK)
        else {
            for (row, sum) in rows.chunks_exact(n_features).zip(sums) {
                *sum = self.path_sum(cuts, trees, row);
            }
            return;
        };
        let mut ranks = [[0; BLOCK]; MAX_FEATURES];
        let mut block = [0; BLOCK];
        for (rows, sums) in rows.chunks(BLOCK * n_features).zip(sums.chunks_mut(BLOCK)) {
            kernel.score(cuts, packed, rows, &mut ranks, &mut block);
            // The last block may have fewer rows; what the others hold is left over from before.
            sums.copy_from_slice(&block[..sums.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path_length::leaf_path;
    use crate::random::Draws;
    use crate::tree::Sketch;

    /// A random tree of at most `levels` levels.
    fn tree(rng: &mut Draws, n_features: usize, levels: usize) -> Sketch {
        if levels == 0 || rng.below(8) == 0 {
            return Sketch::Leaf { samples: u32::try_from(rng.below(100)).unwrap() };
        }
        Sketch::Split {
            feature: u8::try_from(rng.below(n_features)).unwrap(),
            cut: u8::try_from(rng.below(255)).unwrap(),
            left: Box::new(tree(rng, n_features, levels - 1)),
            right: Box::new(tree(rng, n_features, levels - 1)),
        }
    }

    fn forest(rng: &mut Draws, n_features: usize, n_trees: usize, levels: usize) -> Trees {
        let mut trees = Trees::default();
        (0..n_trees).for_each(|_| trees.push(&tree(rng, n_features, levels)));
        trees
    }

    fn cuts(rng: &mut Draws, n_features: usize) -> Cuts {
        let of_one = |_| {
            let count = rng.below(256);
            let mut cuts: Vec<f32> = (0..count).map(|_| rng.between(-100.0, 100.0)).collect();
            cuts.sort_unstable_by(f32::total_cmp);
            cuts.dedup();
            cuts
        };
        Cuts::new(&(0..n_features).map(of_one).collect::<Vec<_>>())
    }

    fn rows(rng: &mut Draws, cuts: &Cuts, n_rows: usize) -> Vec<f32> {
        let value = |at: usize| {
            let cuts = cuts.of(at % cuts.n_features());
            match rng.below(12) {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => f32::NEG_INFINITY,
                3 if !cuts.is_empty() => cuts[rng.below(cuts.len())],
                _ => rng.between(-120.0, 120.0),
            }
        };
        (0..n_rows * cuts.n_features()).map(value).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn every_kernel_agrees_with_the_plain_walk(
            seed in any::<u64>(),
            n_features in prop_oneof![1_usize..20, 30_usize..70, Just(256)],
            n_trees in prop_oneof![1_usize..20, Just(300)],
            levels in 0_usize..=8,
            n_rows in 0_usize..150,
        ) {
            let mut rng = Draws::new(seed, 0);
            let trees = forest(&mut rng, n_features, n_trees, levels);
            let cuts = cuts(&mut rng, n_features);
            let rows = rows(&mut rng, &cuts, n_rows);
            let walk = |row: &[f32]| {
                let mut ranks = [0; MAX_FEATURES];
                portable::rank_row(&cuts, row, &mut ranks);
                portable::deep_row(&trees, &ranks)
            };
            let expected: Vec<FixedPath> = rows.chunks(n_features).map(walk).collect();
            for kernel in Kernel::available(&trees) {
                let name = format!("{kernel:.9?}");
                let scorer = Scorer { packed: Packed::of(&trees).map(|packed| (packed, kernel)) };
                let mut sums = vec![0; n_rows];
                scorer.path_sums(&cuts, &trees, &rows, &mut sums);
                prop_assert!(sums == expected, "{}", name);
            }
            let scorer = Scorer::new(&trees);
            for (row, expected) in rows.chunks(n_features).zip(expected) {
                prop_assert_eq!(scorer.path_sum(&cuts, &trees, row), expected);
            }
        }
    }

    #[test]
    fn deeper_trees_are_walked() {
        let mut rng = Draws::new(3, 0);
        let trees = forest(&mut rng, 5, 10, 12);
        assert!(trees.depth() > packed::MAX_LEVELS);
        let scorer = Scorer::new(&trees);
        assert!(scorer.packed.is_none(), "too deep to pack");
        let cuts = cuts(&mut rng, 5);
        let rows = rows(&mut rng, &cuts, 70);
        let mut sums = vec![0; 70];
        scorer.path_sums(&cuts, &trees, &rows, &mut sums);
        for (row, sum) in rows.chunks(5).zip(sums) {
            assert_eq!(scorer.path_sum(&cuts, &trees, row), sum);
        }
    }

    #[test]
    fn three_bytes_hold_the_longest_packed_path() {
        assert!(
            leaf_path(packed::MAX_LEVELS, crate::limits::MAX_SAMPLES) < 1 << (8 * packed::PLANES)
        );
    }
}
