//! Rows on their way into a transaction.

use events::DecisionRecord;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{ErrorCode, Statement, Transaction};

use crate::columns::Kept;
use crate::record::Record;
use crate::table::Table;

/// Bytes of the longest text that a record may hold. The record of a decision takes some 1,000.
pub const MAX_TEXT: usize = 64 << 10;

const MODEL: &str =
    "INSERT INTO models (hash) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM models WHERE hash = ?1)";

/// Reason for which a record was not added.
pub(crate) enum AddError {
    /// The tables do not take it, now or ever.
    Refused(String),
    /// SQLite or the disk failed.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for AddError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, said)
                if failure.code == ErrorCode::ConstraintViolation =>
            {
                Self::Refused(said.clone().unwrap_or_else(|| failure.to_string()))
            }
            _ => Self::Sql(error),
        }
    }
}

/// Refuses a record that would not read back: with a number that JSON has no word for.
fn check_readable(record: &DecisionRecord) -> Result<(), AddError> {
    let read = serde_json::to_string(record).and_then(|text| serde_json::from_str(&text));
    let refused = |error| AddError::Refused(format!("decisions.record is not kept whole: {error}"));
    let _: DecisionRecord = read.map_err(refused)?;
    Ok(())
}

/// The statements of one transaction, prepared when they are first needed.
pub(crate) struct Insertions<'t> {
    transaction: &'t Transaction<'t>,
    prepared: [Option<Statement<'t>>; Table::ALL.len()],
    model: Option<Statement<'t>>,
}

impl<'t> Insertions<'t> {
    pub(crate) fn new(transaction: &'t Transaction<'t>) -> Self {
        Self { transaction, prepared: Default::default(), model: None }
    }

    pub(crate) fn add(&mut self, record: &Record) -> Result<(), AddError> {
        match record {
            Record::Run(run) => self.add_row(run),
            Record::Stop(stop) => self.add_row(stop),
            Record::Window(window) => self.add_row(window),
            Record::Decision(decision) => {
                check_readable(&decision.record)?;
                self.add_model(&decision.model)?;
                self.add_row(decision)
            }
            Record::Block(block) => self.add_row(block),
            Record::Ending(ending) => self.add_row(ending),
            Record::Act(act) => self.add_row(act),
            Record::Difference(difference) => self.add_row(difference),
        }
    }

    fn add_row<T: Kept>(&mut self, row: &T) -> Result<(), AddError> {
        let values = row.values();
        debug_assert_eq!(values.len(), T::COLUMNS.len());
        for (column, value) in T::COLUMNS.iter().zip(&values) {
            let bytes = match value {
                ToSqlOutput::Borrowed(ValueRef::Text(text)) => text.len(),
                ToSqlOutput::Owned(Value::Text(text)) => text.len(),
                _ => 0,
            };
            if bytes > MAX_TEXT {
                let table = T::TABLE.name();
                return Err(AddError::Refused(format!(
                    "{table}.{column} has {bytes} bytes, at most {MAX_TEXT} are kept: shorten it"
                )));
            }
        }
        let statement = match &mut self.prepared[T::TABLE.index()] {
            Some(statement) => statement,
            none => none.insert(self.transaction.prepare(&T::insertion())?),
        };
        statement.execute(rusqlite::params_from_iter(values))?;
        Ok(())
    }

    fn add_model(&mut self, hash: &str) -> Result<(), AddError> {
        let statement = match &mut self.model {
            Some(statement) => statement,
            none => none.insert(self.transaction.prepare(MODEL)?),
        };
        statement.execute([hash])?;
        Ok(())
    }
}
