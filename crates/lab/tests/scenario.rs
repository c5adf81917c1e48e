//! A whole scenario runs, is written down, and can be stopped.

mod common;

use std::time::{Duration, Instant};

use common::{lab_or_skip, read};
use lab::{CaptureBounds, GroundTruth, Lab, RunEvent, Scenario, Stop, Tap};

const SCENARIO: &str = r#"
name = "short"
duration = "4s"
[topology]
clients = 2
attackers = 2
second_interface = true
offloads = false
[[benign]]
does = { kind = "web", pause = "100ms" }
[[benign]]
does = { kind = "dns", pause = "100ms" }
[[attack]]
name = "second"
does = { kind = "spoofed_syn_flood", rate = 500 }
attacker = 1
family = "v6"
start = "2s"
duration = "1s"
[[attack]]
name = "first"
does = { kind = "udp_flood", rate = 500 }
start = "1s"
duration = "5s"
"#;

#[test]
fn a_scenario_runs_its_attacks_in_time_and_writes_them_down() {
    let scenario = Scenario::parse("the test", SCENARIO).unwrap();
    let Some(lab) = lab_or_skip(&scenario.topology) else { return };
    let folder = tempfile::tempdir().unwrap();
    let paths = [0, 1].map(|nth| folder.path().join(format!("eth{nth}.pcap")));
    let captures = [0, 1]
        .map(|nth| lab.capture(&paths[nth], Tap::Host, nth, CaptureBounds::default()).unwrap());
    let mut events = Vec::new();
    let report = lab
        .run(&scenario, &Stop::new(), |event| {
            events.push(match event {
                RunEvent::BenignBegan => "benign".to_owned(),
                RunEvent::AttackBegan { name, .. } => format!("{name} began"),
                RunEvent::AttackEnded(truth) => format!("{} ended", truth.name),
            });
        })
        .unwrap();
    assert_eq!(
        events,
        ["benign", "first began", "second began", "second ended", "first ended"],
        "the first is cut short by the scenario's end"
    );

    let path = folder.path().join("truth.json");
    report.ground_truth.write(&path).unwrap();
    assert_eq!(GroundTruth::read(&path).unwrap(), report.ground_truth);
    let [first, second] = &report.ground_truth.attacks[..] else { panic!("two attacks") };
    let apart = second.began.since(first.began);
    assert!((900..3_000).contains(&apart.as_millis()), "{apart:?}");

    for (nth, capture) in captures.into_iter().enumerate() {
        assert_eq!(capture.finish().unwrap().dropped, 0);
        let seen = read(&paths[nth]);
        common::assert_inside(&seen);
        let truth = &report.ground_truth.attacks[nth];
        let hits = seen.iter().filter(|packet| {
            packet.target == truth.victim && truth.sources.contains(packet.source)
        });
        assert_eq!(hits.count() as u64, truth.sent.frames, "on eth{nth}");
    }

    for client in &report.clients {
        assert_eq!(client.total.failed, 0);
        let during = client.between(first.began.boot_ns, first.ended.boot_ns);
        let before = client.between(0, first.began.boot_ns);
        assert!(before.attempted > 0 && during.attempted > before.attempted);
    }
}

#[test]
fn a_scenario_that_is_stopped_ends_at_once_and_tells_what_was() {
    let scenario = Scenario::builtin("attacks").unwrap();
    let Some(lab) = lab_or_skip(&scenario.topology) else { return };
    let stop = Stop::new();
    let began = Instant::now();
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            stop.stop();
        });
        lab.run(&scenario, &stop, |_| {}).unwrap()
    });
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(report.ground_truth.attacks.is_empty());
    assert!(report.clients.iter().all(|client| client.total.attempted > 0));
}

#[test]
fn the_same_seed_asks_for_the_same() {
    let text = "name = \"t\"\nduration = \"10s\"\n[topology]\nclients = 1\n[[benign]]\n\
                does = { kind = \"web\", pause = \"100ms\" }\nfamilies = [\"v4\"]\n";
    let scenario = Scenario::parse("the test", text).unwrap();
    let sizes = |lab: &Lab| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.pcap");
        let capture = lab.capture(&path, Tap::Host, 0, CaptureBounds::default()).unwrap();
        let benign = lab.start_benign(&scenario).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        benign.finish().unwrap();
        capture.finish().unwrap();
        let client = lab.clients()[0].address(lab::Family::V4);
        let asked = read(&path).into_iter().filter(|p| p.source == client && p.payload > 0);
        asked.map(|packet| packet.payload).take(4).collect::<Vec<_>>()
    };
    let Some(one) = lab_or_skip(&scenario.topology) else { return };
    let Some(other) = lab_or_skip(&scenario.topology) else { return };
    let first = sizes(&one);
    assert_eq!(first.len(), 4);
    assert_eq!(first, sizes(&other));
}
