use std::io;
use std::path::PathBuf;

use forest::encoding::DecodeError;
use thiserror::Error;

/// Why a model file could not be written, or was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// The file could not be read.
    #[error("cannot read model {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file could not be written; an older file of that name is untouched.
    #[error("cannot write model {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The content is refused.
    #[error("cannot use model {}: {source}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ModelFormatError,
    },
}

/// Why bytes are not a model that this version can use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelFormatError {
    /// The bytes do not begin as a model file does.
    #[error("it is not a weir model: name a file that `weir learn` or `weir train` wrote")]
    NotAModel,
    /// The seal at the end is missing.
    #[error("it is truncated, the seal at its end is missing: copy it again, or train again")]
    Truncated,
    /// The seal does not match the content.
    #[error("it is corrupt, its content does not match its seal: copy it again, or train again")]
    Corrupt,
    /// Something larger than a model can be.
    #[error(
        "{what} has more than {limit} bytes, the most that a model may have: \
         train fewer or smaller trees, or a smaller network"
    )]
    TooLarge {
        /// Name of the part that is too large.
        what: String,
        /// Largest size allowed, in bytes.
        limit: u64,
    },
    /// The file was written by a later version.
    #[error("it has format {found}, this version reads formats up to {supported}: upgrade weir")]
    NewerFormat {
        /// Format of the file.
        found: u32,
        /// Latest format this version reads.
        supported: u32,
    },
    /// The file was written by an earlier version.
    #[error(
        "it has format {found}, this version reads format {supported}: \
         train again with `weir learn` or `weir train`, or use the version of weir that wrote it"
    )]
    OlderFormat {
        /// Format of the file.
        found: u32,
        /// The format this version reads.
        supported: u32,
    },
    /// A part is missing or contradicts the format.
    #[error("{part}: {what}: train again")]
    Malformed {
        /// The part of the file.
        part: String,
        /// The fault found in it.
        what: String,
    },
    /// The model is one that this build of the program does not score.
    #[error(
        "{part}: {what}: use the `weir` with everything, as packages ship it and \
         `cargo build --release` makes it"
    )]
    NotBuiltIn {
        /// The part of the file.
        part: String,
        /// Name of the part that is not built in.
        what: String,
    },
    /// No detector measures the peers of a window, which decisions are about.
    #[error("no detector measures peers: learn from traffic of more peers, or for longer")]
    NoPeers,
    /// The creation time is not in the form of RFC 3339.
    #[error("`created` must be a time such as 2026-01-31T12:00:00Z, got {got:?}")]
    Created {
        /// The value given.
        got: String,
    },
}

impl ModelFormatError {
    pub(super) fn malformed(part: &str, what: impl Into<String>) -> Self {
        Self::Malformed { part: part.to_owned(), what: what.into() }
    }

    /// Names the part that could not be read.
    pub(super) fn in_part(part: &str) -> impl Fn(DecodeError) -> Self {
        move |error| Self::malformed(part, error.to_string())
    }
}
