//! A running node as people see it: over its socket, through a restart, after a kill.

use std::{fs, process::Command};

use ledger::{ActQuery, BlockQuery, How, Ledger, Origin, PreviousEnd};
use serde_json::Value;

use crate::support::{Bench, Running, assert_one_line, told};

fn start(bench: &Bench, model: &str, mode: &str) -> Running {
    let weir =
        bench.start(&["run", "-i", "eth0", "--model", model, "--mode", mode, "--window", "200ms"]);
    weir.line("tables: ");
    bench.wait_for_answers();
    weir
}

fn json(bench: &Bench, words: &[&str]) -> Value {
    serde_json::from_str(&told(&bench.output(&[words, &["--json"]].concat()))).expect("JSON")
}

fn target(index: usize, listed: &Value) -> &str {
    listed[index]["target"].as_str().expect("a target")
}

#[test]
fn what_a_person_does_to_a_node_is_done_listed_and_recorded() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model_over("200ms");
    let mut weir = start(&bench, &model, "enforce");
    let status = json(&bench, &["status"]);
    assert_eq!((&status["mode"], &status["ledger"]["health"]), (&"enforce".into(), &"ok".into()));
    // And shared, where the kernel and libxdp let it be.
    let guard = status["interfaces"][0]["guard"].as_str().expect("a hook");
    assert!(guard.starts_with("XDP (native"), "{guard}");

    let made = told(&bench.output(&["block", "203.0.113.9", "--for", "10m", "--reason", "a test"]));
    assert!(made.contains("203.0.113.9"), "{made}");
    told(&bench.output(&["block", "203.0.113.128/25", "--action", "shadow"]));
    let listed = json(&bench, &["blocks"]);
    assert_eq!([target(0, &listed), target(1, &listed)], ["203.0.113.9", "203.0.113.128/25"]);
    let text = listed.to_string();
    assert!(text.contains("a test") && text.contains("person"), "{text}");
    let own = bench.lab.host().addresses()[0].to_string();
    assert_one_line(&bench.output(&["block", &own]), &["own addresses", "force"]);
    assert_one_line(&bench.output(&["unblock", "203.0.113.10"]), &["is not blocked"]);
    told(&bench.output(&["unblock", "203.0.113.9", "--reason", "a mistake"]));
    assert_eq!(json(&bench, &["blocks"]).as_array().map(Vec::len), Some(1));

    told(&bench.output(&["allow", "add", "203.0.113.0/24"]));
    let refused = bench.output(&["block", "203.0.113.9"]);
    assert_one_line(&refused, &["allowlist"]);
    assert!(json(&bench, &["allow", "list"]).to_string().contains("203.0.113.0/24"));
    told(&bench.output(&["allow", "remove", "203.0.113.0/24"]));
    assert_one_line(&bench.output(&["rearm"]), &["not open"]);
    assert_eq!(weir.terminate(), Some(0));

    let ledger = Ledger::read(&bench.folder.path().join("ledger.db")).expect("a ledger");
    let acts = ledger.acts(&ActQuery::default()).expect("acts").rows;
    let done: Vec<&str> = acts.iter().rev().map(|act| &*act.what).collect();
    assert_eq!(done, ["block", "block", "unblock", "allow", "disallow"]);
    assert!(acts.iter().all(|act| act.who.uid == Some(0) && act.outcome == "done"), "{acts:?}");
    let blocks = ledger.blocks(&BlockQuery::default()).expect("blocks").rows;
    let ended: Vec<_> =
        blocks.iter().map(|one| one.ending.as_ref().map(|ending| ending.how)).collect();
    assert_eq!(ended, [None, Some(How::Unblocked)], "the newest first");
    assert!(ledger.last_run().expect("runs").expect("a run").stop.is_some());
}

#[test]
fn enforcement_that_nobody_confirms_falls_back_to_shadow() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model_over("200ms");
    let mut weir = start(&bench, &model, "shadow");
    assert_one_line(&bench.output(&["confirm"]), &["no mode waits"]);
    told(&bench.output(&["enforce", "--confirm-within", "10s"]));
    let status = json(&bench, &["status"]);
    assert_eq!(status["mode"], "enforce");
    assert_eq!(status["confirm"]["falls_back_to"], "shadow");
    told(&bench.output(&["confirm"]));
    assert!(json(&bench, &["status"])["confirm"].is_null());
    told(&bench.output(&["mode", "shadow"]));

    told(&bench.output(&["enforce", "--confirm-within", "10s"]));
    weir.line("nobody confirmed enforce in time");
    assert_eq!(json(&bench, &["status"])["mode"], "shadow");
    assert_eq!(weir.terminate(), Some(0));
}

#[test]
fn a_node_in_observe_mode_has_no_guard_to_enforce_with() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model_over("200ms");
    let mut weir = start(&bench, &model, "observe");
    for words in [&["mode", "enforce"][..], &["block", "203.0.113.9"]] {
        assert_one_line(&bench.output(words), &["started in observe mode", "--mode shadow"]);
    }
    assert_eq!(weir.terminate(), Some(0));
}

#[test]
fn a_start_after_a_kill_takes_over_what_stands_and_tells_what_differs() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model_over("200ms");
    let mut weir = start(&bench, &model, "enforce");
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m", "--reason", "before"]));
    told(&bench.output(&["block", "203.0.113.10", "--for", "10m"]));
    weir.kill();
    // Behind the node's back: one entry that it does not know, one of the host itself, and one
    // that it made is gone.
    bench.block_behind_its_back("203.0.113.11", 600);
    let own = bench.lab.host().addresses()[0].to_string();
    bench.block_behind_its_back(&own, 600);
    told(&bench.output(&["unblock", "203.0.113.10"]));

    let mut weir = start(&bench, &model, "enforce");
    let listed = json(&bench, &["blocks"]);
    assert_eq!([target(0, &listed), target(1, &listed)], ["203.0.113.9", "203.0.113.11"]);
    assert!(listed[0].to_string().contains("before"), "the ledger knows its story: {listed}");
    assert_eq!(weir.terminate(), Some(0));
    let ledger = Ledger::read(&bench.folder.path().join("ledger.db")).expect("a ledger");
    let run = ledger.last_run().expect("runs").expect("a run").run;
    assert_eq!(run.previous, PreviousEnd::Died);
    let mut differences: Vec<(String, String)> = ledger
        .differences(run.id)
        .expect("differences")
        .iter()
        .map(|one| {
            (one.kind.to_string(), one.target.map(|one| one.to_string()).unwrap_or_default())
        })
        .collect();
    differences.sort();
    let expect = [
        ("missing_block", "203.0.113.10"),
        ("protected_block", own.as_str()),
        ("unknown_block", "203.0.113.11"),
    ];
    assert_eq!(differences, expect.map(|(kind, target)| (kind.to_owned(), target.to_owned())));
    let blocks = ledger.blocks(&BlockQuery::default()).expect("blocks").rows;
    let of = |text: &str| {
        blocks.iter().find(|one| one.block.target.to_string() == text).expect("its record")
    };
    assert_eq!(of("203.0.113.10").ending.as_ref().expect("an ending").how, How::Vanished);
    assert_eq!(of("203.0.113.11").block.origin, Origin::Found);
    assert!(of("203.0.113.9").ending.is_none());
}

#[test]
fn what_was_known_is_taken_up_by_the_next_run_and_what_is_not_its_own_is_refused_in_words() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model_over("200ms");
    let run = |word: &str| {
        let mut weir = start(&bench, &model, "enforce");
        weir.line(word);
        assert_eq!(weir.terminate(), Some(0));
    };
    assert_eq!(start(&bench, &model, "enforce").terminate(), Some(0));
    run("goes on from what was known ");
    let past = bench.path("past.weir");
    let kept = fs::read(&past).expect("what was kept");
    let head: Value = serde_json::from_slice(kept.split(|&byte| byte == b'\n').next().unwrap())
        .expect("a line of JSON");
    let other = |change: &dyn Fn(&mut Value)| {
        let mut head = head.clone();
        change(&mut head);
        let rest = &kept[kept.iter().position(|&byte| byte == b'\n').unwrap()..];
        fs::write(&past, [head.to_string().as_bytes(), rest].concat()).unwrap();
    };
    for (change, word) in [
        (
            &(|head: &mut Value| head["boot"] = "another".into()) as &dyn Fn(&mut Value),
            "it is of before the machine started; nobody is blocked for the first 60 s",
        ),
        (&|head: &mut Value| head["layout"] = 1.into(), "another version wrote it"),
        (
            &|head: &mut Value| head["window_ms"] = 1_000.into(),
            "it is of windows of 1000 ms, not of 200",
        ),
        (
            &|head: &mut Value| head["interfaces"] = serde_json::json!(["eth7"]),
            "it is of eth7, not of eth0",
        ),
        (&|head: &mut Value| head["sha256"] = "00".into(), "it is damaged"),
        (&|head: &mut Value| head["weir_past"] = "x".into(), "it is no past of weir's"),
    ] {
        other(change);
        run(word);
    }
    fs::write(&past, b"SQLite format 3\0").unwrap();
    run("it is damaged");
    run("goes on from what was known ");
}

#[test]
fn a_ledger_that_cannot_be_written_keeps_weir_from_starting_with_the_remedy() {
    let Some(bench) = Bench::new() else { return };
    let model = bench.model_over("200ms");
    fs::write(bench.path("ledger.db"), "not a database, and longer than any header of one")
        .unwrap();
    let words = [
        "run", "-i", "eth0", "--window", "200ms", "--model", &model, "--mode", "enforce", "--for",
        "300ms",
    ];
    let output = bench.output(&words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("ledger.db"), "{error}");
    let without = bench.run({
        let mut command: Command = bench.weir(&words);
        command.env("WEIR__LEDGER__ENABLED", "false");
        command
    });
    told(&without);
}
