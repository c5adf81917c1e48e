//! Captures as people have them: cut, empty, out of order, twice, by the hundred, of two years.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use dataset::{Columns, Dataset, Selection, TableKind};
use serde_json::Value;

use crate::support::{assert_one_line, told};

const SECOND: u64 = 1_000_000_000;
/// 2026-01-31T12:00:00Z.
const NOON: u64 = 1_769_860_800;
const HOME: &str = "--home-net=192.0.2.1";

/// Capture time in ns, and an Ethernet frame.
type Frame = (u64, Vec<u8>);

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn weir(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(words).env_remove("WEIR_LOG").current_dir(self.0.path());
        command.output().expect("it starts")
    }

    /// Writes a capture of microseconds.
    fn capture(&self, name: &str, frames: &[Frame]) {
        let mut file =
            [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
        for (time_ns, bytes) in frames {
            let length = u32::try_from(bytes.len()).expect("short");
            let [seconds, micros] = [time_ns / SECOND, time_ns % SECOND / 1_000]
                .map(|part| u32::try_from(part).expect("32 bits"));
            file.extend([seconds, micros, length, length].map(u32::to_le_bytes).concat());
            file.extend(bytes);
        }
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        fs::write(path, file).expect("room");
    }

    fn rows(&self, folder: &str, table: TableKind) -> u64 {
        Dataset::open(&[self.path(folder)]).expect("tables").rows(table)
    }
}

/// A UDP packet to 192.0.2.1, port 53.
fn query(client: [u8; 4], port: u16) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([client, [192, 0, 2, 1]].concat());
    frame.extend([port, 53, 12, 0].map(u16::to_be_bytes).concat());
    frame.extend([1, 2, 3, 4]);
    frame
}

/// Queries of a few clients over so many seconds, ten a second.
fn queries(start_s: u64, seconds: u64) -> Vec<Frame> {
    (0..10 * seconds)
        .map(|number| {
            let client = [198, 51, 100, 1 + u8::try_from(number % 7).expect("small")];
            let port = 40_000 + u16::try_from(number % 900).expect("small");
            (start_s * SECOND + number * SECOND / 10, query(client, port))
        })
        .collect()
}

fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The JSON lines of a command's output.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn an_exit_code_says_whether_a_capture_was_whole_cut_or_empty() {
    let desk = Desk::new();
    desk.capture("whole.pcap", &queries(NOON, 3));
    desk.capture("header.pcap", &[]);
    desk.capture("cut.pcap", &queries(NOON, 3));
    let bytes = fs::read(desk.path("cut.pcap")).expect("there");
    fs::write(desk.path("cut.pcap"), &bytes[..bytes.len() - 5]).expect("room");
    for (name, code, words, state) in [
        ("whole.pcap", 0, "", "done"),
        ("header.pcap", 4, "nothing found: there is no frame", "nothing"),
        ("cut.pcap", 3, "done in part: 1 records of cut.pcap (cut_file)", "in_part"),
    ] {
        for more in [&[][..], &["--out=tables"]] {
            let words_typed = [&["replay", name, HOME, "--json"], more].concat();
            let output = desk.weir(&words_typed);
            let error = error_of(&output);
            assert_eq!(output.status.code(), Some(code), "{name} {more:?}: {error}");
            assert!(error.contains(words) && error.lines().count() <= 1, "{error}");
            assert_eq!(lines(&output)[0]["state"], state, "{name}");
        }
    }
    // Learning from less than was captured is told too.
    desk.capture("long.pcap", &queries(NOON, 60));
    let learn = ["learn", "--pcap=long.pcap", HOME, "--trees=5", "--out=a.weir"];
    assert_eq!(desk.weir(&learn).status.code(), Some(0));
    let bytes = fs::read(desk.path("long.pcap")).expect("there");
    fs::write(desk.path("long.pcap"), &bytes[..bytes.len() - 5]).expect("room");
    let output = desk.weir(&learn);
    assert_eq!(output.status.code(), Some(3), "{}", error_of(&output));
}

#[test]
fn a_truth_that_matches_nothing_is_told_by_the_exit_code() {
    let desk = Desk::new();
    desk.capture("a.pcap", &queries(NOON, 60));
    told(&desk.weir(&["replay", "a.pcap", HOME, "--out=tables"]));
    let truth = |name: &str, remote: &str| {
        let line =
            format!("from,to,remote,class\n2026-01-31T12:00:10Z,2026-01-31T12:00:20Z,{remote},x\n");
        fs::write(desk.path(name), line).expect("room");
    };
    truth("right.csv", "198.51.100.3");
    truth("wrong.csv", "203.0.113.3");
    told(&desk.weir(&["train", "tables", "--trees=5", "--out=m.weir"]));
    let label = |names: &[&str]| {
        let mut words = vec!["label", "tables", "--rest=benign"];
        words.extend(names.iter().flat_map(|name| ["--truth", name]));
        desk.weir(&words)
    };
    assert_eq!(label(&["right.csv"]).status.code(), Some(0));
    let output = label(&["wrong.csv"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(error_of(&output).starts_with("weir: nothing found: x matched no row"));
    let experiment = |name: &str| {
        let set = "expert.act_surprise=4";
        let words = ["experiment", "a.pcap", HOME, "-m=m.weir", "--set", set, "--truth", name];
        desk.weir(&words)
    };
    assert_eq!(experiment("right.csv").status.code(), Some(0));
    let output = experiment("wrong.csv");
    assert_eq!(output.status.code(), Some(4), "{}", error_of(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("match no peer of the data"));
    // So is a selection that no row is of.
    let none = desk.weir(&["score", "tables", "-m=m.weir", "--from=2030-01-01"]);
    assert_eq!(none.status.code(), Some(4));
    assert!(error_of(&none).contains("nothing found: no row"), "{}", error_of(&none));
}

#[test]
fn a_second_replay_of_the_same_frames_replaces_the_first() {
    let desk = Desk::new();
    desk.capture("a.pcap", &queries(NOON, 5));
    let replay = |name: &str| {
        let output = desk.weir(&["replay", name, HOME, "--out=tables", "--json"]);
        told(&output);
        lines(&output).remove(0)
    };
    let first = replay("a.pcap");
    assert_eq!(first["replaced"].as_array().map(Vec::len), Some(0));
    let rows = desk.rows("tables", TableKind::Flow);
    // The same frames, in another file and compressed.
    let packed = zstd::encode_all(&fs::read(desk.path("a.pcap")).expect("there")[..], 1);
    fs::write(desk.path("b.pcap.zst"), packed.expect("in memory")).expect("room");
    let second = replay("b.pcap.zst");
    assert_eq!(second["replaced"].as_array().map(Vec::len), Some(6), "{second}");
    assert_eq!(desk.rows("tables", TableKind::Flow), rows, "not doubled");
    // Flows, peers, hosts, nets, windows and whole flows, and nothing else.
    assert_eq!(second["written"].as_array().map(Vec::len), Some(6), "{second}");
    let output = desk.weir(&["replay", "-", HOME, "--out=tables"]);
    assert_one_line(&output, &["`-` can be read only once", "save it to a file"]);
}

#[test]
fn the_home_side_is_checked_against_the_data_and_proposed() {
    let desk = Desk::new();
    desk.capture("a.pcap", &queries(NOON, 60));
    let words = [
        "without --home-net private addresses are local",
        "--home-net=192.0.2.1 (at one end of 100 %",
    ];
    for command in
        [&["replay", "a.pcap", "--out=tables"][..], &["learn", "--pcap=a.pcap", "--out=m.weir"]]
    {
        assert_one_line(&desk.weir(command), &words);
    }
    assert!(!desk.path("tables").exists() && !desk.path("m.weir").exists());
    // Counting alone needs no side, and says that it has none.
    let text = told(&desk.weir(&["replay", "a.pcap"]));
    assert!(text.contains("--home-net=192.0.2.1 (at one end"), "{text}");
    told(&desk.weir(&["learn", "--pcap=a.pcap", HOME, "--trees=5", "--out=m.weir"]));
    assert_one_line(&desk.weir(&["replay", "a.pcap", "--score=m.weir"]), &words);
    let output = desk.weir(&["experiment", "a.pcap", "-m=m.weir"]);
    assert_one_line(&output, &words);
    // Where private addresses tell the side, nothing need be said.
    let private: Vec<Frame> = queries(NOON, 3)
        .into_iter()
        .map(|(time, mut frame)| {
            frame[30..34].copy_from_slice(&[10, 0, 0, 1]);
            (time, frame)
        })
        .collect();
    desk.capture("private.pcap", &private);
    told(&desk.weir(&["replay", "private.pcap", "--out=tables"]));
    let dataset = Dataset::open(&[desk.path("tables")]).expect("tables");
    let file = dataset.files(TableKind::Peer).next().expect("one");
    assert_eq!(file.provenance.home.as_deref(), Some("private"));
}

#[test]
fn a_capture_out_of_order_gives_the_rows_of_the_one_in_order() {
    let desk = Desk::new();
    let frames = queries(NOON, 60);
    desk.capture("order.pcap", &frames);
    // Three captures joined in the wrong order: minutes of time set back.
    let shuffled = [&frames[400..], &frames[..200], &frames[200..400]].concat();
    desk.capture("shuffled.pcap", &shuffled);
    let features = |name: &str, folder: &str| {
        let output = desk.weir(&["replay", name, HOME, "--json", "--out", folder]);
        told(&output);
        let summary = lines(&output).remove(0);
        let dataset = Dataset::open(&[desk.path(folder)]).expect("tables");
        let rows: Vec<f32> = dataset
            .blocks(TableKind::Peer, &Selection::default())
            .flat_map(|block| block.expect("whole").rows)
            .collect();
        (summary["files"][0]["backwards"].as_u64(), rows)
    };
    let (_, expected) = features("order.pcap", "one");
    let (backwards, rows) = features("shuffled.pcap", "two");
    assert_eq!(backwards, Some(1));
    assert!(rows == expected && !rows.is_empty());
}

#[test]
fn captures_of_two_years_are_no_one_timeline() {
    let desk = Desk::new();
    desk.capture("all/old.pcap", &queries(NOON - 400 * 86_400, 3));
    desk.capture("all/new.pcap", &queries(NOON, 3));
    for words in [&["all"][..], &["all/*.pcap"], &["all/new.pcap", "all/old.pcap"]] {
        let output = desk.weir(&[&["replay", HOME, "--out=tables"], words].concat());
        let words =
            ["all/old.pcap` ends at 2024-12-27T12:00:02Z", "399 days later", "--each", "--merge"];
        assert_one_line(&output, &words);
    }
    assert!(!desk.path("tables").exists());
    told(&desk.weir(&["replay", HOME, "all", "--merge", "--out=merged"]));
    let text = told(&desk.weir(&["replay", HOME, "all", "--each", "--out=each"]));
    assert_eq!(text.matches("done").count(), 3, "{text}");
    for folder in ["merged", "each"] {
        assert_eq!(desk.rows(folder, TableKind::Window), 6);
    }
    let sources = |folder: &str| {
        let dataset = Dataset::open(&[desk.path(folder)]).expect("tables");
        let all = Selection { columns: Columns::All, ..Selection::default() };
        let mut sources: Vec<String> = dataset
            .blocks(TableKind::Window, &all)
            .map(|block| {
                let batch = block.expect("whole").batch;
                let column = batch.column_by_name("source").expect("a column").clone();
                arrow_array::cast::AsArray::as_string::<i32>(&column).value(0).to_owned()
            })
            .collect();
        sources.sort();
        sources.dedup();
        sources
    };
    assert_eq!(sources("each"), ["all/new.pcap", "all/old.pcap"]);
    assert_eq!(sources("merged"), ["all/new.pcap, all/old.pcap"]);
}

#[test]
fn each_capture_has_a_state_of_its_own_and_one_bad_one_stops_no_other() {
    let desk = Desk::new();
    for (name, start) in [("a", 0), ("c", 100), ("e", 200)] {
        desk.capture(&format!("all/{name}.pcap"), &queries(NOON + start, 3));
    }
    desk.capture("all/b.pcap", &queries(NOON, 3));
    desk.capture("all/d.pcap", &[]);
    fs::write(desk.path("all/f.pcap"), "no capture").expect("room");
    let cut = fs::read(desk.path("all/e.pcap")).expect("there");
    fs::write(desk.path("all/e.pcap"), &cut[..cut.len() - 3]).expect("room");
    let each = |more: &[&str]| {
        let words = ["replay", "all", HOME, "--each", "--json", "--out=tables"];
        desk.weir(&[&words[..], more].concat())
    };
    let states = |output: &Output| -> Vec<String> {
        let lines = lines(output);
        let (total, each) = lines.split_last().expect("a total");
        assert_eq!(total["event"], "replay_each");
        each.iter().map(|one| one["state"].as_str().expect("a state").to_owned()).collect()
    };
    let expected = ["done", "duplicate", "done", "nothing", "in_part", "bad"];
    for jobs in ["--jobs=1", "--jobs=4"] {
        let output = each(&["--skip-bad", jobs]);
        assert_eq!(output.status.code(), Some(3), "{}", error_of(&output));
        assert_eq!(states(&output), expected, "{jobs}");
        assert!(error_of(&output).starts_with("weir: done in part: 1 captures cut"));
    }
    // Twice over, the rows of three captures.
    assert_eq!(desk.rows("tables", TableKind::Window), 9);
    let duplicate = &lines(&each(&["--skip-bad"]))[1];
    assert_eq!(duplicate["of"], "all/a.pcap");
    let output = each(&["--jobs=1"]);
    assert_eq!(output.status.code(), Some(1));
    let error = error_of(&output);
    assert!(error.contains("all/f.pcap") && error.contains("neither pcap nor pcapng"), "{error}");
    // Text has a line for each, and numbers at the end.
    let text = desk.weir(&["replay", "all", HOME, "--each", "--skip-bad"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("in part"), "{text}");
    assert!(text.ends_with("captures: 3 done, 1 in part, 1 nothing, 1 bad\n"), "{text}");
    for (words, expected) in [
        (&["replay", "a", "--jobs=2"][..], "--each"),
        (&["replay", "a", "--each", "--merge"], "cannot be used with"),
    ] {
        let output = desk.weir(words);
        assert_eq!(output.status.code(), Some(2));
        assert!(error_of(&output).contains(expected), "{}", error_of(&output));
    }
}

#[test]
fn windows_of_another_length_are_refused_by_name_wherever_a_model_or_a_table_meets_them() {
    let desk = Desk::new();
    desk.capture("a.pcap", &queries(NOON, 120));
    desk.capture("b.pcap", &queries(NOON + 3_600, 120));
    told(&desk.weir(&["replay", "a.pcap", HOME, "--out=seconds"]));
    told(&desk.weir(&["replay", "b.pcap", HOME, "--window=4s", "--out=fours"]));
    let output = desk.weir(&["train", "seconds", "fours", "--out=m.weir"]);
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("windows of "), "{error}");
    assert!(["1s in `", "4s in `", "--window"].iter().all(|word| error.contains(word)), "{error}");
    told(&desk.weir(&["train", "seconds", "--trees=5", "--out=m.weir"]));
    fs::write(
        desk.path("truth.csv"),
        "from,to,remote,class\n2026-01-31T13:00:10Z,2026-01-31T13:00:20Z,198.51.100.3,x\n",
    )
    .expect("room");
    told(&desk.weir(&["label", "fours", "--truth=truth.csv", "--rest=benign"]));
    let words = ["trained on windows of 1s", "of 4s"];
    for command in [
        &["score", "fours", "-m=m.weir"][..],
        &["eval", "fours", "--model=m.weir"],
        &["explain", "fours", "--model=m.weir"],
        &["experiment", "fours", "-m=m.weir"],
        &["experiment", "b.pcap", HOME, "-m=m.weir", "--window=4s"],
        &["replay", "b.pcap", HOME, "--score=m.weir", "--window=4s"],
        &["run", "-i=weir-none", "-m=m.weir", "--window=4s"],
    ] {
        assert_one_line(&desk.weir(command), &words);
    }
    let compare = ["eval", "fours", "--compare", "--train=seconds"];
    assert_one_line(&desk.weir(&compare), &["--train are of 1s", "evaluated of 4s"]);
    told(&desk.weir(&["replay", "a.pcap", HOME, "--score=m.weir"]));
}

#[test]
fn what_is_too_little_to_learn_from_is_told() {
    let desk = Desk::new();
    let learn = |words: &[&str]| desk.weir(&[&["learn", HOME, "--trees=5"], words].concat());
    // One client of them all.
    let mut frames: Vec<Frame> = queries(NOON, 600).into_iter().skip(2).step_by(7).collect();
    desk.capture("a.pcap", &frames);
    let output = learn(&["--pcap=a.pcap", "--out=m.weir"]);
    assert!(told(&output).contains("rows are of one remote, 198.51.100.3: whatever another does"));
    // A moment of it.
    frames.truncate(3);
    desk.capture("short.pcap", &frames);
    let words = ["too few: the first 3 are left out", "learn for some minutes"];
    assert_one_line(&learn(&["--pcap=short.pcap", "--out=s.weir"]), &words);
    assert!(!desk.path("s.weir").exists());
}

#[test]
fn another_home_side_of_one_network_is_refused_by_name_wherever_a_model_or_a_table_meets_it() {
    let desk = Desk::new();
    desk.capture("a.pcap", &queries(NOON, 120));
    desk.capture("b.pcap", &queries(NOON + 3_600, 120));
    let net = "--home-net=192.0.2.0/24";
    told(&desk.weir(&["replay", "a.pcap", HOME, "--out=host"]));
    told(&desk.weir(&["replay", "b.pcap", net, "--out=net"]));
    let words = ["192.0.2.1/32", "192.0.2.0/24", "who is local by one is a remote by the other"];
    assert_one_line(&desk.weir(&["train", "host", "net", "--out=m.weir"]), &words);
    told(&desk.weir(&["train", "host", "--trees=5", "--out=m.weir"]));
    let text = told(&desk.weir(&["model", "inspect", "m.weir"]));
    assert!(text.contains("home side: 192.0.2.1/32"), "{text}");
    told(&desk.weir(&["learn", "--pcap=a.pcap", HOME, "--trees=5", "--out=l.weir"]));
    for [model, scored] in
        [["--model=m.weir", "--score=m.weir"], ["--model=l.weir", "--score=l.weir"]]
    {
        for command in [
            &["score", "net", model][..],
            &["explain", "net", model],
            &["experiment", "net", model],
            &["experiment", "b.pcap", net, model],
            &["replay", "b.pcap", net, scored],
        ] {
            assert_one_line(&desk.weir(command), &words);
        }
    }
    let adapt = ["adapt", "m.weir", "net", "--out=n.weir"];
    assert_one_line(&desk.weir(&adapt), &words);
    // Another network's home side contradicts none.
    desk.capture("c.pcap", &queries(NOON + 7_200, 120));
    told(&desk.weir(&["replay", "c.pcap", "--home-net=198.51.100.3", "--out=other"]));
    told(&desk.weir(&["train", "host", "other", "--trees=5", "--out=both.weir"]));
}

#[test]
fn a_link_type_that_cannot_be_read_is_named() {
    let desk = Desk::new();
    desk.capture("a.pcap", &queries(NOON, 1));
    let mut bytes = fs::read(desk.path("a.pcap")).expect("there");
    for (number, name) in [(105, "802.11"), (9, "PPP"), (253, "Netlink")] {
        bytes[20] = number;
        fs::write(desk.path("a.pcap"), &bytes).expect("room");
        let output = desk.weir(&["replay", "a.pcap", HOME]);
        let word = format!("has link type {number} ({name})");
        assert_one_line(&output, &[&word, "capture on an Ethernet interface"]);
    }
    assert!(Path::new(&desk.path("a.pcap")).exists());
}
