//! Scans by sources that anybody may have forged: closed ports get a limit that they share, nobody is
//! blocked for them, and a scan that would be over before its window is has it within the window.

use std::time::{Duration, Instant};

use crate::support::{Watch, lab_or_skip, open_or_skip, scenario, wait_for, watching};
use collector::config::Mode;
use datapath::Service;
use flows_common::{Action, Direction};

const PATIENCE: Duration = Duration::from_secs(30);
const SCENARIO: &str = r#"
name = "closed-ports"
duration = "5m"
topology = { clients = 3, attackers = 2 }
benign = [
    { does = { kind = "web", port = 80, pause = "300ms" } },
    { does = { kind = "dns", pause = "500ms" } },
    { does = { kind = "interactive", pause = "300ms" }, clients = [1, 2] },
]
attack = [
    { name = "decoys", does = { kind = "syn_scan", ports = [1, 4096], rate = 80, guise = "decoys" }, attacker = 0, duration = "1m" },
    { name = "fast", does = { kind = "syn_scan", ports = [1, 2000], rate = 12500 }, attacker = 1, duration = "1s" },
]
"#;

#[test]
fn decoys_share_the_limit_of_closed_ports_and_none_of_them_takes_a_block() {
    let scenario = scenario(SCENARIO);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let window = Duration::from_millis(500);
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.capture.window = window;
    let config = raw.check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let benign = lab.start_benign(&scenario).expect("clients");
    let watch = Watch::begin(&lab, &live, window, &[]);
    let scan = lab.start_attack(scenario.attack("decoys").expect("it is there")).expect("a scan");
    let closed = |told: &crate::support::Told| {
        told.services.iter().find(|one| one.limit.service == policy::Service::CLOSED_PORTS).copied()
    };
    let limited = wait_for("limit of closed ports", PATIENCE, || closed(&watch.record.told()));
    assert_eq!((limited.limit.renewed, limited.limit.action), (false, Action::RateLimit));
    assert!(limited.limit.sources > 8 && limited.incident.is_some(), "{limited:?}");
    watch.pass(8);
    let blocklist = live.blocklist();
    let ledger = blocklist.guard_counters(Direction::Ingress).expect("a ledger");
    println!("{limited:?}\n{ledger:?}");
    assert!(ledger.service_limited > 1_000, "{ledger:?}");
    assert_eq!(blocklist.list().expect("a list"), [], "an address is blocked");
    scan.finish().expect("the scan's truth");
    watch.pipeline.stop().expect("the last window is drained");
    let clients = benign.finish().expect("clients");
    let failed: u64 = clients.iter().map(|client| client.total.failed).sum();
    assert_eq!(failed, 0, "benign requests");
    assert!(watch.record.told().failures.is_empty());
    drop(live);
    lab.remove().expect("the lab is gone");
}

#[test]
fn a_scan_that_would_be_over_before_its_window_is_limited_within_it_and_told_once() {
    let scenario = scenario(SCENARIO);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    // Half of it is more than the reaction takes on a slow machine.
    let window = Duration::from_secs(2);
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.capture.window = window;
    let config = raw.check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let benign = lab.start_benign(&scenario).expect("clients");
    let watch = Watch::begin(&lab, &live, window, &[]);
    let blocklist = live.blocklist();
    assert_eq!(blocklist.service(Service::CLOSED_PORTS).expect("a look"), None);
    // At the beginning of a window.
    watch.pass(1);
    let begun = Instant::now();
    let scan = lab.start_attack(scenario.attack("fast").expect("it is there")).expect("a scan");
    let entry = wait_for("limit of closed ports", PATIENCE, || {
        blocklist.service(Service::CLOSED_PORTS).expect("a look")
    });
    let seen_after = begun.elapsed();
    watch.pass(2);
    let truth = scan.finish().expect("the scan's truth");
    let after = Duration::from_nanos(entry.created_ns.saturating_sub(truth.began.boot_ns));
    let ledger = blocklist.guard_counters(Direction::Ingress).expect("a ledger");
    println!("limited after {after:?} (seen after {seen_after:?}); {ledger:?}; {truth:?}");
    assert!(after < window / 2, "{after:?}");
    assert!(ledger.service_limited > 1_000, "{ledger:?}");
    let told = watch.record.told();
    let limits: Vec<_> = told
        .services
        .iter()
        .filter(|one| one.limit.service == policy::Service::CLOSED_PORTS)
        .map(|one| (one.limit.renewed, one.incident.map(|incident| incident.id)))
        .collect();
    assert!(!limits.is_empty() && !limits[0].0, "{limits:?}");
    assert!(limits.iter().all(|one| one.1 == limits[0].1), "one incident: {limits:?}");
    drop(told);
    watch.pipeline.stop().expect("the last window is drained");
    benign.finish().expect("clients");
    drop(live);
    lab.remove().expect("the lab is gone");
}
