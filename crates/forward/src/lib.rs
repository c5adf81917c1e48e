//! Events of a node for a SIEM: followed over the node's socket, kept in a spool, written as OCSF,
//! ECS, EVE or CEF, and sent to a sink.
//!
//! ```text
//! node ──GET /v1/events──► follow ──► Spool (disk) ──► Format ──► Sink
//! ```
//!
//! # What it never does
//!
//! It slows no node: what it does not read in time the node drops, and says how much. It loses
//! nothing within the spool's bound, over restarts of the node, of the sink and of its own; beyond it
//! the loss is counted, and told to the sink as an event. A sink gets an event at least once.

#![forbid(unsafe_code)]

mod format;
mod forwarder;
mod sink;
mod spool;
mod told;

pub use format::{Format, Observer, Record};
pub use forwarder::{Forwarder, follow};
pub use sink::{SendError, Sink, Target, TargetError};
pub use spool::{Spool, SpoolError, Waiting};
pub use told::Severity;
