//! Faults staged for real around a running node: what is lost, what is counted, what goes on.
//! `SPECIFICATION.md` has them in a table.

mod clock;
mod disk;
mod kernel;
mod killed;
mod memory;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Bench, told};

fn json(bench: &Bench, words: &[&str]) -> Value {
    serde_json::from_str(&told(&bench.output(&[words, &["--json"]].concat()))).expect("JSON")
}

/// The targets that `weir blocks` lists.
fn blocked(bench: &Bench) -> Vec<String> {
    let listed = json(bench, &["blocks"]);
    let targets = listed.as_array().expect("a list").iter();
    targets.map(|one| one["target"].as_str().expect("a target").to_owned()).collect()
}

/// Number of the last window that was decided.
fn window(bench: &Bench) -> u64 {
    json(bench, &["status"])["window"]["number"].as_u64().unwrap_or(0)
}

/// Status and text of `/readyz`.
fn ready(bench: &Bench) -> (u16, String) {
    bench.get("/readyz")
}

/// So many addresses that are never sent to (RFC 6598), one a line.
fn shared_addresses(count: u32) -> String {
    let first = u32::from(Ipv4Addr::new(100, 64, 0, 0));
    (0..count).map(|number| Ipv4Addr::from(first + number).to_string() + "\n").collect()
}

#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(40);
    while !holds() {
        assert!(Instant::now() < until, "no {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
