//! Features of network flows and of the remotes behind them.
//!
//! # What it is
//!
//! The definition of each feature, from the counters of a window to a row of numbers and to the
//! column of an Arrow table. The same code runs live, in replay, in training and in scoring.
//!
//! ```text
//! Window ─► Context::observe ─► FlowRecord                 ─► FlowFeature                 ─► RecordBatch
//!                           └─► PeerRecord, SiteRecord     ─► PeerFeature, HostFeature,   ─► rows of f32
//!                               over 1, 10, 60 and 600 s      ServiceFeature              └─► RecordBatch
//! ```
//!
//! # What it never does
//!
//! No files, no sockets, no threads, no clock (times come in with the windows), no randomness, and
//! no address, port or interface in the value of a feature.
//!
//! # In what order
//!
//! 1. [`Context::observe`] each [`Window`], in order; [`Context::finish_into`] at a capture's end.
//! 2. [`Feature::rows`] of the records for model input. With the feature `arrow`,
//!    `schema::batch` for tables, and `schema::check` and `schema::feature_rows` on the way back
//!    from a table.

#![forbid(unsafe_code)]

#[cfg(all(doctest, feature = "arrow"))]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod context;
pub mod counts;
mod facts;
pub mod feature;
mod flow_record;
mod home_nets;
mod hosts;
mod kept;
mod kind;
mod outages;
pub mod record;
pub mod schema;
mod tries;

pub use flows_common;

pub use context::{
    Context, ContextCount, ContextError, ContextLimits, Observed, WARM_UP, kept_layout,
};
pub use facts::{LocalService, PeerFacts};
pub use feature::{Feature, FlowFeature, HostFeature, PeerFeature, Scale, ServiceFeature, Use};
pub use flows_common::{Span, Window};
pub use home_nets::HomeNets;
pub use hosts::Hosts;
pub use kind::{Horizon, HorizonError, Horizons, Kind};
pub use outages::{Maintained, Outage, Outages};
pub use record::{FlowRecord, Handshake, PeerPart, PeerRecord, SiteKey, SiteRecord};
pub use schema::SchemaId;
pub use tries::Tries;
