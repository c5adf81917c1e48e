//! Tables that went through other programs: the same columns by name, in types that hold the same
//! values.
//!
//! pandas, polars, `DuckDB` and others keep a table's values and change its dress: metadata are
//! lost, columns come in another order, text is large, a view or a dictionary, times are in
//! microseconds or in another zone, whole numbers with nulls are floats. What holds the same
//! values is turned back; what does not is refused by the column's name.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use features::schema::{HASH_KEY, SCHEMA_KEY};

use crate::schema::{LABEL, TIME, labelled_schema, schema_id, stored_schema};
use crate::{DatasetError, TableKind};

/// The remedy for tables of another build.
const MAKE_ANEW: &str =
    "make it anew with `weir replay CAPTURE --out FOLDER` or `weir capture --out FOLDER`";

/// Table of a schema: this build's, with every column, in types that hold its values.
///
/// Without weir's metadata the columns' names tell: those of one table must all be there.
pub(super) fn table_of(schema: &Schema) -> Result<TableKind, String> {
    let text = |key: &str| schema.metadata().get(key).cloned().unwrap_or_default();
    let name = text(SCHEMA_KEY);
    let table = if name.is_empty() { by_columns(schema)? } else { by_name(&name)? };
    let (hash, expected) = (text(HASH_KEY), schema_id(table).hash);
    if !name.is_empty() && hash != expected {
        return Err(format!(
            "the table's `{name}` has the hash `{hash}`, this build's is `{expected}`: its \
             columns were defined otherwise, {MAKE_ANEW}"
        ));
    }
    let stored = stored_schema(table);
    let all = labelled_schema(table);
    for field in all.fields() {
        let is_optional = stored.column_with_name(field.name()).is_none()
            && (schema.column_with_name(LABEL).is_none() || field.name() == crate::schema::SOURCE);
        match schema.column_with_name(field.name()) {
            None if is_optional => {}
            None => return Err(format!("there is no column `{}`: {MAKE_ANEW}", field.name())),
            Some((_, found)) if holds(found.data_type(), field.data_type()) => {}
            Some((_, found)) => {
                return Err(format!(
                    "the column `{}` is {}, expected {}: turn it back, or {MAKE_ANEW}",
                    field.name(),
                    found.data_type(),
                    field.data_type()
                ));
            }
        }
    }
    Ok(table)
}

fn by_name(name: &str) -> Result<TableKind, String> {
    TableKind::of_schema(name).ok_or_else(|| {
        let expected = match TableKind::of_any_version(name) {
            Some(table) => format!("this build reads `{}`", table.schema_name()),
            None => format!("expected one of {}", names()),
        };
        format!("the table's schema is `{name}`, {expected}: {MAKE_ANEW}")
    })
}

/// The table whose columns are all there; else the one of which the fewest are missing is named.
fn by_columns(schema: &Schema) -> Result<TableKind, String> {
    let missing = |table: TableKind| -> Vec<String> {
        let stored = stored_schema(table);
        let names = stored.fields().iter().map(|field| field.name().clone());
        names.filter(|name| schema.column_with_name(name).is_none()).collect()
    };
    let nearest = TableKind::ALL
        .into_iter()
        .map(|table| (missing(table), table))
        .min_by_key(|(missing, _)| missing.len());
    match nearest {
        Some((missing, table)) if missing.is_empty() => Ok(table),
        Some((missing, table)) if missing.len() * 2 < stored_schema(table).fields().len() => {
            Err(format!(
                "it is without weir's metadata, and of the columns of a {table} table `{}` {} \
                 missing: keep every column when it is written, or {MAKE_ANEW}",
                missing.join("`, `"),
                if missing.len() == 1 { "is" } else { "are" }
            ))
        }
        _ => Err(format!("the table's schema is ``, expected one of {}: {MAKE_ANEW}", names())),
    }
}

fn names() -> String {
    TableKind::ALL.map(|table| format!("`{}`", table.schema_name())).join(", ")
}

/// True where a column of a type can hold the values of another.
fn holds(found: &DataType, expected: &DataType) -> bool {
    if let DataType::Dictionary(_, values) = found {
        return holds(values, expected);
    }
    match expected {
        DataType::Utf8 => {
            matches!(found, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
                // A column of which no value is known.
                || *found == DataType::Null
        }
        DataType::Timestamp(..) => matches!(found, DataType::Timestamp(..)),
        DataType::Float32 => matches!(found, DataType::Float32 | DataType::Float64),
        DataType::Boolean => matches!(found, DataType::Boolean),
        whole if whole.is_integer() => found.is_integer() || *found == DataType::Float64,
        other => found == other,
    }
}

/// Nanoseconds of a unit of a file's times; none where it has none.
pub(super) fn time_unit_ns(schema: &Schema) -> Option<i64> {
    let (_, field) = schema.column_with_name(TIME)?;
    match field.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(1),
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(1_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Some(1_000_000),
        DataType::Timestamp(TimeUnit::Second, _) => Some(1_000_000_000),
        _ => None,
    }
}

/// Turns a file's batches into those of this build's table.
#[derive(Clone, Debug)]
pub(crate) struct Conform {
    table: SchemaRef,
}

impl Conform {
    pub(super) fn to(table: TableKind) -> Self {
        Self { table: labelled_schema(table) }
    }

    /// The batch with every known column as this build has it; others stay as they are.
    ///
    /// # Errors
    /// A value that the column's type does not hold: a whole number that is negative, too large or
    /// has a fraction, a time that is too far from 1970.
    pub(crate) fn batch(
        &self,
        path: &Path,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, DatasetError> {
        let schema = batch.schema();
        let mut fields: Vec<Arc<Field>> = Vec::with_capacity(schema.fields().len());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if let Ok(known) = self.table.field_with_name(field.name()) {
                columns.push(turned(path, known, column)?);
                fields.push(Arc::new(known.clone().with_nullable(true)));
            } else {
                columns.push(Arc::clone(column));
                fields.push(Arc::clone(field));
            }
        }
        let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
        RecordBatch::try_new(Arc::new(schema), columns)
            .map_err(|error| DatasetError::corrupt(path, error.to_string()))
    }
}

fn turned(path: &Path, known: &Field, column: &ArrayRef) -> Result<ArrayRef, DatasetError> {
    if column.data_type() == known.data_type() {
        return Ok(Arc::clone(column));
    }
    let refuse = |why: String| DatasetError::Value {
        path: path.to_owned(),
        column: known.name().clone(),
        reason: why,
    };
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |column: &ArrayRef, to: &DataType| {
        cast_with_options(column, to, &options).map_err(|error| refuse(error.to_string()))
    };
    // A time without a zone is UTC, as weir writes it.
    if let (DataType::Timestamp(unit, None), DataType::Timestamp(..)) =
        (column.data_type(), known.data_type())
    {
        let utc = cast(column, &DataType::Timestamp(*unit, Some("UTC".into())))?;
        return cast(&utc, known.data_type());
    }
    let turned = cast(column, known.data_type())?;
    // Floats stand for whole numbers where some are null: pandas writes NaN for these.
    if column.data_type() == &DataType::Float64 && known.data_type().is_integer() {
        let back = cast(&turned, &DataType::Float64)?;
        if back.as_ref() != column.as_ref() {
            return Err(refuse("has numbers with a fraction, or NaN".to_owned()));
        }
    }
    debug_assert_eq!(turned.len(), column.len());
    Ok(turned)
}
