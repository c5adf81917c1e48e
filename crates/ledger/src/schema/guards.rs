//! The triggers that make the tables append-only.
//!
//! They stop mistakes and other programs, not a deliberate writer of the file, who can drop them.
//! Replacing a row by inserting it again is refused as well, for `REPLACE` removes without asking
//! the triggers of removal.

use std::fmt::Write as _;

use crate::table::Table;

/// Words of a refused change; tests and people look for these.
pub(crate) const APPEND_ONLY: &str = "append-only";

/// Triggers for every table, and retention's first line for each.
pub(crate) fn all() -> String {
    let mut sql = String::new();
    for table in Table::ALL {
        guard_table(&mut sql, table);
    }
    guard(&mut sql, "models", "UPDATE", None);
    guard(&mut sql, "models", "DELETE", None);
    let known = "EXISTS (SELECT 1 FROM models WHERE id = NEW.id OR hash = NEW.hash)";
    guard(&mut sql, "models", "INSERT", Some(known));
    // Retention's account grows, and is never taken back.
    let shrinks =
        "NEW.name <> OLD.name OR NEW.before_ns < OLD.before_ns OR NEW.removed < OLD.removed";
    guard(&mut sql, "retention", "UPDATE", Some(shrinks));
    guard(&mut sql, "retention", "DELETE", None);
    guard(&mut sql, "retention", "INSERT", None);
    sql
}

fn guard_table(sql: &mut String, table: Table) {
    let name = table.name();
    let first = i64::MIN;
    // A migrated file keeps its account.
    let _ = writeln!(
        sql,
        "INSERT INTO retention SELECT '{name}', {first}, {first}, 0
         WHERE NOT EXISTS (SELECT 1 FROM retention WHERE name = '{name}');"
    );
    guard(sql, name, "UPDATE", None);
    guard(sql, name, "INSERT", Some(&format!("EXISTS (SELECT 1 FROM {name} WHERE id = NEW.id)")));
    let horizon = |column: &str| format!("(SELECT {column} FROM retention WHERE name = '{name}')");
    let mut refused = format!("OLD.at_ns >= {}", horizon("before_ns"));
    match table {
        // A block in force is never forgotten, nor its reasons.
        Table::Blocks => {
            let _ = write!(
                refused,
                " OR (OLD.expires_ns > {} AND NOT EXISTS (SELECT 1 FROM endings WHERE block = OLD.id))",
                horizon("at_ns"),
            );
        }
        Table::Decisions => {
            refused += " OR EXISTS (SELECT 1 FROM blocks WHERE decision = OLD.id)";
        }
        // A block would stand again without its ending.
        Table::Endings => refused += " OR EXISTS (SELECT 1 FROM blocks WHERE id = OLD.block)",
        _ => {}
    }
    guard(sql, name, "DELETE", Some(&refused));
}

fn guard(sql: &mut String, table: &str, change: &str, when: Option<&str>) {
    let when = when.map(|when| format!(" WHEN {when}")).unwrap_or_default();
    let lower = change.to_lowercase();
    let _ = writeln!(
        sql,
        "CREATE TRIGGER {table}_{lower} BEFORE {change} ON {table}{when}
         BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}: {lower} of a row of {table} is refused'); END;"
    );
}
