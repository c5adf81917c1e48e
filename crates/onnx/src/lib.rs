//! ONNX in and out, on plain slices: tree ensembles, scalers and dense networks.
//!
//! [`OnnxModel::from_bytes`] reads and validates a model, [`OnnxModel::score_rows`] scores rows
//! with it, [`OnnxModel::contributions`] says which features made a score; [`mod@write`] makes files
//! that onnxruntime and this crate score alike.
//!
//! Trees, scalers and what stands around them run natively; dense networks run in tract. This
//! crate never opens a file, spawns a thread or knows what a feature means.
#![forbid(unsafe_code)]

mod errors;
mod kind;
mod model;
mod network;
mod read;
mod rows;
mod trees;
pub mod write;

pub use errors::{OnnxError, WriteError};
pub use kind::OnnxKind;
pub use model::{Description, OnnxModel};
