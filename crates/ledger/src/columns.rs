//! From a record to a row and back: each table's columns stand in one list, in one order.

use std::borrow::Cow;

use events::{Action, ActionTaken, Refusal};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Null, ToSqlOutput, ValueRef};

use crate::Moment;
use crate::record::{How, Origin, Prefix, PreviousEnd, Text};
use crate::table::Table;

/// A record that is a row of a table.
pub(crate) trait Kept: Sized {
    /// Table of the rows.
    const TABLE: Table;
    /// Columns filled; `values` and `read` keep this order.
    const COLUMNS: &'static [&'static str];

    fn values(&self) -> Vec<ToSqlOutput<'_>>;
    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self>;

    /// A statement that adds one row.
    fn insertion() -> String {
        let places: Vec<&str> = Self::COLUMNS.iter().map(|column| written(column)).collect();
        let table = Self::TABLE.name();
        format!("INSERT INTO {table} ({}) VALUES ({})", Self::COLUMNS.join(", "), places.join(", "))
    }

    /// The columns of a query, each with its table's name before it.
    fn selection() -> String {
        let table = Self::TABLE.name();
        let columns = Self::COLUMNS.iter().map(|column| selected(table, column));
        columns.collect::<Vec<_>>().join(", ")
    }
}

/// A model is kept once, and its number in each decision: its hash would be a tenth of the row.
const MODEL: &str = "model";

fn written(column: &str) -> &'static str {
    if column == MODEL { "(SELECT id FROM models WHERE hash = ?)" } else { "?" }
}

fn selected(table: &str, column: &str) -> String {
    if column == MODEL {
        format!("(SELECT hash FROM models WHERE id = {table}.{MODEL})")
    } else {
        format!("{table}.{column}")
    }
}

/// Declares a table's rows: each field of the record, and the columns it fills.
macro_rules! kept {
    ($record:ident in $table:ident { $($field:ident: $($column:literal)+,)* }) => {
        impl crate::columns::Kept for $record {
            const TABLE: crate::table::Table = crate::table::Table::$table;
            const COLUMNS: &'static [&'static str] = &[$($($column),+),*];

            fn values(&self) -> Vec<rusqlite::types::ToSqlOutput<'_>> {
                let mut values = Vec::with_capacity(Self::COLUMNS.len());
                $(crate::columns::Columns::put(&self.$field, &mut values);)*
                values
            }

            fn read(fields: &mut crate::columns::Fields<'_>) -> rusqlite::Result<Self> {
                Ok(Self { $($field: fields.take()?),* })
            }
        }
    };
}
pub(crate) use kept;

/// A value that fills one column or several, in the order of [`Kept::COLUMNS`].
pub(crate) trait Columns: Sized {
    fn put<'a>(&'a self, values: &mut Vec<ToSqlOutput<'a>>);
    fn take(fields: &mut Fields<'_>) -> rusqlite::Result<Self>;
}

/// A value that fills one column.
pub(crate) trait Cell: Sized {
    fn value(&self) -> ToSqlOutput<'_>;
    fn of(value: ValueRef<'_>) -> FromSqlResult<Self>;
}

impl<T: Cell> Columns for T {
    fn put<'a>(&'a self, values: &mut Vec<ToSqlOutput<'a>>) {
        values.push(self.value());
    }

    fn take(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        fields.cell()
    }
}

impl Columns for Moment {
    fn put<'a>(&'a self, values: &mut Vec<ToSqlOutput<'a>>) {
        values.extend([self.wall_ns.value(), self.boot_ns.value()]);
    }

    fn take(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self { wall_ns: fields.take()?, boot_ns: fields.take()? })
    }
}

macro_rules! plain_cells {
    ($($kind:ty),*) => {
        $(impl Cell for $kind {
            fn value(&self) -> ToSqlOutput<'_> {
                (*self).into()
            }

            fn of(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::column_result(value)
            }
        })*
    };
}
plain_cells!(i64, u32, bool);

macro_rules! word_cells {
    ($($kind:ty),*) => {
        $(impl Cell for $kind {
            fn value(&self) -> ToSqlOutput<'_> {
                self.name().into()
            }

            fn of(value: ValueRef<'_>) -> FromSqlResult<Self> {
                parsed(value, Self::from_name)
            }
        })*
    };
}
word_cells!(Action, ActionTaken, How, Origin, PreviousEnd, Refusal);

/// SQLite's integers are signed: a counter beyond them stays at the largest.
impl Cell for u64 {
    fn value(&self) -> ToSqlOutput<'_> {
        i64::try_from(*self).unwrap_or(i64::MAX).into()
    }

    fn of(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|number| Self::try_from(number).unwrap_or(0))
    }
}

impl Cell for Text {
    fn value(&self) -> ToSqlOutput<'_> {
        (&**self).into()
    }

    fn of(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Cow::Owned)
    }
}

impl Cell for Prefix {
    fn value(&self) -> ToSqlOutput<'_> {
        self.to_string().into()
    }

    fn of(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value, |text| text.parse().ok())
    }
}

impl<T: Cell> Cell for Option<T> {
    fn value(&self) -> ToSqlOutput<'_> {
        self.as_ref().map_or(Null.into(), Cell::value)
    }

    fn of(value: ValueRef<'_>) -> FromSqlResult<Self> {
        if value == ValueRef::Null { Ok(None) } else { T::of(value).map(Some) }
    }
}

/// A text that stands for something else.
fn parsed<T>(value: ValueRef<'_>, parse: impl FnOnce(&str) -> Option<T>) -> FromSqlResult<T> {
    let text = value.as_str()?;
    parse(text).ok_or_else(|| {
        FromSqlError::Other(format!("`{text}` is not what this version writes here").into())
    })
}

/// The values of a row, one after the other.
pub(crate) struct Fields<'r> {
    row: &'r Row<'r>,
    next: usize,
}

impl<'r> Fields<'r> {
    pub(crate) const fn of(row: &'r Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    pub(crate) fn take<T: Columns>(&mut self) -> rusqlite::Result<T> {
        T::take(self)
    }

    /// Passes over columns, and returns the number of the first.
    pub(crate) const fn skip(&mut self, columns: usize) -> usize {
        self.next += columns;
        self.next - columns
    }

    fn cell<T: Cell>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.next).map(|Read(value)| value);
        self.next += 1;
        value
    }
}

/// A cell as `rusqlite` reads it.
struct Read<T>(T);

impl<T: Cell> FromSql for Read<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        T::of(value).map(Self)
    }
}
