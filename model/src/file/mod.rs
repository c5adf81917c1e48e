//! The model file: the detectors of all channels in one sealed `.weir` zip.

mod archive;
mod binary;
mod detector;
mod errors;
mod manifest;

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use features::{HomeNets, Horizon, Kind, SchemaId};
use ipnet::IpNet;
use thiserror::Error;

use crate::channel::{Channel, ChannelError};
use crate::detector::{DetectorModel, SchemaMismatch};
use crate::digest::sha256;
use archive::{Archive, Names};

pub use errors::{ModelFileError, ModelFormatError};
pub use manifest::{DetectorManifest, FORMAT, ForestManifest, Manifest, OnnxManifest};

/// Detectors by the rows that they measure.
pub type Detectors = BTreeMap<Channel, DetectorModel>;

/// The detectors of a network and where they come from.
///
/// A model is what its file holds: the same detectors and creation time make the same bytes,
/// and [`digest`](Self::digest) names them. A horizon that training had too few rows of has no
/// detector, and its rows are not measured; peers over the window always have one.
///
/// # The file
///
/// A zip with `manifest.json`, and for each [channel](Channel), as `peer-10s`, a `forest.bin` or a
/// `model.onnx`, a `calibration.bin` (the held-out scores), a `tails.json` (the tails of the
/// inputs), a `tail-scores.bin` (the held-out tail scores) and a `features.bin` (ranges and training
/// histograms of the inputs). Its last bytes are a SHA-256 over all others.
///
/// Loading checks the seal, sizes, every node, cut and score, and that all parts agree. It never
/// panics, reads files of up to 128 MiB, and unpacks at most 32 MiB of a forest or network and 160
/// MiB in all; a default model has 0.1 MB a channel.
#[derive(Clone, Debug)]
pub struct ModelFile {
    detectors: Detectors,
    window: Horizon,
    manifest: Manifest,
    digest: String,
}

impl ModelFile {
    /// Joins detectors. `created` is the time of making, RFC 3339: this crate has no clock.
    ///
    /// The shortest horizon of peers is the window's length.
    pub fn new(
        detectors: impl IntoIterator<Item = (Channel, DetectorModel)>,
        created: &str,
    ) -> Result<Self, ModelFormatError> {
        manifest::check_created(created)?;
        let detectors: Detectors = detectors.into_iter().collect();
        let manifest = Manifest::new(&detectors, created);
        let (window, digest) = (window_of(&detectors)?, String::new());
        let mut model = Self { detectors, window, manifest, digest };
        model.digest = sha256(&model.to_bytes()?);
        Ok(model)
    }

    /// The same, of rows of captures with these home sides.
    ///
    /// # Errors
    /// The parts are too large for a file.
    pub fn of_home(mut self, home: &[HomeNets]) -> Result<Self, ModelFormatError> {
        self.manifest.home = home.iter().map(ToString::to_string).collect();
        self.digest = sha256(&self.to_bytes()?);
        Ok(self)
    }

    /// The detectors, by the rows that they measure.
    #[must_use]
    pub const fn detectors(&self) -> &Detectors {
        &self.detectors
    }

    /// The detector of some rows; none where training had too few of them.
    #[must_use]
    pub fn detector(&self, channel: Channel) -> Option<&DetectorModel> {
        self.detectors.get(&channel)
    }

    /// The length of the windows that it was trained on.
    #[must_use]
    pub const fn window(&self) -> Horizon {
        self.window
    }

    /// The rows of peers over a window: what every model has a detector for.
    #[must_use]
    pub const fn peers(&self) -> Channel {
        Channel::new(Kind::Peer, self.window)
    }

    /// The detector of peers over a window.
    ///
    /// # Panics
    ///
    /// Never: no model is made without it.
    #[must_use]
    pub fn peer(&self) -> &DetectorModel {
        self.detector(self.peers()).expect("no model is made without it")
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

    /// Refuses detectors that were trained on other schemas than those `made` here.
    pub fn check_schemas(&self, made: impl Fn(Kind) -> SchemaId) -> Result<(), SchemaMismatch> {
        self.detectors
            .iter()
            .try_for_each(|(channel, detector)| detector.check_schema(&made(channel.kind)))
    }

    /// Refuses windows of another length than it was trained on.
    pub fn check_window(&self, window: Duration) -> Result<(), WindowMismatch> {
        let (trained, made) = (self.window, Horizon::from(window));
        if trained == made { Ok(()) } else { Err(WindowMismatch { trained, made }) }
    }

    /// Refuses a home side that [contradicts](HomeNets::contradiction) one that it was trained on.
    pub fn check_home(&self, made: &HomeNets) -> Result<(), HomeMismatch> {
        let trained = self.manifest.home.iter().filter_map(|home| home.parse::<HomeNets>().ok());
        let mut both = trained.filter_map(|home| home.contradiction(made));
        both.next().map_or(Ok(()), |(trained, made)| Err(HomeMismatch { trained, made }))
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
        let mut parts = vec![(archive::MANIFEST.to_owned(), self.manifest.encode())];
        for (channel, detector) in &self.detectors {
            parts.extend(detector::encode(Names::of(*channel), detector));
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
        let mut detectors = Detectors::new();
        for (name, described) in &manifest.detectors {
            let malformed = |what: String| ModelFormatError::malformed(archive::MANIFEST, what);
            let channel: Channel =
                name.parse().map_err(|error: ChannelError| malformed(error.to_string()))?;
            if channel.to_string() != *name {
                return Err(malformed(format!("`{name}` is spelt `{channel}`")));
            }
            detectors
                .insert(channel, detector::decode(&Names::of(channel), &mut archive, described)?);
        }
        archive.end()?;
        let window = window_of(&detectors)?;
        Ok(Self { detectors, window, manifest, digest: sha256(bytes) })
    }
}

/// Windows of another length than a model was trained on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the model was trained on windows of {trained}, these are of {made}: a count means something \
     else in each, so take windows of {trained} (`window` in the configuration), or train on \
     windows of {made}"
)]
pub struct WindowMismatch {
    /// Length of the windows that it was trained on.
    pub trained: Horizon,
    /// Length of these.
    pub made: Horizon,
}

/// Another home side of a network than a model was trained on.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "the model was trained with {trained} as the home side, here it is {made}: who is local by one is a \
     remote by the other, so replay with --home-net={trained}, or train with {made}"
)]
pub struct HomeMismatch {
    /// Its prefix.
    pub trained: IpNet,
    /// The one that shares addresses with it.
    pub made: IpNet,
}

/// The shortest horizon of peers.
fn window_of(detectors: &Detectors) -> Result<Horizon, ModelFormatError> {
    let of_peers = detectors.keys().filter(|channel| channel.kind == Kind::Peer);
    of_peers.map(|channel| channel.horizon).min().ok_or(ModelFormatError::NoPeers)
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
