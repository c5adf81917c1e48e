//! From a batch's columns to a block's vectors.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrowPrimitiveType, BooleanArray, PrimitiveArray, RecordBatch, StringArray,
};
use features::schema::{SchemaError, facts_of_peers};
use features::{Horizon, LocalService, PeerFacts, Span};

use super::block::StoredWindow;
use crate::schema::{ATTACK, LABEL, TIME};
use crate::{DatasetError, Label};

/// Columns that say which service of the host's side a row is about.
pub(super) const SERVICE: [&str; 2] = ["protocol", "local_port"];

/// Rows that are turned from columns into rows at once: their cache lines are still at hand when
/// the next column comes.
const STRIP: usize = 32;

/// A file's batch whose columns are looked up by name.
#[derive(Clone, Copy)]
pub(crate) struct Decode<'a> {
    pub(crate) path: &'a Path,
    pub(crate) batch: &'a RecordBatch,
}

impl<'a> Decode<'a> {
    pub(crate) fn time_ns(self) -> Result<&'a [i64], DatasetError> {
        Ok(self.primitive::<TimestampNanosecondType>(TIME)?.values())
    }

    pub(crate) fn unsigned(self, name: &str) -> Result<&'a [u64], DatasetError> {
        Ok(self.primitive::<UInt64Type>(name)?.values())
    }

    pub(crate) fn primitive<T: ArrowPrimitiveType>(
        self,
        name: &str,
    ) -> Result<&'a PrimitiveArray<T>, DatasetError> {
        let array = self.column(name)?;
        array.as_primitive_opt().ok_or_else(|| self.corrupt(name, "is of another type"))
    }

    pub(crate) fn addresses(self, name: &str) -> Result<Vec<IpAddr>, DatasetError> {
        let texts = self.text(name)?;
        let mut last: Option<(&str, IpAddr)> = None;
        let mut addresses = Vec::with_capacity(texts.len());
        for index in 0..texts.len() {
            let text = texts.value(index);
            let address = match last {
                Some((known, address)) if known == text => address,
                _ => text
                    .parse()
                    .map_err(|_| self.refuse(name, &format!("holds `{text}`, no address")))?,
            };
            last = Some((text, address));
            addresses.push(address);
        }
        Ok(addresses)
    }

    /// The labels; none where there are no columns for them.
    pub(crate) fn labels(self) -> Result<Option<Vec<Label>>, DatasetError> {
        let text = |name| {
            let Some(column) = self.batch.column_by_name(name) else { return Ok(None) };
            column.as_string_opt::<i32>().map(Some).ok_or_else(|| self.corrupt(name, "is no text"))
        };
        let (Some(classes), Some(names)) = (text(LABEL)?, text(ATTACK)?) else { return Ok(None) };
        let value =
            |texts: &'a StringArray, index| texts.is_valid(index).then(|| texts.value(index));
        let mut last = (None, None);
        let mut label = Label::Unlabelled;
        let mut labels = Vec::with_capacity(classes.len());
        for index in 0..classes.len() {
            let own = (value(classes, index), value(names, index));
            if own != last {
                label = Label::of(own.0, own.1);
                last = own;
            }
            labels.push(label.clone());
        }
        Ok(Some(labels))
    }

    /// The horizons of rows.
    pub(crate) fn horizons(self) -> Result<Vec<Horizon>, DatasetError> {
        let ms = self.primitive::<UInt32Type>("horizon")?.values();
        Ok(ms.iter().map(|&ms| Horizon::from_ms(ms)).collect())
    }

    /// The times that rows cover.
    pub(crate) fn covers(self) -> Result<Vec<Span>, DatasetError> {
        let starts = self.unsigned("covers_start")?.iter();
        let spans = starts.zip(self.unsigned("covers_end")?);
        Ok(spans.map(|(&start_ns, &end_ns)| Span { start_ns, end_ns }).collect())
    }

    /// A column of flags.
    pub(crate) fn flags(self, name: &str) -> Result<&'a BooleanArray, DatasetError> {
        let flags = self.column(name)?.as_boolean_opt();
        flags.ok_or_else(|| self.corrupt(name, "is of another type"))
    }

    /// Windows of the window table.
    pub(crate) fn windows(self) -> Result<Vec<StoredWindow>, DatasetError> {
        let indices = self.unsigned("window_index")?;
        let flags = indices.iter().zip(self.flags("lossy")?.values());
        Ok(flags.map(|(&index, is_lossy)| StoredWindow { index, is_lossy }).collect())
    }

    /// Facts of the peers that a decision takes.
    pub(crate) fn services(self) -> Result<Vec<LocalService>, DatasetError> {
        let protocols = self.primitive::<UInt8Type>(SERVICE[0])?.values();
        let ports = self.primitive::<UInt16Type>(SERVICE[1])?.values();
        let service = |(&protocol, &port)| LocalService { protocol, port };
        Ok(protocols.iter().zip(ports).map(service).collect())
    }

    pub(crate) fn facts(self) -> Result<Vec<PeerFacts>, DatasetError> {
        let corrupt = |error: SchemaError| DatasetError::corrupt(self.path, error.to_string());
        facts_of_peers(self.batch).map_err(corrupt)
    }

    /// The features as rows.
    pub(crate) fn rows(self, features: &[String]) -> Result<Vec<f32>, DatasetError> {
        let mut columns = Vec::with_capacity(features.len());
        for name in features {
            let values = self.primitive::<Float32Type>(name)?.values();
            if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                return Err(self.refuse(
                    name,
                    &format!("is {}{}, and features are finite", values[row], self.of_row(row)),
                ));
            }
            columns.push(&values[..]);
        }
        let width = columns.len();
        let mut rows = vec![0.0; self.batch.num_rows() * width];
        for (number, strip) in rows.chunks_mut(STRIP * width.max(1)).enumerate() {
            for (place, column) in columns.iter().enumerate() {
                let values = &column[number * STRIP..];
                for (row, &value) in strip.chunks_exact_mut(width.max(1)).zip(values) {
                    row[place] = value;
                }
            }
        }
        Ok(rows)
    }

    /// Who a row is, in words: its window, and its remote where it has one.
    fn of_row(self, row: usize) -> String {
        let start = self.batch.column_by_name("window_start");
        let start = start.and_then(|column| column.as_primitive_opt::<UInt64Type>());
        let remote = self.batch.column_by_name("remote_address");
        let remote = remote.and_then(|column| column.as_string_opt::<i32>());
        let mut text = String::new();
        // A string takes what is written.
        if let Some(remote) = remote {
            let _ = write!(text, " in the row of {}", remote.value(row));
        }
        if let Some(start) = start {
            let _ = write!(text, " in the window that starts at {} ns", start.value(row));
        }
        text
    }

    /// Refusal of a value in a file that is whole.
    fn refuse(self, column: &str, reason: &str) -> DatasetError {
        DatasetError::Value {
            path: self.path.to_owned(),
            column: column.to_owned(),
            reason: reason.to_owned(),
        }
    }

    pub(crate) fn corrupt(self, column: &str, what: &str) -> DatasetError {
        DatasetError::corrupt(self.path, format!("the column `{column}` {what}"))
    }

    fn text(self, name: &str) -> Result<&'a StringArray, DatasetError> {
        let array = self.column(name)?;
        array.as_string_opt().ok_or_else(|| self.corrupt(name, "is no text"))
    }

    fn column(self, name: &str) -> Result<&'a dyn Array, DatasetError> {
        let Some(array) = self.batch.column_by_name(name) else {
            return Err(self.corrupt(name, "is missing"));
        };
        if let Some(row) =
            (0..array.len()).find(|&row| array.null_count() > 0 && array.is_null(row))
        {
            return Err(self.refuse(name, &format!("is null{}", self.of_row(row))));
        }
        Ok(array)
    }
}
