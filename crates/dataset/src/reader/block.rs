//! Rows as they are handed out.

use std::net::IpAddr;

use arrow_array::RecordBatch;
use features::{Horizon, LocalService, PeerFacts, Span};

use crate::{Label, TableKind};

/// Rows of a block at most, unless asked otherwise.
pub const BLOCK_ROWS: usize = 65_536;

/// Some rows of one file, in its order, which is that of time.
///
/// Every vector but `rows` has one entry a row, or none where it was not asked for.
#[derive(Clone, Debug)]
pub struct Block {
    /// The table.
    pub table: TableKind,
    /// The window's start in unix time, in ns.
    pub time_ns: Vec<i64>,
    /// The window's start on the capturing clock, in ns.
    pub window_start_ns: Vec<u64>,
    /// The window's end on the capturing clock, in ns.
    pub window_end_ns: Vec<u64>,
    /// The remote address, of the host table the local one; empty for tables without.
    pub remote: Vec<IpAddr>,
    /// The service, of the service table; empty for others.
    pub services: Vec<LocalService>,
    /// The time that each row is meant to cover; empty for tables without.
    pub horizon: Vec<Horizon>,
    /// The time that it covers, on the capturing clock; empty for tables without.
    pub covers: Vec<Span>,
    /// The features, row-major, [`Self::width`] a row, all finite; empty where they were not asked
    /// for, and for the window table.
    pub rows: Vec<f32>,
    /// A window that it covers lost something; empty for tables without.
    pub is_lossy: Vec<bool>,
    /// Facts of a peer that a decision takes beside its scores; empty with
    /// [`Columns::Features`](crate::Columns::Features), and for other tables.
    pub facts: Vec<PeerFacts>,
    /// Windows of the window table; empty for the other tables.
    pub windows: Vec<StoredWindow>,
    /// Features of a row: all of the table's that are scored, in the schema's order.
    pub width: usize,
    /// The labels; none where the file has no columns for them.
    pub labels: Option<Vec<Label>>,
    /// The columns that were read, as they lie in the file.
    pub batch: RecordBatch,
}

/// A window in the window table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredWindow {
    /// Windows that its writer wrote before it.
    pub index: u64,
    /// It lost something; see [`features::Window::is_lossy`].
    pub is_lossy: bool,
}

impl Block {
    /// Number of rows; never 0 in a block that was handed out.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.time_ns.len()
    }

    /// True of a block without rows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.time_ns.is_empty()
    }

    /// A row's features; empty where they were not asked for.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        if self.rows.is_empty() {
            return &[];
        }
        &self.rows[index * self.width..(index + 1) * self.width]
    }

    /// A row's label.
    #[must_use]
    pub fn label(&self, index: usize) -> &Label {
        self.labels.as_ref().map_or(&Label::Unlabelled, |labels| &labels[index])
    }
}
