//! `weir capture` on real traffic: what its tables hold is what the interface counted, a kill
//! leaves whole files, and the lab's own truth labels them.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{interface_frames, lab_or_skip, scenario, wait_for};
use dataset::{Dataset, Selection, TableKind};
use lab::{Lab, Scenario};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// The interface that is watched.
const LINK: &str = "eth0";
/// The longest that something is waited for.
const PATIENCE: Duration = Duration::from_mins(1);

fn traffic() -> Scenario {
    scenario(
        r#"
        name = "captured"
        duration = "2m"
        topology = { clients = 2, attackers = 1 }
        benign = [
            { does = { kind = "web", port = 80, pause = "50ms" } },
            { does = { kind = "dns", pause = "100ms" } },
        ]
        attack = [
            { name = "scan", does = { kind = "syn_scan", ports = [1, 60_000], rate = 500 }, attacker = 0, duration = "3s" },
        ]
        "#,
    )
}

/// `weir` in the protected host.
fn weir(lab: &Lab, words: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).env_remove("WEIR_LOG");
    lab.enter(lab.host(), move || command.spawn())
        .expect("the host's namespace")
        .expect("it starts")
}

/// A capture that has said what it watches: every hook is in.
fn capturing(
    lab: &Lab,
    out: &Path,
    words: &[&str],
) -> Option<(Child, BufReader<std::process::ChildStdout>)> {
    let out = out.to_str().expect("a text");
    let mut child = weir(lab, &[&["capture", "--interface", LINK, "--out", out], words].concat());
    let mut lines = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    if line.is_empty() {
        let status = child.wait().expect("it ends");
        test_support::skip(&format!("`weir capture` cannot watch here: {status}"));
        return None;
    }
    assert!(line.starts_with("eth0: observe"), "{line}");
    Some((child, lines))
}

fn finish(mut child: Child, mut lines: BufReader<std::process::ChildStdout>) -> String {
    let pid = i32::try_from(child.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("it runs");
    let mut told = String::new();
    std::io::Read::read_to_string(&mut lines, &mut told).expect("text");
    assert!(child.wait().expect("it ends").success(), "{told}");
    told
}

/// The sums of columns of the window table.
fn window_sums(root: &Path, columns: &[&str]) -> Vec<u64> {
    let dataset = Dataset::open(&[root]).expect("whole files");
    let mut sums = vec![0; columns.len()];
    for block in dataset.blocks(TableKind::Window, &Selection::default()) {
        let block = block.expect("a whole file");
        for (sum, name) in sums.iter_mut().zip(columns) {
            let column = block.batch.column_by_name(name).expect("a column");
            let column =
                arrow_array::cast::AsArray::as_primitive::<arrow_array::types::UInt64Type>(column);
            *sum += column.values().iter().sum::<u64>();
        }
    }
    sums
}

/// Windows that overlap a time of the boot clock.
fn windows_between(root: &Path, began_ns: u64, ended_ns: u64) -> u64 {
    let dataset = Dataset::open(&[root]).expect("whole files");
    let blocks = dataset.blocks(TableKind::Window, &Selection::default());
    let overlapping = blocks.map(|block| {
        let block = block.expect("a whole file");
        let bounds = block.window_start_ns.iter().zip(&block.window_end_ns);
        bounds.filter(|(start, end)| **start < ended_ns && began_ns < **end).count() as u64
    });
    overlapping.sum()
}

fn hidden(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            match entry.file_type().expect("a type").is_dir() {
                true => folders.push(entry.path()),
                false if is_hidden => found.push(entry.path()),
                false => {}
            }
        }
    }
    found
}

#[test]
fn a_capture_holds_what_the_interface_counted_and_the_labs_truth_labels_it() {
    let scenario = traffic();
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("data");
    let count = || interface_frames(&lab, lab.host(), LINK);
    let before = count();
    let Some((child, lines)) =
        capturing(&lab, &out, &["--window", "200ms", "--rotate-every", "2s"])
    else {
        return;
    };
    let attached = count();
    let benign = lab.start_benign(&scenario).expect("clients");
    let attack = lab.start_attack(&scenario.attacks[0]).expect("an attack");
    let attack = attack.wait().expect("an attack's truth");
    benign.finish().expect("clients");
    // Until the last answers have passed.
    let mut earlier = count();
    let at_rest = wait_for("rest", PATIENCE, || {
        std::thread::sleep(Duration::from_millis(500));
        let now = count();
        (std::mem::replace(&mut earlier, now) == now).then_some(now)
    });
    let told = finish(child, lines);
    let after = count();

    let sums = window_sums(&out, &["packets_ingress", "packets_egress", "frames_ingress"]);
    println!("{told}{sums:?}, the interface {before:?} {attached:?} to {at_rest:?} {after:?}");
    for way in 0..2 {
        let least = at_rest[way] - attached[way];
        let most = after[way] - before[way];
        assert!(least > 100, "no traffic: {least}");
        // The same number, where no stray frame passed while the hooks went in or out.
        assert!((least..=most).contains(&sums[way]), "{way}: {sums:?}, {least} to {most}");
    }
    assert!(told.contains(&format!("{} packets in, {} out", sums[0], sums[1])), "{told}");
    assert!(told.contains("unexplained: 0"), "{told}");
    assert!(hidden(&out).is_empty());
    let dataset = Dataset::open(&[&out]).expect("whole files");
    let rows: u64 = window_sums(&out, &["flows"])[0];
    assert_eq!(rows, dataset.rows(TableKind::Flow));
    assert!(dataset.files(TableKind::Window).count() >= 2, "rotated every 2 s");

    let sent = attack.sent.frames;
    let windows = windows_between(&out, attack.began.boot_ns, attack.ended.boot_ns);
    let truth = folder.path().join("lab.truth.json");
    lab.ground_truth(&scenario, vec![attack]).write(&truth).expect("room");
    let words = [
        "label",
        out.to_str().expect("a text"),
        "--truth",
        truth.to_str().expect("a text"),
        "--json",
    ];
    let labelled = weir(&lab, &words).wait_with_output().expect("it ends");
    assert!(labelled.status.success());
    let summary: Value = serde_json::from_slice(&labelled.stdout).expect("JSON");
    println!("{summary}");
    assert_eq!(summary["unmatched"], serde_json::json!([]), "{summary}");
    let rows = |table: &str, class: &str| {
        let of = |one: &&Value| one["table"] == table && one["class"] == class;
        summary["rows"]
            .as_array()
            .expect("a list")
            .iter()
            .find(of)
            .map_or(0, |one| one["rows"].as_u64().expect("a number"))
    };
    // A port each; a scan's answers are of the same flows.
    assert!(rows("flow", "syn_scan") > sent * 2 / 3, "{sent} sent, {summary}");
    // A window at either edge may overlap the scan and hold none of its frames.
    // Windows again when the outcomes are told, and the longer horizons, are rows too.
    let peers = rows("peer", "syn_scan");
    assert!(windows > 0 && peers + 2 >= windows, "{windows} windows of scan, {summary}");
    assert!(rows("flow", "benign") > 0 && rows("peer", "benign") > 0, "{summary}");
    lab.remove().expect("the lab is gone");
}

#[test]
fn a_killed_capture_leaves_whole_files_that_the_next_one_adds_to() {
    let scenario = traffic();
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("data");
    let words = ["--window", "100ms", "--rotate-every", "1s"];
    let benign = lab.start_benign(&scenario).expect("clients");
    let Some((mut child, _lines)) = capturing(&lab, &out, &words) else { return };
    let finished = || {
        Dataset::open(&[&out])
            .ok()
            .map(|dataset| dataset.rows(TableKind::Window))
            .unwrap_or_default()
    };
    wait_for("finished files", PATIENCE, || (finished() >= 20).then_some(()));
    child.kill().expect("kill -9");
    child.wait().expect("it is gone");
    let left = finished();
    assert!(left >= 20);
    assert!(!hidden(&out).is_empty(), "a second's windows were not finished");

    let (child, lines) = capturing(&lab, &out, &words).expect("it could before");
    wait_for("another file", PATIENCE, || (finished() > left).then_some(()));
    finish(child, lines);
    benign.finish().expect("clients");
    assert!(hidden(&out).is_empty());
    assert!(finished() > left);
    lab.remove().expect("the lab is gone");
}
