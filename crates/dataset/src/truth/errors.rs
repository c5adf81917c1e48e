//! Errors of a truth.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A ground truth that cannot be read.
#[derive(Debug, Error)]
pub enum TruthError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The file is neither CSV nor TOML by its name.
    #[error("`{}` is no truth: its name must end in .csv or .toml", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// The file is too long.
    #[error("`{}` has {bytes} bytes, at most {limit} are read: split it", path.display())]
    Large {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// There are too many intervals.
    #[error("`{}` has more than {limit} intervals: split it, or merge neighbours", path.display())]
    Many {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The file is no CSV or TOML of this kind.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Reason.
        reason: String,
    },
    /// A value is not of its column's form.
    #[error("`{}`, line {line}, {column}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// Reason.
        reason: String,
    },
}
