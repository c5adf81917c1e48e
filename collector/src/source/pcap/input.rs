//! The bytes of a capture file: told from those of other files, and read whole.

use std::{
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use super::CaptureError;

/// Bytes looked at to tell what a file is.
pub(super) const START: usize = 4096;

/// Refuses what is no capture, by name where its first bytes tell.
pub(super) fn identify(start: &[u8], path: &Path) -> Result<(), CaptureError> {
    let Some(&magic) = start.first_chunk::<4>() else {
        return Err(CaptureError::Empty { path: path.to_owned(), length: start.len() });
    };
    let (what, remedy) = match magic {
        [0xa1, 0xb2, 0xc3, 0xd4]
        | [0xd4, 0xc3, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0x3c, 0x4d]
        | [0x4d, 0x3c, 0xb2, 0xa1]
        | [0x34, 0xcd, 0xb2, 0xa1] => {
            return if start.len() < 24 {
                Err(CaptureError::Empty { path: path.to_owned(), length: start.len() })
            } else {
                Ok(())
            };
        }
        [0x0a, 0x0d, 0x0d, 0x0a] => return Ok(()),
        [0x1f, 0x8b, ..] => ("compressed by gzip", "decompress it first with `gunzip`"),
        [0x28, 0xb5, 0x2f, 0xfd] => ("compressed by zstd", "decompress it first with `unzstd`"),
        [0xfd, b'7', b'z', b'X'] => ("compressed by xz", "decompress it first with `unxz`"),
        _ => ("neither pcap nor pcapng", "convert it with `editcap`"),
    };
    let magic = magic.map(|byte| format!("{byte:02x}")).join(" ");
    Err(CaptureError::NotACapture { path: path.to_owned(), magic, what, remedy })
}

/// Where a reader leaves the system's error, of which pcap-parser tells nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure(Arc<Mutex<Option<io::Error>>>);

impl Failure {
    fn leave(&self, error: io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn take(&self) -> io::Error {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        left.unwrap_or_else(|| io::Error::other("no cause given"))
    }
}

/// Reads as much as fits, so that a pipe's short read is not taken for the end of a header.
pub(super) struct Whole<R> {
    pub(super) source: R,
    pub(super) failure: Failure,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failure.leave(error);
                    return Err(kind.into());
                }
            }
        }
        Ok(filled)
    }
}
