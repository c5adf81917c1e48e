//! The captures that the project does not ship, as their manifest lists them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use replay::{CaptureError, CaptureReader};

/// A capture of the manifest.
pub(crate) struct Capture {
    /// Its path below the folder of captures, which is what the manifest calls it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Frames in it, by the manifest.
    pub(crate) frames: u64,
}

/// A frame of a capture, on its own.
#[derive(Clone, Debug)]
pub(crate) struct OwnedFrame {
    pub(crate) time_ns: u64,
    pub(crate) bytes: Vec<u8>,
}

/// All captures of the manifest in `folder`; what is no capture (feature tables, logs) is left
/// out.
pub(crate) fn all(folder: &Path) -> Vec<Capture> {
    let manifest = folder.join("MANIFEST.tsv");
    let lines = fs::read_to_string(&manifest)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", manifest.display()));
    let captures: Vec<Capture> =
        lines.lines().skip(1).filter_map(|line| of(folder, line)).collect();
    assert!(!captures.is_empty(), "{} lists captures", manifest.display());
    captures
}

fn of(folder: &Path, line: &str) -> Option<Capture> {
    let mut fields = line.split('\t');
    let name = fields.next()?;
    // Columns: path, kind, label rule, packets.
    let frames = fields.nth(2)?.parse().ok()?;
    let is_capture = ["pcap", "pcapng", "cap"].iter().any(|end| name.ends_with(&format!(".{end}")));
    is_capture.then(|| Capture { name: name.to_owned(), path: folder.join(name), frames })
}

impl Capture {
    /// Opens it, or says why it cannot be read: its link type.
    pub(crate) fn open(&self) -> Result<CaptureReader, String> {
        match CaptureReader::open(&self.path) {
            Ok(reader) => Ok(reader),
            Err(error @ CaptureError::LinkType { .. }) => Err(error.to_string()),
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    /// Hands each frame that can be read to `each`.
    pub(crate) fn for_each(&self, mut each: impl FnMut(OwnedFrame)) -> Result<(), String> {
        let mut reader = self.open()?;
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    each(OwnedFrame { time_ns: frame.time_ns, bytes: frame.bytes.to_vec() });
                }
                Ok(None) => return Ok(()),
                Err(error) => panic!("{}: {error}", self.name),
            }
        }
    }
}
