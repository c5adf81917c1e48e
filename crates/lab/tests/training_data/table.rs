//! `captures.toml`: checksum and counts of each capture.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::capture::Contents;

/// Suffix of every shipped capture.
pub(crate) const EXTENSION: &str = ".pcap.zst";

const HEAD: &str = "\
# Checksums and counts of the captures beside this file, made by `cargo xtask training-data` and
# held against the files by a test of the lab. `frames_by_class` counts the frames from and to an
# attack's sources from its beginning to one second after its end; what remains is benign.

";

/// The whole file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// Sorted by name.
    pub(crate) capture: Vec<CaptureRow>,
}

/// A capture.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureRow {
    pub(crate) file: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) snap_length: u32,
    pub(crate) frames: u64,
    /// From the first frame to the last, rounded down.
    pub(crate) seconds: u64,
    /// Addresses of others than the protected host.
    pub(crate) remotes: usize,
    pub(crate) attacks: usize,
    pub(crate) frames_by_class: BTreeMap<String, u64>,
}

impl CaptureRow {
    pub(crate) fn of(name: &str, path: &Path, contents: &Contents) -> Self {
        let file = fs::read(path).expect("readable");
        Self {
            file: format!("{name}{EXTENSION}"),
            sha256: format!("{:x}", Sha256::digest(&file)),
            bytes: file.len() as u64,
            snap_length: contents.snap_length,
            frames: contents.frames,
            seconds: contents.span.as_secs(),
            remotes: contents.remotes.len(),
            attacks: contents.frames_by_attack.len(),
            frames_by_class: contents.frames_by_class(),
        }
    }
}

impl Table {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("captures.toml is there");
        toml::from_str(&text).expect("captures.toml is valid")
    }

    pub(crate) fn write(&self, path: &Path) {
        let text = toml::to_string(self).expect("plain data");
        fs::write(path, format!("{HEAD}{text}")).expect("writable");
    }
}
