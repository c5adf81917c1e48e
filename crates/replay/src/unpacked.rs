//! A file that is no capture but may be compressed like one.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::Path,
};

use crate::{
    ReadProgress,
    stream::{Compression, Fault, Faults, Metered, Whole, unpack},
};

/// Bytes of unpacked text held.
const BUFFER: usize = 64 << 10;

/// A file's bytes, unpacked where it is compressed by gzip or zstd; `-` is standard input.
///
/// It ends where it fails: [`Self::fault`] tells whether that was its end.
pub struct Unpacked {
    bytes: BufReader<Box<dyn Read + Send>>,
    faults: Faults,
    progress: ReadProgress,
}

impl Unpacked {
    /// Opens a file, and looks at its first bytes.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Self::of(io::stdin(), None);
        }
        let file = File::open(path)?;
        let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|data| data.len());
        Self::of(file, size)
    }

    fn of(source: impl Read + Send + 'static, size: Option<u64>) -> io::Result<Self> {
        let faults = Faults::default();
        let progress = ReadProgress::of_size(size);
        let metered = Metered { source, progress: progress.clone(), faults: faults.clone() };
        let mut packed = Whole::new(metered, None, faults.clone());
        let mut magic = vec![0; 4];
        let read = packed.read(&mut magic)?;
        magic.truncate(read);
        let compression = magic.first_chunk().copied().and_then(Compression::of);
        let unpacked = unpack(Cursor::new(magic).chain(packed), compression)?;
        let whole: Box<dyn Read + Send> =
            Box::new(Whole::new(unpacked, compression, faults.clone()));
        Ok(Self { bytes: BufReader::with_capacity(BUFFER, whole), faults, progress })
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut (impl io::BufRead + use<>) {
        &mut self.bytes
    }

    /// Read progress of the file.
    #[must_use]
    pub fn progress(&self) -> ReadProgress {
        self.progress.clone()
    }

    /// Reason for which the bytes ended before the file did; `None` where they are whole.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        Some(match self.faults.take()? {
            Fault::System(error) => error.to_string(),
            Fault::Cut => "what is compressed is cut short; fetch the file once more".to_owned(),
            Fault::Damaged(compression, error) => {
                format!("cannot be unpacked ({compression}): {error}; {}", compression.remedy())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> (String, Option<String>) {
        let mut unpacked = Unpacked::of(Cursor::new(bytes), None).unwrap();
        let mut text = String::new();
        unpacked.bytes().read_to_string(&mut text).unwrap();
        (text, unpacked.fault())
    }

    #[test]
    fn text_comes_as_it_is_and_what_is_compressed_unpacked() {
        for bytes in [b"192.0.2.1\n".to_vec(), gzip(b"192.0.2.1\n")] {
            assert_eq!(read(bytes), ("192.0.2.1\n".to_owned(), None));
        }
        let packed = zstd::encode_all(&b"192.0.2.1\n"[..], 1).unwrap();
        assert_eq!(read(packed).0, "192.0.2.1\n");
        assert_eq!(read(b"1".to_vec()), ("1".to_owned(), None));
        assert_eq!(read(Vec::new()), (String::new(), None));
    }

    #[test]
    fn a_file_that_is_cut_short_says_so() {
        let mut packed = gzip(b"192.0.2.1\n");
        packed.truncate(packed.len() - 4);
        let (_, fault) = read(packed);
        assert!(fault.is_some_and(|fault| fault.contains("cut short")));
    }
}
