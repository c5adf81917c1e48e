//! A Parquet file: whole under its name, or not there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use features::schema::{HASH_KEY, SCHEMA_KEY, VERSION_KEY};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::options::WriterOptions;
use crate::schema::{ATTACK, LABEL, SOURCE, TIME};
use crate::{DatasetError, Sums, layout};

/// Text columns, in which few values recur: they are written as dictionaries.
const DICTIONARIES: [&str; 6] =
    ["local_address", "remote_address", "standing", SOURCE, LABEL, ATTACK];
/// Columns whose least and greatest value a row group tells: by these rows are looked for.
const STATISTICS: [&str; 4] = [TIME, "window_start", "window_end", "remote_address"];

/// Rows that are encoded at once. A window has often a handful, and a call of the encoder costs as
/// much as hundreds of rows.
const BATCH_ROWS: usize = 8_192;

/// A file that is finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Writes one file under a hidden name, and gives it its own name when it is whole.
///
/// The unfinished file is locked (`flock`) as long as its writer lives. Dropped before
/// [`Self::finish`], it is removed.
#[derive(Debug)]
pub struct TableWriter {
    part: Part,
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    rows: u64,
    /// Rows that wait to be encoded together.
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
}

impl TableWriter {
    /// Starts a file that will be `path`, in a folder that exists.
    ///
    /// The schema's metadata become the file's. Fails where a file of this name is there already
    /// or is being written ([`io::ErrorKind::AlreadyExists`]).
    pub fn create(
        path: &Path,
        schema: &SchemaRef,
        options: &WriterOptions,
    ) -> Result<Self, DatasetError> {
        Self::create_with(path, schema, options, &[])
    }

    /// A file as by [`Self::create`], with key-value metadata besides the schema's.
    pub(crate) fn create_with(
        path: &Path,
        schema: &SchemaRef,
        options: &WriterOptions,
        metadata: &[KeyValue],
    ) -> Result<Self, DatasetError> {
        let (part, file) = Part::reserve(path, false)?;
        Self::start(part, file, schema, options, metadata)
    }

    /// A file as by [`Self::create_with`] that takes another's place.
    pub(crate) fn replace(
        path: &Path,
        schema: &SchemaRef,
        options: &WriterOptions,
        metadata: &[KeyValue],
    ) -> Result<Self, DatasetError> {
        let (part, file) = Part::reserve(path, true)?;
        Self::start(part, file, schema, options, metadata)
    }

    fn start(
        part: Part,
        file: File,
        schema: &SchemaRef,
        options: &WriterOptions,
        metadata: &[KeyValue],
    ) -> Result<Self, DatasetError> {
        let options =
            ArrowWriterOptions::new().with_properties(properties(schema, options, metadata)?);
        let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options)
            .map_err(|error| write_error(&part.unfinished, error))?;
        Ok(Self {
            part,
            writer,
            schema: Arc::clone(schema),
            rows: 0,
            waiting: Vec::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
        })
    }

    /// Appends rows; their schema must have the columns that the file was started with.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), DatasetError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows() as u64;
        self.waiting_rows += batch.num_rows();
        self.waiting_bytes += batch.get_array_memory_size();
        self.waiting.push(batch.clone());
        if self.waiting_rows >= BATCH_ROWS { self.encode() } else { Ok(()) }
    }

    /// Encodes the rows that wait.
    fn encode(&mut self) -> Result<(), DatasetError> {
        let path = &self.part.unfinished;
        let together = concat_batches(&self.schema, &self.waiting).map_err(|error| {
            DatasetError::Encode { path: path.clone(), reason: error.to_string() }
        })?;
        self.waiting.clear();
        (self.waiting_rows, self.waiting_bytes) = (0, 0);
        self.writer.write(&together).map_err(|error| write_error(path, error))
    }

    /// The columns that it was started with.
    pub(crate) const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows written.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// About how long the file would be if it were finished now, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size() + self.waiting_bytes) as u64
    }

    /// Ends the file with the sums in its footer, makes sure that it is on the disk, and gives it
    /// its name.
    pub fn finish(self, sums: &Sums) -> Result<FinishedFile, DatasetError> {
        self.close(sums.to_metadata())?.commit()
    }

    /// Ends the file with more metadata; it has not its name yet.
    pub(crate) fn close(mut self, metadata: Vec<KeyValue>) -> Result<Closed, DatasetError> {
        if self.waiting_rows > 0 {
            self.encode()?;
        }
        for pair in metadata {
            self.writer.append_key_value_metadata(pair);
        }
        let path = self.part.unfinished.clone();
        self.writer.finish().map_err(|error| write_error(&path, error))?;
        let file = self.writer.inner();
        file.sync_all().map_err(DatasetError::io("write", &path))?;
        let bytes = file.metadata().map_err(DatasetError::io("write", &path))?.len();
        Ok(Closed { part: self.part, rows: self.rows, bytes })
    }
}

/// A whole file on the disk that only lacks its name.
#[derive(Debug)]
pub(crate) struct Closed {
    part: Part,
    rows: u64,
    bytes: u64,
}

impl Closed {
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Name that the file will have.
    pub(crate) fn path(&self) -> &Path {
        &self.part.finished
    }

    /// Gives the file its name, and makes sure that the name is on the disk.
    pub(crate) fn commit(mut self) -> Result<FinishedFile, DatasetError> {
        self.part.rename()?;
        Ok(FinishedFile { path: self.part.finished.clone(), rows: self.rows, bytes: self.bytes })
    }
}

/// An unfinished file's two names. Dropped before it was renamed, the file is removed.
#[derive(Debug)]
struct Part {
    finished: PathBuf,
    unfinished: PathBuf,
    is_renamed: bool,
    /// Holds the lock until the file has its name.
    _lock: File,
}

impl Part {
    /// Makes the unfinished file; a name that is taken is `AlreadyExists`.
    ///
    /// The name is taken by making the hidden file, which only one writer can. Only then is the
    /// finished name looked for: whoever held the hidden one before has renamed it by now.
    fn reserve(finished: &Path, may_replace: bool) -> Result<(Self, File), DatasetError> {
        let unfinished = layout::unfinished(finished);
        let failed = |error| DatasetError::io("write", &unfinished)(error);
        let open = || OpenOptions::new().write(true).create_new(true).open(&unfinished);
        let file = match open() {
            // A file that may be replaced can be made again, so that a dead writer's is of no use.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && may_replace
                    && is_dead(&unfinished) =>
            {
                fs::remove_file(&unfinished).and_then(|()| open())
            }
            file => file,
        }
        .map_err(failed)?;
        match file.try_lock() {
            // A file system without locks; a sweep leaves alone what it cannot lock.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => return Err(failed(taken())),
        }
        // A sweep may have taken the file for a dead writer's before it was locked.
        if file.metadata().map_err(failed)?.nlink() == 0 {
            return Err(failed(taken()));
        }
        let lock = file.try_clone().map_err(failed)?;
        let part =
            Self { finished: finished.to_owned(), unfinished, is_renamed: false, _lock: lock };
        if !may_replace && finished.exists() {
            return Err(DatasetError::io("write", finished)(taken()));
        }
        Ok((part, file))
    }

    fn rename(&mut self) -> Result<(), DatasetError> {
        fs::rename(&self.unfinished, &self.finished)
            .map_err(DatasetError::io("rename", &self.unfinished))?;
        self.is_renamed = true;
        sync_folder_of(&self.finished)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_renamed {
            // With its folder vanished the file has gone too; the error that led here is returned.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

pub(super) fn sync_folder_of(path: &Path) -> Result<(), DatasetError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(DatasetError::io("write", folder))
}

/// True of an unfinished file whose writer is gone.
fn is_dead(unfinished: &Path) -> bool {
    File::open(unfinished).is_ok_and(|file| file.try_lock().is_ok())
}

fn taken() -> io::Error {
    io::ErrorKind::AlreadyExists.into()
}

fn properties(
    schema: &SchemaRef,
    options: &WriterOptions,
    metadata: &[KeyValue],
) -> Result<WriterProperties, DatasetError> {
    let compression = match options.zstd_level {
        None => Compression::SNAPPY,
        Some(level) => {
            ZstdLevel::try_new(level).map(Compression::ZSTD).map_err(|_| DatasetError::Option {
                option: "zstd_level",
                bound: "1 to 22",
                value: level.to_string(),
            })?
        }
    };
    // Also as plain metadata, for readers that do not know Arrow's.
    let named = [SCHEMA_KEY, VERSION_KEY, HASH_KEY].into_iter().filter_map(|key| {
        let text = schema.metadata().get(key)?;
        Some(KeyValue::new(key.to_owned(), text.clone()))
    });
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(false)
        .set_key_value_metadata(Some(named.chain(metadata.iter().cloned()).collect()));
    for column in DICTIONARIES {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), true);
    }
    for column in STATISTICS {
        let column = ColumnPath::from(column);
        properties = properties.set_column_statistics_enabled(column, EnabledStatistics::Chunk);
    }
    Ok(properties.build())
}

/// The system's error where there is one: a full disk is no matter of encoding.
fn write_error(path: &Path, error: ParquetError) -> DatasetError {
    let reason = error.to_string();
    if let ParquetError::External(cause) = error
        && let Ok(source) = cause.downcast::<io::Error>()
    {
        return DatasetError::Io { doing: "write", path: path.to_owned(), source: *source };
    }
    DatasetError::Encode { path: path.to_owned(), reason }
}
