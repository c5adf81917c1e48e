//! Ranks of the rows that are scored together.

use crate::limits::MAX_FEATURES;

/// Rows scored together: as many as a 512-bit register has bytes.
pub(super) const BLOCK: usize = 64;

/// A row's ranks by feature; 0 past the last feature.
pub(super) type RankRow = [u8; MAX_FEATURES];

/// A block's ranks: first by feature, then by row.
pub(super) type RankBlock = [[u8; BLOCK]; MAX_FEATURES];
