//! Errors of reading a capture.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::Compression;

/// Failure to read a capture, or to read it to its end.
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
        /// Error from the system.
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
        /// Kind of file that the first bytes indicate.
        what: &'static str,
        /// Remedy.
        remedy: &'static str,
    },
    /// Reading failed.
    #[error("cannot read `{}` at byte {offset}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Offset of the record that could not be read, in bytes.
        offset: u64,
        /// Error from the system.
        source: io::Error,
    },
    /// Compressed file whose contents cannot be unpacked.
    #[error(
        "`{}` cannot be unpacked ({compression}) beyond byte {offset} of what it holds: {source}; \
         {}",
        path.display(),
        compression.remedy()
    )]
    Compressed {
        /// The file.
        path: PathBuf,
        /// Bytes unpacked before.
        offset: u64,
        /// Compression of the file.
        compression: Compression,
        /// Error from the decompressor.
        source: io::Error,
    },
    /// Standard input was named twice.
    #[error("standard input (`-`) is named twice and can be read once: name it once")]
    StandardInputTwice,
    /// Frames of a file are farther out of order than they can be sorted while it is read.
    #[error(
        "`{}` is out of order, and more than {limit} bytes of headers would have to wait for it \
         to be sorted: sort it first with `reordercap`, or cut it where its clock was set back",
        path.display()
    )]
    Disorder {
        /// The file.
        path: PathBuf,
        /// Bytes that may wait.
        limit: u64,
    },
    /// A frame of a stream is earlier than a window that was handed out.
    #[error(
        "a frame at {time_ns} ns came after its window, which began at most at {window_ns} ns, \
         was over: save the stream to a file, which is sorted as it is read"
    )]
    Late {
        /// The frame's time, in ns since 1970.
        time_ns: u64,
        /// Start of the window that was open when it came, in ns since 1970.
        window_ns: u64,
    },
    /// A record or block contradicts itself, and what follows it cannot be found.
    #[error(
        "`{}` is damaged at byte {offset}: {what}; save what lies before with `editcap`",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Offset of the damaged record, in bytes.
        offset: u64,
        /// Defect of the record.
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
