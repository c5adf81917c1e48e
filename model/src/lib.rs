//! weir's features, isolation forest, calibration, explanation and model file.
//!
//! # What it is
//!
//! From one window of counters to what it means, and back to the traffic it was learnt from:
//! the same code in the collector, in replay, in training and in scoring.
//!
//! ```text
//! Window ─► Context::observe ─► FlowRecord, PeerRecord ─► features ─► DetectorModel
//!                                                                      │ score_rows
//!                                                                      │ p_value
//!                                                                      ▼ explain (alerts only)
//! ```
//!
//! # What it never does
//!
//! No sockets, no threads but those that grow trees, no clock (times come in with the windows,
//! and a model's creation time from its maker) and no randomness but from a seed. Files: only
//! [`ModelFile::save`] and [`ModelFile::load`].
//!
//! # In what order
//!
//! 1. [`Context::observe`] each [`Window`], in order; the records' features are rows of `f32`.
//! 2. Train: [`IsolationForest::params`], then [`DetectorModel::fit`] once over flows and once
//!    over peers, each with rows held out for [`Calibration`]; then [`ModelFile::new`] and
//!    [`ModelFile::save`].
//! 3. Score: [`ModelFile::load`], [`ModelFile::check_schemas`] once; per window
//!    [`DetectorModel::score_rows`], [`DetectorModel::p_value`] per score, and
//!    [`DetectorModel::explain`] for what becomes an alert. Before deciding at an error rate,
//!    ask [`Calibration::supports`] whether the model can claim it.

#![deny(unsafe_code)]

pub mod assess;
pub mod calibration;
pub mod context;
pub mod detector;
pub mod explain;
pub mod feature;
pub mod file;
pub mod forest;
mod importance;
mod inputs;
pub mod novelty;
mod profile;
pub mod record;
pub mod sample;
pub mod schema;
pub mod scorer;
mod window;

pub use context::{Context, ContextCount, ContextError, ContextLimits, Observed};
pub use feature::{Feature, FlowFeature, PeerFeature};
pub use record::{FlowRecord, Handshake, PeerRecord};
pub use schema::SchemaId;
pub use window::{Span, Window};

pub use calibration::{Calibration, CalibrationError, PValue};
pub use detector::{
    CALIBRATION_ROWS, DetectorError, DetectorModel, RowsDigest, SchemaMismatch, Source, Training,
    TrainingFacts, Uncalibrated,
};
pub use explain::{Contribution, Explanation};
pub use file::{
    DetectorManifest, ForestManifest, Manifest, ModelFile, ModelFileError, ModelFormatError,
    OnnxManifest,
};
pub use forest::{
    ForestStream, IsolationForest, IsolationForestError, IsolationForestParams,
    IsolationForestValidParams, PathShortening, TreeNode,
};
pub use importance::{FeatureImportance, Importance};
pub use inputs::{Inputs, InputsError};
pub use profile::{
    EmptyProfile, FeatureHistogram, FeatureRange, PROFILE_ROWS, Place, Profile, ProfileBuilder,
};
pub use scorer::{Attribution, OnnxScorer, Scale, Scorer};
