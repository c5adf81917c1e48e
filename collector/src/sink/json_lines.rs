//! Events as JSON Lines in a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::Sink;
use crate::event::Event;

/// Why a sink cannot take events.
#[derive(Debug, thiserror::Error)]
#[error("events file `{path}`: {source}; free space or name another with --events")]
pub struct SinkError {
    path: PathBuf,
    source: io::Error,
}

/// Appends events to a file. One that was moved away or removed, as logrotate does, is made anew
/// with the next event; nobody has to say so.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    /// A failure left a part of a line at the end.
    cut: bool,
}

impl JsonLines {
    /// Opens the file to append to, and makes it where it is not there.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let file = open(path).map_err(|source| SinkError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, cut: false })
    }

    /// Opens the file anew where another one, or none, has its name.
    fn follow(&mut self) -> io::Result<()> {
        let own = self.file.metadata()?;
        let named = std::fs::metadata(&self.path).ok();
        if named.is_none_or(|named| (named.dev(), named.ino()) != (own.dev(), own.ino())) {
            self.file = open(&self.path)?;
            self.cut = false;
        }
        Ok(())
    }

    /// Writes a line, which is whole in the file or cut and then ended by the next.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.follow()?;
        let mut line = if self.cut { b"\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut line, event)?;
        line.push(b'\n');
        let mut rest = &line[..];
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    self.cut = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Sink for JsonLines {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        self.write(event).map_err(|source| SinkError { path: self.path.clone(), source })
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        match self.file.sync_data() {
            // A pipe or a device has nothing to make durable.
            Err(error) if error.raw_os_error() == Some(nix::libc::EINVAL) => Ok(()),
            synced => synced,
        }
        .map_err(|source| SinkError { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FailureEvent;

    const LINE: &str = r#"{"event":"failure","what":"sweep","error":"no space"}"#;

    fn event() -> Event {
        Event::Failure(FailureEvent { what: "sweep".into(), error: "no space".into() })
    }

    #[test]
    fn an_event_is_one_line_of_json_with_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut sink = JsonLines::open(&path).unwrap();
        sink.take(&event()).unwrap();
        sink.take(&event()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{LINE}\n{LINE}\n"));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut sink = JsonLines::open(Path::new("/dev/full")).unwrap();
        let error = sink.take(&event()).unwrap_err().to_string();
        assert!(error.contains("`/dev/full`") && error.contains("No space left"), "{error}");
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let old = folder.path().join("events.jsonl.1");
        let mut sink = JsonLines::open(&path).unwrap();
        sink.take(&event()).unwrap();
        std::fs::rename(&path, &old).unwrap();
        sink.take(&event()).unwrap();
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&old), lines(&path)), (1, 1));
        std::fs::remove_file(&path).unwrap();
        sink.take(&event()).unwrap();
        assert_eq!(lines(&path), 1);
    }

    #[test]
    fn a_line_that_a_failure_cut_is_ended_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut sink = JsonLines::open(&path).unwrap();
        std::fs::write(&path, "{\"event\":").unwrap();
        sink.cut = true;
        sink.take(&event()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), ["{\"event\":", LINE]);
    }
}
