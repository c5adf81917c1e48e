//! Errors of a data set.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A data set that cannot be written or read.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A file or folder cannot be made, written, renamed, listed or read.
    #[error("cannot {doing} `{}`: {source}{}", path.display(), remedy(source))]
    Io {
        /// Action that failed.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The rows cannot be encoded.
    #[error("cannot encode rows for `{}`: {reason}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Error of the encoder.
        reason: String,
    },
    /// The file is no Parquet file, or a damaged one.
    #[error(
        "`{}` is not a whole Parquet file: {reason}; remove it, or capture or replay it again",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Reason.
        reason: String,
    },
    /// The file is Parquet, but none of weir's tables, or of another build's features.
    #[error("`{}`: {reason}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Difference, with the remedy.
        reason: String,
    },
    /// There is no table in the given places.
    #[error(
        "no {what} in {}: give a folder that `weir capture` or `weir replay --out` wrote, or its files",
        places(paths)
    )]
    Empty {
        /// Table or column looked for.
        what: &'static str,
        /// Places searched.
        paths: Vec<PathBuf>,
    },
    /// An option is out of its bounds.
    #[error("`{option}` must be {bound}, got {value}")]
    Option {
        /// The option.
        option: &'static str,
        /// Bound of the value.
        bound: &'static str,
        /// Value found.
        value: String,
    },
    /// The writer failed before, and has removed what it had not finished.
    #[error("the writer of `{}` failed before; start a new one", root.display())]
    Failed {
        /// The data set's folder.
        root: PathBuf,
    },
}

impl DatasetError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.into() }
    }
}

fn places(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    names.join(", ")
}

/// Remedy for an error of the system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room or choose another folder (finished files are whole)"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder that this user may write to"
        }
        _ => "",
    }
}
