//! Schema of the file: its maker, its version, and the way from an older one to this one.

pub(crate) mod guards;

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::LedgerError;

/// The version that this build writes; `user_version` in the file.
pub const SCHEMA_VERSION: i32 = 3;

/// "weir", as SQLite's `application_id`.
pub(crate) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"weir");

const TABLES: &str = include_str!("tables.sql");
/// Migrations in order, each with the version that it makes into the next.
const MIGRATIONS: [(i32, &str); 2] =
    [(1, include_str!("from_1.sql")), (2, include_str!("from_2.sql"))];
const _: () = assert!(MIGRATIONS[MIGRATIONS.len() - 1].0 + 1 == SCHEMA_VERSION);

/// State of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing in it yet.
    Empty,
    /// A ledger of this version or an older one.
    Version(i32),
}

/// Says what the file is, and refuses what is no ledger or a newer one.
pub(crate) fn identify(connection: &Connection, path: &Path) -> Result<Found, LedgerError> {
    let failed = LedgerError::sql("read", path);
    // A single statement sees a single state, also while another process is making the file.
    let sql = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
               FROM pragma_application_id, pragma_user_version";
    let read = connection.query_row(sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]));
    match read.map_err(failed)? {
        [0, 0, 0] => Ok(Found::Empty),
        [APPLICATION_ID, version, _] if (1..=SCHEMA_VERSION).contains(&version) => {
            Ok(Found::Version(version))
        }
        [APPLICATION_ID, version, _] => {
            Err(LedgerError::Newer { path: path.to_owned(), found: version, known: SCHEMA_VERSION })
        }
        [application_id, ..] => Err(LedgerError::Foreign { path: path.to_owned(), application_id }),
    }
}

/// Makes the tables of a new file, or those of an older version into this one's; all or nothing.
pub(crate) fn bring_up_to_date(
    connection: &mut Connection,
    path: &Path,
    found: Found,
) -> Result<(), LedgerError> {
    let doing = if found == Found::Empty { "create" } else { "migrate" };
    let mut run = || -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match found {
            Found::Version(SCHEMA_VERSION) => return Ok(()),
            Found::Empty => transaction.execute_batch(TABLES)?,
            Found::Version(version) => {
                // They would refuse the migration too; those of this version come back below.
                for trigger in names(&transaction, "trigger")? {
                    transaction.execute_batch(&format!("DROP TRIGGER {trigger}"))?;
                }
                for (_, migration) in MIGRATIONS.iter().filter(|(from, _)| *from >= version) {
                    transaction.execute_batch(migration)?;
                }
            }
        }
        transaction.execute_batch(&guards::all())?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()
    };
    run().map_err(LedgerError::sql(doing, path))
}

fn names(connection: &Connection, kind: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = ?1")?;
    statement.query_map([kind], |row| row.get(0))?.collect()
}
