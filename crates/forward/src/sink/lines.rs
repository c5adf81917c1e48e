//! Lines on standard output or at the end of a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{SendError, Sink};
use crate::format::Record;

/// Writes lines. A file that was moved away or removed, as logrotate does, is made anew with the
/// next record; nobody has to say so.
pub(super) struct Lines {
    path: Option<PathBuf>,
    file: Option<File>,
}

impl Lines {
    pub(super) fn output() -> Self {
        Self { path: None, file: None }
    }

    pub(super) fn file(path: &Path) -> Self {
        Self { path: Some(path.to_owned()), file: None }
    }
}

impl Sink for Lines {
    fn send(&mut self, records: &[Record]) -> Result<(), SendError> {
        let lines: String = records.iter().flat_map(|one| [one.text.as_str(), "\n"]).collect();
        let Some(path) = &self.path else {
            let mut output = io::stdout().lock();
            return Ok(output.write_all(lines.as_bytes()).and_then(|()| output.flush())?);
        };
        let file = match self.file.take().filter(|file| is_at(file, path)) {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).open(path)?,
        };
        let before = file.metadata()?.len();
        let file = self.file.insert(file);
        if let Err(error) = file.write_all(lines.as_bytes()) {
            // All of a batch or nothing: it comes again.
            let _ = file.set_len(before);
            return Err(error.into());
        }
        Ok(())
    }
}

/// The file has this name still.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |data: std::fs::Metadata| (data.dev(), data.ino());
    let own = file.metadata().ok().map(id);
    own.is_some() && own == std::fs::metadata(path).ok().map(id)
}
