//! The model file: both detectors in one sealed `.weir` zip.

mod archive;
mod binary;
mod detector;
mod errors;
mod manifest;

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use features::SchemaId;

use crate::detector::{DetectorModel, SchemaMismatch};
use crate::digest::sha256;
use archive::Archive;

pub use errors::{ModelFileError, ModelFormatError};
pub use manifest::{DetectorManifest, FORMAT, ForestManifest, Manifest, OnnxManifest};

/// The two detectors of a network and where they come from.
///
/// A model is what its file holds: the same detectors and creation time make the same bytes,
/// and [`digest`](Self::digest) names them.
///
/// # The file
///
/// A zip with `manifest.json`, and for each of `flow` and `peer` a `forest.bin` or a
/// `model.onnx`, a `calibration.bin` (the held-out scores), a `tails.json` (the tails of the
/// inputs), a `tail-scores.bin` (the held-out tail scores) and a `features.bin` (ranges and training
/// histograms of the inputs). Its last bytes are a SHA-256 over all others.
///
/// Loading checks the seal, sizes, every node, cut and score, and that all parts agree. It never
/// panics, reads files of up to 128 MiB, and unpacks at most 32 MiB of a forest or network and 10
/// MiB of the rest for each table; a default model has 0.1 MB.
#[derive(Clone, Debug)]
pub struct ModelFile {
    flow: DetectorModel,
    peer: DetectorModel,
    manifest: Manifest,
    digest: String,
}

impl ModelFile {
    /// Joins two detectors. `created` is the time of making, RFC 3339: this crate has no clock.
    pub fn new(
        flow: DetectorModel,
        peer: DetectorModel,
        created: &str,
    ) -> Result<Self, ModelFormatError> {
        manifest::check_created(created)?;
        let manifest = Manifest::new(&flow, &peer, created);
        let digest = String::new();
        let mut model = Self { flow, peer, manifest, digest };
        model.digest = sha256(&model.to_bytes()?);
        Ok(model)
    }

    /// The detector over flows.
    #[must_use]
    pub fn flow(&self) -> &DetectorModel {
        &self.flow
    }

    /// The detector over peers.
    #[must_use]
    pub fn peer(&self) -> &DetectorModel {
        &self.peer
    }

    /// The file's own description.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the file's content, hexadecimal: the name under which decisions are recorded.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Refuses schemas that are not those the detectors were trained on.
    pub fn check_schemas(&self, flow: &SchemaId, peer: &SchemaId) -> Result<(), SchemaMismatch> {
        self.flow.check_schema(flow)?;
        self.peer.check_schema(peer)
    }

    /// Writes the file: whole, or not at all. It is written beside `path`, flushed to the disk,
    /// and then takes the place of an older file in one step.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ModelFileError> {
        let path = path.as_ref();
        let bytes = self.to_bytes().map_err(|source| refused(path, source))?;
        write_atomically(path, &bytes)
            .map_err(|source| ModelFileError::Write { path: path.to_owned(), source })
    }

    /// Reads and checks a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ModelFileError> {
        let path = path.as_ref();
        let bytes = read_bounded(path)
            .map_err(|source| ModelFileError::Read { path: path.to_owned(), source })?;
        Self::from_bytes(&bytes).map_err(|source| refused(path, source))
    }

    /// The file's content.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelFormatError> {
        let mut parts = vec![(archive::MANIFEST, self.manifest.encode())];
        for (names, detector) in [(archive::FLOW, &self.flow), (archive::PEER, &self.peer)] {
            parts.extend(detector::encode(names, detector));
        }
        archive::pack(&parts)
    }

    /// Reads and checks a file's content.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelFormatError> {
        if bytes.len() as u64 > archive::MAX_FILE {
            let limit = archive::MAX_FILE;
            return Err(ModelFormatError::TooLarge { what: "the file".to_owned(), limit });
        }
        let mut archive = Archive::open(bytes)?;
        let manifest = Manifest::decode(archive::MANIFEST, &archive.part(archive::MANIFEST)?)?;
        let flow = detector::decode(archive::FLOW, &mut archive, &manifest.flow)?;
        let peer = detector::decode(archive::PEER, &mut archive, &manifest.peer)?;
        archive.end()?;
        Ok(Self { flow, peer, manifest, digest: sha256(bytes) })
    }
}

fn refused(path: &Path, source: ModelFormatError) -> ModelFileError {
    ModelFileError::Refused { path: path.to_owned(), source }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to refuse the file.
    File::open(path)?.take(archive::MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes a file whole, or not at all: beside `path`, flushed to the disk, and then in the place
/// of an older file in one step.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".weir-model-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name, too, must survive a power cut.
    File::open(folder)?.sync_all()
}
