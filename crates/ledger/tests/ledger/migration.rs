use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use events::{Action, ActionTaken, Refusal, Standing};
use ledger::{
    AlertQuery, BlockQuery, Ledger, LedgerError, Options, Origin, PreviousEnd, SCHEMA_VERSION,
    Table,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::support::{Place, SECOND_NS, START_NS, raw};

const VERSION_1: &str = include_str!("support/version_1.sql");
const VERSION_2: &str = include_str!("support/version_2.sql");
/// File that the child migrates; only the child has it.
const PATH: &str = "WEIR_TEST_MIGRATION";
/// Decisions in the file that is killed in the middle: enough for a migration of some 100 ms.
const MANY: i64 = 12_000;

fn version(sql: &str) -> Place {
    let place = Place::new();
    place.raw().execute_batch(sql).expect("an older version");
    place
}

#[test]
fn version_1_becomes_this_one_with_all_that_it_held() {
    let place = version(VERSION_1);
    let mut ledger = place.open();
    assert_eq!(ledger.migrated_from(), Some(1));
    let reader = ledger.reader();
    let counts = reader.counts().expect("counts");
    let rows = counts.tables.iter().map(|table| (table.rows, table.removed)).collect::<Vec<_>>();
    assert_eq!(rows, [3, 1, 2, 3, 2, 1, 1, 0].map(|rows| (rows, 0)), "{counts:?}");

    let decision = reader.decision(2).expect("read").expect("there");
    assert_eq!((decision.run, decision.model.as_ref()), (2, "bbbb"));
    let record = decision.record;
    assert_eq!((record.outcome, record.action), (ActionTaken::Blocked, Some(Action::Drop)));
    // Not known, and what claims least.
    assert_eq!(
        (record.evidence.conditional_p_value.to_bits(), record.claim),
        (1_f64.to_bits(), None)
    );
    assert_eq!((record.ttl_s, record.offence, record.at_ns), (600, 0, 107_000_000_000));
    let reasons: String = place
        .raw()
        .query_row(
            "SELECT json_extract(record, '$.reasons') FROM decisions WHERE id = 2",
            [],
            |row| row.get(0),
        )
        .expect("JSON");
    assert_eq!(reasons, r#"["syn_ratio"]"#);
    let alerts = reader.alerts(&AlertQuery::default()).expect("read").rows;
    assert_eq!(alerts.iter().map(|alert| alert.record.id).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(alerts[2].model, "aaaa");

    let blocks = reader.blocks(&BlockQuery::default()).expect("read").rows;
    let [person, model] = &blocks[..] else { panic!("{blocks:?}") };
    assert_eq!((person.block.origin, person.block.who.as_deref()), (Origin::Person, Some("ada")));
    assert_eq!(person.block.expires.boot_ns, 108_000_000_000 + 3_600_000_000_000);
    assert_eq!(model.ending.as_ref().map(|ending| ending.dropped_packets), Some(512));
    assert_eq!(reader.active(START_NS + 800 * SECOND_NS).expect("read").len(), 1);

    let ended = [1, 2, 3].map(|run| reader.run(run).expect("read").expect("there").previous);
    assert_eq!(ended, [PreviousEnd::None, PreviousEnd::Stopped, PreviousEnd::Rebooted]);
    assert_eq!(ledger.ids().expect("numbers").run(), 4);
    ledger.append(&crate::support::batch(3)).expect("it goes on");
    drop(ledger);
    assert_eq!(place.open().migrated_from(), None);
}

#[test]
fn a_migrated_file_has_the_tables_and_guards_of_a_new_one() {
    let new = Place::new();
    drop(new.open());
    for old in [version(VERSION_1), version(VERSION_2)] {
        drop(old.open());
        assert_eq!(shape(&old.raw()), shape(&new.raw()));
    }
}

#[test]
fn every_decision_of_version_2_is_a_record_with_the_same_content() {
    let place = version(VERSION_2);
    let old = decisions_2(&place.raw());
    let mut ledger = place.open();
    assert_eq!(ledger.migrated_from(), Some(2));
    let reader = ledger.reader();
    let mut rows = reader.alerts(&AlertQuery::default()).expect("read").rows;
    rows.sort_by_key(|row| row.record.id);
    assert_eq!(rows.len(), 7);
    for (row, old) in rows.iter().zip(&old) {
        let (record, seen) = (&row.record, &row.record.evidence);
        let whole = |number: u64| i64::try_from(number).expect("within SQLite's").into();
        let words = |text: &str| Value::Text(text.to_owned());
        let kept: [(&str, Value); 14] = [
            ("id", whole(record.id)),
            ("run", whole(row.run)),
            ("window", whole(record.window)),
            ("at_ns", i64::try_from(record.time.as_nanosecond()).expect("a time").into()),
            ("address", words(&record.peer().to_string())),
            ("p_value", seen.p_value.into()),
            ("peer_score", f64::from(seen.peer_score).into()),
            ("packets", whole(seen.packets)),
            ("bytes", whole(seen.bytes)),
            ("verified", (seen.standing == Standing::Proven).into()),
            ("offence", record.offence.into()),
            ("model", words(&row.model)),
            ("ttl_ns", whole(record.ttl_s * 1_000_000_000)),
            ("p_conditional", seen.conditional_p_value.into()),
        ];
        for (column, value) in kept {
            let unknown = match column {
                "ttl_ns" => Value::Integer(0),
                _ => Value::Real(1.0),
            };
            let expected = match &old[column] {
                Value::Null => &unknown,
                known => known,
            };
            assert_eq!(&value, expected, "{column} of {}", record.id);
        }
        assert_eq!((seen.flows, seen.service, &record.claim), (0, None, &None));
        let measured = f64::from(seen.tail_score) + seen.surprise;
        assert!(measured.abs() < f64::EPSILON, "not recorded then");
    }
    let outcomes: Vec<_> = rows.iter().map(|row| (row.record.outcome, row.record.action)).collect();
    let (shadow, limit) = (Some(Action::Shadow), Some(Action::RateLimit));
    assert_eq!(
        outcomes,
        [
            (ActionTaken::Blocked, Some(Action::Drop)),
            (ActionTaken::RateLimited, limit),
            (ActionTaken::Shadowed, shadow),
            (ActionTaken::Refused, None),
            (ActionTaken::Refused, None),
            (ActionTaken::WouldBlock, shadow),
            (ActionTaken::Failed, None),
        ]
    );
    let refusals = rows.iter().filter_map(|row| row.record.refusal).collect::<Vec<_>>();
    assert_eq!(refusals, [Refusal::BelowMargin, Refusal::Unknown]);
    assert_eq!(rows[0].record.reasons[0].feature, "distinct_local_ports");
    assert_eq!(rows[0].record.at_ns, 107_000_000_123);
    // Words unknown to this version are kept in the file all the same.
    let raw = place.raw();
    for (id, path, kept) in [
        (7, "$.reasons[0]", "syn_ratio"),
        (8, "$.refusal", "an_older_guard"),
        (8, "$.reasons[0]", ""),
    ] {
        let sql = "SELECT json_extract(record, ?2) FROM decisions WHERE id = ?1";
        let found: String = raw.query_row(sql, (id, path), |row| row.get(0)).expect("JSON");
        assert_eq!(found, kept);
    }

    let blocks = reader.blocks(&BlockQuery::default()).expect("read").rows;
    let actions: Vec<_> = blocks.iter().map(|row| row.block.action).collect();
    assert_eq!(actions, [Action::RateLimit, Action::Drop]);
    let decisions = reader.counts().expect("counts").of(Table::Decisions);
    assert_eq!((decisions.rows, decisions.removed), (7, 3), "retention's account goes on");
    assert_eq!(ledger.ids().expect("numbers").next_decision(), 12, "no number is used again");
    ledger.append(&crate::support::batch(3)).expect("it goes on");
}

/// The decisions of version 2, each value by its column; the model by its hash.
fn decisions_2(connection: &Connection) -> Vec<BTreeMap<String, Value>> {
    let sql = "SELECT d.*, hash AS model FROM decisions AS d JOIN models ON models.id = d.model
         ORDER BY d.id";
    let mut statement = connection.prepare(sql).expect("version 2");
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        names.iter().enumerate().map(|(at, name)| Ok((name.clone(), row.get(at)?))).collect()
    });
    rows.expect("rows").collect::<rusqlite::Result<_>>().expect("rows")
}

/// Tables with their columns, indices and triggers, as far as the order of columns does not count.
fn shape(connection: &Connection) -> BTreeSet<String> {
    let columns =
        "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk
         FROM sqlite_schema AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'";
    let others = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema
         WHERE type <> 'table'";
    [columns, others]
        .iter()
        .flat_map(|sql| {
            let mut statement = connection.prepare(sql).expect("a schema");
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
            rows.collect::<rusqlite::Result<Vec<_>>>().expect("rows")
        })
        .collect()
}

#[test]
fn who_only_reads_does_not_migrate() {
    let place = version(VERSION_1);
    let told = Ledger::read(&place.path).expect_err("an older one");
    assert!(matches!(told, LedgerError::Older { found: 1, known: SCHEMA_VERSION, .. }));
    assert!(told.to_string().ends_with("`weir run` migrates it"), "{told}");
}

#[test]
#[ignore = "is run by another test, as the process that gets killed"]
fn the_migration_that_gets_killed() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let ledger = Ledger::open(Path::new(&path), &Options::default()).expect("a ledger");
    println!("\nmigrated from {:?}", ledger.migrated_from());
}

/// A file of version 1 that takes a while to migrate, as bytes.
fn long_version_1() -> Vec<u8> {
    let place = version(VERSION_1);
    let connection = place.raw();
    connection
        .execute(
            "INSERT INTO decisions
             SELECT NULL, run, window, at_ns, address, p_value, peer_score, flow_score, novelty,
                 excess, packets, bytes, verified, outcome, action, refusal, model, reasons
             FROM decisions, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?1)
                 SELECT i FROM n) WHERE id = 3",
            [MANY - 3],
        )
        .expect("many decisions");
    // The last one to close it writes everything into one file.
    drop(connection);
    fs::read(&place.path).expect("a file")
}

#[test]
fn a_migration_that_is_killed_leaves_the_old_version_or_the_new_one_whole() {
    let file = long_version_1();
    let migrate = |place: &Place| {
        fs::write(&place.path, &file).expect("a file");
        Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", "migration::the_migration_that_gets_killed", "--ignored"])
            .arg("--nocapture")
            .env(PATH, &place.path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this binary starts")
    };
    let began = Instant::now();
    let undisturbed = Place::new();
    let mut told = String::new();
    let mut child = migrate(&undisturbed);
    child.stdout.take().expect("its output").read_to_string(&mut told).expect("its output");
    assert!(child.wait().expect("it ends").success());
    assert!(told.contains("migrated from Some(1)"), "{told}");
    let longest = began.elapsed();

    let mut random = StdRng::seed_from_u64(3);
    let mut left = BTreeSet::new();
    for kill in 0..15 {
        let place = Place::new();
        let mut child = migrate(&place);
        std::thread::sleep(longest.mul_f64(random.random_range(0.0..1.1)));
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
        let connection = raw(&place.path);
        let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        left.insert(ask("SELECT user_version FROM pragma_user_version").expect("a version"));
        assert_eq!(ask("SELECT count(*) FROM decisions").expect("a table"), MANY);
        drop(connection);
        let ledger = place.open();
        assert_eq!(
            ledger.reader().counts().expect("counts").of(Table::Decisions).rows,
            MANY.unsigned_abs()
        );
        let sound: String = place
            .raw()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("a check of the file");
        assert_eq!(sound, "ok", "kill {kill}");
    }
    assert!(left.contains(&1), "no kill came before the end: {left:?}");
}
