//! The bytes of a capture, whatever the file is compressed by.
//!
//! ```text
//! file or pipe ─► Metered ─► gzip / zstd ─► Whole ─► (ReadAhead) ─► CaptureReader
//!                 counts     by the first   leaves why
//!                 bytes      bytes          it ended
//! ```
//!
//! Whatever goes wrong ends the stream and leaves a [`Fault`], which is asked for at the end: so
//! all that came before it is handed out first.
//!
//! Memory is that of the decompressor's window (32 KiB for gzip, up to [`ZSTD_WINDOW_LOG`] for
//! zstd) and of fixed buffers, however much a file unpacks to.

use std::{
    fmt,
    io::{self, BufReader, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

/// Compressed bytes read at a time.
const COMPRESSED_BUFFER: usize = 128 << 10;

/// The largest window of a zstd frame, as a power of 2: 128 MiB, which is what `zstd` itself takes
/// unless told to take more.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Compression of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, of one or several members.
    Gzip,
    /// RFC 8878, of one or several frames.
    Zstd,
}

impl Compression {
    /// Told by the first bytes.
    pub(crate) const fn of(magic: [u8; 4]) -> Option<Self> {
        match magic {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // The second is a skippable frame, by which pzstd and others begin.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Remedy for a compressed file that cannot be read, for messages.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Gzip => "test it with `gzip -t`",
            Self::Zstd => {
                "test it with `zstd -t`, and unpack one of a window above 128 MiB with \
                 `unzstd --long=31`"
            }
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Fault that ended a stream before its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The system could not read.
    System(io::Error),
    /// The compressed data is not whole.
    Cut,
    /// The compressed data contradicts itself, or takes more memory than it may.
    Damaged(Compression, io::Error),
}

/// Place where a stream leaves its fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<Fault>>>);

impl Faults {
    /// Leaves a fault, unless there is one: the first is the cause of those that follow.
    pub(crate) fn leave(&self, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
    }

    /// Takes the fault; none where the stream came to its end.
    pub(crate) fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Bytes read of a file, as it is read: of the stored file, not of its unpacked contents.
///
/// Clones look at the same file.
#[derive(Clone, Debug, Default)]
pub struct ReadProgress {
    read: Arc<AtomicU64>,
    size: Option<u64>,
}

impl ReadProgress {
    pub(crate) fn of_size(size: Option<u64>) -> Self {
        Self { read: Arc::default(), size }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The file's size in bytes; `None` of a pipe.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }
}

/// Counts what is read, and keeps the system's errors apart from those of decompression.
pub(crate) struct Metered<R> {
    pub(crate) source: R,
    pub(crate) progress: ReadProgress,
    pub(crate) faults: Faults,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.source.read(buffer) {
                Ok(read) => {
                    self.progress.read.fetch_add(read as u64, Ordering::Relaxed);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.faults.leave(Fault::System(error));
                    return Err(kind.into());
                }
            }
        }
    }
}

/// Reads as much as fits, so that a pipe's short read is not taken for the end of a header; never
/// fails, but ends and leaves a fault.
pub(crate) struct Whole<R> {
    source: R,
    compression: Option<Compression>,
    faults: Faults,
    ended: bool,
}

impl<R: Read> Whole<R> {
    pub(crate) const fn new(source: R, compression: Option<Compression>, faults: Faults) -> Self {
        Self { source, compression, faults, ended: false }
    }

    fn fault(&self, error: io::Error) -> Fault {
        match self.compression {
            Some(_) if error.kind() == io::ErrorKind::UnexpectedEof => Fault::Cut,
            Some(compression) => Fault::Damaged(compression, error),
            None => Fault::System(error),
        }
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && !self.ended {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => self.ended = true,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.faults.leave(self.fault(error));
                    self.ended = true;
                }
            }
        }
        Ok(filled)
    }
}

/// Unpacks a stream; what is not compressed comes as it is.
pub(crate) fn unpack<R: Read + Send + 'static>(
    source: R,
    compression: Option<Compression>,
) -> io::Result<Box<dyn Read + Send>> {
    let buffered = |source| BufReader::with_capacity(COMPRESSED_BUFFER, source);
    Ok(match compression {
        None => Box::new(source),
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(buffered(source))),
        Some(Compression::Zstd) => {
            let mut decoder = zstd::Decoder::with_buffer(buffered(source))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}
