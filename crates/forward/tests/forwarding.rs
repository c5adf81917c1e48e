//! From a node to a sink, over restarts and refusals.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use control::{Limits, Node as _, Server, ServerConfig, fake::FakeNode};
use jiff::Timestamp;
use weir_forward::{Format, Forwarder, Observer, Record, SendError, Sink, Spool};

const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    folder: tempfile::TempDir,
    node: Arc<FakeNode>,
    server: Option<Server>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Arc::new(FakeNode::busy());
        let mut bench = Self { folder, node, server: None };
        bench.start();
        bench
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("weir.sock")
    }

    fn start(&mut self) {
        let (socket, limits) = (self.socket(), Limits::default());
        let config = ServerConfig { socket, group: None, listen: None, limits };
        self.server = Some(Server::start(&config, self.node.clone()).unwrap());
    }

    fn tell(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.node.feed().push(&failure(number));
        }
    }

    fn forward(&self, to: &str) -> Running {
        let forwarder = Command::new(env!("CARGO_BIN_EXE_weir-forward"))
            .args(["--to", to, "--host", "gate", "--socket"])
            .arg(self.socket())
            .arg("--spool")
            .arg(self.folder.path().join("spool"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running(forwarder)
    }
}

/// A forwarder; killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn failure(number: u32) -> String {
    format!(r#"{{"event":"failure","what":"test","error":"{number}"}}"#)
}

/// Numbers of the events in a file, once there are so many.
fn numbers(path: &Path, wanted: usize) -> Vec<u32> {
    let started = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let number = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).expect(line);
            event["error"].as_str().unwrap().parse().unwrap()
        };
        let numbers: Vec<u32> =
            text.lines().filter(|line| line.contains("test")).map(number).collect();
        if numbers.len() >= wanted || started.elapsed() > PATIENCE {
            return numbers;
        }
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_is_lost_while_the_forwarder_or_the_node_is_away() {
    let mut bench = Bench::new();
    let path = bench.folder.path().join("events");
    let to = format!("file://{}", path.display());
    bench.tell(0..10);
    let forwarder = bench.forward(&to);
    assert_eq!(numbers(&path, 10), (0..10).collect::<Vec<_>>());
    drop(forwarder);
    bench.tell(10..20);
    let forwarder = bench.forward(&to);
    assert_eq!(numbers(&path, 20).len(), 20);
    // The same run at a new socket, as after a break of the connection.
    drop(bench.server.take());
    bench.tell(20..30);
    bench.start();
    let all = numbers(&path, 30);
    // What was under way at the kill may have come twice; in order, and none is missing.
    assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), (0..30).collect());
    drop(forwarder);
    // Another run of the node: what it told before is told to be unknown.
    bench.node = Arc::new(FakeNode::busy());
    drop(bench.server.take());
    bench.start();
    bench.tell(30..31);
    let forwarder = bench.forward(&to);
    assert_eq!(numbers(&path, all.len() + 1).last(), Some(&30));
    assert!(fs::read_to_string(&path).unwrap().contains("the node was started anew"));
    drop(forwarder);
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let bench = Bench::new();
    let said = |forwarder: Running| {
        let mut forwarder = forwarder;
        let mut lines = BufReader::new(forwarder.0.stderr.take().unwrap()).lines();
        lines.next().unwrap().unwrap()
    };
    assert!(said(bench.forward("tcp://x")).contains("`tcp://x` is no target"));
    let first = bench.forward("-");
    let started = Instant::now();
    while !bench.folder.path().join("spool/lock").exists() && started.elapsed() < PATIENCE {
        sleep(Duration::from_millis(10));
    }
    sleep(Duration::from_millis(200));
    assert!(said(bench.forward("-")).contains("is in use by another process"));
    drop(first);
}

/// Takes what it is told to.
#[derive(Default)]
struct Picky {
    taken: Vec<String>,
    refusals: u32,
    never: Option<&'static str>,
}

impl Sink for Picky {
    fn send(&mut self, records: &[Record]) -> Result<(), SendError> {
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(SendError::Later(std::io::Error::other("not now")));
        }
        if let Some(never) = self.never
            && records.iter().any(|record| record.text.contains(never))
        {
            return Err(SendError::Never("not this".to_owned()));
        }
        self.taken.extend(records.iter().map(|record| record.text.clone()));
        Ok(())
    }
}

fn forwarder(folder: &Path, bytes: u64, number: u32) -> Forwarder {
    let mut spool = Spool::open(folder, bytes).unwrap();
    for number in 0..number {
        spool.append(&format!("a-{number}"), Timestamp::UNIX_EPOCH, &failure(number)).unwrap();
    }
    Forwarder::new(spool, |_| {})
}

fn feed(forwarder: &Forwarder, sink: &mut Picky) {
    let observer = Observer { host: "gate".to_owned() };
    forwarder.drain(sink, Format::Json, &observer).unwrap();
}

#[test]
fn a_sink_that_refuses_for_a_while_gets_all_in_order_later() {
    let folder = tempfile::tempdir().unwrap();
    let forwarder = forwarder(folder.path(), 1_000_000, 300);
    let mut sink = Picky { refusals: 2, ..Picky::default() };
    feed(&forwarder, &mut sink);
    assert_eq!(sink.taken, (0..300).map(failure).collect::<Vec<_>>());
}

#[test]
fn an_event_that_a_sink_never_takes_is_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let forwarder = forwarder(folder.path(), 1_000_000, 20);
    let mut sink = Picky { never: Some(r#""error":"7""#), ..Picky::default() };
    feed(&forwarder, &mut sink);
    let others = (0..20).filter(|&number| number != 7).map(failure);
    let (last, taken) = sink.taken.split_last().unwrap();
    assert_eq!(taken, others.collect::<Vec<_>>());
    assert!(last.contains("an event was dropped"), "{last}");
}

#[test]
fn what_cannot_be_read_is_counted_and_told_to_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let forwarder = forwarder(folder.path(), 1_000_000, 3);
    let path = folder.path().join("000000000001.events");
    let mut lines = fs::read_to_string(&path).unwrap();
    lines += "a-3 2026-11-28T19:00:00Z {\"event\":\n\0\0\0\n";
    fs::write(&path, lines).unwrap();
    let mut sink = Picky::default();
    feed(&forwarder, &mut sink);
    let (last, taken) = sink.taken.split_last().unwrap();
    assert_eq!(taken, (0..3).map(failure).collect::<Vec<_>>());
    assert!(last.contains("2 events were left out"), "{last}");
}

#[test]
fn what_the_spool_could_not_hold_is_counted_and_told_to_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let forwarder = forwarder(folder.path(), 20_000, 1_000);
    // With the next that comes.
    let event = control::Followed::Event { id: "a-1000".to_owned(), json: failure(1_000) };
    forwarder.take(&event).unwrap();
    let mut sink = Picky::default();
    feed(&forwarder, &mut sink);
    let (told, taken): (Vec<String>, Vec<String>) =
        sink.taken.into_iter().partition(|line| line.contains("were dropped"));
    let number = |line: &String| {
        let text = line.split("\"error\":\"").nth(1).unwrap();
        text.split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    let lost: usize = told.iter().map(number).sum();
    assert!(lost > 0);
    assert_eq!(taken, (u32::try_from(lost).unwrap()..=1_000).map(failure).collect::<Vec<_>>());
}
