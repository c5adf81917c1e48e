//! The ledger as everybody may have it: to read.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::Serialize;

use crate::LedgerError;
use crate::lock::beside;
use crate::schema::{self, Found, SCHEMA_VERSION};
use crate::table::Table;

/// Time to wait for a writer that is taking a file over.
const BUSY: Duration = Duration::from_secs(5);

/// Read-only access to a ledger. Each answer is of one moment; reader and writer never block each
/// other.
///
/// On a read-only disk it takes the file as immutable.
///
/// See [`query`](crate::query) for the questions.
#[derive(Debug)]
pub struct Reader {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        if !path.exists() {
            return Err(LedgerError::Missing { path: path.to_owned() });
        }
        let (connection, found) = match identified(path, path, OpenFlags::empty()) {
            // Without write access there is no place for the index of a WAL.
            Err(error) if is_cannot_open(&error) => frozen(path)?,
            other => other?,
        };
        match found {
            Found::Empty => Err(LedgerError::Missing { path: path.to_owned() }),
            Found::Version(SCHEMA_VERSION) => Ok(Self { connection, path: path.to_owned() }),
            Found::Version(found) => {
                Err(LedgerError::Older { path: path.to_owned(), found, known: SCHEMA_VERSION })
            }
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The highest number that a row of the table ever had.
    pub(crate) fn last_id(&self, table: Table) -> Result<u64, LedgerError> {
        let sql = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1";
        let last = self.connection.query_row(sql, [table.name()], |row| row.get::<_, i64>(0));
        last.map(|last| u64::try_from(last).unwrap_or(0)).map_err(self.failed())
    }

    /// Size of the ledger.
    ///
    /// Cost: reads an index of each table, 10 ms of CPU a million rows, unoptimised.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn counts(&self) -> Result<Counts, LedgerError> {
        let read = || -> rusqlite::Result<Counts> {
            let mut tables = Vec::with_capacity(Table::ALL.len());
            for table in Table::ALL {
                let name = table.name();
                let sql = format!(
                    "SELECT (SELECT count(*) FROM {name}), removed FROM retention WHERE name = ?1"
                );
                let [rows, removed] = self.connection.query_row(&sql, [name], |row| {
                    Ok([row.get::<_, i64>(0)?, row.get::<_, i64>(1)?])
                })?;
                let unsigned = |number| u64::try_from(number).unwrap_or(0);
                tables.push(TableCount { table, rows: unsigned(rows), removed: unsigned(removed) });
            }
            Ok(Counts { tables, bytes: bytes_used(&self.connection)? })
        };
        read().map_err(self.failed())
    }

    pub(crate) fn failed(&self) -> impl Fn(rusqlite::Error) -> LedgerError + use<> {
        LedgerError::sql("read", &self.path)
    }
}

fn identified(
    path: &Path,
    name: &Path,
    more: OpenFlags,
) -> Result<(Connection, Found), LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let failed = LedgerError::sql("open", path);
    let connection = Connection::open_with_flags(name, flags).map_err(&failed)?;
    connection.busy_timeout(BUSY).map_err(&failed)?;
    connection.pragma_update(None, "trusted_schema", false).map_err(&failed)?;
    let found = schema::identify(&connection, path)?;
    Ok((connection, found))
}

fn is_cannot_open(error: &LedgerError) -> bool {
    let LedgerError::Sql { source, .. } = error else { return false };
    source.sqlite_error_code() == Some(ErrorCode::CannotOpen)
}

/// A ledger on a read-only disk, taken as immutable.
fn frozen(path: &Path) -> Result<(Connection, Found), LedgerError> {
    if beside(path, "-wal").metadata().is_ok_and(|wal| wal.len() > 0) {
        return Err(LedgerError::Unrecovered { path: path.to_owned() });
    }
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => {
                let _ = write!(uri, "%{byte:02x}");
            }
        }
    }
    uri.push_str("?immutable=1");
    identified(path, Path::new(&uri), OpenFlags::SQLITE_OPEN_URI)
}

/// Size of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Each table, in the order of [`Table::ALL`].
    pub tables: Vec<TableCount>,
    /// Bytes of the file that are in use.
    pub bytes: u64,
}

impl Counts {
    /// Those of one table.
    #[must_use]
    pub fn of(&self, table: Table) -> TableCount {
        self.tables[table.index()]
    }
}

/// Size of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TableCount {
    /// The table.
    pub table: Table,
    /// Rows in it.
    pub rows: u64,
    /// Rows that retention has removed, since the file was made.
    pub removed: u64,
}

/// Bytes of the pages that hold something.
pub(crate) fn bytes_used(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}
