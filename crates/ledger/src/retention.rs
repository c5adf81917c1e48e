//! Retention: what is too old or too much is removed, in steps, and counted.
//!
//! Each step first writes how far it goes into the table `retention`, and the triggers let go of
//! nothing beyond. Never removed: a block that stands, and the decision and the run it refers to;
//! an ending before its block; a model's hash (one row for each model ever used).

use rusqlite::{Transaction, TransactionBehavior, named_params};
use serde::Serialize;

use crate::reader::bytes_used;
use crate::table::Table;
use crate::{Ledger, LedgerError};

/// Rows of a table that a step removes at most. Appending waits for a step: full ones of three
/// tables took 90 ms of CPU each, unoptimised.
pub const RETENTION_STEP: usize = 1_000;
/// Free pages that a step gives back to the file system.
const VACUUM_PAGES: u32 = 1_000;

/// Outcome of a step of retention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retained {
    /// Rows removed, by table; those without any are left out.
    pub removed: Vec<(Table, u64)>,
    /// There is more to remove: take another step.
    pub more: bool,
    /// Bytes above [`max_bytes`](crate::Options::max_bytes) that nothing may be removed for.
    pub over_bytes: u64,
}

/// Times that bound a step, in wall-clock ns.
#[derive(Clone, Copy)]
struct Horizon {
    /// Rows from before go.
    before: i64,
    /// A block must have ended before.
    ended: i64,
    now: i64,
}

impl Ledger {
    /// Takes one step of retention, as of this wall-clock time. It trusts the time: a clock that
    /// was set into the future takes the past with it, so give it none that has just jumped.
    ///
    /// # Errors
    /// The file cannot be written; nothing was removed then. On a full disk this may well be so:
    /// keep `max_bytes` below what the disk holds.
    pub fn retain(&mut self, now_ns: i64) -> Result<Retained, LedgerError> {
        let failed = LedgerError::sql("remove old records from", self.reader().path());
        self.step(now_ns).map_err(failed)
    }

    fn step(&mut self, now_ns: i64) -> rusqlite::Result<Retained> {
        let age_ns = i64::try_from(self.options.max_age.as_nanos()).unwrap_or(i64::MAX);
        let before_ns = now_ns.saturating_sub(age_ns);
        let max_bytes = self.options.max_bytes;
        let mut step = Retained::default();
        let connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let aged = Horizon { before: before_ns, ended: before_ns, now: now_ns };
        for table in BY_AGE {
            step.remove(&transaction, table, aged)?;
        }
        let over = bytes_used(&transaction)?.saturating_sub(max_bytes);
        if over > 0 {
            step.make_room(&transaction, now_ns)?;
        }
        transaction.commit()?;
        let rows: u64 = step.removed.iter().map(|(_, rows)| rows).sum();
        if rows > 0 {
            let sql = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
            let mut vacuum = connection.prepare(&sql)?;
            // Each row is a page.
            let mut pages = vacuum.query([])?;
            while pages.next()?.is_some() {}
        }
        let over = bytes_used(connection)?.saturating_sub(max_bytes);
        step.more |= over > 0 && rows > 0;
        step.over_bytes = if step.more { 0 } else { over };
        Ok(step)
    }
}

/// In this order: what refers before what is referred to. Endings go with their blocks.
const BY_AGE: [Table; 7] = [
    Table::Blocks,
    Table::Endings,
    Table::Decisions,
    Table::Windows,
    Table::Acts,
    Table::Differences,
    Table::Runs,
];
/// Tables of which there may be very many rows. Acts of people stay for their time.
const BY_SIZE: [Table; 3] = [Table::Blocks, Table::Decisions, Table::Windows];

impl Retained {
    /// Removes the oldest of what there may be very many of.
    fn make_room(&mut self, transaction: &Transaction<'_>, now_ns: i64) -> rusqlite::Result<()> {
        let all = Horizon { before: now_ns, ended: now_ns, now: now_ns };
        let mut before_ns = i64::MAX;
        for table in BY_SIZE {
            before_ns = before_ns.min(far_enough(transaction, table, all)?.unwrap_or(i64::MAX));
        }
        if before_ns < i64::MAX {
            for table in BY_SIZE {
                self.remove(transaction, table, Horizon { before: before_ns, ..all })?;
            }
        }
        Ok(())
    }

    fn remove(
        &mut self,
        transaction: &Transaction<'_>,
        table: Table,
        horizon: Horizon,
    ) -> rusqlite::Result<()> {
        let ids = removable(transaction, table, horizon)?;
        if ids.is_empty() {
            return Ok(());
        }
        match table {
            Table::Blocks => {
                let gone = delete(transaction, table, "id", &ids, horizon)?;
                // An ending is younger than its block.
                let late = Horizon { before: horizon.now.saturating_add(1), ..horizon };
                let endings = delete(transaction, Table::Endings, "block", &ids, late)?;
                self.count(table, gone);
                self.count(Table::Endings, endings);
            }
            Table::Runs => {
                let stops = delete(transaction, Table::Stops, "run", &ids, horizon)?;
                let gone = delete(transaction, table, "id", &ids, horizon)?;
                self.count(Table::Stops, stops);
                self.count(table, gone);
            }
            _ => {
                let gone = delete(transaction, table, "id", &ids, horizon)?;
                self.count(table, gone);
            }
        }
        self.more |= ids.len() == RETENTION_STEP;
        Ok(())
    }

    fn count(&mut self, table: Table, rows: u64) {
        match self.removed.iter_mut().find(|(counted, _)| *counted == table) {
            Some((_, removed)) => *removed += rows,
            None if rows > 0 => self.removed.push((table, rows)),
            None => {}
        }
    }
}

/// The rows of a table that may go, the oldest first.
fn removable(
    transaction: &Transaction<'_>,
    table: Table,
    horizon: Horizon,
) -> rusqlite::Result<Vec<i64>> {
    let sql = format!(
        "SELECT id FROM {0} WHERE at_ns < :before AND {1} ORDER BY at_ns LIMIT {RETENTION_STEP}",
        table.name(),
        condition(table)
    );
    let mut statement = transaction.prepare(&sql)?;
    bind(&mut statement, horizon)?;
    statement.raw_query().mapped(|row| row.get(0)).collect()
}

/// The time up to which a step's worth of the oldest rows of a table goes: half of them, where
/// there are few, so that each step gets somewhere and none takes all.
fn far_enough(
    transaction: &Transaction<'_>,
    table: Table,
    horizon: Horizon,
) -> rusqlite::Result<Option<i64>> {
    let sql = format!(
        "SELECT at_ns FROM {} WHERE at_ns < :before AND {} ORDER BY at_ns LIMIT {}",
        table.name(),
        condition(table),
        2 * RETENTION_STEP
    );
    let mut statement = transaction.prepare(&sql)?;
    bind(&mut statement, horizon)?;
    let oldest: Vec<i64> =
        statement.raw_query().mapped(|row| row.get(0)).collect::<rusqlite::Result<_>>()?;
    Ok(oldest.get(oldest.len() / 2).map(|at_ns| at_ns.saturating_add(1)))
}

/// Further condition for a row to be removed.
const fn condition(table: Table) -> &'static str {
    match table {
        Table::Blocks => {
            "coalesce((SELECT max(e.at_ns) FROM endings AS e WHERE e.block = blocks.id), expires_ns)
                 < :ended"
        }
        Table::Endings => "NOT EXISTS (SELECT 1 FROM blocks WHERE id = endings.block)",
        Table::Decisions => "NOT EXISTS (SELECT 1 FROM blocks WHERE decision = decisions.id)",
        // All of a run's records are older than the start of the next.
        Table::Runs => {
            "(SELECT n.at_ns FROM runs AS n WHERE n.id > runs.id ORDER BY n.id LIMIT 1) < :before
             AND NOT EXISTS (SELECT 1 FROM stops WHERE run = runs.id AND at_ns >= :before)
             AND id NOT IN (SELECT run FROM blocks)"
        }
        _ => "true",
    }
}

fn bind(statement: &mut rusqlite::Statement<'_>, horizon: Horizon) -> rusqlite::Result<()> {
    for (name, value) in [(":before", horizon.before), (":ended", horizon.ended)] {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(())
}

/// Writes down how far it goes and how much goes, then lets it go.
fn delete(
    transaction: &Transaction<'_>,
    table: Table,
    column: &str,
    ids: &[i64],
    horizon: Horizon,
) -> rusqlite::Result<u64> {
    let name = table.name();
    transaction.execute(
        "UPDATE retention SET before_ns = max(before_ns, :before), at_ns = :now WHERE name = :name",
        named_params! { ":before": horizon.before, ":now": horizon.now, ":name": name },
    )?;
    let mut statement = transaction.prepare(&format!("DELETE FROM {name} WHERE {column} = ?1"))?;
    let mut rows = 0;
    for id in ids {
        rows += statement.execute([id])?;
    }
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    transaction.execute(
        "UPDATE retention SET removed = removed + :rows WHERE name = :name",
        named_params! {
            ":rows": i64::try_from(rows).unwrap_or(i64::MAX),
            ":name": name,
        },
    )?;
    Ok(rows)
}
