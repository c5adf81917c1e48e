//! The container: a zip with fixed times, sealed by a hash at its very end.
//!
//! The archive's comment is `weir-sha256:` and the SHA-256, in hexadecimal, of all bytes before
//! these 64 digits. So any flipped bit and any missing byte is found before anything is parsed,
//! those in zip's own headers too, and ordinary tools still open the file. The seal is against
//! accidents: it says nothing of who wrote the file, so the parts are checked all the same.

use std::io::{Cursor, Read, Write};

use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::errors::ModelFormatError;
use crate::channel::Channel;
use crate::detector::CALIBRATION_ROWS;
use crate::digest::sha256;

const SEAL: &str = "weir-sha256:";
const DIGITS: usize = 64;
const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// Largest model file, in bytes.
pub(super) const MAX_FILE: u64 = 128 << 20;

/// The part that says what the others are.
pub(super) const MANIFEST: &str = "manifest.json";

/// Largest size in bytes that a part may have once unpacked. A default forest has 100 kB; 100
/// trees of 32,768 rows each fit in 32 MiB.
const MANIFEST_LIMIT: u64 = 1 << 20;
const SCORER_LIMIT: u64 = 32 << 20;
const CALIBRATION_LIMIT: u64 = ((CALIBRATION_ROWS + PRIOR_ROWS) * size_of::<f32>() + 20) as u64;
/// Scores of a prior at most.
const PRIOR_ROWS: usize = 1 << 16;
const FEATURES_LIMIT: u64 = 1 << 20;
const TAILS_LIMIT: u64 = 4 << 20;

/// Bytes that all parts may have together once unpacked.
const UNPACKED_LIMIT: u64 = 160 << 20;

/// The names of a channel's parts.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) forest: String,
    pub(super) onnx: String,
    pub(super) calibration: String,
    pub(super) tails: String,
    pub(super) tail_scores: String,
    pub(super) features: String,
}

impl Names {
    pub(super) fn of(channel: Channel) -> Self {
        let part = |name: &str| format!("{channel}/{name}");
        Self {
            forest: part("forest.bin"),
            onnx: part("model.onnx"),
            calibration: part("calibration.bin"),
            tails: part("tails.json"),
            tail_scores: part("tail-scores.bin"),
            features: part("features.bin"),
        }
    }
}

fn limit_of(name: &str) -> u64 {
    match name.rsplit('/').next() {
        Some("forest.bin" | "model.onnx") => SCORER_LIMIT,
        Some("calibration.bin" | "tail-scores.bin") => CALIBRATION_LIMIT,
        Some("features.bin") => FEATURES_LIMIT,
        Some("tails.json") => TAILS_LIMIT,
        _ => MANIFEST_LIMIT,
    }
}

/// Packs named parts, in their order.
pub(super) fn pack(parts: &[(String, Vec<u8>)]) -> Result<Vec<u8>, ModelFormatError> {
    for (name, content) in parts {
        let limit = limit_of(name);
        if content.len() as u64 > limit {
            return Err(too_large(name, limit));
        }
    }
    let mut bytes = write_zip(parts).map_err(|error| broken("archive", &error))?;
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

fn write_zip(parts: &[(String, Vec<u8>)]) -> ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        writer.start_file(name.as_str(), options)?;
        writer.write_all(content)?;
    }
    writer.set_comment(format!("{SEAL}{}", "0".repeat(DIGITS)))?;
    Ok(writer.finish()?.into_inner())
}

/// An archive whose seal holds. Parts are unpacked as they are asked for, none larger than it
/// may be.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    unread: usize,
    /// Bytes that may be unpacked yet.
    left: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ModelFormatError> {
        check_seal(bytes)?;
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken("archive", &error))?;
        // The reader keeps the last of parts that share a name: one could hide behind another.
        let listed = listed_parts(bytes);
        if listed != Some(zip.len()) {
            return Err(ModelFormatError::malformed("archive", "it has a part twice"));
        }
        Ok(Self { unread: zip.len(), zip, left: UNPACKED_LIMIT })
    }

    /// Unpacks a part. What it says of its size is checked before anything is unpacked, and
    /// what it really has while it is.
    pub(super) fn part(&mut self, name: &str) -> Result<Vec<u8>, ModelFormatError> {
        let limit = limit_of(name);
        let part = self.zip.by_name(name).map_err(|error| broken(name, &error))?;
        let declared = part.size();
        if declared > limit {
            return Err(too_large(name, limit));
        }
        self.left = self
            .left
            .checked_sub(declared)
            .ok_or_else(|| too_large("all parts together", UNPACKED_LIMIT))?;
        let mut content = Vec::new();
        part.take(limit + 1)
            .read_to_end(&mut content)
            .map_err(|error| ModelFormatError::malformed(name, error.to_string()))?;
        if content.len() as u64 > limit {
            return Err(too_large(name, limit));
        }
        if content.len() as u64 != declared {
            let what = format!("it has {} bytes and declares {declared}", content.len());
            return Err(ModelFormatError::malformed(name, what));
        }
        self.unread = self.unread.saturating_sub(1);
        Ok(content)
    }

    /// Refuses parts that the manifest does not name.
    pub(super) fn end(&self) -> Result<(), ModelFormatError> {
        if self.unread == 0 {
            return Ok(());
        }
        let what = format!("it has {} parts that the manifest does not name", self.unread);
        Err(ModelFormatError::malformed("archive", what))
    }
}

/// The number of parts in the archive's list: bytes 10 and 11 of the list's end record, which
/// stands right before the comment and has 22 bytes.
fn listed_parts(bytes: &[u8]) -> Option<usize> {
    let before_comment = bytes.len().checked_sub(SEAL.len() + DIGITS)?;
    let record = bytes.get(before_comment.checked_sub(22)?..before_comment)?;
    Some(usize::from(u16::from_le_bytes([record[10], record[11]])))
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

fn broken(part: &str, error: &ZipError) -> ModelFormatError {
    match error {
        ZipError::FileNotFound => ModelFormatError::malformed(part, "the part is missing"),
        error => ModelFormatError::malformed(part, error.to_string()),
    }
}

fn too_large(what: &str, limit: u64) -> ModelFormatError {
    ModelFormatError::TooLarge { what: what.to_owned(), limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Channel {
        "peer-1s".parse().unwrap()
    }

    fn calibration() -> String {
        Names::of(channel()).calibration
    }

    fn sealed(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = write_zip(parts).unwrap();
        seal(&mut bytes);
        bytes
    }

    #[test]
    fn a_part_that_unpacks_to_more_than_it_may_is_refused() {
        let zeros = vec![0; usize::try_from(CALIBRATION_LIMIT).unwrap() + 1];
        let parts = [(calibration(), zeros)];
        let refusal = too_large(&calibration(), CALIBRATION_LIMIT);
        let bomb = sealed(&parts);
        assert!(bomb.len() < 100_000, "4 MiB of zeros, packed");
        assert_eq!(Archive::open(&bomb).unwrap().part(&calibration()), Err(refusal.clone()));
        assert_eq!(pack(&parts), Err(refusal));
    }

    #[test]
    fn a_part_that_declares_less_than_it_has_is_refused() {
        let mut bomb = sealed(&[(calibration(), vec![0; 8 << 20])]);
        // Both headers say how much it unpacks to.
        let real = (8_u32 << 20).to_le_bytes();
        for at in 0..bomb.len() - 4 {
            if bomb[at..at + 4] == real {
                bomb[at..at + 4].copy_from_slice(&100_u32.to_le_bytes());
            }
        }
        seal(&mut bomb);
        let error = Archive::open(&bomb).unwrap().part(&calibration()).unwrap_err();
        assert!(error.to_string().starts_with("peer-1s/calibration.bin"), "{error}");
    }

    #[test]
    fn a_part_that_hides_behind_another_of_its_name_is_refused() {
        // The writer refuses to write a name twice, so the second is renamed afterwards.
        let mut bytes = sealed(&[
            ("peer/forest.bin".to_owned(), vec![1]),
            ("peer/forest.bim".to_owned(), vec![2]),
        ]);
        for at in 0..bytes.len() - 15 {
            if &bytes[at..at + 15] == b"peer/forest.bim" {
                bytes[at + 14] = b'n';
            }
        }
        seal(&mut bytes);
        let error = Archive::open(&bytes).err().unwrap();
        assert_eq!(error, ModelFormatError::malformed("archive", "it has a part twice"));
    }

    #[test]
    fn what_is_packed_is_unpacked_and_nothing_else_may_be_there() {
        let parts =
            [(MANIFEST.to_owned(), vec![7; 10]), (Names::of(channel()).features, vec![8; 300])];
        let bytes = pack(&parts).unwrap();
        let mut archive = Archive::open(&bytes).unwrap();
        assert_eq!(archive.part(MANIFEST).unwrap(), parts[0].1);
        assert_eq!(
            archive.end().unwrap_err().to_string(),
            "archive: it has 1 parts that the manifest does not name: train again"
        );
        assert_eq!(archive.part(&parts[1].0).unwrap(), parts[1].1);
        assert_eq!(archive.end(), Ok(()));
        let error = archive.part(&Names::of(channel()).tail_scores).unwrap_err().to_string();
        assert_eq!(error, "peer-1s/tail-scores.bin: the part is missing: train again");
    }
}
