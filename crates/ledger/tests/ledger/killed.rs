//! A writer that is killed at any moment loses nothing that it had acknowledged, and leaves no
//! batch in part.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use ledger::{Ledger, Options};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::{Place, batch, batches_in, run, wall, whole};

/// File that the child writes; only a child has it.
const PATH: &str = "WEIR_TEST_LEDGER";
/// Moments of death.
const KILLS: usize = 200;
/// Kills that one file goes through: recovering what was recovered must work as well.
const KILLS_A_FILE: usize = 20;

/// Small bounds, so that a checkpoint or a step of retention is often what is cut short.
fn options() -> Options {
    Options { checkpoint_pages: 25, max_age: Duration::from_mins(2), ..Options::default() }
}

#[test]
#[ignore = "is run by another test, as the process that gets killed"]
fn the_process_that_gets_killed() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let mut ledger = Ledger::open(Path::new(&path), &options()).expect("a ledger");
    let last = ledger.reader().last_run().expect("read");
    let mut number = last.and_then(|last| last.window).map_or(0, |window| window.number);
    println!("\nopened");
    if number == 0 {
        let mut first = vec![run(1).into()];
        first.extend(batch(1));
        ledger.append(&first).expect("room");
        println!("acknowledged 1");
        number = 1;
    }
    loop {
        number += 1;
        ledger.append(&batch(number)).expect("room");
        // A row acknowledged here must be there whatever comes.
        println!("acknowledged {number}");
        if number.is_multiple_of(8) {
            ledger.retain(wall(number)).expect("room");
        }
    }
}

/// From when on a moment of death counts.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Start,
    Opened,
    FirstBatch,
}

/// Starts a child, kills it after a moment, and returns the last batch that it acknowledged.
fn write_until_killed(path: &Path, from: From, after: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "killed::the_process_that_gets_killed", "--ignored", "--nocapture"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this binary starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut lines = lines.map_while(Result::ok);
    let number = |line: String| line.strip_prefix("acknowledged ")?.parse::<u64>().ok();
    let first = match from {
        From::Start => None,
        From::Opened => {
            let opened = lines.any(|line| line == "opened");
            assert!(opened, "the child cannot open what the last one left");
            None
        }
        From::FirstBatch => {
            let first = lines.find_map(number);
            assert!(first.is_some(), "the child cannot go on where the last one ended");
            first
        }
    };
    thread::sleep(after);
    child.kill().expect("kill -9");
    let last = lines.filter_map(number).last();
    child.wait().expect("it is gone");
    last.or(first)
}

/// Rows of the batches that retention had not come to.
fn kept(path: &Path) -> BTreeMap<u64, [u64; 3]> {
    let connection = crate::support::raw(path);
    let exists = "SELECT count(*) FROM sqlite_schema WHERE name = 'retention'";
    if connection.query_row(exists, [], |row| row.get::<_, i64>(0)).expect("a database") == 0 {
        return BTreeMap::new();
    }
    let horizon: i64 = connection
        .query_row("SELECT max(before_ns) FROM retention WHERE name <> 'endings'", [], |row| {
            row.get(0)
        })
        .expect("retention's account");
    let mut found = batches_in(&connection);
    found.retain(|&number, _| wall(number) >= horizon);
    found
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let mut random = StdRng::seed_from_u64(4);
    let (mut unopened, mut unacknowledged, mut acknowledged) = (0, 0, 0_usize);
    let mut place = Place::new();
    let mut last = 0;
    for kill in 0..KILLS {
        if kill % KILLS_A_FILE == 0 {
            place = Place::new();
            last = 0;
        }
        let from = [From::Start, From::FirstBatch, From::Opened, From::FirstBatch][kill % 4];
        let longest = if from == From::Start { 15_000 } else { 25_000 };
        let after = Duration::from_micros(random.random_range(0..longest));
        let told = write_until_killed(&place.path, from, after);
        last = told.unwrap_or(last);
        acknowledged += usize::from(told.is_some());
        if !place.path.exists() {
            unopened += 1;
            continue;
        }
        if kill % 3 == 0 {
            // Whoever only reads recovers as well as whoever writes on.
            match Ledger::read(&place.path) {
                Ok(reader) => assert!(reader.counts().is_ok()),
                Err(error) => assert_eq!(last, 0, "kill {kill}: {error}"),
            }
        }
        let found = kept(&place.path);
        unopened += u32::from(found.is_empty());
        let newest = found.keys().next_back().copied().unwrap_or(0);
        // At most the one batch that was just being acknowledged is there beyond.
        assert!(
            newest == last || newest == last + 1,
            "kill {kill}: {last} acknowledged, {newest} there"
        );
        unacknowledged += u32::from(newest > last);
        let oldest = found.keys().next().copied().unwrap_or(1);
        for number in oldest..=newest {
            assert_eq!(found.get(&number), Some(&whole(number)), "kill {kill}: batch {number}");
        }
        last = newest;
    }
    println!(
        "{acknowledged} kills while writing, {unacknowledged} before the word got out, {unopened} before anything"
    );
    assert!(acknowledged >= KILLS / 2, "{acknowledged}");
}
