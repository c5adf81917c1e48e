//! Options of a ledger.

use std::time::Duration;

use crate::LedgerError;

/// Bounds and waits of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Records older than this are removed; 1 s at least.
    pub max_age: Duration,
    /// Above this many bytes of the file the oldest windows, decisions and ended blocks are
    /// removed; 1 MiB at least. The WAL beside it (about [`checkpoint_pages`](Self::checkpoint_pages)
    /// pages) does not count.
    pub max_bytes: u64,
    /// Pages of 4 KiB after which the WAL is written back into the file.
    pub checkpoint_pages: u32,
    /// Time to wait for another program that holds the file's lock.
    pub busy: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_age: Duration::from_hours(30 * 24),
            max_bytes: 8 << 30,
            checkpoint_pages: 1_000,
            busy: Duration::from_secs(5),
        }
    }
}

/// The least `max_bytes`: an empty ledger is 200 KiB.
const LEAST_BYTES: u64 = 1 << 20;
const LEAST_AGE: Duration = Duration::from_secs(1);

impl Options {
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        if self.max_bytes < LEAST_BYTES {
            return Err(LedgerError::Option {
                option: "max_bytes",
                least: LEAST_BYTES.to_string(),
                value: self.max_bytes.to_string(),
            });
        }
        if self.max_age < LEAST_AGE {
            return Err(LedgerError::Option {
                option: "max_age",
                least: format!("{LEAST_AGE:?}"),
                value: format!("{:?}", self.max_age),
            });
        }
        Ok(())
    }
}
