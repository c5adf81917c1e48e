use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ledger::{Ledger, LedgerError, Options, SCHEMA_VERSION};
use rusqlite::Connection;

use crate::support::{Place, batch, batches_in, raw, run};

fn opened(place: &Place) -> Result<Ledger, LedgerError> {
    Ledger::open(&place.path, &Options::default())
}

#[test]
fn only_its_owner_may_read_it() {
    let place = Place::new();
    let mut ledger = place.open();
    ledger.append(&[run(1).into()]).expect("recorded");
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut path = place.path.clone().into_os_string();
        path.push(suffix);
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
}

#[test]
fn it_has_a_wal_and_gives_removed_pages_back() {
    let place = Place::new();
    drop(place.open());
    let raw = place.raw();
    let ask = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, String>(0)).expect("a pragma");
    assert_eq!(ask("PRAGMA journal_mode"), "wal");
    assert_eq!(ask("SELECT cast(auto_vacuum AS TEXT) FROM pragma_auto_vacuum"), "2");
    assert_eq!(
        ask("SELECT cast(user_version AS TEXT) FROM pragma_user_version"),
        SCHEMA_VERSION.to_string()
    );
}

#[test]
fn a_second_writer_is_refused_and_told_who_writes() {
    let place = Place::new();
    let first = place.open();
    let told = opened(&place).expect_err("one writer").to_string();
    let me = format!("is being written by process {}: stop that one", std::process::id());
    assert!(told.contains(&me), "{told}");
    drop(first);
    opened(&place).expect("free again");
}

#[test]
fn a_reader_reads_what_is_there_while_it_is_written_and_when_it_is_not() {
    let place = Place::new();
    let mut ledger = place.open();
    ledger.append(&batch(1)).expect("recorded");
    let reader = Ledger::read(&place.path).expect("a reader");
    assert_eq!(reader.counts().expect("counts").of(ledger::Table::Windows).rows, 1);
    ledger.append(&batch(2)).expect("a reader holds nobody up");
    assert_eq!(reader.counts().expect("counts").of(ledger::Table::Windows).rows, 2);
    drop(ledger);
    assert_eq!(reader.counts().expect("counts").of(ledger::Table::Windows).rows, 2);
    let late = Ledger::read(&place.path).expect("nobody writes");
    assert_eq!(late.counts().expect("counts").of(ledger::Table::Windows).rows, 2);
}

#[test]
fn reading_makes_no_file() {
    let place = Place::new();
    let told = Ledger::read(&place.path).expect_err("nothing there").to_string();
    assert!(told.starts_with("no ledger at `"), "{told}");
    assert!(!place.path.exists());
}

#[test]
fn what_is_no_database_is_refused_by_name_and_left_as_it_is() {
    let place = Place::new();
    let text = "peers = [\"203.0.113.7\"]\n".repeat(400);
    fs::write(&place.path, &text).expect("a file");
    for told in [
        opened(&place).expect_err("a text").to_string(),
        Ledger::read(&place.path).expect_err("a text").to_string(),
    ] {
        assert!(told.contains("ledger.db` is not an SQLite database: move it away"), "{told}");
    }
    assert_eq!(fs::read_to_string(&place.path).expect("a file"), text);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let other = Connection::open(&place.path).expect("SQLite makes it");
    other
        .execute_batch("PRAGMA application_id = 252006673; CREATE TABLE layers (name TEXT)")
        .expect("another's table");
    let before = fs::read(&place.path).expect("a file");
    for told in [
        opened(&place).expect_err("another's").to_string(),
        Ledger::read(&place.path).expect_err("another's").to_string(),
    ] {
        assert!(
            told.contains("is another program's database (application id 0xf055111)"),
            "{told}"
        );
    }
    assert_eq!(fs::read(&place.path).expect("a file"), before);
}

#[test]
fn a_newer_ledger_is_refused_by_name_with_the_remedy() {
    let place = Place::new();
    drop(place.open());
    place.raw().pragma_update(None, "user_version", SCHEMA_VERSION + 1).expect("from the future");
    let told = opened(&place).expect_err("newer").to_string();
    assert!(
        told.contains(&format!(
            "has version {} of the ledger, this weir knows up to {SCHEMA_VERSION}",
            SCHEMA_VERSION + 1
        )),
        "{told}"
    );
    assert!(told.contains("use the newer weir"), "{told}");
    assert!(
        matches!(Ledger::read(&place.path), Err(LedgerError::Newer { found, .. }) if found == SCHEMA_VERSION + 1)
    );
}

#[test]
fn a_creation_that_was_cut_short_is_taken_up() {
    // A kill between making the file and making its tables leaves it empty, or with a header.
    for header in [false, true] {
        let place = Place::new();
        fs::write(&place.path, "").expect("an empty file");
        if header {
            let half = raw(&place.path);
            half.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")
                .expect("a header");
            drop(half);
            assert!(fs::metadata(&place.path).expect("a file").len() > 0);
        }
        assert!(matches!(Ledger::read(&place.path), Err(LedgerError::Missing { .. })));
        place.open().append(&batch(1)).expect("recorded");
        assert_eq!(batches_in(&place.raw()).len(), 1);
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let place = Place::new();
    let path = place.path.with_file_name("nowhere").join("ledger.db");
    let told = Ledger::open(&path, &Options::default()).expect_err("no folder").to_string();
    assert!(told.contains("nowhere/ledger.db.lock`: No such file"), "{told}");
}

#[test]
fn bounds_that_cannot_be_kept_are_refused() {
    let place = Place::new();
    let small = Options { max_bytes: 4_096, ..Options::default() };
    let told = Ledger::open(&place.path, &small).expect_err("too small").to_string();
    assert_eq!(told, "`max_bytes` must be at least 1048576, got 4096");
    assert!(!place.path.exists());
}
