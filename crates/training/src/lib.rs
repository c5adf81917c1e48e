//! Fits weir's detectors from streams of feature rows that need not fit into memory.
//!
//! # What it is
//!
//! ```text
//! RowSource ─► survey ─► time split ─► fit (first part) ─► calibrate (later part) ─► DetectorModel
//!  read anew    counts,   first 60 %    forest, HBOS,       DetectorModel::assemble    + Report
//!  each pass    times     of the time   ECOD, autoencoder
//! ```
//!
//! [`train`] is the whole way. Each step is one pass over the source: memory is bounded by the
//! samples that a method keeps, which its documentation states, and never by the stream.
//!
//! # What it never does
//!
//! No files, no clock, no randomness but from a seed: the same rows and [`Plan`] give the same
//! detector, to the bit, however the source cuts its blocks. A split is in time, never at random:
//! neighbouring windows resemble each other, and what is random apart would be known already.
//! Rows that are labelled as an attack, or that come from windows that lost flows, are left out,
//! counted and named in the [`Report`].

#![forbid(unsafe_code)]

mod adapt;
mod autoencoder;
mod bounds;
mod contamination;
mod ecod;
mod error;
mod fading;
mod features;
mod fit;
mod hbos;
mod learner;
mod ongoing;
mod plan;
mod prior;
mod report;
mod row_filter;
mod sampled_rows;
mod source;
mod split;
mod steps;
mod train;
mod trim;

pub use adapt::{AdaptError, Adaptation, adapt};
pub use autoencoder::{AutoencoderError, AutoencoderParams};
pub use bounds::{SetBound, Setters, told_of_bounds};
pub use contamination::{Contamination, TrimBy};
pub use ecod::{Ecod, EcodFit, Tails};
pub use error::TrainingError;
pub use features::FeatureChoice;
pub use hbos::{Hbos, HbosCounts, Heights};
pub use learner::{LearnError, Learner, Learnt, fit_channels};
pub use ongoing::{Candidate, NotLearnt, Ongoing, Pace, Word};
pub use plan::{BEYOND, Given, Method, Plan};
pub use prior::{PRIOR_COUNTS_AS, Prior, PriorBuilder, PriorError, PriorRows};
pub use report::{LeftOut, Report, RowCounts, SupportedRates, TimeRange, Trimmed};
pub use row_filter::Dropped;
pub use sampled_rows::{SAMPLED_ROWS, SampledRows};
pub use source::{Blocks, Mark, RowBlock, RowSource, SourceError};
pub use split::{Part, TimeSplit};
pub use train::{ENOUGH_HELD_OUT, Trained, train, train_beside};
