//! Starts of weir, and how they ended.

use rusqlite::params;

use super::read;
use crate::columns::Kept;
use crate::table::Table;
use crate::{LedgerError, PreviousEnd, Reader, Run, Stop, Window};

/// The last run that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRun {
    /// Its start.
    pub run: Run,
    /// Its end, if it was in good order.
    pub stop: Option<Stop>,
    /// Its last window.
    pub window: Option<Window>,
}

impl LastRun {
    /// End of the run, seen from a boot with this id: the value of the next [`Run::previous`].
    #[must_use]
    pub fn ended(&self, boot_id: &str) -> PreviousEnd {
        if self.stop.is_some() {
            PreviousEnd::Stopped
        } else if self.run.boot_id == boot_id {
            PreviousEnd::Died
        } else {
            PreviousEnd::Rebooted
        }
    }
}

impl Reader {
    /// The last run, if there was one; before this run is recorded, it is the one before.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last_run(&self) -> Result<Option<LastRun>, LedgerError> {
        let Some(run) = self.run(self.last_id(Table::Runs)?)? else { return Ok(None) };
        let stop = self.of_run("run", run.id)?.pop();
        let sql = format!(
            "SELECT {} FROM windows WHERE id = (SELECT max(id) FROM windows) AND run = ?1",
            Window::selection()
        );
        let mut windows = self.all::<Window>(&sql, run.id)?;
        Ok(Some(LastRun { run, stop, window: windows.pop() }))
    }

    /// The run with this number: whose boot clock, which version and model.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn run(&self, id: u64) -> Result<Option<Run>, LedgerError> {
        Ok(self.of_run("id", id)?.pop())
    }

    /// All records of one kind with this run's number, in the order of recording.
    pub(super) fn of_run<T: Kept>(&self, column: &str, run: u64) -> Result<Vec<T>, LedgerError> {
        let (table, columns) = (T::TABLE.name(), T::selection());
        let sql = format!("SELECT {columns} FROM {table} WHERE {column} = ?1 ORDER BY {table}.id");
        self.all(&sql, run)
    }

    fn all<T: Kept>(&self, sql: &str, run: u64) -> Result<Vec<T>, LedgerError> {
        let run = i64::try_from(run).unwrap_or(i64::MAX);
        let rows = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map(params![run], read)?.collect()
        };
        rows().map_err(self.failed())
    }
}
