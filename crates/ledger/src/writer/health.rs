//! Health of a writer, and its news.

use serde::Serialize;

use crate::{LedgerError, Retained};

/// Health of a writer. All counts are of records, from its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Waiting, or being written.
    pub queued: u64,
    /// Durable.
    pub appended: u64,
    /// Never queued: the queue was full, or the writer had stopped.
    pub dropped: u64,
    /// Refused by the tables, for good.
    pub rejected: u64,
    /// Still queued at the stop, when the disk refused them.
    pub abandoned: u64,
    /// Tries to write that failed.
    pub failures: u64,
    /// Reason of the last failure; none while all is well.
    pub failing: Option<String>,
    /// Removed by retention.
    pub removed: u64,
    /// Reason of retention's last failure; none while all is well.
    pub retention_failing: Option<String>,
    /// Bytes above the bound that retention may remove nothing for.
    pub over_bytes: u64,
}

/// News of a writer, as it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<'a> {
    /// A try failed after one that had not.
    Failing(&'a LedgerError),
    /// A try succeeded after `failures` that had not.
    Recovered {
        /// Failed tries in between.
        failures: u64,
    },
    /// The tables refused a record: a mistake of whoever made it.
    Rejected(&'a str),
    /// A step of retention removed something, or could not come below the bound.
    Retained(&'a Retained),
    /// A step of retention failed; it is taken again when retention is next asked for.
    RetentionFailing(&'a LedgerError),
}
