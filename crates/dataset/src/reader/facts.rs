//! Facts of a file's footer; a foreign file is refused.

use std::path::Path;

use arrow_schema::{DataType, Schema};
use features::schema::{HASH_KEY, SCHEMA_KEY};

use super::parquet_file::ParquetFile;
use super::set::DataFile;
use crate::schema::{ATTACK, LABEL, schema_id, stored_schema};
use crate::{DatasetError, Sums, TableKind};

/// The remedy for tables of another build.
const MAKE_ANEW: &str =
    "make it anew with `weir replay CAPTURE --out FOLDER` or `weir capture --out FOLDER`";

/// Reads a file's footer; refuses what is no table of this build.
pub(crate) fn facts(path: &Path) -> Result<DataFile, DatasetError> {
    describe(&ParquetFile::open(path)?)
}

/// Facts of an open file; a file that is no table of this build is refused.
pub(super) fn describe(file: &ParquetFile) -> Result<DataFile, DatasetError> {
    let refuse = |reason| DatasetError::Schema { path: file.path().to_owned(), reason };
    let table = table_of(file.schema()).map_err(refuse)?;
    let groups = file.footer().row_groups();
    let bounds = groups.iter().filter(|group| group.num_rows() > 0).map(ParquetFile::times);
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
    })
}

/// Table of a schema; it must be this build's, with every column.
fn table_of(schema: &Schema) -> Result<TableKind, String> {
    let text = |key: &str| schema.metadata().get(key).cloned().unwrap_or_default();
    let name = text(SCHEMA_KEY);
    let Some(table) = TableKind::of_schema(&name) else {
        let names = TableKind::ALL.map(|table| format!("`{}`", table.schema_name())).join(", ");
        let expected = match TableKind::of_any_version(&name) {
            Some(table) => format!("this build reads `{}`", table.schema_name()),
            None => format!("expected one of {names}"),
        };
        return Err(format!("the table's schema is `{name}`, {expected}: {MAKE_ANEW}"));
    };
    let (hash, expected) = (text(HASH_KEY), schema_id(table).hash);
    if hash != expected {
        return Err(format!(
            "the table's `{name}` has the hash `{hash}`, this build's is `{expected}`: its \
             columns were defined otherwise, {MAKE_ANEW}"
        ));
    }
    for field in stored_schema(table).fields() {
        expect(schema, field.name(), field.data_type())?;
    }
    for name in [LABEL, ATTACK] {
        let needs = schema.column_with_name(LABEL).is_some();
        if needs || schema.column_with_name(name).is_some() {
            expect(schema, name, &DataType::Utf8)?;
        }
    }
    Ok(table)
}

fn expect(schema: &Schema, name: &str, expected: &DataType) -> Result<(), String> {
    match schema.column_with_name(name) {
        Some((_, field)) if field.data_type() == expected => Ok(()),
        Some((_, field)) => Err(format!(
            "the column `{name}` is {}, expected {expected}: {MAKE_ANEW}",
            field.data_type()
        )),
        None => Err(format!("there is no column `{name}`: {MAKE_ANEW}")),
    }
}
