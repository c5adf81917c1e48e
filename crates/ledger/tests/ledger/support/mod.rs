//! A story to record, the same for the same number, and ways to look at what became of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use events::{
    Action, ActionTaken, DecisionRecord, Evidence, Reason, Refusal, Service, Standing, Subject,
};
use jiff::Timestamp;
use ledger::{
    Act, Actor, Block, Decision, Difference, Ending, How, Ledger, Moment, Options, Origin,
    PreviousEnd, Record, Run, Stop, Window,
};
use rusqlite::Connection;

/// Wall-clock ns of the story's begin.
pub(crate) const START_NS: i64 = 1_700_000_000_000_000_000;
pub(crate) const SECOND_NS: i64 = 1_000_000_000;

/// A folder and the ledger's path in it.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        Self { _folder: folder, path }
    }

    pub(crate) fn open(&self) -> Ledger {
        self.open_with(&Options::default())
    }

    pub(crate) fn open_with(&self, options: &Options) -> Ledger {
        Ledger::open(&self.path, options).expect("a ledger")
    }

    /// A connection as any other program would open it.
    pub(crate) fn raw(&self) -> Connection {
        raw(&self.path)
    }
}

pub(crate) fn raw(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("SQLite opens it");
    connection.busy_timeout(Duration::from_secs(5)).expect("a timeout");
    connection
}

/// Wall and boot clock, this many seconds into the story.
pub(crate) fn at(second: u64) -> Moment {
    Moment { wall_ns: wall(second), boot_ns: 5_000_000_000 + second * 1_000_000_000 }
}

pub(crate) fn wall(second: u64) -> i64 {
    START_NS + i64::try_from(second).expect("a short story") * SECOND_NS
}

pub(crate) fn peer(number: u64) -> IpAddr {
    let [.., low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, low))
}

pub(crate) fn run(id: u64) -> Run {
    Run {
        id,
        start: at(0),
        boot_id: "3f0c1d9e-boot".into(),
        version: "0.2.0".into(),
        config: "c0ffee".into(),
        model: "ab".repeat(32).into(),
        mode: "enforce".into(),
        previous: PreviousEnd::None,
    }
}

pub(crate) fn stop(run: u64, second: u64) -> Stop {
    Stop { run, at: at(second), why: "signal".into() }
}

pub(crate) fn window(number: u64) -> Window {
    Window {
        run: 1,
        number,
        start: at(number - 1),
        end: at(number),
        flows: 40 + number % 7,
        peers: 12,
        packets: 9_000 + number,
        losses: number % 3,
        lossy: number.is_multiple_of(3),
        drifting: false,
        mode: "enforce".into(),
    }
}

pub(crate) fn time(wall_ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(wall_ns.into()).expect("a time")
}

pub(crate) fn decision(id: u64, window: u64) -> Decision {
    let record = DecisionRecord {
        incident: None,
        id,
        time: time(wall(window)),
        at_ns: at(window).boot_ns,
        window,
        evidence: Evidence {
            address: peer(id),
            p_value: 0.000_5,
            conditional_p_value: 0.002,
            peer_score: 0.75,
            horizon_ms: 10_000,
            tail_score: 12.5,
            surprise: 4.1,
            packets: 420 + id,
            bytes: 25_000 + id,
            standing: Standing::Proven,
            new_or_large: false,
            failed_log_ins: 0,
            log_ins_alike: 0,
            row_packets: 0,
            flows: 3,
            service: Some(Service { protocol: 6, port: 443 }),
        },
        claim: None,
        outcome: ActionTaken::Refused,
        action: None,
        scope: None,
        refusal: Some(Refusal::TooFewWindows),
        ttl_s: 0,
        offence: 0,
        early: false,
        reasons: vec![
            reason("syn_without_answer_ratio", 0.98, 0.05),
            reason("distinct_local_ports", 412.0, 9.0),
            reason("flows_opened", 415.0, 31.0),
        ],
    };
    Decision { run: 1, model: "ab".repeat(32).into(), record }
}

fn reason(feature: &str, value: f32, benign_high: f32) -> Reason {
    Reason {
        subject: Subject::Peer,
        feature: feature.to_owned(),
        unit: String::new(),
        value,
        benign_low: 0.0,
        benign_high,
        share: 0.25,
    }
}

/// The decision with another record.
pub(crate) fn altered(mut decision: Decision, alter: impl FnOnce(&mut DecisionRecord)) -> Decision {
    alter(&mut decision.record);
    decision
}

/// The same, but acted on.
pub(crate) fn decisive(id: u64, window: u64) -> Decision {
    altered(decision(id, window), |record| {
        record.outcome = ActionTaken::Blocked;
        record.action = Some(Action::Drop);
        record.refusal = None;
        record.offence = 1;
        record.ttl_s = 600;
    })
}

/// A block of ten minutes, made of the decision with its number.
pub(crate) fn block(id: u64, window: u64) -> Block {
    Block {
        id,
        run: 1,
        target: peer(id).into(),
        action: Action::Drop,
        made: at(window),
        expires: at(window + 600),
        origin: Origin::Model,
        decision: Some(id),
        who: None,
        reason: None,
    }
}

pub(crate) fn ending(block: &Block, second: u64, how: How) -> Ending {
    Ending {
        block: block.id,
        run: 1,
        at_ns: wall(second),
        target: block.target,
        how,
        dropped_packets: 512,
        dropped_bytes: 30_720,
        passed_packets: 3,
        passed_bytes: 180,
    }
}

pub(crate) fn act(second: u64, what: &'static str) -> Act {
    Act {
        run: 1,
        at_ns: wall(second),
        who: Actor { uid: Some(1_000), pid: Some(4_242), name: "ada".into() },
        what: what.into(),
        arguments: r#"{"target":"198.51.100.7"}"#.into(),
        outcome: "done".into(),
    }
}

pub(crate) fn difference(run: u64, second: u64) -> Difference {
    Difference {
        run,
        at_ns: wall(second),
        kind: "unknown_entry".into(),
        target: Some("198.51.100.0/24".parse().expect("a prefix")),
        detail: "in the kernel until 12:00, not in the ledger".into(),
        done: "kept".into(),
    }
}

/// Decisions of a window in the story: sometimes none, sometimes a flood.
pub(crate) fn decisions_in(number: u64) -> u64 {
    if number.is_multiple_of(10) { 60 } else { number % 4 }
}

/// The batch of a window: the window, its decisions, and a block of the first of them.
///
/// A decision's number is made of the window's, so that a batch in part shows.
pub(crate) fn batch(number: u64) -> Vec<Record> {
    let mut records = vec![window(number).into()];
    for nth in 0..decisions_in(number) {
        let id = number * 100 + nth;
        if nth == 0 {
            records.push(decisive(id, number).into());
            records.push(block(id, number).into());
        } else {
            records.push(decision(id, number).into());
        }
    }
    records
}

/// Rows of the story in a file: by window, the numbers of windows, decisions and blocks.
///
/// # Panics
/// If SQLite finds the file damaged.
pub(crate) fn batches_in(connection: &Connection) -> BTreeMap<u64, [u64; 3]> {
    let sound: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a check of the file");
    assert_eq!(sound, "ok");
    let mut found = BTreeMap::<u64, [u64; 3]>::new();
    let queries = [
        "SELECT number, count(*) FROM windows GROUP BY 1",
        "SELECT json_extract(record, '$.window'), count(*) FROM decisions GROUP BY 1",
        "SELECT (boot_ns - 5000000000) / 1000000000, count(*) FROM blocks GROUP BY 1",
    ];
    for (place, sql) in queries.iter().enumerate() {
        let mut statement = connection.prepare(sql).expect("tables");
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            let number = row.get::<_, i64>(0).expect("a number").unsigned_abs();
            let count = row.get::<_, i64>(1).expect("a count").unsigned_abs();
            found.entry(number).or_default()[place] = count;
        }
    }
    found
}

/// Rows of the story in a file that has the batch of this window.
pub(crate) fn whole(number: u64) -> [u64; 3] {
    let decisions = decisions_in(number);
    [1, decisions, decisions.min(1)]
}
