//! The questions that a [`Reader`] answers.
//!
//! Lists come newest first, a page at a time. A page goes on where the one before ended, by time
//! and number, so that each row comes exactly once, however many are recorded in between.

mod acts;
mod alerts;
mod blocks;
mod offences;
mod runs;

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};
use serde::Serialize;

pub use acts::ActQuery;
pub use alerts::AlertQuery;
pub use blocks::{BlockQuery, EndedBlock};
pub use offences::Offences;
pub use runs::LastRun;

use crate::columns::{Fields, Kept};
use crate::{LedgerError, Reader};

/// Rows of a page at most, whatever was asked for.
pub const MAX_PAGE: usize = 1_000;
/// Rows of a page, where nothing was asked for.
pub const PAGE: usize = 100;

/// End of a page: given back as `after` for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cursor {
    /// Time of the last row.
    pub at_ns: i64,
    /// Number of the last row.
    pub id: u64,
}

/// Rows of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// Cursor of the next page; none for the last one.
    pub next: Option<Cursor>,
}

/// From when to when, and which page of it: what every list is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From this wall-clock time on.
    pub since_ns: Option<i64>,
    /// Before this wall-clock time.
    pub until_ns: Option<i64>,
    /// Behind this row: the page's `next` before this one.
    pub after: Option<Cursor>,
    /// Rows of the page; 0 for [`PAGE`], and never more than [`MAX_PAGE`].
    pub limit: usize,
}

/// The conditions of a list, with their values in the same order.
pub(crate) struct Conditions {
    table: &'static str,
    sql: String,
    values: Vec<Value>,
    limit: usize,
}

impl Conditions {
    fn of<T: Kept>(span: Span) -> Self {
        let limit = if span.limit == 0 { PAGE } else { span.limit.min(MAX_PAGE) };
        let table = T::TABLE.name();
        let mut conditions = Self { table, sql: "true".to_owned(), values: Vec::new(), limit };
        if let Some(since) = span.since_ns {
            conditions.add("at_ns >= ?", [Value::Integer(since)]);
        }
        if let Some(until) = span.until_ns {
            conditions.add("at_ns < ?", [Value::Integer(until)]);
        }
        if let Some(Cursor { at_ns, id }) = span.after {
            let id = i64::try_from(id).unwrap_or(i64::MAX);
            // The first half lets the index on time do its work.
            let values = [at_ns, at_ns, id].map(Value::Integer);
            conditions.add("at_ns <= ? AND (T.at_ns < ? OR T.id < ?)", values);
        }
        conditions
    }

    /// Adds a condition on columns of the list's own table, `T` where it must be said.
    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(self.table);
        self.sql.push('.');
        self.sql.push_str(&condition.replace("T.", &format!("{}.", self.table)));
        self.values.extend(values);
    }

    /// Adds a condition that says itself which tables it is about.
    fn add_whole(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }
}

/// Reads the row of a record; its columns are the first of the query.
fn read<T: Kept>(row: &Row<'_>) -> rusqlite::Result<T> {
    T::read(&mut Fields::of(row))
}

impl Reader {
    /// A page of records of type `K`, each turned into a `T` by `read`; `selected` are columns
    /// behind those of `K`, `joined` the tables that they come from.
    fn page<K: Kept, T>(
        &self,
        conditions: Conditions,
        selected: &str,
        joined: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Page<T>, LedgerError> {
        let Conditions { table, sql, values, limit } = conditions;
        let columns = K::selection();
        let sql = format!(
            "SELECT {columns}{selected}, {table}.at_ns, {table}.id FROM {table} {joined}
             WHERE {sql} ORDER BY {table}.at_ns DESC, {table}.id DESC LIMIT {}",
            limit + 1
        );
        let run = || -> rusqlite::Result<Page<T>> {
            let mut statement = self.connection.prepare(&sql)?;
            let last = statement.column_count() - 1;
            let mut found = statement.query(params_from_iter(values))?;
            let (mut rows, mut next, mut more) = (Vec::new(), None, false);
            while let Some(row) = found.next()? {
                more = rows.len() == limit;
                if more {
                    break;
                }
                rows.push(read(row)?);
                let id = row.get::<_, i64>(last)?.unsigned_abs();
                next = Some(Cursor { at_ns: row.get(last - 1)?, id });
            }
            Ok(Page { rows, next: next.filter(|_| more) })
        };
        run().map_err(self.failed())
    }
}
