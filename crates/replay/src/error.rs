//! Why a capture cannot be read.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::Compression;

/// Why a capture cannot be read, or not to its end.
///
/// A file that merely stops, within a record or within its compressed stream, is no error: what is
/// whole is read, and [`CaptureLoss::CutFile`](super::CaptureLoss::CutFile) counts the cut. Offsets
/// are of what a compressed file unpacks to.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot open the capture `{}`: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is empty or ends within its own header.
    #[error("`{}` holds {length} bytes, fewer than a capture's header: capture it anew", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Bytes in it.
        length: usize,
    },
    /// The file is neither pcap nor pcapng.
    #[error(
        "`{}` starts with {magic} and is {what}: {remedy}",
        path.display()
    )]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// The first bytes, in hexadecimal.
        magic: String,
        /// What the first bytes show it to be.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Reading failed.
    #[error("cannot read `{}` at byte {offset}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where the record that could not be read starts.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// What a compressed file unpacks to is not to be had.
    #[error(
        "`{}` cannot be unpacked ({compression}) beyond byte {offset} of what it holds: {source}; \
         {}",
        path.display(),
        compression.remedy()
    )]
    Compressed {
        /// The file.
        path: PathBuf,
        /// How much was unpacked before.
        offset: u64,
        /// What it is compressed by.
        compression: Compression,
        /// What the decompressor says.
        source: io::Error,
    },
    /// Standard input was named twice.
    #[error("standard input (`-`) is named twice and can be read once: name it once")]
    StandardInputTwice,
    /// A record or block contradicts itself, and what follows it cannot be found.
    #[error(
        "`{}` is damaged at byte {offset}: {what}; save what lies before with `editcap`",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged record starts.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The frames are of a link type that cannot be read.
    #[error(
        "`{}` has link type {link_type} ({name}), and only {} can be read: \
         capture on an Ethernet interface, or on `any`",
        path.display(),
        super::link::SUPPORTED
    )]
    LinkType {
        /// The file.
        path: PathBuf,
        /// The number in the file.
        link_type: i32,
        /// Its name in the registry of link types.
        name: &'static str,
    },
}
