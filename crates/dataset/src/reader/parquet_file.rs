//! A Parquet file whose footer was read and does not contradict itself.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::conform::{Conform, time_unit_ns};
use crate::schema::TIME;
use crate::{DatasetError, TableKind};

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

    /// The first and the last time in a row group, in ns, where the footer tells.
    pub(crate) fn times(&self, group: &RowGroupMetaData) -> Option<(i64, i64)> {
        let is_time = |column: &&ColumnChunkMetaData| column.column_path().parts() == [TIME];
        let unit = time_unit_ns(self.schema())?;
        match group.columns().iter().find(is_time)?.statistics()? {
            Statistics::Int64(statistics) => {
                let ns = |time: Option<&i64>| time?.checked_mul(unit);
                Some((ns(statistics.min_opt())?, ns(statistics.max_opt())?))
            }
            _ => None,
        }
    }

    /// Batches of some columns of some row groups, as this build's table has them.
    pub(crate) fn read(
        self,
        table: TableKind,
        columns: impl IntoIterator<Item = usize>,
        row_groups: Vec<usize>,
        batch_rows: usize,
    ) -> Result<Batches, DatasetError> {
        let Self { path, file, metadata, .. } = self;
        let has_rows = |group: &usize| metadata.metadata().row_group(*group).num_rows() > 0;
        let row_groups: Vec<usize> = row_groups.into_iter().filter(has_rows).collect();
        let mask = ProjectionMask::roots(metadata.parquet_schema(), columns);
        let reader = guarded(&path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
                .with_projection(mask)
                .with_row_groups(row_groups)
                .with_batch_size(batch_rows)
                .build()
        })?;
        Ok(Batches { path, reader, conform: Conform::to(table) })
    }
}

/// Batches of a file.
pub(crate) struct Batches {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    conform: Conform,
}

impl Batches {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next batch, or none after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, DatasetError> {
        let next = guarded(&self.path, || self.reader.next().transpose())?;
        next.map(|batch| self.conform.batch(&self.path, &batch)).transpose()
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
        Ok(Err(error)) => Err(unread(path, &error.into())),
        Err(_) => Err(DatasetError::corrupt(path, "its pages contradict each other")),
    }
}

/// Error for what the decoder refuses: a file may be whole and of a codec that this build has not.
fn unread(path: &Path, error: &ParquetError) -> DatasetError {
    let reason = error.to_string();
    match error {
        ParquetError::NYI(_) => DatasetError::Codec { path: path.to_owned(), reason },
        _ if reason.contains("Disabled feature at compile time") => {
            DatasetError::Codec { path: path.to_owned(), reason }
        }
        _ => DatasetError::corrupt(path, reason),
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
        // Some write a group of no rows where there are none, without pages.
        if group.num_rows() == 0 {
            continue;
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
