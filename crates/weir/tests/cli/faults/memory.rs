//! Memory that a flood or a list takes, and gives back.

use std::{
    fs,
    time::{Duration, Instant},
};

use lab::Scenario;

use super::{shared_addresses, wait_for, window};
use crate::support::{Bench, Running, told};

/// What a flood leaves behind at most, for ten minutes: the past of flows and peers at its limits, and
/// what the longer horizons gather (`features::ContextLimits`).
const OF_THE_PAST_KB: u64 = 110_000;
const SLACK_KB: u64 = 16_000;

/// Resident memory of a node, in kB.
fn resident(node: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

#[test]
fn what_a_flood_and_a_list_took_is_given_back() {
    let flood = Scenario::parse(
        "flood",
        r#"
        name = "flood"
        duration = "1m"
        topology = { clients = 1, attackers = 2 }
        attack = [
            { name = "spoofed", does = { kind = "spoofed_syn_flood", rate = 20_000 }, attacker = 0, duration = "8s" },
            { name = "udp", does = { kind = "udp_flood", rate = 30_000 }, attacker = 1, duration = "8s" },
        ]
        "#,
    )
    .expect("a scenario");
    let Some(bench) = Bench::with_attackers(2) else { return };
    let mut node = bench.enforcing(&[]);
    wait_for("windows", || window(&bench) > 5);
    let before = resident(&node);
    let running: Vec<_> =
        flood.attacks.iter().map(|one| bench.lab.start_attack(one).expect("a flood")).collect();
    let (mut most, until) = (0, Instant::now() + Duration::from_secs(9));
    while Instant::now() < until {
        most = most.max(resident(&node));
        std::thread::sleep(Duration::from_millis(100));
    }
    for one in running {
        assert!(one.finish().expect("its truth").sent.frames > 10_000);
    }
    println!("{before} kB before the flood, {most} in it");
    assert!(most > before + OF_THE_PAST_KB, "the flood filled nothing: {before} to {most} kB");
    wait_for("memory given back", || resident(&node) < before + OF_THE_PAST_KB + SLACK_KB);
    let after = resident(&node);

    let path = bench.path("list.txt");
    fs::write(&path, shared_addresses(200_000)).expect("room");
    told(&bench.output(&["import", "--for", "10m", &path]));
    // Who reads all of it holds up neither people nor decisions.
    let readers = [(); 2].map(|()| bench.start(&["blocks"]));
    for reader in &readers {
        reader.line("100.64.0.0");
    }
    let before = window(&bench);
    let mut longest = Duration::ZERO;
    for last in 1..=5 {
        let start = Instant::now();
        told(&bench.output(&["block", &format!("203.0.113.{last}"), "--for", "10m"]));
        longest = longest.max(start.elapsed());
    }
    wait_for("windows", || window(&bench) > before + 3);
    assert!(longest < Duration::from_secs(3), "a block took {longest:?}");
    let listed = resident(&node);
    drop(readers);
    wait_for("memory given back", || resident(&node) < after + SLACK_KB);
    println!(
        "{after} kB after it, {listed} while a list was read, {} at the end; a block took {longest:?} at most",
        resident(&node)
    );
    assert_eq!(node.terminate(), Some(0));
}
