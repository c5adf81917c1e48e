//! Events as JSON Lines in a file.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use super::Sink;
use crate::event::Event;

/// Why a sink cannot take events.
#[derive(Debug, thiserror::Error)]
#[error("events file `{path}`: {source}; free space or name another with --events")]
pub struct SinkError {
    path: PathBuf,
    source: std::io::Error,
}

/// Appends events to a file.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonLines {
    /// Opens the file to append to, and makes it where it is not there.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|source| SinkError { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    fn failed(&self, source: std::io::Error) -> SinkError {
        SinkError { path: self.path.clone(), source }
    }
}

impl Sink for JsonLines {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        serde_json::to_writer(&mut self.file, event)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            // A line is whole or absent: a reader that follows the file never sees half of one
            // for longer than this call.
            .and_then(|()| self.file.flush())
            .map_err(|source| self.failed(source))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_data())
            .map_err(|source| self.failed(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FailureEvent;

    #[test]
    fn an_event_is_one_line_of_json_with_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut sink = JsonLines::open(&path).unwrap();
        let event = Event::Failure(FailureEvent { what: "sweep".into(), error: "no space".into() });
        sink.take(&event).unwrap();
        sink.take(&event).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let line = r#"{"event":"failure","what":"sweep","error":"no space"}"#;
        assert_eq!(text, format!("{line}\n{line}\n"));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let mut sink = JsonLines::open(Path::new("/dev/full")).unwrap();
        let event = Event::Failure(FailureEvent { what: "sweep".into(), error: "no space".into() });
        let error = sink.take(&event).unwrap_err().to_string();
        assert!(error.contains("`/dev/full`") && error.contains("No space left"), "{error}");
    }
}
