use ledger::{How, Record, Table};
use rusqlite::Connection;

use crate::support::{Place, act, batch, block, difference, ending, run, stop, wall};

/// A ledger with a row in every table.
fn filled() -> Place {
    let place = Place::new();
    let mut ledger = place.open();
    let mut records: Vec<Record> = vec![run(1).into(), stop(1, 9).into()];
    records.extend(batch(1));
    records.extend([
        ending(&block(100, 1), 300, How::Expired).into(),
        act(5, "block").into(),
        difference(1, 1).into(),
    ]);
    ledger.append(&records).expect("recorded");
    let counts = ledger.reader().counts().expect("counts");
    assert!(counts.tables.iter().all(|table| table.rows == 1), "{counts:?}");
    place
}

fn refusal(connection: &Connection, sql: &str) -> String {
    connection.execute(sql, []).expect_err(sql).to_string()
}

#[test]
fn no_row_is_changed_removed_or_replaced_even_by_another_program() {
    let place = filled();
    let raw = place.raw();
    let tables = Table::ALL.map(Table::name);
    for table in tables.iter().copied().chain(["models", "retention"]) {
        let column = match table {
            "models" => "hash",
            "retention" => "removed",
            _ => "at_ns",
        };
        let before = rows(&raw, table);
        for sql in [
            format!("UPDATE {table} SET {column} = -1"),
            format!("DELETE FROM {table}"),
            format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"),
            format!(
                "INSERT INTO {table} SELECT * FROM {table} WHERE true ON CONFLICT DO UPDATE SET {column} = -1"
            ),
        ] {
            let told = refusal(&raw, &sql);
            assert!(told.contains("append-only"), "{sql}: {told}");
        }
        assert_eq!(rows(&raw, table), before);
    }
}

#[test]
fn even_where_retention_has_been_a_standing_block_and_its_decision_stay() {
    let place = filled();
    let raw = place.raw();
    // As if retention had come past everything, with the clock before the block's expiry.
    let now = wall(20);
    let second = block(200, 2);
    let (expires, made) = (second.expires.wall_ns, second.made.wall_ns);
    raw.execute(
        "INSERT INTO blocks VALUES (200, 1, '203.0.113.200', 'drop', ?1, 0, ?2, 0, 'model', 100, NULL, NULL)",
        [made, expires],
    )
    .expect("a block that stands");
    raw.execute("UPDATE retention SET before_ns = ?1, at_ns = ?1", [now]).expect("it grows");
    let told = refusal(&raw, "DELETE FROM blocks WHERE id = 200");
    assert!(told.contains("append-only: delete of a row of blocks"), "{told}");
    refusal(&raw, "DELETE FROM decisions WHERE id = 100");
    refusal(&raw, "DELETE FROM endings");
    let gone = raw.execute("DELETE FROM blocks WHERE id = 100", []).expect("it has ended");
    assert_eq!(gone, 1);
}

#[test]
fn the_account_of_retention_is_never_taken_back() {
    let place = filled();
    let raw = place.raw();
    raw.execute("UPDATE retention SET removed = 7, before_ns = 7", []).expect("it grows");
    refusal(&raw, "UPDATE retention SET removed = 6");
    refusal(&raw, "UPDATE retention SET before_ns = 6");
    refusal(&raw, "UPDATE retention SET name = 'x' WHERE name = 'acts'");
}

/// All values of all rows of a table, in words.
fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("a table");
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        let values =
            (0..columns).map(|column| row.get_ref(column).map(|value| format!("{value:?}")));
        values.collect::<rusqlite::Result<Vec<_>>>().map(|values| values.join(" "))
    };
    statement.query_map([], read).expect("rows").collect::<rusqlite::Result<_>>().expect("rows")
}
