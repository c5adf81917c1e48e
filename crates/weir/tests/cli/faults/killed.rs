//! A collector that is killed, whatever it was about.

use std::{
    fs,
    time::{Duration, Instant},
};

use ledger::{BlockQuery, Ledger};

use super::{blocked, json, shared_addresses};
use crate::support::{Bench, told};

/// Moments of a start at which it is killed.
const KILLS: u32 = 12;
/// Entries of the list that is being loaded.
const MANY: u32 = 100_000;

#[test]
fn a_start_that_is_killed_at_any_moment_loses_no_block_and_the_next_one_succeeds() {
    let Some(bench) = Bench::new() else { return };
    let mut weir = bench.enforcing(&[]);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m", "--reason", "before"]));
    weir.kill();
    let model = bench.model();
    let words = ["run", "-i", "eth0", "--model", &model, "--mode", "enforce"];
    let start = Instant::now();
    let mut weir = bench.start(&words);
    bench.wait_for_answers();
    let length = start.elapsed();
    weir.kill();
    for kill in 0..KILLS {
        let mut weir = bench.start(&words);
        std::thread::sleep(length * kill / (KILLS - 2));
        weir.kill();
        assert_eq!(
            blocked(&bench),
            ["203.0.113.9"],
            "kill {kill} of a start that takes {length:?}"
        );
        let attached = bench.attached();
        assert!(attached.iter().any(|line| line.contains("eth0")), "kill {kill}: {attached:?}");
    }
    let mut weir = bench.enforcing(&[]);
    let listed = json(&bench, &["blocks"]);
    assert_eq!(listed[0]["reason"], "before", "{listed}");
    assert_eq!(json(&bench, &["status"])["ledger"]["health"], "ok");
    assert_eq!(weir.terminate(), Some(0));
    let ledger = Ledger::read(bench.folder.path().join("ledger.db").as_path()).expect("a ledger");
    let blocks = ledger.blocks(&BlockQuery::default()).expect("blocks").rows;
    assert_eq!((blocks.len(), blocks[0].ending.is_none()), (1, true), "{blocks:?}");
    told(&bench.output(&["detach"]));
    bench.assert_nothing_is_left();
}

#[test]
fn a_list_whose_node_is_killed_is_in_force_as_far_as_it_came_and_whole_when_loaded_again() {
    let Some(bench) = Bench::new() else { return };
    let path = bench.path("list.txt");
    fs::write(&path, shared_addresses(MANY)).expect("room");
    let mut weir = bench.enforcing(&[]);
    let held = || {
        let status = json(&bench, &["status"]);
        let held = status["held"].as_array().expect("a list").iter();
        held.map(|one| one["drop"].as_u64().expect("a count")).sum::<u64>()
    };
    let words = ["import", "--json", "--list", "many", "--for", "10m", &path];
    let loading = bench.start(&words);
    while held() == 0 {}
    weir.kill();
    drop(loading);
    let mut weir = bench.enforcing(&[]);
    let before = held();
    assert!((1..u64::from(MANY)).contains(&before), "{before}");
    let told_of = told(&bench.output(&words));
    let told_of: serde_json::Value = serde_json::from_str(&told_of).expect("JSON");
    assert_eq!(told_of["new"].as_u64(), Some(u64::from(MANY) - before), "{told_of}");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(held(), u64::from(MANY));
    assert_eq!(weir.terminate(), Some(0));
}
