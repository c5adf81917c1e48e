//! From a record to a row and back: each table's columns stand in one list, in one order.

use std::borrow::Cow;
use std::net::IpAddr;

use rusqlite::Row;
use rusqlite::types::{FromSql, ToSql, ToSqlOutput, Type, ValueRef};

use crate::Moment;
use crate::record::{Prefix, Text};
use crate::table::Table;

/// A record that is a row of a table.
pub(crate) trait Kept: Sized {
    /// Table of the rows.
    const TABLE: Table;
    /// Columns filled; `values` and `read` keep this order.
    const COLUMNS: &'static [&'static str];

    fn values(&self) -> Vec<Field<'_>>;
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

/// A value on its way into a row.
pub(crate) enum Field<'a> {
    Null,
    Whole(i64),
    Text(Cow<'a, str>),
}

impl ToSql for Field<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Whole(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl From<i64> for Field<'_> {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<u64> for Field<'_> {
    /// SQLite's integers are signed: a counter beyond them stays at the largest.
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Field<'_> {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<bool> for Field<'_> {
    fn from(flag: bool) -> Self {
        Self::Whole(flag.into())
    }
}

impl<'a> From<&'a Text> for Field<'a> {
    fn from(text: &'a Text) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<&'static str> for Field<'_> {
    fn from(code: &'static str) -> Self {
        Self::Text(Cow::Borrowed(code))
    }
}

impl From<IpAddr> for Field<'_> {
    /// An IPv4 address mapped into IPv6 is the IPv4 address, so that it is found under one name.
    fn from(address: IpAddr) -> Self {
        Self::Text(Cow::Owned(address.to_canonical().to_string()))
    }
}

impl From<Prefix> for Field<'_> {
    fn from(target: Prefix) -> Self {
        Self::Text(Cow::Owned(target.to_string()))
    }
}

impl<T: Into<Self>> From<Option<T>> for Field<'_> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Field::Null, Into::into)
    }
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

    fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let value = self.row.get(self.next);
        self.next += 1;
        value
    }

    pub(crate) fn whole(&mut self) -> rusqlite::Result<i64> {
        self.take()
    }

    pub(crate) fn number(&mut self) -> rusqlite::Result<u64> {
        Ok(unsigned(self.take()?))
    }

    pub(crate) fn optional_number(&mut self) -> rusqlite::Result<Option<u64>> {
        Ok(self.take::<Option<i64>>()?.map(unsigned))
    }

    pub(crate) const fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    pub(crate) fn small<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        self.take()
    }

    pub(crate) fn flag(&mut self) -> rusqlite::Result<bool> {
        self.take()
    }

    pub(crate) fn text(&mut self) -> rusqlite::Result<Text> {
        self.take::<String>().map(Cow::Owned)
    }

    pub(crate) fn optional_text(&mut self) -> rusqlite::Result<Option<Text>> {
        Ok(self.take::<Option<String>>()?.map(Cow::Owned))
    }

    pub(crate) fn moment(&mut self) -> rusqlite::Result<Moment> {
        Ok(Moment { wall_ns: self.whole()?, boot_ns: self.number()? })
    }

    /// A text that stands for something else.
    pub(crate) fn parsed<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> rusqlite::Result<T> {
        let column = self.next;
        let text = self.take::<String>()?;
        parse(&text).ok_or_else(|| unknown(column, &text))
    }

    /// The same, where there may be none.
    pub(crate) fn optional_parsed<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> rusqlite::Result<Option<T>> {
        let column = self.next;
        let text = self.take::<Option<String>>()?;
        text.map(|text| parse(&text).ok_or_else(|| unknown(column, &text))).transpose()
    }
}

fn unknown(column: usize, text: &str) -> rusqlite::Error {
    let told = format!("`{text}` is not what this version writes here").into();
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, told)
}

/// Only numbers that were unsigned are read so.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
