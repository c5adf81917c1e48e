//! Choosing among many p-values, with a stated error rate.

mod fdr;

pub use fdr::benjamini_hochberg;
