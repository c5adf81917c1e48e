//! Errors of a data set.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
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
    /// A file that is whole holds a value that its column cannot have.
    #[error(
        "`{}`: the column `{column}` {reason}: leave out such rows, or give the value it had",
        path.display()
    )]
    Value {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The value, and where it stands.
        reason: String,
    },
    /// A file is written in a way that this build does not read.
    #[error(
        "`{}` cannot be read by this build ({reason}): write it again compressed by zstd, snappy, \
         gzip or lz4, or not at all",
        path.display()
    )]
    Codec {
        /// The file.
        path: PathBuf,
        /// The decoder's word for it.
        reason: String,
    },
    /// Tables of windows of several lengths.
    #[error(
        "windows of {} in `{}` and of {} in `{}`: a feature means something else in each, so give \
         tables of one length, or replay the captures anew with one --window",
        length(lengths[0]), paths[0].display(), length(lengths[1]), paths[1].display()
    )]
    WindowLengths {
        /// Two of the lengths, in ns.
        lengths: [u64; 2],
        /// A file of each.
        paths: [PathBuf; 2],
    },
    /// Tables of one network with two home sides.
    #[error(
        "`{}` is of rows with {} as the home side and `{}` with {}: who is local by one is a remote by \
         the other, so replay the captures anew with one --home-net",
        paths[0].display(), homes[0], paths[1].display(), homes[1]
    )]
    HomeSides {
        /// A prefix of each.
        homes: [IpNet; 2],
        /// A file of each.
        paths: [PathBuf; 2],
    },
    /// Rows of one capture twice.
    #[error(
        "`{}` and `{}` both hold rows of the capture `{capture}` at the same time: give one of them",
        paths[0].display(), paths[1].display()
    )]
    Doubled {
        /// The capture.
        capture: String,
        /// The files.
        paths: [PathBuf; 2],
    },
    /// Another writer is writing rows of the same capture.
    #[error(
        "rows of `{capture}`, or of a capture of the same frames, are being written to `{}`: wait \
         for that to end, or give another folder",
        root.display()
    )]
    Claimed {
        /// The data set's folder.
        root: PathBuf,
        /// The capture.
        capture: String,
    },
    /// Rows of a capture are there, made together with other captures.
    #[error(
        "`{}` holds rows of `{capture}` that were replayed together with other captures: replay \
         the same captures together, or give another folder",
        root.display()
    )]
    Together {
        /// The data set's folder.
        root: PathBuf,
        /// The capture.
        capture: String,
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

/// A window's length as flags have it.
fn length(ns: u64) -> String {
    let length = Duration::from_nanos(ns);
    if ns.is_multiple_of(1_000_000_000) {
        format!("{}s", length.as_secs())
    } else {
        format!("{}ms", length.as_secs_f64() * 1e3)
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
