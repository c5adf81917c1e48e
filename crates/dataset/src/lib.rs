//! weir's feature tables on disk: partitioned Parquet, and the labels joined to them.
//!
//! # What it is
//!
//! A data set is a folder of Parquet files that polars, pandas and `DuckDB` open without glue:
//!
//! ```text
//! <root>/{flow,peer,host,service,net,window}/date=YYYY-MM-DD/hour=HH/<first window's time>-<n>.parquet
//! ```
//!
//! | table | a row is | schema |
//! |---|---|---|
//! | `flow` | a flow in a window | `weir.flow.v2` |
//! | `peer` | a remote address over a horizon | `weir.peer.v4` |
//! | `host` | a local address over a horizon | `weir.host.v1` |
//! | `service` | a local service over a horizon | `weir.service.v1` |
//! | `net` | all local addresses over a horizon | `weir.net.v1` |
//! | `window` | a window, with what was seen, lost and evicted | `weir.window.v2` |
//!
//! What came from captures has also the whole flows, which no other table needs, in
//! `<root>/connection/<first flow's time>-<n>.parquet`; see [`connection`].
//!
//! Files of one name in these folders were written together and hold the same windows; see
//! [`schema`] for the columns, [`DatasetWriter`] for how files come about, [`truth`] for labels.
//!
//! # What it never does
//!
//! No sockets, no clock (times come in with the windows), no randomness, no threads; no feature's
//! formula: those are `model`'s.
//!
//! # In what order
//!
//! 1. [`DatasetWriter::create`], [`DatasetWriter::write`] each window, [`DatasetWriter::finish`].
//! 2. [`Truth::read`] and [`label`](fn@label), where there is a truth.
//! 3. [`Dataset::open`], then [`Dataset::blocks`] as often as one likes.

#![forbid(unsafe_code)]

pub mod connection;
mod errors;
mod label;
mod labelling;
mod layout;
mod origin;
mod reader;
pub mod schema;
mod sums;
mod table;
pub mod truth;
mod writer;

pub use errors::DatasetError;
pub use label::{BENIGN, Label};
pub use labelling::{ClassCount, LabelOptions, Labelled, label};
pub use origin::{Origin, Provenance};
pub use reader::{
    BLOCK_ROWS, Block, Blocks, Columns, DataFile, Dataset, LabelFilter, ReadCounts, Selection,
    StoredWindow, take_rows,
};
pub use sums::Sums;
pub use table::TableKind;
pub use truth::{Active, Interval, Rest, Truth, TruthError};
pub use writer::{DatasetWriter, FinishedFile, Sweep, TableWriter, WriterOptions, Written};
