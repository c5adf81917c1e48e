//! weir's captures, forest, model files and scoring, for Python: the extension module `weir._weir`.
//!
//! # What it is
//!
//! A thin layer: it turns arrays and Arrow tables into rows, calls `model` and `onnx`, and turns
//! their results and errors into Python's. What scikit-learn asks of an estimator is in
//! `weir/_forest.py`.
//!
//! ```text
//! numpy array ──────────────┐ no copy                       ┌─► numpy arrays
//!                           ├─► rows of f32 ─► model, onnx ─┤
//! Arrow table, any library ─┘ one block at a time           └─► dicts, bytes
//! capture ─► replay, features ─► Arrow stream, any library
//! ```
//!
//! # What it never does
//!
//! Formulas, thresholds or defaults of its own. Work on rows happens without the interpreter's
//! lock, so that other threads go on; an array must not be written to meanwhile.
//!
//! # Errors
//!
//! Text is that of the crates below. A parameter or an array that does not fit is a
//! `ValueError`; a model file or a table that cannot be used is a `weir.ModelError`, which is a
//! `ValueError` too.

#![forbid(unsafe_code)]

mod capture;
mod detector;
mod error;
mod forest;
mod model_file;
mod rows;
mod schema;
mod threads;

use pyo3::prelude::pymodule;

#[pymodule]
mod _weir {
    #[pymodule_export]
    use crate::capture::{Capture, open_capture};
    #[pymodule_export]
    use crate::detector::Detector;
    #[pymodule_export]
    use crate::error::{CaptureError, ModelError};
    #[pymodule_export]
    use crate::forest::Forest;
    #[pymodule_export]
    use crate::model_file::Model;
    #[pymodule_export]
    use crate::schema::schema;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
