//! Errors of a ledger.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

/// A ledger that cannot be opened, written or read.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// There is no such file, and reading makes none.
    #[error("no ledger at `{}`: `weir run` makes one, or give its path", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Another process writes it.
    #[error(
        "`{}` is being written by {}: stop that one, or give another path",
        path.display(),
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    InUse {
        /// The ledger.
        path: PathBuf,
        /// The other process, where it could be told.
        holder: Option<u32>,
    },
    /// The file is no SQLite database.
    #[error("`{}` is not an SQLite database: move it away, or give another path", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A database of another program.
    #[error(
        "`{}` is another program's database (application id {application_id:#x}), not a ledger of \
         weir: give another path",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Application id found.
        application_id: i32,
    },
    /// A newer weir wrote it.
    #[error(
        "`{}` has version {found} of the ledger, this weir knows up to {known}: use the newer \
         weir, or move the file away",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest that is known.
        known: i32,
    },
    /// An older weir wrote it, and who only reads does not migrate.
    #[error(
        "`{}` has version {found} of the ledger, this weir reads {known}: `weir run` migrates it",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The one that is read.
        known: i32,
    },
    /// The disk is full, or the quota used up. What was recorded before is whole.
    #[error(
        "cannot {doing} `{}`: the disk is full; make room, or lower `max_bytes` (what was recorded \
         before is whole)",
        path.display()
    )]
    Full {
        /// Action that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file, or its file system, may only be read.
    #[error(
        "cannot {doing} `{}`: it may only be read; give weir a folder that it may write to, or \
         remount it",
        path.display()
    )]
    ReadOnly {
        /// Action that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error(
        "`{}` is damaged ({source}): move it away with its `-wal`, and weir starts a new one",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Error of SQLite.
        source: rusqlite::Error,
    },
    /// A crash left it, and what it left can only be put in order where it may be written.
    #[error(
        "`{}` was left by a crash, and cannot be put in order here: copy it with its `-wal` to a \
         folder that may be written to, and read it there",
        path.display()
    )]
    Unrecovered {
        /// The file.
        path: PathBuf,
    },
    /// A record that the tables do not take; none of its batch was recorded.
    #[error("record {index} of the batch is refused: {reason}")]
    Refused {
        /// Its place in the batch, from 0.
        index: usize,
        /// Reason.
        reason: String,
    },
    /// An option is out of its bounds.
    #[error("`{option}` must be at least {least}, got {value}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its least value.
        least: String,
        /// Value found.
        value: String,
    },
    /// The file system refused.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// Action that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Sql {
        /// Action that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of SQLite.
        source: rusqlite::Error,
    },
}

/// SQLite's `SQLITE_IOERR_SHMSIZE`: the index of the WAL cannot grow. Seen on full disks alone.
const IOERR_SHMSIZE: i32 = 4_874;

impl LedgerError {
    pub(crate) fn sql(
        doing: &'static str,
        path: &Path,
    ) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| {
            let path = path.clone();
            let rusqlite::Error::SqliteFailure(failure, _) = &source else {
                return Self::Sql { doing, path, source };
            };
            match failure.code {
                ErrorCode::DiskFull => Self::Full { doing, path },
                _ if failure.extended_code == IOERR_SHMSIZE => Self::Full { doing, path },
                ErrorCode::ReadOnly => Self::ReadOnly { doing, path },
                ErrorCode::NotADatabase => Self::NotADatabase { path },
                ErrorCode::DatabaseCorrupt => Self::Damaged { path, source },
                _ => Self::Sql { doing, path, source },
            }
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { doing, path },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { doing, path },
            _ => Self::Io { doing, path, source },
        }
    }
}
