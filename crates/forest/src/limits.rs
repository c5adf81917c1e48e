//! Bounds of what a forest may be.

/// Most trees a forest may have; keeps the fixed-point sum of path lengths below 2³².
pub const MAX_TREES: usize = 1_000;
/// Deepest tree allowed.
pub const MAX_DEPTH: usize = 24;
/// Largest sample a tree may be grown from.
pub const MAX_SAMPLES: usize = 1 << 20;
/// Most features a row may have: a node names its feature in one byte.
pub const MAX_FEATURES: usize = 256;

/// Greatest share of a tree's rows that may be sent beyond the training rows.
pub const MAX_BEYOND: f64 = 0.9;
