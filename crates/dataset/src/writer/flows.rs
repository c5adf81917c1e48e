//! The file of whole flows beside the tables of windows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use features::Window;
use parquet::file::metadata::KeyValue;

use super::file::{Closed, TableWriter};
use super::options::WriterOptions;
use crate::connection::{Connections, batch, connection_schema};
use crate::{DatasetError, layout};

/// Flows that are made into columns at once.
const FLOW_ROWS: usize = 4_096;

/// Whole flows of one run: those under way, and the file of those that ended.
#[derive(Debug)]
pub(super) struct FlowFiles {
    folder: PathBuf,
    options: WriterOptions,
    source: String,
    metadata: Vec<KeyValue>,
    connections: Connections,
    writer: Option<TableWriter>,
}

impl FlowFiles {
    pub(super) fn new(
        root: &Path,
        options: WriterOptions,
        source: String,
        metadata: Vec<KeyValue>,
    ) -> Self {
        let folder = root.join(layout::CONNECTION);
        Self {
            folder,
            options,
            source,
            metadata,
            connections: Connections::default(),
            writer: None,
        }
    }

    pub(super) fn take(&mut self, window: &Window) -> Result<(), DatasetError> {
        self.connections.observe(window);
        if self.connections.ended() >= FLOW_ROWS { self.write() } else { Ok(()) }
    }

    /// Ends every flow and the file; none where there was no flow.
    pub(super) fn finish(mut self) -> Result<Option<Closed>, DatasetError> {
        self.connections.end_all();
        self.write()?;
        self.writer.map(|writer| writer.close(Vec::new())).transpose()
    }

    fn write(&mut self) -> Result<(), DatasetError> {
        let flows = self.connections.take_ended();
        let Some(first) = flows.first() else { return Ok(()) };
        if self.writer.is_none() {
            fs::create_dir_all(&self.folder)
                .map_err(DatasetError::io("make the folder", &self.folder))?;
            let time_ns = i64::try_from(first.first_ns).unwrap_or(i64::MAX);
            self.writer = Some(self.begin(time_ns)?);
        }
        let writer = self.writer.as_mut().expect("begun above");
        writer.write(&batch(&flows, &self.source))
    }

    /// Begins the file under the first name that is free.
    fn begin(&self, time_ns: i64) -> Result<TableWriter, DatasetError> {
        let mut number = 0;
        loop {
            let path = layout::finished(&self.folder, &layout::stem(time_ns, number));
            let (schema, metadata) = (connection_schema(), &self.metadata);
            match TableWriter::create_with(&path, &schema, &self.options, metadata) {
                Err(DatasetError::Io { source, .. })
                    if source.kind() == io::ErrorKind::AlreadyExists
                        && number < layout::NAMESAKES =>
                {
                    number += 1;
                }
                begun => return begun,
            }
        }
    }
}
