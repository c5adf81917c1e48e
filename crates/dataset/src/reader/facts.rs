//! Facts of a file's footer; a foreign file is refused.

use std::path::Path;

use super::conform::table_of;
use super::parquet_file::ParquetFile;
use super::set::DataFile;
use crate::schema::LABEL;
use crate::{DatasetError, Provenance, Sums};

/// Reads a file's footer; refuses what is no table of this build.
pub(crate) fn facts(path: &Path) -> Result<DataFile, DatasetError> {
    describe(&ParquetFile::open(path)?)
}

/// What any file's footer says of where its rows come from.
pub(crate) fn provenance(path: &Path) -> Result<Provenance, DatasetError> {
    let file = ParquetFile::open(path)?;
    let pairs = file.footer().file_metadata().key_value_metadata();
    Ok(Provenance::from_metadata(pairs.map_or(&[][..], Vec::as_slice)))
}

/// Facts of an open file; a file that is no table of this build is refused.
pub(super) fn describe(file: &ParquetFile) -> Result<DataFile, DatasetError> {
    let refuse = |reason| DatasetError::Schema { path: file.path().to_owned(), reason };
    let table = table_of(file.schema()).map_err(refuse)?;
    let groups = file.footer().row_groups();
    let bounds = groups.iter().filter(|group| group.num_rows() > 0).map(|group| file.times(group));
    let time_ns = bounds
        .reduce(|all, one| all.zip(one).map(|(all, one)| (all.0.min(one.0), all.1.max(one.1))))
        .flatten();
    let footer = file.footer().file_metadata();
    let pairs = footer.key_value_metadata().map_or(&[][..], Vec::as_slice);
    Ok(DataFile {
        path: file.path().to_owned(),
        table,
        rows: u64::try_from(footer.num_rows()).unwrap_or_default(),
        bytes: file.bytes(),
        time_ns,
        is_labelled: file.schema().column_with_name(LABEL).is_some(),
        sums: Sums::from_metadata(pairs),
        provenance: Provenance::from_metadata(pairs),
    })
}
