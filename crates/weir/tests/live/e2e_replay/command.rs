//! `weir replay` by the command line: what it reads, what it writes, how it ends.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use dataset::{Dataset, TableKind};
use replay::{CaptureReader, Frame};
use serde_json::Value;

/// The demo's capture, which is compressed by zstd.
fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training-data/demo.pcap.zst")
}

/// The demo's protected host.
const HOME: [&str; 2] = ["--home-net=192.0.2.1", "--home-net=2001:db8::1"];

fn weir(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(words).stdin(Stdio::null()).env_remove("WEIR_LOG");
    command
}

fn output(words: &[&str]) -> Output {
    weir(words).output().expect("it starts")
}

/// The summary of a replay that worked, but for how long it took.
#[track_caller]
fn summary(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    summary_of(output)
}

fn summary_of(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut summary: Value =
        serde_json::from_str(text.lines().last().expect("a summary")).expect("JSON");
    for key in ["took_s", "packets_per_second", "files", "written", "home"] {
        summary[key].take();
    }
    summary
}

/// Every second frame of a capture, from the `first` on, as pcap of nanoseconds.
fn half(first: usize, target: &Path) {
    let mut reader = CaptureReader::open(demo()).expect("the demo's capture");
    let mut file = header();
    let mut place = 0;
    while let Some(frame) = reader.next_frame().expect("whole") {
        if place % 2 == first {
            file.extend(record(&frame));
        }
        place += 1;
    }
    fs::write(target, file).expect("room");
}

fn header() -> Vec<u8> {
    [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat()
}

fn record(frame: &Frame<'_>) -> Vec<u8> {
    let word = |value: u64| u32::try_from(value).expect("32 bits").to_le_bytes();
    let mut record = [
        word(frame.time_ns / 1_000_000_000),
        word(frame.time_ns % 1_000_000_000),
        word(frame.bytes.len() as u64),
        word(frame.wire_length.into()),
    ]
    .concat();
    record.extend(frame.bytes);
    record
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn the_same_frames_give_the_same_summary_however_they_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = demo();
    let whole = summary(&output(&["replay", text(&demo), "--json"]));
    assert!(whole["frames"].as_u64() > Some(10_000), "{whole}");
    assert!(whole["flows"].as_u64() <= whole["flow_rows"].as_u64(), "{whole}");

    let mut from_a_pipe = weir(&["replay", "-", "--json"]);
    from_a_pipe.stdin(File::open(&demo).expect("the demo's capture"));
    assert_eq!(summary(&from_a_pipe.output().expect("it starts")), whole);

    let halves = [0, 1].map(|first| {
        let path = folder.path().join(format!("half-{first}.pcap"));
        half(first, &path);
        path
    });
    let merged = output(&["replay", text(&halves[1]), text(&halves[0]), "--json"]);
    assert_eq!(summary(&merged), whole);
}

#[test]
fn a_cut_file_is_replayed_up_to_the_cut_and_the_cut_is_told_of_that_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let cut = folder.path().join("cut.pcap.zst");
    let bytes = fs::read(demo()).expect("the demo's capture");
    fs::write(&cut, &bytes[..bytes.len() / 2]).expect("room");
    let told = output(&["replay", text(&demo()), text(&cut)]);
    let text_of = String::from_utf8_lossy(&told.stdout);
    let error = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(3), "{error}");
    let expected = format!("1 records of {} (cut_file)", cut.display());
    assert!(text_of.contains(&expected), "{text_of}");
    assert_eq!(text_of.matches("cut_file").count(), 1, "{text_of}");
}

#[test]
fn a_damaged_capture_is_told_behind_the_summary_of_what_was_replayed_and_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let damaged = folder.path().join("damaged.pcap");
    half(0, &damaged);
    let mut file = File::options().append(true).open(&damaged).expect("a file");
    file.write_all(&[0xff; 64]).expect("room");
    let out = folder.path().join("windows");
    let told =
        output(&[&["replay", text(&damaged), "--json", "--out", text(&out)], &HOME[..]].concat());
    let error = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(1), "{error}");
    assert!(error.contains(text(&damaged)) && error.contains("is damaged at byte"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let summary = summary_of(&told);
    let windows = Dataset::open(&[&out]).expect("a data set").rows(TableKind::Window);
    assert!(windows > 30 && summary["windows"] == windows, "{windows} {summary}");
}

#[test]
fn a_data_set_holds_the_rows_that_the_summary_tells_and_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = ["one", "other"].map(|name| {
        let out = folder.path().join(name);
        let summary = summary(&output(
            &[&["replay", text(&demo()), "--json", "--out", text(&out)], &HOME[..]].concat(),
        ));
        let dataset = Dataset::open(&[&out]).expect("a data set");
        for (table, rows) in [
            (TableKind::Flow, "flow_rows"),
            (TableKind::Peer, "peer_rows"),
            (TableKind::Window, "windows"),
        ] {
            assert_eq!(summary[rows], dataset.rows(table), "{summary}");
            assert!(dataset.rows(table) > 0);
        }
        let mut files = Vec::new();
        files_below(&out, &out, &mut files);
        files.sort();
        files
    });
    assert!(written[0] == written[1], "the same capture, the same files");
}

/// Names and contents of all files.
fn files_below(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("below it").to_owned();
            files.push((name, fs::read(&path).expect("a file")));
        }
    }
}

#[test]
fn what_cannot_be_replayed_is_named_and_makes_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("windows");
    let absent = folder.path().join("absent.pcap");
    let refusals: [(&[&str], i32, &str); 4] = [
        (&["replay", text(&absent)], 1, "cannot open the capture"),
        (&["replay", "-", "-"], 1, "can be read only once"),
        (&["replay"], 2, "CAPTURE"),
        (&["replay", "x.pcap", "--score", "a", "--model", "b"], 2, "cannot be used with"),
    ];
    for (words, code, expected) in refusals {
        let told = output(&[words, &["--out", text(&out)]].concat());
        let error = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(code), "{words:?}: {error}");
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    assert!(!out.exists());
}
