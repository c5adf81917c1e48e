//! A loss of power leaves what was written and synced, and of the rest any part or none.
//!
//! It is played on copies: the database as it was, and the WAL cut off at any byte or with rubbish
//! behind; and a checkpoint of which any sectors had got to the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use ledger::{Ledger, Options};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::support::{Place, batch, batches_in, raw, run, whole};

const SECTOR: usize = 512;
const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A WAL as SQLite's file format describes it (sqlite.org/fileformat2.html, section 4).
struct Wal {
    /// Changes whenever the WAL begins anew.
    salt: [u8; 8],
    /// End of the last commit.
    end: usize,
}

impl Wal {
    fn of(bytes: &[u8]) -> Self {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let salt: [u8; 8] = bytes[16..24].try_into().expect("8 bytes");
        let frame = FRAME_HEADER + usize::try_from(number(8)).expect("a page size");
        let mut end = WAL_HEADER;
        let mut at = WAL_HEADER;
        // Frames of the time before the WAL began anew have another salt.
        while at + frame <= bytes.len() && bytes[at + 8..at + 16] == salt {
            let commits = number(at + 4) != 0;
            at += frame;
            end = if commits { at } else { end };
        }
        Self { salt, end }
    }
}

fn wal_of(path: &Path) -> PathBuf {
    path.with_extension("db-wal")
}

/// Rows of a ledger after the power came back over these files.
fn recovered(database: &[u8], wal: &[u8]) -> BTreeMap<u64, [u64; 3]> {
    let place = Place::new();
    fs::write(&place.path, database).expect("a file");
    fs::write(wal_of(&place.path), wal).expect("a file");
    drop(place.open());
    batches_in(&place.raw())
}

fn assert_holds(found: &BTreeMap<u64, [u64; 3]>, expected: &BTreeSet<u64>, when: &str) {
    assert_eq!(&found.keys().copied().collect::<BTreeSet<_>>(), expected, "{when}");
    for (&number, counts) in found {
        assert_eq!(counts, &whole(number), "{when}: batch {number}");
    }
}

/// Bytes that may lie behind the part of a WAL that had been synced.
fn rubbish(random: &mut StdRng, bytes: usize) -> Vec<u8> {
    match random.random_range(0..3) {
        0 => Vec::new(),
        1 => vec![0; bytes],
        _ => (0..bytes).map(|_| random.random()).collect(),
    }
}

#[test]
fn a_wal_that_is_cut_anywhere_holds_each_batch_before_the_cut_and_none_behind() {
    const BATCHES: u64 = 120;
    let mut random = StdRng::seed_from_u64(5);
    let place = Place::new();
    let mut ledger = place.open_with(&Options { checkpoint_pages: 60, ..Options::default() });
    ledger.append(&[run(1).into()]).expect("recorded");
    // Each batch, in which life of the WAL it was acknowledged, and where that one ended then.
    let mut acknowledged: Vec<(u64, [u8; 8], usize)> = Vec::new();
    let mut before = (Wal::of(&fs::read(wal_of(&place.path)).expect("a WAL")).salt, Vec::new());
    let (mut cuts, mut lives) = (0, 1);
    for number in 1..=BATCHES {
        ledger.append(&batch(number)).expect("recorded");
        let database = fs::read(&place.path).expect("a file");
        let bytes = fs::read(wal_of(&place.path)).expect("a WAL");
        let wal = Wal::of(&bytes);
        let last_end = acknowledged
            .last()
            .filter(|(_, salt, _)| *salt == wal.salt)
            .map_or(WAL_HEADER, |&(_, _, end)| end);
        acknowledged.push((number, wal.salt, wal.end));
        if wal.salt != before.0 {
            lives += 1;
            before.0 = wal.salt;
            before.1.clear();
        }
        if before.1.is_empty() {
            before.1.clone_from(&database);
        }
        // A checkpoint syncs the WAL before it touches the database: no cut may come before it.
        let checkpointed = before.1 != database;
        let earliest = match (checkpointed, random.random_bool(0.5)) {
            (true, _) => wal.end,
            (false, true) => last_end,
            (false, false) => 0,
        };
        let cut = random.random_range(earliest..=bytes.len());
        let mut left = bytes[..cut].to_vec();
        left.extend(rubbish(&mut random, bytes.len() - cut));
        let expected = acknowledged
            .iter()
            .filter(|(_, salt, end)| *salt != wal.salt || *end <= cut)
            .map(|&(number, ..)| number)
            .collect();
        let when = format!("batch {number}, cut at {cut} of {}", wal.end);
        assert_holds(&recovered(&database, &left), &expected, &when);
        cuts += u32::from(cut < wal.end);
    }
    println!("{cuts} cuts into what was synced, {lives} lives of the WAL");
    assert!(cuts > 20 && lives > 5, "{cuts} cuts, {lives} lives");
}

#[test]
fn a_checkpoint_of_which_any_sectors_got_to_the_disk_loses_nothing() {
    const BATCHES: u64 = 60;
    let mut random = StdRng::seed_from_u64(6);
    let place = Place::new();
    let mut ledger =
        place.open_with(&Options { checkpoint_pages: 1_000_000, ..Options::default() });
    ledger.append(&[run(1).into()]).expect("recorded");
    let other = raw(&place.path);
    let checkpoint = || {
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        let pages = other.query_row(sql, [], |row| Ok([row.get::<_, i64>(1)?, row.get(2)?]));
        let [pages, done] = pages.expect("a checkpoint");
        assert!(pages > 0 && done == pages, "{done} of {pages}");
    };
    for number in 1..=BATCHES / 2 {
        ledger.append(&batch(number)).expect("recorded");
    }
    checkpoint();
    for number in BATCHES / 2 + 1..=BATCHES {
        ledger.append(&batch(number)).expect("recorded");
    }
    let files = || [&place.path, &wal_of(&place.path)].map(|path| fs::read(path).expect("a file"));
    let [old, wal] = files();
    checkpoint();
    let [new, same] = files();
    assert_eq!(wal, same);
    assert_ne!(old, new);
    let expected = (1..=BATCHES).collect();
    for round in 0..25 {
        let share = random.random_range(0.0..1.0);
        let mut torn = if random.random_bool(0.5) { old.clone() } else { new.clone() };
        for (sector, bytes) in torn.chunks_mut(SECTOR).enumerate() {
            let from = if random.random_bool(share) { &new } else { &old };
            // Behind the old end there is nothing, or what was just written.
            match from.get(sector * SECTOR..sector * SECTOR + bytes.len()) {
                Some(written) => bytes.copy_from_slice(written),
                None => bytes.fill(0),
            }
        }
        assert_holds(&recovered(&torn, &wal), &expected, &format!("round {round}"));
    }
}

#[test]
fn what_a_lost_batch_took_its_place_for_is_not_there_twice() {
    // After the loss the same numbers are recorded again, with the same identities.
    let place = Place::new();
    let mut ledger = place.open();
    ledger.append(&batch(1)).expect("recorded");
    let (database, wal) =
        (fs::read(&place.path).expect("a file"), fs::read(wal_of(&place.path)).expect("a WAL"));
    ledger.append(&batch(2)).expect("recorded");
    drop(ledger);

    let after = Place::new();
    fs::write(&after.path, database).expect("a file");
    fs::write(wal_of(&after.path), wal).expect("a file");
    let mut ledger = Ledger::open(&after.path, &Options::default()).expect("a ledger");
    assert_eq!(ledger.ids().expect("numbers").next_decision(), 101);
    ledger.append(&batch(2)).expect("recorded");
    assert_holds(&batches_in(&after.raw()), &BTreeSet::from([1, 2]), "again");
}
