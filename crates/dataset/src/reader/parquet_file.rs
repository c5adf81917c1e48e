//! A Parquet file whose footer was read and does not contradict itself.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use crate::DatasetError;
use crate::schema::TIME;

/// Rows that a row group may claim: four times what a writer may be told to make.
const MAX_ROW_GROUP_ROWS: i64 = 1 << 22;
/// Bytes that one column of a row group may claim to become.
const MAX_COLUMN_BYTES: i64 = 1 << 30;

/// An open file.
pub(crate) struct ParquetFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    bytes: u64,
}

impl ParquetFile {
    /// Reads the footer, and checks that what it claims lies within the file and within bounds.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(DatasetError::io("read", path))?;
        let bytes = file.metadata().map_err(DatasetError::io("read", path))?.len();
        let metadata =
            guarded(path, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        check_claims(metadata.metadata(), bytes)
            .map_err(|reason| DatasetError::corrupt(path, reason))?;
        Ok(Self { path: path.to_owned(), file, metadata, bytes })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn schema(&self) -> &Schema {
        self.metadata.schema()
    }

    pub(crate) fn footer(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// The first and the last time in a row group, where the footer tells.
    pub(crate) fn times(group: &RowGroupMetaData) -> Option<(i64, i64)> {
        let is_time = |column: &&ColumnChunkMetaData| column.column_path().parts() == [TIME];
        match group.columns().iter().find(is_time)?.statistics()? {
            Statistics::Int64(statistics) => Some((*statistics.min_opt()?, *statistics.max_opt()?)),
            _ => None,
        }
    }

    /// Batches of some columns of some row groups.
    pub(crate) fn read(
        self,
        columns: impl IntoIterator<Item = usize>,
        row_groups: Vec<usize>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, DatasetError> {
        let Self { path, file, metadata, .. } = self;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
        guarded(&path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                .with_projection(mask)
                .with_row_groups(row_groups)
                .with_batch_size(batch_rows)
                .build()
        })
    }
}

/// Calls the decoder. A panic in it is an error of the file like any other: the decoder trusts
/// some of what a damaged file says.
pub(crate) fn guarded<T, E: Into<ParquetError>>(
    path: &Path,
    decode: impl FnOnce() -> Result<T, E>,
) -> Result<T, DatasetError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(DatasetError::corrupt(path, error.into().to_string())),
        Err(_) => Err(DatasetError::corrupt(path, "its pages contradict each other")),
    }
}

fn check_claims(footer: &ParquetMetaData, bytes: u64) -> Result<(), String> {
    let mut rows = 0_i64;
    for (number, group) in footer.row_groups().iter().enumerate() {
        if !(0..=MAX_ROW_GROUP_ROWS).contains(&group.num_rows()) {
            return Err(format!(
                "row group {number} claims {} rows, at most {MAX_ROW_GROUP_ROWS} are read",
                group.num_rows()
            ));
        }
        rows = rows.saturating_add(group.num_rows());
        for column in group.columns() {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.saturating_add(column.compressed_size());
            let is_inside = start >= 0
                && column.data_page_offset() >= start
                && column.compressed_size() >= 0
                && u64::try_from(end).is_ok_and(|end| end <= bytes);
            if !is_inside {
                return Err(format!(
                    "column `{}` of row group {number} lies outside of the file",
                    column.column_path()
                ));
            }
            if !(0..=MAX_COLUMN_BYTES).contains(&column.uncompressed_size()) {
                return Err(format!(
                    "column `{}` of row group {number} claims {} bytes, at most \
                     {MAX_COLUMN_BYTES} are read",
                    column.column_path(),
                    column.uncompressed_size()
                ));
            }
        }
    }
    if rows != footer.file_metadata().num_rows() {
        return Err(format!(
            "it claims {} rows, its row groups {rows}",
            footer.file_metadata().num_rows()
        ));
    }
    Ok(())
}
