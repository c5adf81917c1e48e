//! The ledger as its one writer has it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::insert::{AddError, Insertions};
use crate::lock::Lock;
use crate::schema::{self, Found, SCHEMA_VERSION};
use crate::table::Table;
use crate::{LedgerError, Options, Reader, Record};

/// A ledger, open for writing; there is one at a time.
#[derive(Debug)]
pub struct Ledger {
    reader: Reader,
    pub(crate) options: Options,
    migrated_from: Option<i32>,
    // Goes last: whoever waits for it may open the file.
    _lock: Lock,
}

/// Numbers for what other records refer to: the next free ones, which were never used before,
/// whatever retention removed.
///
/// The one writer hands them out itself, so that a decision, its block and the kernel's entry can
/// name each other before anything is on disk. A number whose record never got there (a full
/// queue, a kill) is handed out again at the next start, unless that start is told of it: where
/// kernel entries carry numbers, pass the highest to [`Ids::skip_blocks_to`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    run: u64,
    decision: u64,
    block: u64,
}

impl Ids {
    /// The number of this run.
    #[must_use]
    pub const fn run(&self) -> u64 {
        self.run
    }

    /// A number for a decision.
    pub const fn next_decision(&mut self) -> u64 {
        self.decision += 1;
        self.decision
    }

    /// A number for a block.
    pub const fn next_block(&mut self) -> u64 {
        self.block += 1;
        self.block
    }

    /// Hands out only decision numbers above `taken` from now on.
    pub fn skip_decisions_to(&mut self, taken: u64) {
        self.decision = self.decision.max(taken);
    }

    /// Hands out only block numbers above `taken` from now on.
    pub fn skip_blocks_to(&mut self, taken: u64) {
        self.block = self.block.max(taken);
    }
}

/// A record that the tables did not take, while the rest of its batch was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) index: usize,
    pub(crate) reason: String,
}

impl Ledger {
    /// Opens the ledger, makes it where there is none (mode 0600, its folder must be there), and
    /// migrates an older one. Files `-wal`, `-shm` and `.lock` stand beside it.
    ///
    /// # Errors
    /// Another process writes it; it is no ledger, or a newer one; the disk refuses; an option is
    /// out of its bounds.
    pub fn open(path: &Path, options: &Options) -> Result<Self, LedgerError> {
        options.check()?;
        let lock = Lock::take(path)?;
        create_private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = LedgerError::sql("open", path);
        let mut connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
        let found = schema::identify(&connection, path)?;
        configure(&connection, options, found).map_err(&failed)?;
        schema::bring_up_to_date(&mut connection, path, found)?;
        let migrated_from = match found {
            Found::Version(version) if version < SCHEMA_VERSION => Some(version),
            _ => None,
        };
        let reader = Reader { connection, path: path.to_owned() };
        Ok(Self { reader, options: options.clone(), migrated_from, _lock: lock })
    }

    /// Opens the ledger to read it, whether or not it is being written.
    ///
    /// # Errors
    /// There is none; it is no ledger, or one of another version.
    pub fn read(path: &Path) -> Result<Reader, LedgerError> {
        Reader::open(path)
    }

    /// The questions that it answers.
    #[must_use]
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The version that [`Ledger::open`] migrated the file from.
    #[must_use]
    pub const fn migrated_from(&self) -> Option<i32> {
        self.migrated_from
    }

    /// The numbers of the run that begins now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn ids(&self) -> Result<Ids, LedgerError> {
        Ok(Ids {
            run: self.reader.last_id(Table::Runs)? + 1,
            decision: self.reader.last_id(Table::Decisions)?,
            block: self.reader.last_id(Table::Blocks)?,
        })
    }

    /// Records a batch: all of it, or nothing. When this returns, it survives a power loss.
    ///
    /// Cost: one `fsync`, 1 ms of CPU for a window with five decisions, and 60 µs for each record
    /// of a long batch, unoptimised.
    ///
    /// # Errors
    /// A record is refused; the disk is full or read-only. The ledger stays usable: the same
    /// batch may be given again when there is room.
    pub fn append(&mut self, records: &[Record]) -> Result<(), LedgerError> {
        let refuse = |refused: Rejected| {
            Err(LedgerError::Refused { index: refused.index, reason: refused.reason })
        };
        self.add(records, refuse)
    }

    /// Records what the tables take of a batch, and returns the rest of it.
    pub(crate) fn append_what_fits(
        &mut self,
        records: &[Record],
    ) -> Result<Vec<Rejected>, LedgerError> {
        let mut rejected = Vec::new();
        self.add(records, |refused| {
            rejected.push(refused);
            Ok(())
        })?;
        Ok(rejected)
    }

    fn add(
        &mut self,
        records: &[Record],
        mut on_refusal: impl FnMut(Rejected) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        if records.is_empty() {
            return Ok(());
        }
        let failed = LedgerError::sql("append to", &self.reader.path);
        let transaction = self
            .reader
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let mut insertions = Insertions::new(&transaction);
        for (index, record) in records.iter().enumerate() {
            match insertions.add(record) {
                Ok(()) => {}
                // The statement alone was undone; the transaction goes on, or is dropped.
                Err(AddError::Refused(reason)) => on_refusal(Rejected { index, reason })?,
                Err(AddError::Sql(error)) => return Err(failed(error)),
            }
        }
        drop(insertions);
        transaction.commit().map_err(failed)
    }

    pub(crate) const fn connection(&mut self) -> &mut Connection {
        &mut self.reader.connection
    }
}

/// Settings by which a commit survives a power loss, and the file shrinks.
fn configure(connection: &Connection, options: &Options, found: Found) -> rusqlite::Result<()> {
    connection.busy_timeout(options.busy)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    if found == Found::Empty {
        // It must be set before the first page is written.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let pages = options.checkpoint_pages;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", pages, |_| Ok(()))?;
    // A WAL that grew behind a slow reader is cut back at the next reset.
    connection.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))
}

/// Makes an empty file that only its owner may read; SQLite gives the WAL the same mode.
fn create_private(path: &Path) -> Result<(), LedgerError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {
            let folder = match path.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            // The name itself must survive a power loss.
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(LedgerError::io("sync the folder of", path))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(LedgerError::io("create", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Moment, Window};

    fn windows(from: u64) -> Vec<Record> {
        let window = |number| Window {
            number,
            end: Moment { wall_ns: 1, boot_ns: 1 },
            mode: "observe".into(),
            ..Window::default()
        };
        (from..from + 100).map(|number| window(number).into()).collect()
    }

    fn rows(ledger: &Ledger) -> u64 {
        ledger.reader().counts().expect("counts").of(Table::Windows).rows
    }

    #[test]
    fn a_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let mut ledger = Ledger::open(&path, &Options::default()).expect("a ledger");
        let mut ask = |name: &str| {
            let value =
                ledger.connection().pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.expect("a number")
        };
        // 2 is FULL: in WAL mode, an fsync of the WAL at each commit.
        assert_eq!(["synchronous", "foreign_keys"].map(&mut ask), [2, 1]);
    }

    #[test]
    fn a_full_file_refuses_a_batch_whole_and_takes_it_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        let mut ledger = Ledger::open(&path, &Options::default()).expect("a ledger");
        let bound = |ledger: &mut Ledger, pages: i64| {
            let set =
                ledger.connection().pragma_update_and_check(None, "max_page_count", pages, |row| {
                    row.get::<_, i64>(0)
                });
            set.expect("a bound")
        };
        let pages = bound(&mut ledger, 1);
        bound(&mut ledger, pages + 4);
        let mut recorded = 0;
        let error = loop {
            match ledger.append(&windows(recorded)) {
                Ok(()) => recorded += 100,
                Err(error) => break error,
            }
            assert!(recorded < 10_000, "the file is small");
        };
        assert!(matches!(error, LedgerError::Full { .. }), "{error}");
        assert!(error.to_string().contains("ledger.db`: the disk is full; make room"), "{error}");
        assert_eq!(rows(&ledger), recorded);
        bound(&mut ledger, pages + 100);
        ledger.append(&windows(recorded)).expect("there is room");
        assert_eq!(rows(&ledger), recorded + 100);
    }
}
