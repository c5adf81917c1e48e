//! Isolation forests, standard and extended, in linfa's style.
//!
//! # What it is
//!
//! [`IsolationForest`] gives each row a score in (0, 1] for how easily random cuts set it apart
//! from the rows the forest was fitted to; higher is more anomalous. Rows are `f32`, side by side.
//! Thresholds are binned while training to at most 255 a feature, so that scoring compares bytes:
//! with AVX-512 VBMI, with AVX2 or portably, to the same bit.
//!
//! # What it never does
//!
//! No files, no clock, no randomness but from a seed, no threads but those that grow trees and are
//! joined before `fit` returns.
//!
//! # In what order
//!
//! 1. [`IsolationForest::params`], its setters, and `check` of [`linfa::ParamGuard`].
//! 2. [`fit_rows`](IsolationForestValidParams::fit_rows) over rows in memory, `fit` over a
//!    [`linfa::Dataset`], or [`stream`](IsolationForestValidParams::stream) over rows that pass by
//!    once. The three give the same forest.
//! 3. [`score_rows`](IsolationForest::score_rows), or `predict`;
//!    [`path_shortening`](IsolationForest::path_shortening) for the features behind one score.
//! 4. [`to_bytes`](IsolationForest::to_bytes) and [`from_bytes`](IsolationForest::from_bytes);
//!    [`trees`](IsolationForest::trees) and [`from_trees`](IsolationForest::from_trees) for forests
//!    of other libraries; with the feature `onnx`, `to_onnx`.

#![deny(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod algorithm;
mod beyond;
mod bytes;
mod cuts;
pub mod encoding;
mod errors;
#[cfg(feature = "onnx")]
mod export;
mod extended;
mod fit;
mod grow;
mod hyperparams;
mod import;
mod limits;
mod path_length;
mod random;
mod sample;
mod score;
mod standard;
mod stream;
mod tree;

pub use algorithm::{IsolationForest, PathShortening};
pub use errors::IsolationForestError;
pub use hyperparams::{IsolationForestParams, IsolationForestValidParams};
pub use limits::{MAX_BEYOND, MAX_DEPTH, MAX_FEATURES, MAX_SAMPLES, MAX_TREES};
pub use path_length::average_path_length;
pub use random::Draws;
pub use sample::{Reservoir, RowSample};
pub use stream::ForestStream;
pub use tree::TreeNode;
