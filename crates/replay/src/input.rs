//! Opening a capture: told from other files by its first bytes, and unpacked.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    thread,
};

use super::{
    CaptureError, Compression, ReadProgress,
    ahead::ReadAhead,
    stream::{Fault, Faults, Metered, Whole, unpack},
};

/// Bytes looked at to tell what a file is.
const START: usize = 4096;

/// The path that stands for standard input, and what errors call it.
const STANDARD_INPUT: &str = "-";
pub(super) const STANDARD_INPUT_NAME: &str = "standard input";

/// Source of a capture's bytes.
pub(super) struct Source {
    bytes: Box<dyn Read + Send>,
    /// Of a regular file; a pipe has none.
    size: Option<u64>,
}

impl Source {
    pub(super) fn of(bytes: impl Read + Send + 'static) -> Self {
        Self { bytes: Box::new(bytes), size: None }
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if is_standard_input(path) {
            return Ok(Self::of(io::stdin()));
        }
        let file = File::open(path)?;
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
        Ok(Self { bytes: Box::new(file), size })
    }
}

pub(super) fn is_standard_input(path: &Path) -> bool {
    path == Path::new(STANDARD_INPUT)
}

/// True for what can be read only once: standard input, a pipe, a device.
pub(super) fn is_stream(path: &Path) -> bool {
    is_standard_input(path) || path.metadata().is_ok_and(|what| !what.is_file() && !what.is_dir())
}

/// The bytes of a capture, from the first on, unpacked.
pub(super) struct Input {
    pub(super) bytes: Box<dyn Read + Send>,
    pub(super) faults: Faults,
    pub(super) progress: ReadProgress,
    pub(super) compression: Option<Compression>,
}

impl Input {
    /// Starts to read, and refuses what is no capture. What is compressed is unpacked on a thread
    /// of its own where `ahead` and where the source is a file, whose reads end.
    pub(super) fn start(source: Source, path: &Path, ahead: bool) -> Result<Self, CaptureError> {
        let faults = Faults::default();
        let progress = ReadProgress::of_size(source.size);
        let metered =
            Metered { source: source.bytes, progress: progress.clone(), faults: faults.clone() };
        let mut packed = Whole::new(metered, None, faults.clone());
        let magic = start_of(&mut packed, 4);
        let compression = magic.first_chunk().copied().and_then(Compression::of);
        let failed = |source| CaptureError::Read { path: path.to_owned(), offset: 0, source };
        let unpacked = unpack(io::Cursor::new(magic).chain(packed), compression).map_err(failed)?;
        let mut unpacked = Whole::new(unpacked, compression, faults.clone());
        let start = start_of(&mut unpacked, START);
        if let Err(error) = identify(&start, path, compression) {
            let fault = faults.take().and_then(|fault| CaptureError::of_fault(path, 0, fault));
            return Err(fault.unwrap_or(error));
        }
        let bytes = io::Cursor::new(start).chain(unpacked);
        let ahead = ahead && compression.is_some() && source.size.is_some() && has_other_cpu();
        let bytes: Box<dyn Read + Send> = if ahead {
            let ahead = ReadAhead::start(bytes, faults.clone()).map_err(failed)?;
            Box::new(Whole::new(ahead, compression, faults.clone()))
        } else {
            Box::new(Whole::new(bytes, compression, faults.clone()))
        };
        Ok(Self { bytes, faults, progress, compression })
    }
}

fn has_other_cpu() -> bool {
    thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1)
}

/// As many bytes as there are, up to `length`.
fn start_of(source: &mut Whole<impl Read>, length: usize) -> Vec<u8> {
    let mut start = vec![0; length];
    // It never fails; see there.
    let read = source.read(&mut start).unwrap_or(0);
    start.truncate(read);
    start
}

/// Refuses what is no capture, by name where its first bytes tell.
fn identify(
    start: &[u8],
    path: &Path,
    unpacked_from: Option<Compression>,
) -> Result<(), CaptureError> {
    let empty = || CaptureError::Empty { path: path.to_owned(), length: start.len() };
    let Some(&magic) = start.first_chunk::<4>() else { return Err(empty()) };
    let (what, remedy) = match magic {
        [0xa1, 0xb2, 0xc3, 0xd4]
        | [0xd4, 0xc3, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0x3c, 0x4d]
        | [0x4d, 0x3c, 0xb2, 0xa1]
        | [0x34, 0xcd, 0xb2, 0xa1] => {
            return if start.len() < 24 { Err(empty()) } else { Ok(()) };
        }
        [0x0a, 0x0d, 0x0d, 0x0a] => return Ok(()),
        [0xfd, b'7', b'z', b'X'] => ("compressed by xz", "decompress it first with `unxz`"),
        [b'B', b'Z', b'h', _] => ("compressed by bzip2", "decompress it first with `bunzip2`"),
        [0x04, 0x22, 0x4d, 0x18] => ("compressed by lz4", "decompress it first with `unlz4`"),
        [b'P', b'K', 3, 4] => ("a zip archive", "extract it first with `unzip`"),
        _ => match (Compression::of(magic), unpacked_from) {
            (Some(_), Some(Compression::Gzip)) => {
                ("compressed twice", "decompress it once with `gunzip`")
            }
            (Some(_), Some(Compression::Zstd)) => {
                ("compressed twice", "decompress it once with `unzstd`")
            }
            _ => ("neither pcap nor pcapng", "convert it with `editcap`"),
        },
    };
    let magic = magic.map(|byte| format!("{byte:02x}")).join(" ");
    Err(CaptureError::NotACapture { path: path.to_owned(), magic, what, remedy })
}

impl CaptureError {
    /// Error for a stream's fault, at a byte of the unpacked contents; a cut is no error.
    pub(super) fn of_fault(path: &Path, offset: u64, fault: Fault) -> Option<Self> {
        let path = path.to_owned();
        match fault {
            Fault::Cut => None,
            Fault::System(source) => Some(Self::Read { path, offset, source }),
            Fault::Damaged(compression, source) => {
                Some(Self::Compressed { path, offset, compression, source })
            }
        }
    }
}
