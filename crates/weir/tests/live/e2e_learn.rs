//! From benign traffic to a model and from the model to a verdict, by the command line: learnt live
//! and learnt from a capture of the same traffic, looked into, and used to score a capture in which
//! a scan begins.

use std::{
    net::IpAddr,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use crate::support::{lab_or_skip, scenario};
use lab::{CaptureBounds, Lab, Scenario, Tap};
use serde_json::Value;

/// Benign traffic to learn from: half as much was too little for no benign peer to be blocked on a
/// machine that did much else.
const LEARN: Duration = Duration::from_secs(40);
/// Benign traffic in front of the scan: every peer is new in the first window of a capture.
const WARM_UP: Duration = Duration::from_secs(8);
const SCAN: Duration = Duration::from_secs(6);
const WINDOW: &str = "500ms";

const SCENARIO: &str = r#"
    name = "learn"
    duration = "2m"
    topology = { clients = 3, attackers = 1 }
    benign = [
        { does = { kind = "web", port = 80, pause = "100ms" } },
        { does = { kind = "dns", pause = "100ms" } },
    ]
    attack = [
        { name = "scan", does = { kind = "syn_scan", ports = [1, 60_000], rate = 300 }, duration = "60s" },
    ]
"#;

/// Runs `weir` in the protected host, and gives what it printed.
#[track_caller]
fn weir(lab: &Lab, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(words).stdin(Stdio::null()).env_remove("WEIR_LOG");
    // Forty seconds of learning support no rate for one calibration by itself.
    command
        .env("WEIR__POLICY__EXPERT__P_VALUES", "marginal")
        .env("WEIR__POLICY__UNSUPPORTED", "act");
    let output: Output =
        lab.enter(lab.host(), move || command.output()).expect("the host").expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "weir {words:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

/// Captures what passes the host while `during` lasts.
fn captured<T>(lab: &Lab, path: &Path, during: impl FnOnce() -> T) -> T {
    let capture = lab.capture(path, Tap::Host, 0, CaptureBounds::default()).expect("a capture");
    let result = during();
    let report = capture.finish().expect("a capture");
    assert_eq!((report.dropped, report.beyond_bound), (0, 0), "{report:?}");
    result
}

/// Counts printed by `weir learn`: rows of peers, and of the host's side.
fn learnt(text: &str) -> (u64, u64) {
    let numbers: Vec<u64> =
        text.split_whitespace().filter_map(|word| word.parse().ok()).take(2).collect();
    (numbers[0], numbers[1])
}

fn inspect(lab: &Lab, model: &str) -> Value {
    serde_json::from_str(&weir(lab, &["model", "inspect", model, "--json"])).expect("JSON")
}

/// The events of blocks that would be made, and the summary.
fn scored(lab: &Lab, capture: &str, model: &str, home: &[String]) -> (Vec<Value>, Value) {
    let mut words = vec!["replay", capture, "--score", model, "--json", "--window", WINDOW];
    words.extend(home.iter().flat_map(|address| ["--home-net", address]));
    let events: Vec<Value> =
        weir(lab, &words).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let summary = events.last().expect("a summary").clone();
    let would_block =
        |event: &Value| event["event"] == "anomaly" && event["outcome"] == "would-block";
    (events.into_iter().filter(would_block).collect(), summary)
}

fn peer(event: &Value) -> IpAddr {
    event["peer"].as_str().expect("text").parse().expect("an address")
}

fn with_benign<T>(lab: &Lab, scenario: &Scenario, work: impl FnOnce() -> T) -> T {
    let benign = lab.start_benign(scenario).expect("clients");
    let result = work();
    benign.finish().expect("clients");
    result
}

#[test]
fn a_model_learnt_live_and_one_learnt_from_a_capture_both_find_the_scan() {
    let scenario = scenario(SCENARIO);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    if !test_support::root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let home: Vec<String> = lab
        .enter(lab.host(), collector::protected::own_addresses)
        .expect("the host")
        .expect("its addresses")
        .iter()
        .map(ToString::to_string)
        .collect();

    let (benign, live_model) = (path("benign.pcap"), path("live.weir"));
    let seconds = format!("{}s", LEARN.as_secs());
    let told_live = with_benign(&lab, &scenario, || {
        captured(&lab, benign.as_ref(), || {
            let learn = ["learn", "-i", "eth0", "--for", &seconds, "--window", WINDOW];
            weir(&lab, &[&learn[..], &["--out", &live_model]].concat())
        })
    });
    let capture_model = path("capture.weir");
    let mut learn = vec!["learn", "--pcap", &benign, "--window", WINDOW, "--out", &capture_model];
    learn.extend(home.iter().flat_map(|address| ["--home-net", address]));
    let told_capture = weir(&lab, &learn);
    println!("{told_live}{told_capture}");
    let (live_rows, capture_rows) = (learnt(&told_live), learnt(&told_capture));
    assert!(live_rows.0 > 200 && live_rows.1 > 50, "{live_rows:?}");
    // The capture began before weir watched, and went on while it fitted.
    let about = live_rows.0 * 9 / 10..live_rows.0 * 3;
    assert!(about.contains(&capture_rows.0), "{live_rows:?} {capture_rows:?}");

    for (model, rows) in [(&live_model, live_rows), (&capture_model, capture_rows)] {
        let found = inspect(&lab, model);
        let detectors = found["detectors"].as_object().expect("by the rows that they measure");
        let mut calibrating = 0.0;
        for (of, detector) in detectors {
            assert_eq!(detector["fits_this_build"], true, "{found}");
            let smallest_p = detector["calibration"]["smallest_p_on_average"].as_f64();
            if of.starts_with("peer-") {
                calibrating += 1.0 / smallest_p.expect("a number") - 1.0;
            }
        }
        let features = model::schema::schema_id(model::Kind::Peer).features.len();
        let window = &detectors[&format!("peer-{WINDOW}")];
        assert_eq!(window["ranges"].as_array().expect("ranges").len(), features);
        // Some four tenths of the rows calibrate.
        let share = calibrating / rows.0 as f64;
        assert!((0.2..0.6).contains(&share), "{calibrating} of {}", rows.0);
    }

    let attack = path("attack.pcap");
    let truth = with_benign(&lab, &scenario, || {
        captured(&lab, attack.as_ref(), || {
            thread::sleep(WARM_UP);
            let running = lab.start_attack(&scenario.attacks[0]).expect("an attack");
            thread::sleep(SCAN);
            running.finish().expect("the attack's truth")
        })
    });
    for model in [&live_model, &capture_model] {
        let (blocked, summary) = scored(&lab, &attack, model, &home);
        let (right, wrong): (Vec<&Value>, Vec<&Value>) =
            blocked.iter().partition(|event| truth.sources.contains(peer(event)));
        assert!(wrong.is_empty(), "benign peers blocked by {model}: {wrong:#?}");
        assert!(!right.is_empty(), "{model} does not find the scan: {summary}");
        assert_eq!(summary["event"], "replay");
        assert!(summary["blocks"].as_u64() >= Some(1), "{summary}");
        assert!(summary["flows"].as_u64() > Some(truth.sent.frames / 2), "{summary}");
        assert_eq!(summary["evicted_flows"], 0, "{summary}");
    }
    lab.remove().expect("the lab is gone");
}
