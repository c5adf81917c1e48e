//! 64 rows at a time, one byte each, without permutations: every split of a tree is decided
//! for every row, and masks keep account of the rows that really came there.
//!
//! AVX2 cannot look up one byte in a table of 64, but it compares 32 bytes at once, and a tree
//! grown from 256 rows has no more than 255 splits. So deciding all of them costs less than
//! following each row (the way of `QuickScorer`, Lucchese et al. 2015).
#![expect(unsafe_code, reason = "vector loads and stores, and a call that needs AVX2")]

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_min_epu8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::block::{BLOCK, RankBlock};
use super::packed::MAX_LEVELS;
use crate::path_length::FixedPath;
use crate::tree::Trees;

pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
}

/// All trees as lists of what to do, in preorder.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    trees: Vec<TreePlan>,
}

#[derive(Clone, Debug)]
struct TreePlan {
    steps: Vec<Step>,
    /// Path length of each leaf, in the order of the steps; 0 past the last.
    paths: [FixedPath; 256],
}

#[derive(Clone, Copy, Debug)]
struct Step {
    what: What,
    depth: u8,
    /// True if the node is its parent's right child.
    right: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Split { feature: u8, cut: u8 },
    Leaf { number: u8 },
}

/// A byte for each of 64 rows; as a mask, 0xff for the rows meant and 0 for the others.
type Lanes = [__m256i; 2];

impl Plan {
    /// The plan for trees of at most 8 levels, which have at most 256 leaves.
    pub(super) fn of(trees: &Trees) -> Self {
        debug_assert!(trees.depth() <= MAX_LEVELS);
        Self { trees: (0..trees.n_trees()).map(|tree| TreePlan::of(trees, tree)).collect() }
    }

    /// Sums a block's path lengths.
    pub(super) fn path_sums(&self, ranks: &RankBlock, sums: &mut [FixedPath; BLOCK]) {
        assert!(available(), "the kernel is chosen where the CPU has it");
        // SAFETY: the CPU has the feature, just checked.
        unsafe { self.sum(ranks, sums) }
    }

    #[target_feature(enable = "avx2")]
    fn sum(&self, ranks: &RankBlock, sums: &mut [FixedPath; BLOCK]) {
        sums.fill(0);
        // By depth: the rows at the current node, and those that wait for its right sibling.
        let mut here: [Lanes; MAX_LEVELS + 1] = [[_mm256_set1_epi8(-1); 2]; MAX_LEVELS + 1];
        let mut waiting = here;
        for tree in &self.trees {
            let mut leaf = [_mm256_setzero_si256(); 2];
            for step in &tree.steps {
                let depth = usize::from(step.depth);
                if step.right {
                    here[depth] = waiting[depth];
                }
                let rows = here[depth];
                match step.what {
                    What::Leaf { number } => {
                        let number = _mm256_set1_epi8(number.cast_signed());
                        for (leaf, rows) in leaf.iter_mut().zip(rows) {
                            *leaf = _mm256_or_si256(*leaf, _mm256_and_si256(rows, number));
                        }
                    }
                    What::Split { feature, cut } => {
                        let ranks = load(&ranks[usize::from(feature)]);
                        let cut = _mm256_set1_epi8(cut.cast_signed());
                        for half in 0..2 {
                            let up_to =
                                _mm256_cmpeq_epi8(_mm256_min_epu8(ranks[half], cut), ranks[half]);
                            here[depth + 1][half] = _mm256_and_si256(rows[half], up_to);
                            waiting[depth + 1][half] = _mm256_andnot_si256(up_to, rows[half]);
                        }
                    }
                }
            }
            for (sum, leaf) in sums.iter_mut().zip(store(leaf)) {
                *sum += tree.paths[usize::from(leaf)];
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; BLOCK]) -> Lanes {
    let (low, high) = bytes.split_at(BLOCK / 2);
    // SAFETY: each half has 32 bytes, and an unaligned load reads 32.
    unsafe { [_mm256_loadu_si256(low.as_ptr().cast()), _mm256_loadu_si256(high.as_ptr().cast())] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(lanes: Lanes) -> [u8; BLOCK] {
    let mut bytes = [0; BLOCK];
    let (low, high) = bytes.split_at_mut(BLOCK / 2);
    // SAFETY: each half has 32 bytes, and an unaligned store writes 32.
    unsafe {
        _mm256_storeu_si256(low.as_mut_ptr().cast(), lanes[0]);
        _mm256_storeu_si256(high.as_mut_ptr().cast(), lanes[1]);
    }
    bytes
}

impl TreePlan {
    fn of(trees: &Trees, tree: usize) -> Self {
        let mut plan = Self { steps: Vec::new(), paths: [0; 256] };
        plan.place(trees, trees.roots[tree] as usize, 0, false);
        let leaves = plan.steps.iter_mut().filter_map(|step| match &mut step.what {
            What::Leaf { number } => Some(number),
            What::Split { .. } => None,
        });
        let paths = trees.tree(tree).iter().filter(|node| node.is_leaf()).map(|node| node.path);
        // Both are in preorder. 8 levels have at most 256 leaves.
        for (((number, leaf), slot), path) in
            (0..=u8::MAX).zip(leaves).zip(&mut plan.paths).zip(paths)
        {
            *leaf = number;
            *slot = path;
        }
        plan
    }

    fn place(&mut self, trees: &Trees, at: usize, depth: u8, right: bool) {
        let node = &trees.nodes[at];
        let what = if node.is_leaf() {
            What::Leaf { number: 0 }
        } else {
            What::Split { feature: node.feature, cut: node.cut }
        };
        self.steps.push(Step { what, depth, right });
        if !node.is_leaf() {
            self.place(trees, at + 1, depth + 1, false);
            self.place(trees, node.right as usize, depth + 1, true);
        }
    }
}
