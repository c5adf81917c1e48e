//! The model file: both detectors in one sealed `.weir` zip.

mod archive;
mod binary;
mod errors;
mod forest;
mod manifest;

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::detector::{DetectorModel, SchemaMismatch, sha256};
use crate::inputs::Inputs;
use crate::profile::Profile;
use crate::schema::SchemaId;
use crate::scorer::Scorer;

pub use errors::{ModelFileError, ModelFormatError};
pub use manifest::{DetectorManifest, FORMAT, Manifest};

/// The two detectors of a network and where they come from.
///
/// A model is what its file holds: the same detectors and creation time make the same bytes,
/// and [`digest`](Self::digest) names them.
///
/// # The file
///
/// A zip with `manifest.json`, and for each of `flow` and `peer` a `forest.bin`, a
/// `calibration.bin` (the held-out scores), a `novelty.bin` (the held-out novelties) and a
/// `features.bin` (ranges and training histograms). Its last bytes are a SHA-256 over all others. Loading checks the seal, sizes,
/// every node, cut and score, and that all parts agree; it never panics and never allocates
/// much more than the file's parts may have (194 MB at the most; a default model has 0.1 MB).
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

    /// What the file says of itself.
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
        let [flow, peer] = [&self.flow, &self.peer].map(|detector| {
            [
                forest::encode(detector.forest().expect("a forest")),
                binary::encode_calibration(detector.calibration()),
                binary::encode_calibration(detector.novelty_calibration()),
                binary::encode_features(detector.ranges(), detector.histograms()),
            ]
        });
        let [f0, f1, f2, f3] = flow;
        let [p0, p1, p2, p3] = peer;
        archive::pack(&[self.manifest.encode(), f0, f1, f2, f3, p0, p1, p2, p3])
    }

    /// Reads and checks a file's content.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelFormatError> {
        if bytes.len() as u64 > archive::MAX_FILE {
            let limit = archive::MAX_FILE;
            return Err(ModelFormatError::TooLarge { what: "the file".to_owned(), limit });
        }
        let parts = archive::unpack(bytes)?;
        let [described, flow @ .., _, _, _, _] = parts.as_slice() else {
            unreachable!("unpacking returns all parts");
        };
        let peer = &parts[parts.len() - flow.len()..];
        let manifest = Manifest::decode(described.name, &described.content)?;
        Ok(Self {
            flow: detector(flow, &manifest.flow)?,
            peer: detector(peer, &manifest.peer)?,
            manifest,
            digest: sha256(bytes),
        })
    }
}

/// Assembles a detector from its three parts and checks that they agree with the manifest.
fn detector(
    parts: &[archive::Part],
    manifest: &DetectorManifest,
) -> Result<DetectorModel, ModelFormatError> {
    let [forest, calibration, novelty, features] = parts else {
        unreachable!("a detector has four parts");
    };
    let trained = forest::decode(forest.name, &forest.content)?;
    let schema = manifest.schema_id();
    let (has, names) = (trained.n_features(), schema.features.len());
    if has != names {
        let what = format!("it reads {has} features, the manifest names {names}");
        return Err(ModelFormatError::malformed(forest.name, what));
    }
    let training = manifest.training();
    let (ranges, histograms) =
        binary::decode_features(features.name, &features.content, names, training.rows)?;
    let calibrated = |part: &archive::Part| {
        let scores = binary::decode_calibration(part.name, &part.content)?;
        if scores.held_out() as u64 == training.held_out {
            return Ok(scores);
        }
        let what = "it has another number of scores than the manifest says";
        Err(ModelFormatError::malformed(part.name, what))
    };
    let calibration = calibrated(calibration)?;
    let novelty_calibration = calibrated(novelty)?;
    let inputs = Inputs::all(&schema);
    let sampled = training.rows;
    let detector = DetectorModel {
        schema,
        inputs,
        scorer: Scorer::Forest(trained),
        calibration,
        novelty_calibration,
        profile: Profile { ranges, histograms, rows: sampled, sampled },
        training,
    };
    if DetectorManifest::of(&detector) == *manifest {
        Ok(detector)
    } else {
        Err(ModelFormatError::malformed(forest.name, "the manifest says otherwise"))
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

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
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
