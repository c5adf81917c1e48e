//! Cost of a day of records: `cargo run -p ledger --example day`.
//!
//! 86,400 windows with five decisions each, of 762 addresses, one decision in fifty a block that
//! ends; prints bytes of the file, and how long questions about it take.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use events::{
    Action, ActionTaken, Claim, DecisionRecord, Evidence, Outcome, PValues, ProcedureChoice,
    Reason, Refusal, Scope, Service, Share, Stamp, Standing, Subject,
};
use jiff::Timestamp;
use ledger::{
    AlertQuery, Block, Decision, Ending, How, Ledger, Moment, Options, Origin, Record, Table,
    Window,
};

const WINDOWS: u64 = 86_400;
const DECISIONS: u64 = 5;
/// Windows in a transaction: the file is the same, and a day takes no day.
const TOGETHER: u64 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("ledger.db");
    let options = Options { max_age: Duration::from_hours(12), ..Options::default() };
    let mut ledger = Ledger::open(&path, &options)?;
    let empty = ledger.reader().counts()?.bytes;

    let before = cpu();
    for first in (1..=WINDOWS).step_by(usize::try_from(TOGETHER)?) {
        let records: Vec<Record> = (first..first + TOGETHER).flat_map(records).collect();
        ledger.append(&records)?;
    }
    let took = cpu().saturating_sub(before);
    let counts = ledger.reader().counts()?;
    let day = counts.bytes - empty;
    println!("{day} bytes a day, {empty} for nothing; written in {took:.1?} of CPU");
    for table in &counts.tables {
        println!("  {:>9} {}", table.rows, table.table.name());
    }
    sizes(&path)?;

    time("append of a window with 5 decisions, with its fsync", 100, |nth| {
        ledger.append(&records(WINDOWS + nth)).map(drop)
    })?;
    let before = ledger.reader().counts()?.bytes;
    time("100,000 imported blocks", 1, |_| {
        let imported = |id| Block { origin: Origin::Import, decision: None, ..block(id, 1) };
        let ids = u64::MAX / 4..u64::MAX / 4 + 100_000;
        ledger.append(&ids.map(|id| imported(id).into()).collect::<Vec<Record>>())
    })?;
    println!("  {:>9} bytes of them", ledger.reader().counts()?.bytes - before);
    let reader = ledger.reader();
    time("alerts of one address, first page", 20, |nth| {
        let address = Some(address(nth * 31));
        reader.alerts(&AlertQuery { address, ..AlertQuery::default() }).map(drop)
    })?;
    time("alerts that were acted on, first page", 20, |_| {
        let outcome = Some(ActionTaken::Blocked);
        reader.alerts(&AlertQuery { outcome, ..AlertQuery::default() }).map(drop)
    })?;
    time("active blocks", 20, |_| reader.active(at(WINDOWS).wall_ns).map(drop))?;
    time("counts", 3, |_| reader.counts().map(drop))?;
    time("a step of retention", 10, |_| ledger.retain(at(WINDOWS).wall_ns).map(drop))?;
    let removed = ledger.reader().counts()?.of(Table::Decisions).removed;
    println!("  ({removed} decisions removed)");
    Ok(())
}

fn time<E: std::error::Error + 'static>(
    what: &str,
    times: u64,
    mut each: impl FnMut(u64) -> Result<(), E>,
) -> Result<(), E> {
    let (started, before) = (Instant::now(), cpu());
    for nth in 1..=times {
        each(nth)?;
    }
    let [wall, cpu] = [started.elapsed(), cpu().saturating_sub(before)]
        .map(|took| took / u32::try_from(times).unwrap_or(u32::MAX));
    println!("{what}: {cpu:.2?} of CPU, {wall:.2?} in all");
    Ok(())
}

/// CPU time of this thread so far: what is left when other work shares the machine.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = told.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

fn sizes(path: &Path) -> std::io::Result<()> {
    println!("  {:>9} bytes of file", std::fs::metadata(path)?.len());
    Ok(())
}

fn at(second: u64) -> Moment {
    let boot_ns = second * 1_000_000_000;
    Moment { wall_ns: 1_700_000_000_000_000_000 + i64::try_from(boot_ns).unwrap_or(0), boot_ns }
}

/// An address of the documentation networks.
fn address(number: u64) -> IpAddr {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let [high, low] = [(mixed / 254 % 3), (mixed % 254 + 1)];
    let low = u8::try_from(low).unwrap_or(1);
    IpAddr::V4(match high {
        0 => Ipv4Addr::new(192, 0, 2, low),
        1 => Ipv4Addr::new(198, 51, 100, low),
        _ => Ipv4Addr::new(203, 0, 113, low),
    })
}

fn records(number: u64) -> Vec<Record> {
    let window = Window {
        run: 1,
        number,
        start: at(number - 1),
        end: at(number),
        flows: 1_240,
        peers: 310,
        packets: 91_000 + number,
        mode: "enforce".into(),
        ..Window::default()
    };
    let mut records = vec![window.into()];
    for nth in 0..DECISIONS {
        let id = number * DECISIONS + nth;
        let acted = id.is_multiple_of(50);
        records.push(decision(id, number, acted).into());
        if acted {
            let block = block(id, number);
            records.push(ending(&block, number).into());
            records.insert(records.len() - 1, block.into());
        }
    }
    records
}

fn decision(id: u64, window: u64, acted: bool) -> Decision {
    let evidence = Evidence {
        address: address(id),
        p_value: 0.000_512,
        conditional_p_value: 0.002_1,
        peer_score: 0.71,
        horizon_ms: 1_000,
        tail_score: 12.5,
        surprise: 4.1,
        packets: 420 + id % 512,
        bytes: 25_000 + id % 65_536,
        standing: Standing::Proven,
        new_or_large: false,
        failed_log_ins: 0,
        log_ins_alike: 0,
        row_packets: 0,
        flows: 3,
        service: Some(Service { protocol: 6, port: 443 }),
    };
    let claim = Claim {
        contradicted: None,
        rate: Share::TENTH,
        procedure: ProcedureChoice::PerWindow,
        p_values: PValues::Conditional,
        p_value: 0.002_1,
        level: 0.000_322,
        held_out: Some(2_400),
        needed: 9_210,
        supported: false,
    };
    let (outcome, taken) = if acted {
        let (action, ttl) = (Action::Drop, Duration::from_mins(10));
        let expires_ns = at(window + 600).boot_ns;
        let block = Outcome::Block {
            action,
            scope: Scope::Inbound,
            ttl,
            expires_ns,
            offence: 1,
            early: false,
        };
        (block, ActionTaken::Blocked)
    } else {
        (Outcome::Refused(Refusal::TooFewWindows), ActionTaken::Refused)
    };
    let Moment { wall_ns, boot_ns } = at(window);
    let time = Timestamp::from_nanosecond(wall_ns.into()).unwrap_or_default();
    let stamp = Stamp { id, window, at_ns: boot_ns, time };
    let reasons = vec![
        reason("syn_without_answer_ratio", 0.98, 0.05),
        reason("distinct_local_ports", 412.0, 9.0),
        reason("flows_opened", 415.0, 31.0),
    ];
    let decided = events::Decision { evidence, claim, outcome };
    let record = DecisionRecord::of(stamp, decided, taken, reasons);
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
        share: 0.333,
    }
}

fn block(id: u64, window: u64) -> Block {
    Block {
        id,
        run: 1,
        target: address(id).into(),
        action: Action::Drop,
        made: at(window),
        expires: at(window + 600),
        origin: Origin::Model,
        decision: Some(id),
        who: None,
        reason: None,
    }
}

fn ending(block: &Block, window: u64) -> Ending {
    Ending {
        block: block.id,
        run: 1,
        at_ns: at(window + 600).wall_ns,
        target: block.target,
        how: How::Expired,
        dropped_packets: 51_200,
        dropped_bytes: 3_072_000,
        passed_packets: 0,
        passed_bytes: 0,
    }
}
