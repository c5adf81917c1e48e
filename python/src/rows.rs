//! Rows side by side: from arrays without a copy, from Arrow tables block by block.

use arrow_array::{
    Array, RecordBatch, RecordBatchReader,
    cast::AsArray as _,
    types::{Float32Type, Float64Type, UInt32Type},
};
use arrow_schema::{DataType, Schema};
use features::{
    Horizon, SchemaId,
    schema::{HASH_KEY, SCHEMA_KEY, SchemaError},
};
use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods as _};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};
use pyo3_arrow::input::AnyRecordBatch;

use crate::error::{ModelError, refused};

/// The column of the time that a row covers, in ms.
pub(crate) const HORIZON: &str = "horizon";

/// The values of an array and the width of its rows.
pub(crate) fn of_array<'a>(array: &'a PyReadonlyArray2<'_, f32>) -> PyResult<(&'a [f32], usize)> {
    let width = array.shape()[1];
    if width == 0 {
        return Err(PyValueError::new_err(
            "the array has no columns: a row has a value per feature",
        ));
    }
    let rows = array.as_slice().map_err(|_| {
        PyValueError::new_err(
            "the array is not contiguous in C order: pass numpy.ascontiguousarray",
        )
    })?;
    Ok((rows, width))
}

/// Refuses rows of another width.
pub(crate) fn check_width(width: usize, expected: usize) -> PyResult<()> {
    if width == expected {
        return Ok(());
    }
    let text = format!("rows have {width} values, and {expected} features are expected");
    Err(PyValueError::new_err(text))
}

/// Rows to be scored.
pub(crate) enum Input<'py> {
    /// A two-dimensional array; a row has a value for each of the schema's features.
    Array(PyReadonlyArray2<'py, f32>),
    /// A table whose columns are found by their names.
    Table(Box<dyn RecordBatchReader + Send>),
}

impl<'py> Input<'py> {
    /// Takes whatever exports Arrow data (`__arrow_c_stream__` or `__arrow_c_array__`), and
    /// otherwise what numpy makes a two-dimensional array of; float32 in C order is not copied.
    pub(crate) fn of(data: &Bound<'py, PyAny>) -> PyResult<Self> {
        if is_arrow(data)? {
            let batches: AnyRecordBatch = data.extract()?;
            return batches.into_reader().map(Self::Table);
        }
        contiguous(data).map(Self::Array)
    }
}

/// True where the object exports Arrow data.
pub(crate) fn is_arrow(data: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(data.hasattr("__arrow_c_stream__")? || data.hasattr("__arrow_c_array__")?)
}

/// Values of a single row: a value per feature in the schema's order, or a mapping from the
/// features' names.
pub(crate) fn one(row: &Bound<'_, PyAny>, schema: &SchemaId) -> PyResult<Vec<f32>> {
    let values: Vec<f32> = if let Ok(named) = row.cast::<PyDict>() {
        let value = |name: &String| match named.get_item(name)? {
            Some(value) => value.extract(),
            None => Err(PyValueError::new_err(format!("the row has no value for `{name}`"))),
        };
        schema.features.iter().map(value).collect::<PyResult<_>>()?
    } else {
        row.extract()?
    };
    check_width(values.len(), schema.features.len())?;
    Ok(values)
}

/// The features of a block of a table, row-major, in the schema's order.
pub(crate) fn of_batch(batch: &RecordBatch, schema: &SchemaId) -> Result<Vec<f32>, SchemaError> {
    let width = schema.features.len();
    let mut rows = vec![0.0; batch.num_rows() * width];
    for (at, name) in schema.features.iter().enumerate() {
        let missing = || SchemaError::Column { name: name.clone() };
        let column = batch.column_by_name(name).ok_or_else(missing)?;
        if column.null_count() > 0 {
            return Err(SchemaError::Null { name: name.clone() });
        }
        let places = rows.iter_mut().skip(at).step_by(width);
        match column.data_type() {
            DataType::Float32 => {
                let values = column.as_primitive::<Float32Type>().values();
                places.zip(values.iter()).for_each(|(place, value)| *place = *value);
            }
            // Arithmetic libraries widen Float32 to this type.
            DataType::Float64 => {
                let values = column.as_primitive::<Float64Type>().values();
                #[expect(clippy::cast_possible_truncation, reason = "features are f32")]
                places.zip(values.iter()).for_each(|(place, value)| *place = *value as f32);
            }
            _ => return Err(missing()),
        }
    }
    Ok(rows)
}

/// The horizons of a table's rows; none where it has no such column.
pub(crate) fn horizons(batch: &RecordBatch) -> PyResult<Option<Vec<Horizon>>> {
    let Some(column) = batch.column_by_name(HORIZON) else { return Ok(None) };
    let ms = column.as_primitive_opt::<UInt32Type>().filter(|column| column.null_count() == 0);
    let ms = ms.ok_or_else(|| {
        let text = format!("the table has no UInt32 column `{HORIZON}` without nulls");
        ModelError::new_err(text)
    })?;
    Ok(Some(ms.values().iter().map(|&ms| Horizon::from_ms(ms)).collect()))
}

/// Refuses a table that says of itself that it is another; one that says nothing passes, and is
/// read by its columns' names.
pub(crate) fn check_table(table: &Schema, expected: &SchemaId) -> PyResult<()> {
    let said = |key: &str| table.metadata().get(key);
    if let Some(name) = said(SCHEMA_KEY)
        && *name != expected.name
    {
        let expected = &expected.name;
        let text = format!("the table's schema is `{name}`, this detector reads `{expected}`");
        return Err(ModelError::new_err(text));
    }
    if let Some(hash) = said(HASH_KEY)
        && *hash != expected.hash
    {
        let SchemaId { name, hash: expected, .. } = expected.clone();
        return Err(refused(&SchemaError::Hash { name, hash: hash.clone(), expected }));
    }
    Ok(())
}

fn contiguous<'py>(data: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArray2<'py, f32>> {
    if let Ok(array) = data.extract::<PyReadonlyArray2<'py, f32>>()
        && array.is_c_contiguous()
    {
        return Ok(array);
    }
    let numpy = data.py().import("numpy")?;
    let array = numpy.call_method1("ascontiguousarray", (data, numpy.getattr("float32")?))?;
    array.extract().map_err(|_| {
        PyValueError::new_err("expected an Arrow table or a two-dimensional array of numbers")
    })
}

/// Scores as numpy makes an array of them; a single one is an array of one.
pub(crate) fn scores<'py>(scores: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArray1<'py, f32>> {
    let numpy = scores.py().import("numpy")?;
    let array = numpy.call_method1("ascontiguousarray", (scores, numpy.getattr("float32")?))?;
    array
        .extract()
        .map_err(|_| PyValueError::new_err("expected a score or a one-dimensional array of scores"))
}
