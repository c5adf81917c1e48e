//! weir's features, isolation forest, calibration, explanation and model file.
//!
//! # What it is
//!
//! From one window of counters to what it means, and back to the traffic it was learnt from:
//! the same code in the collector, in replay, in training and in scoring.
//!
//! ```text
//! Window ─► Context::observe ─► PeerRecord, SiteRecord ─► features ─► DetectorModel of a Channel
//!                               over 1, 10, 60, 600 s                  │ Inputs: the features
//!                                                                      │   its Scorer reads
//!                                                                      │ score_rows, tail_scores
//!                                                                      │ p_value
//!                                                                      ▼
//!                                           assess: rows of all horizons, per entity ─► reasons
//! ```
//!
//! # What it never does
//!
//! No sockets, no threads but those that grow trees, no clock (times come in with the windows,
//! and a model's creation time from its maker) and no randomness but from a seed. Files: only
//! [`ModelFile::save`], [`ModelFile::load`] and [`file::write_atomically`].
//!
//! # In what order
//!
//! 1. [`Context::observe`] each [`Window`], in order; the records' features are rows of `f32`.
//! 2. Train: [`IsolationForest::params`], then [`DetectorModel::fit`] over rows in memory; or, of
//!    any [`Scorer`] and over rows that stream by, [`ProfileBuilder`], [`DetectorModel::assemble`],
//!    [`Uncalibrated::take`] the held-out rows, [`Uncalibrated::calibrate`]. Once for each
//!    [`Channel`], a kind of rows over a horizon; then [`ModelFile::new`] and [`ModelFile::save`].
//! 3. Score: [`ModelFile::load`], [`ModelFile::check_schemas`] and [`ModelFile::check_window`] once;
//!    per window [`assess::assess`], which scores its rows, combines them by entity, and gives
//!    reasons for what becomes an alert. Before deciding at an error rate, ask [`Calibration::supports`] whether
//!    the model can claim it.
//! 4. Exchange: [`OnnxScorer::from_bytes`] in, [`DetectorModel::to_onnx`] out.

#![deny(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod assess;
mod channel;
mod columns;
pub mod detector;
mod digest;
pub mod explain;
pub mod file;
mod importance;
mod inputs;
mod profile;
pub mod scorer;

pub use channel::{Channel, ChannelError};
pub use features::{
    Context, ContextCount, ContextError, ContextLimits, Feature, FlowFeature, FlowRecord,
    Handshake, HomeNets, Horizon, Horizons, HostFeature, Hosts, Kind, LocalService, Maintained,
    Observed, Outage, Outages, PeerFacts, PeerFeature, PeerRecord, SchemaId, ServiceFeature,
    SiteKey, SiteRecord, Span, Tries, WARM_UP, Window, kept_layout, record, schema,
};
pub use forest::{IsolationForest, IsolationForestError, IsolationForestValidParams};

/// Uniform samples of streams.
pub mod sample {
    pub use forest::{Draws, RowSample};
}

pub use conformal::{Calibration, CalibrationError, PValue};
pub use detector::{
    CALIBRATION_ROWS, DetectorError, DetectorModel, RowsDigest, SchemaMismatch, Source, TailPart,
    Training, TrainingFacts, Uncalibrated,
};
pub use explain::{Contribution, Explanation};
pub use file::{
    DetectorManifest, Detectors, ForestManifest, HomeMismatch, Manifest, ModelFile, ModelFileError,
    ModelFormatError, OnnxManifest, WindowMismatch,
};
pub use importance::{FeatureImportance, Importance};
pub use inputs::{Inputs, InputsError};
pub use profile::{
    EmptyProfile, FeatureHistogram, FeatureRange, PROFILE_ROWS, Place, Profile, ProfileBuilder,
};
pub use scorer::{Attribution, OnnxScorer, Scale, Scorer};
pub use tail::{Column, PARTS, Tails};
