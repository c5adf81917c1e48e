//! `weir run` from its start to its end, and what it says on the way.

use std::{
    fs,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Bench, assert_one_line, told};

#[test]
fn blocks_stay_after_the_end_until_they_are_detached() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model_over("10s");
    let events = bench.path("events.jsonl");
    let words = [
        "run", "-i", "eth0", "--model", &model, "--mode", "enforce", "--window", "10s", "--events",
        &events,
    ];
    let mut weir = bench.start(&words);
    weir.line("eth0: enforce, flows at TCX, guard at XDP (native");
    weir.line("tables: ");
    bench.wait_for_answers();
    assert_one_line(&bench.output(&words), &["another weir holds the pins", "stop it first"]);
    assert_one_line(&bench.output(&["detach"]), &["another weir holds the pins"]);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));

    assert_eq!(weir.terminate(), Some(0));
    weir.line("1 blocks stay in force on eth0 until their leases run out");
    // Ten seconds had not passed: the one window is the last one, drained on the way out.
    let written = fs::read_to_string(&events).unwrap();
    let kinds: Vec<Value> =
        written.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(kinds.iter().filter(|event| event["event"] == "window").count(), 1, "{written}");

    let listed = told(&bench.output(&["blocks"]));
    assert!(listed.contains("203.0.113.9  drop"), "{listed}");
    assert!(bench.attached().iter().any(|line| line.contains("eth0")), "the guard is off");
    let doctor = bench.output(&["doctor", "--json", "-i", "eth0", "--model", &model]);
    let findings: Vec<Value> = serde_json::from_str(&told(&doctor)).expect("JSON");
    let found = |subject: &str| {
        let of = findings.iter().find(|one| one["subject"] == subject).expect(subject);
        (of["state"].as_str().unwrap(), of["found"].as_str().unwrap())
    };
    assert!(found("pins").1.contains("in force on 1 interfaces"), "{findings:?}");
    assert_eq!(found("interfaces"), ("ok", "eth0"));
    assert_eq!(found("model").0, "ok");

    let detached = told(&bench.output(&["detach"]));
    assert!(detached.contains("the guard is off eth0 and 1 blocks are gone"), "{detached}");
    bench.assert_nothing_is_left();
}

#[test]
fn panic_takes_everything_off_whether_or_not_a_node_runs() {
    let Some(bench) = Bench::new() else { return };
    let mut weir = bench.enforcing(&[]);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    let said = told(&bench.output(&["panic"]));
    for word in
        ["eth0 xdp_guard", "eth0 tc_ingress", "eth0 tc_egress", "pins removed", "still runs"]
    {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    bench.assert_nothing_is_left();
    assert_eq!(weir.terminate(), Some(0));

    let mut weir = bench.enforcing(&[]);
    weir.kill();
    assert!(!bench.attached().is_empty(), "the guard outlives its process");
    // What is wrong with the configuration is told and stops nothing.
    let mut panic = bench.weir(&["panic"]);
    panic.env("WEIR__POLICY__MODE", "nonsense");
    let output = bench.run(panic);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nonsense"), "{output:?}");
    assert!(told(&output).contains("eth0 xdp_guard"), "{output:?}");
    let said = told(&bench.output(&["panic"]));
    assert!(said.starts_with("no hook was there; 0 pins removed"), "{said}");
}

#[test]
fn without_a_model_flows_are_counted_and_blocks_by_hand_hold() {
    let Some(bench) = Bench::new() else { return };
    let mut weir = bench.start(&["run", "-i", "eth0", "--mode", "enforce"]);
    weir.line("no model: flows are counted");
    bench.wait_for_answers();
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    let status = || -> Value {
        serde_json::from_str(&told(&bench.output(&["status", "--json"]))).expect("JSON")
    };
    wait_for("a window", || status()["window"]["number"].as_u64() > Some(0));
    let status = status();
    assert_eq!((&status["drift"]["state"], &status["model"]), (&"off".into(), &Value::Null));
    assert_eq!(status["held"][0]["drop"], 1, "{status}");
    assert_eq!(weir.terminate(), Some(0));
}

#[test]
fn a_rotated_events_file_goes_on_and_sighup_reloads() {
    let Some(bench) = Bench::new() else { return };
    let (events, allow) = (bench.path("events.jsonl"), bench.path("allow.txt"));
    fs::write(&allow, "").unwrap();
    let mut weir = bench.enforcing(&[
        ("WEIR__EVENTS__PATH", &events),
        ("WEIR__POLICY__ALLOW_FILES", &format!("[\"{allow}\"]")),
    ]);
    let written = || fs::read_to_string(&events).unwrap_or_default();
    wait_for("the first window", || written().contains("\"window\""));
    fs::rename(&events, bench.path("events.jsonl.1")).unwrap();
    wait_for("a window in the new file", || written().contains("\"window\""));

    fs::write(&allow, "203.0.113.0/24\n").unwrap();
    weir.signal(Signal::SIGHUP);
    wait_for("the allowed prefix", || {
        told(&bench.output(&["allow", "list"])).contains("203.0.113.0/24")
    });
    fs::write(&allow, "nonsense\n").unwrap();
    weir.signal(Signal::SIGHUP);
    told(&bench.output(&["status"]));
    assert!(
        told(&bench.output(&["allow", "list"])).contains("203.0.113.0/24"),
        "the old one holds"
    );
    assert_eq!(weir.terminate(), Some(0));
}

#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "no {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn interfaces_that_match_are_followed_as_they_come_and_go() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model();
    let ip = |words: &[&str]| told(&bench.run(bench.command("ip", words)));
    let mut weir = bench.start(&["run", "-i", "eth*", "--model", &model]);
    weir.line("eth0: observe, flows at TCX, guard at no hook");
    weir.line("tables: ");
    ip(&["link", "add", "eth7", "type", "veth", "peer", "name", "other7"]);
    weir.line("eth7: observe, flows at TCX");
    assert!(bench.attached().iter().any(|line| line.contains("eth7")));
    ip(&["link", "set", "other7", "name", "eth8"]);
    weir.line("eth8: observe");
    ip(&["link", "set", "eth7", "mtu", "1400"]);
    assert!(bench.attached().iter().any(|line| line.contains("eth7")), "another MTU");

    // One that goes to another namespace is let go of, and watched again when it is back.
    let mut elsewhere = bench.command("unshare", &["--net", "sleep", "60"]);
    let spawned = bench.lab.enter(bench.lab.host(), move || elsewhere.spawn());
    let mut elsewhere = spawned.unwrap().expect("it starts");
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let pid = elsewhere.id().to_string();
    let namespace = format!("/proc/{pid}/ns/net");
    let host = bench.lab.enter(bench.lab.host(), || std::fs::read_link("/proc/thread-self/ns/net"));
    let host = host.unwrap().unwrap();
    wait_for("a namespace of its own", || {
        std::fs::read_link(&namespace).is_ok_and(|one| one != own && one != host)
    });
    ip(&["link", "set", "eth8", "netns", &pid]);
    weir.line("eth8: gone; waiting for it to come back");
    let left = |line: &String| line.contains("eth8");
    assert!(!bench.attached().iter().any(left), "{:?}", bench.attached());
    let watched = || told(&bench.output(&["status"]));
    assert!(!watched().contains("eth8"), "{}", watched());
    elsewhere.kill().unwrap();
    elsewhere.wait().unwrap();
    // The namespace took it along, and its other end.
    weir.line("eth7: gone; waiting for it to come back");
    assert_eq!(weir.terminate(), Some(0));
    bench.assert_nothing_is_left();
}
