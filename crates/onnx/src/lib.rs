//! ONNX in and out, on plain slices: tree ensembles, scalers and dense networks.
//!
//! [`OnnxModel::from_bytes`] reads and validates a model, [`OnnxModel::score_rows`] scores rows
//! with it, [`OnnxModel::contributions`] says which features made a score; [`mod@write`] makes files
//! that onnxruntime and this crate score alike.
//!
//! Trees, scalers and what stands around them run natively. Dense networks run in tract, which
//! is most of this crate's build: the feature `networks` compiles it in, and without it a network
//! is refused as [`OnnxError::NoEngine`]; writing one needs no engine. This crate never opens a
//! file, spawns a thread or knows what a feature means.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod errors;
mod kind;
mod model;
mod network;
mod pb;
mod read;
mod rows;
mod trees;
pub mod write;

pub use errors::{OnnxError, WriteError};
pub use kind::OnnxKind;
pub use model::{Description, OnnxModel};
