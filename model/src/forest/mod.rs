//! Isolation forests: [`IsolationForest`], in linfa's style.

mod algorithm;
mod cuts;
mod errors;
mod export;
mod extended;
mod fit;
mod grow;
mod hyperparams;
mod import;
mod path_length;
mod random;
mod score;
mod standard;
mod stream;
mod tree;

pub use algorithm::{IsolationForest, PathShortening};
pub use errors::IsolationForestError;
pub use hyperparams::{
    IsolationForestParams, IsolationForestValidParams, MAX_DEPTH, MAX_FEATURES, MAX_SAMPLES,
    MAX_TREES,
};
pub use path_length::average_path_length;
pub use random::TreeRng;
pub use stream::ForestStream;
pub use tree::TreeNode;

/// What a forest consists of, for writing it down and reading it back.
pub(crate) mod parts {
    pub(crate) use super::algorithm::{Kind, Origin};
    pub(crate) use super::cuts::Cuts;
    pub(crate) use super::extended::{ExtendedForest, PlaneSketch, Spread, Term};
    pub(crate) use super::standard::StandardForest;
    pub(crate) use super::tree::{Sketch, Trees};
}
