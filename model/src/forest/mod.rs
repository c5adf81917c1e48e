//! Isolation forests: [`IsolationForest`], in linfa's style.

mod algorithm;
mod cuts;
mod errors;
mod extended;
mod grow;
mod hyperparams;
mod import;
mod path_length;
mod random;
mod score;
mod standard;
mod tree;

pub use algorithm::{IsolationForest, PathShortening};
pub use errors::IsolationForestError;
pub use hyperparams::{
    IsolationForestParams, IsolationForestValidParams, MAX_DEPTH, MAX_FEATURES, MAX_SAMPLES,
    MAX_TREES,
};
pub use path_length::average_path_length;
pub use tree::TreeNode;
