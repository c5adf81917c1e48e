//! The container: a zip with fixed times, sealed by a hash at its very end.
//!
//! The archive's comment is `weir-sha256:` and the SHA-256, in hexadecimal, of all bytes before
//! these 64 digits. So any flipped bit and any missing byte is found before anything is parsed,
//! those in zip's own headers too, and ordinary tools still open the file. The seal is against
//! accidents: it says nothing of who wrote the file, so the parts are checked all the same.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::errors::ModelFormatError;
use crate::detector::sha256;

const SEAL: &str = "weir-sha256:";
const DIGITS: usize = 64;
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// Largest model file, in bytes.
pub(super) const MAX_FILE: u64 = 128 << 20;

/// A named part of the file and its content.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) content: Vec<u8>,
}

/// The parts, in the order they are written in, each with its largest size in bytes once
/// unpacked. A default forest has 100 kB, a calibration 4 bytes a row.
pub(super) const PARTS: [(&str, u64); 9] = [
    ("manifest.json", 1 << 20),
    ("flow/forest.bin", 64 << 20),
    ("flow/calibration.bin", 16 << 20),
    ("flow/novelty.bin", 16 << 20),
    ("flow/features.bin", 1 << 20),
    ("peer/forest.bin", 64 << 20),
    ("peer/calibration.bin", 16 << 20),
    ("peer/novelty.bin", 16 << 20),
    ("peer/features.bin", 1 << 20),
];

/// Packs the parts, which must be those of [`PARTS`].
pub(super) fn pack(contents: &[Vec<u8>; PARTS.len()]) -> Result<Vec<u8>, ModelFormatError> {
    for ((name, limit), content) in PARTS.iter().zip(contents) {
        if content.len() as u64 > *limit {
            return Err(too_large(name, *limit));
        }
    }
    let mut bytes =
        write_zip(contents).map_err(|e| ModelFormatError::malformed("archive", e.to_string()))?;
    seal(&mut bytes);
    if bytes.len() as u64 > MAX_FILE {
        return Err(too_large("the file", MAX_FILE));
    }
    Ok(bytes)
}

fn seal(bytes: &mut [u8]) {
    let (body, digits) = bytes.split_at_mut(bytes.len() - DIGITS);
    digits.copy_from_slice(sha256(body).as_bytes());
}

fn write_zip(contents: &[Vec<u8>]) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for ((name, _), content) in PARTS.iter().zip(contents) {
        writer.start_file(*name, options)?;
        writer.write_all(content)?;
    }
    writer.set_comment(format!("{SEAL}{}", "0".repeat(DIGITS)))?;
    Ok(writer.finish()?.into_inner())
}

/// Checks the seal and unpacks the parts, none larger than it may be.
pub(super) fn unpack(bytes: &[u8]) -> Result<Vec<Part>, ModelFormatError> {
    check_seal(bytes)?;
    let broken = |e: zip::result::ZipError| ModelFormatError::malformed("archive", e.to_string());
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.len() != PARTS.len() {
        let what = format!("it has {} parts instead of {}", archive.len(), PARTS.len());
        return Err(ModelFormatError::malformed("archive", what));
    }
    let mut parts = Vec::with_capacity(PARTS.len());
    for (name, limit) in PARTS {
        let part =
            archive.by_name(name).map_err(|e| ModelFormatError::malformed(name, e.to_string()))?;
        let mut content = Vec::new();
        part.take(limit + 1)
            .read_to_end(&mut content)
            .map_err(|e| ModelFormatError::malformed(name, e.to_string()))?;
        if content.len() as u64 > limit {
            return Err(too_large(name, limit));
        }
        parts.push(Part { name, content });
    }
    Ok(parts)
}

fn check_seal(bytes: &[u8]) -> Result<(), ModelFormatError> {
    if !bytes.starts_with(ZIP_MAGIC) {
        return Err(ModelFormatError::NotAModel);
    }
    let sealed =
        bytes.split_last_chunk::<DIGITS>().filter(|(body, _)| body.ends_with(SEAL.as_bytes()));
    let Some((body, digits)) = sealed else {
        return Err(ModelFormatError::Truncated);
    };
    if sha256(body).as_bytes() == digits { Ok(()) } else { Err(ModelFormatError::Corrupt) }
}

fn too_large(what: &str, limit: u64) -> ModelFormatError {
    ModelFormatError::TooLarge { what: what.to_owned(), limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_unpacks_to_more_than_it_may_is_refused() {
        let mut contents: [Vec<u8>; PARTS.len()] = Default::default();
        contents[2] = vec![0; usize::try_from(PARTS[2].1).unwrap() + 1];
        let too_large = too_large(PARTS[2].0, PARTS[2].1);
        let mut bomb = write_zip(&contents).unwrap();
        seal(&mut bomb);
        assert!(bomb.len() < 100_000, "16 MiB of zeros, packed");
        assert_eq!(unpack(&bomb).err(), Some(too_large.clone()));
        assert_eq!(pack(&contents).unwrap_err(), too_large);
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let contents: [Vec<u8>; PARTS.len()] = std::array::from_fn(|at| vec![7; at * 100]);
        let parts = unpack(&pack(&contents).unwrap()).unwrap();
        assert!(parts.iter().zip(&contents).all(|(part, content)| part.content == *content));
        assert!(parts.iter().zip(PARTS).all(|(part, (name, _))| part.name == name));
    }
}
