//! 64 rows at a time, one byte each, with AVX-512 VBMI.
//!
//! A place in a tree, a feature, a rank and a cut are bytes, so that one register holds those of
//! 64 rows, and one permutation looks all of them up in a level's table. Only the rank of *the
//! node's* feature differs from row to row in its source: it is chosen among the features'
//! registers by a binary tree of blends. 100 trees × 8 levels × 16 features cost about 190
//! instructions per row; gathers would need one memory access per row and level.
#![expect(unsafe_code, reason = "vector loads and stores, and calls that need the CPU's features")]

use std::arch::x86_64::{
    __m512, __m512i, __mmask64, _CMP_GT_OQ, _mm_storeu_si128, _mm512_add_epi8, _mm512_add_epi16,
    _mm512_add_epi32, _mm512_and_si512, _mm512_cmp_ps_mask, _mm512_cmpeq_epi8_mask,
    _mm512_cmpgt_epu8_mask, _mm512_cvtepi32_epi8, _mm512_i32gather_ps, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mask_add_epi32, _mm512_mask_blend_epi8, _mm512_mask_blend_ps,
    _mm512_mask_sub_epi8, _mm512_movepi8_mask, _mm512_mullo_epi32, _mm512_permutex2var_epi8,
    _mm512_permutex2var_ps, _mm512_permutexvar_epi8, _mm512_permutexvar_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_test_epi8_mask, _mm512_test_epi32_mask, _mm512_unpackhi_epi8, _mm512_unpacklo_epi8,
};

use super::block::{BLOCK, RankBlock};
use super::packed::{PLANES, Packed, PackedTree};
use super::portable;
use crate::cuts::Cuts;
use crate::path_length::FixedPath;

/// Columns that one binary tree of blends chooses among.
const CHUNK: usize = 16;

/// Byte sums stay below 2¹⁶ for this many trees.
const TREES_PER_SUM: usize = 256;

pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
}

/// Ranks up to 64 rows and sums their path lengths.
pub(super) fn score(
    cuts: &Cuts,
    packed: &Packed,
    rows: &[f32],
    ranks: &mut RankBlock,
    sums: &mut [FixedPath; BLOCK],
) {
    assert!(available(), "the kernel is chosen where the CPU has it");
    if rows.len() == BLOCK * cuts.n_features() {
        // SAFETY: the CPU has the features, just checked.
        unsafe { rank_block(cuts, rows, ranks) }
    } else {
        portable::rank_block(cuts, rows, ranks);
    }
    // SAFETY: as above.
    unsafe { path_sums(packed, cuts.n_features(), ranks, sums) }
}

/// Ranks exactly 64 rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn rank_block(cuts: &Cuts, rows: &[f32], ranks: &mut RankBlock) {
    let n_features = cuts.n_features();
    assert_eq!(rows.len(), BLOCK * n_features, "a whole block");
    let stride = i32::try_from(n_features).expect("a row has at most 256 features");
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let offsets = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(stride));
    for (feature, ranks) in ranks.iter_mut().take(n_features).enumerate() {
        let search = SearchTree::load(cuts.heap(feature));
        for (quarter, ranks) in ranks.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let first = quarter * 16 * n_features + feature;
            // SAFETY: the last lane reads at `first + 15 * n_features`, at most
            // (16 · 3 + 15) · n_features + n_features − 1, the end of 64 rows, whose length was
            // checked above.
            let values =
                unsafe { _mm512_i32gather_ps::<4>(offsets, rows[first..].as_ptr().cast()) };
            let found = _mm512_cvtepi32_epi8(search.rank(values));
            // SAFETY: `ranks` has 16 bytes, and an unaligned store writes 16.
            unsafe { _mm_storeu_si128(ranks.as_mut_ptr().cast(), found) }
        }
    }
}

/// A feature's cuts in heap order, all in registers: levels 0 to 3 in the first, level 4 in
/// the second, then 2, 4 and 8 registers for levels 5, 6 and 7.
struct SearchTree([__m512; 16]);

impl SearchTree {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn load(heap: &[f32; 256]) -> Self {
        let load = |at: usize| {
            let part: &[f32; 16] = heap[16 * at..].first_chunk().expect("16 parts of 16");
            // SAFETY: `part` has 16 values, and an unaligned load reads 16.
            unsafe { _mm512_loadu_ps(part.as_ptr()) }
        };
        Self(std::array::from_fn(load))
    }

    /// Number of cuts below each value, plus 256.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn rank(&self, values: __m512) -> __m512i {
        let t = &self.0;
        let mut at = _mm512_set1_epi32(1);
        for _ in 0..4 {
            at = descend(at, values, _mm512_permutexvar_ps(at, t[0]));
        }
        at = descend(at, values, _mm512_permutexvar_ps(at, t[1]));
        at = descend(at, values, _mm512_permutex2var_ps(t[2], at, t[3]));
        // A pair of registers answers the low five bits; bits 5 and 6 choose the pair.
        let bit5 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(1 << 5));
        let cut = _mm512_mask_blend_ps(
            bit5,
            _mm512_permutex2var_ps(t[4], at, t[5]),
            _mm512_permutex2var_ps(t[6], at, t[7]),
        );
        at = descend(at, values, cut);
        let bit5 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(1 << 5));
        let bit6 = _mm512_test_epi32_mask(at, _mm512_set1_epi32(1 << 6));
        let low = _mm512_mask_blend_ps(
            bit5,
            _mm512_permutex2var_ps(t[8], at, t[9]),
            _mm512_permutex2var_ps(t[10], at, t[11]),
        );
        let high = _mm512_mask_blend_ps(
            bit5,
            _mm512_permutex2var_ps(t[12], at, t[13]),
            _mm512_permutex2var_ps(t[14], at, t[15]),
        );
        descend(at, values, _mm512_mask_blend_ps(bit6, low, high))
    }
}

/// To the right child where the value is above the cut; NaN never is.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn descend(at: __m512i, values: __m512, cut: __m512) -> __m512i {
    let right = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, cut);
    let left = _mm512_add_epi32(at, at);
    _mm512_mask_add_epi32(left, right, left, _mm512_set1_epi32(1))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn path_sums(packed: &Packed, n_features: usize, ranks: &RankBlock, sums: &mut [FixedPath; BLOCK]) {
    sums.fill(0);
    // A single chunk fits into registers across all trees.
    let first: [__m512i; CHUNK] = std::array::from_fn(|feature| load(&ranks[feature]));
    let chunks = n_features.div_ceil(CHUNK);
    for trees in packed.trees.chunks(TREES_PER_SUM) {
        let mut planes = [PlaneSum::zero(); PLANES];
        for tree in trees {
            let leaf = walk(tree, packed.levels, &first, chunks, ranks);
            for (sum, plane) in planes.iter_mut().zip(&tree.leaf) {
                sum.add(look_up_256(plane, leaf));
            }
        }
        for (byte, plane) in planes.iter().enumerate() {
            plane.add_to(sums, 8 * byte);
        }
    }
}

/// The leaf that each row reaches.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn walk(
    tree: &PackedTree,
    levels: usize,
    first: &[__m512i; CHUNK],
    chunks: usize,
    ranks: &RankBlock,
) -> __m512i {
    let mut at = _mm512_set1_epi8(1);
    let (features, cuts) = (load_at(&tree.feature, 0), load_at(&tree.cut, 0));
    for _ in 0..levels.min(6) {
        let feature = _mm512_permutexvar_epi8(at, features);
        let cut = _mm512_permutexvar_epi8(at, cuts);
        at = step(at, choose(feature, first, chunks, ranks), cut);
    }
    if levels > 6 {
        let feature = _mm512_permutexvar_epi8(at, load_at(&tree.feature, 64));
        let cut = _mm512_permutexvar_epi8(at, load_at(&tree.cut, 64));
        at = step(at, choose(feature, first, chunks, ranks), cut);
    }
    if levels > 7 {
        let feature = look_up_128(&tree.feature, at);
        let cut = look_up_128(&tree.cut, at);
        at = step(at, choose(feature, first, chunks, ranks), cut);
    }
    at
}

/// `2 * at`, plus 1 where the rank is above the cut.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn step(at: __m512i, rank: __m512i, cut: __m512i) -> __m512i {
    let right = _mm512_cmpgt_epu8_mask(rank, cut);
    let left = _mm512_add_epi8(at, at);
    // All ones is minus one: subtracting it saves loading a one.
    _mm512_mask_sub_epi8(left, right, left, _mm512_set1_epi8(-1))
}

/// Each row's rank of its own feature.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn choose(feature: __m512i, first: &[__m512i; CHUNK], chunks: usize, ranks: &RankBlock) -> __m512i {
    let bit = |bit: i8| _mm512_test_epi8_mask(feature, _mm512_set1_epi8(bit));
    let bits = [bit(1), bit(2), bit(4), bit(8)];
    let mut chosen = among(bits, first);
    for chunk in 1..chunks {
        let columns = std::array::from_fn(|column| load(&ranks[chunk * CHUNK + column]));
        let high = _mm512_and_si512(feature, _mm512_set1_epi8(!0xf));
        let tag = u8::try_from(chunk * CHUNK).expect("at most 256 features");
        let here = _mm512_cmpeq_epi8_mask(high, _mm512_set1_epi8(tag.cast_signed()));
        chosen = _mm512_mask_blend_epi8(here, chosen, among(bits, &columns));
    }
    chosen
}

/// Chooses among 16 registers, byte by byte, by four bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn among(bits: [__mmask64; 4], columns: &[__m512i; CHUNK]) -> __m512i {
    let pair = |bit: usize, from: &[__m512i], at: usize| {
        _mm512_mask_blend_epi8(bits[bit], from[2 * at], from[2 * at + 1])
    };
    let eight: [_; 8] = std::array::from_fn(|at| pair(0, columns, at));
    let four: [_; 4] = std::array::from_fn(|at| pair(1, &eight, at));
    let two: [_; 2] = std::array::from_fn(|at| pair(2, &four, at));
    pair(3, &two, 0)
}

/// Looks up places 128 to 255.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up_128(table: &[u8; 256], at: __m512i) -> __m512i {
    _mm512_permutex2var_epi8(load_at(table, 128), at, load_at(table, 192))
}

/// Looks up any place.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn look_up_256(table: &[u8; 256], at: __m512i) -> __m512i {
    let low = _mm512_permutex2var_epi8(load_at(table, 0), at, load_at(table, 64));
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(at), low, look_up_128(table, at))
}

/// Sums of one byte per row, in two registers of 16-bit lanes.
#[derive(Clone, Copy)]
struct PlaneSum {
    low: __m512i,
    high: __m512i,
}

impl PlaneSum {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn zero() -> Self {
        Self { low: _mm512_setzero_si512(), high: _mm512_setzero_si512() }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn add(&mut self, bytes: __m512i) {
        let zero = _mm512_setzero_si512();
        self.low = _mm512_add_epi16(self.low, _mm512_unpacklo_epi8(bytes, zero));
        self.high = _mm512_add_epi16(self.high, _mm512_unpackhi_epi8(bytes, zero));
    }

    /// Adds each row's sum, times 2^`shift`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn add_to(&self, sums: &mut [FixedPath; BLOCK], shift: usize) {
        let (low, high) = (words(self.low), words(self.high));
        // Unpacking takes the lower and the upper half of each 16 rows.
        for (row, sum) in sums.iter_mut().enumerate() {
            let (sixteen, within) = (row / 16, row % 16);
            let half = if within < 8 { &low } else { &high };
            *sum += FixedPath::from(half[8 * sixteen + within % 8]) << shift;
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn words(lanes: __m512i) -> [u16; 32] {
    let mut words = [0; 32];
    // SAFETY: `words` has 64 bytes, and an unaligned store writes 64.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), lanes) }
    words
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn load_at(table: &[u8; 256], at: usize) -> __m512i {
    load(table[at..].first_chunk().expect("a quarter of the table"))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: `bytes` has 64 bytes, and an unaligned load reads 64.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
