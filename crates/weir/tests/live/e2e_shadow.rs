//! Shadow mode on a live node and an experiment on the same traffic's capture tell the same:
//! which source would be blocked, and how much of it would be stopped.

use std::{fs::File, io::BufReader, sync::Arc, time::Duration};

use crate::support::{Record, lab_or_skip, learn, open_or_skip, scenario, wait_for, watching};
use collector::{
    config::{Mode, RawConfig},
    node::{Node, NodeParts},
    pipeline::Pipeline,
    protected::own_addresses,
    sink::JsonLines,
};
use engine::{Arrival, Detector, basis};
use experiment::{
    effect::Effect,
    report::{Origin, Source},
    shadow::Record as NodeRecord,
    stream::{Row, RowLabel, Stream},
};
use lab::{CaptureBounds, Tap};
use model::{Context, ModelFile};
use policy::{
    Policy, ProtectedHosts, Unverified, ValidPolicy, WindowFacts, statistics::Unsupported,
};
use replay::{HomeNet, Replay, ReplayOptions};

const WINDOW: Duration = Duration::from_millis(500);
const LEARN: Duration = Duration::from_secs(20);
/// Lease of the attacker's first block.
const TTL: Duration = Duration::from_secs(4);
const SCENARIO: &str = r#"
    name = "shadowed"
    duration = "2m"
    topology = { clients = 3, attackers = 1 }
    benign = [
        { does = { kind = "web", port = 80, pause = "100ms" } },
        { does = { kind = "dns", pause = "200ms" } },
    ]
    attack = [
        { name = "flood", does = { kind = "syn_flood", port = 80, rate = 200 }, attacker = 0, duration = "4m" },
    ]
"#;

fn shadowing() -> RawConfig {
    let mut raw = watching(&["eth0"], Mode::Shadow);
    raw.capture.window = WINDOW;
    raw.policy.ttl = TTL;
    raw.policy.expert.early_release = 0.0;
    // Twenty seconds hold too few rows to claim a rate by.
    raw.policy.unsupported = Unsupported::Act;
    // A shadow entry counts every packet, so that what a rate limit would pass is no part of it.
    raw.policy.unverified = Unverified::Drop;
    raw
}

#[test]
fn a_nodes_would_drops_are_those_of_an_experiment_on_its_traffic() {
    if !test_support::root() {
        return;
    }
    let scenario = scenario(SCENARIO);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let mut raw = shadowing();
    let config = raw.clone().check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let own = lab.enter(lab.host(), own_addresses).expect("the host").expect("its addresses");
    let benign = lab.start_benign(&scenario).expect("clients");
    let (model, context) = learn(&live, WINDOW, LEARN);

    let folder = tempfile::tempdir().expect("a folder");
    let (events, captured) = (folder.path().join("events.jsonl"), folder.path().join("c.pcap"));
    let capture = lab.capture(&captured, Tap::Host, 0, CaptureBounds::default()).expect("a tap");
    let mut detector = Detector::new(model.clone(), context, WINDOW);
    // What was counted during the fit is a window of odd length: part of the past, not scored.
    detector.assess(&live.drain_once().expect("a window"), Arrival::default());
    let record = Record::default();
    let policy = Policy::new(config.policy.clone(), ProtectedHosts::own(own.clone()))
        .calibrated(&basis(&model));
    let pipeline = Pipeline::score(
        live.drain(),
        WINDOW,
        detector,
        Arc::new(Node::new(NodeParts::new(
            policy,
            live.enforcer(&config).expect("an empty blocklist"),
        ))),
        vec![Box::new(record.clone()), Box::new(JsonLines::open(&events).expect("a file"))],
    )
    .expect("threads");
    let attack = lab.start_attack(scenario.attack("flood").expect("it is there")).expect("it");
    wait_for("end of the attacker's first block", Duration::from_mins(2), || {
        assert!(!pipeline.has_failed(), "a stage ended");
        (!record.told().expired.is_empty()).then_some(())
    });
    let truth = attack.finish().expect("the attack's truth");
    pipeline.stop().expect("the last window is drained");
    benign.finish().expect("clients");
    capture.finish().expect("a capture");

    let told = record.told();
    let lab::Sources::Real { address: attacker } = truth.sources else { panic!("{truth:?}") };
    let [expired] = &told.expired[..1] else { panic!("one at least") };
    assert_eq!(
        (expired.peer.address(), expired.dropped_packets),
        (Some(attacker), 0),
        "nothing is dropped"
    );
    assert_eq!(expired.passed_packets, expired.would_drop_packets);

    let node = NodeRecord::read(BufReader::new(File::open(&events).expect("events")));
    let origin = Origin {
        source: Source::NodeRecord,
        inputs: Vec::new(),
        model_sha256: None,
        seed: None,
        has_truth: false,
    };
    let report = node.expect("a record").report(origin, None, 0);
    let live_block = &report.settings[0].block_list[0];
    assert_eq!(live_block.peer, attacker);
    assert_eq!(live_block.stopped_packets, Some(expired.would_drop_packets));

    let unix_less_boot_ns = truth.began.unix_ns - truth.began.boot_ns;
    let ends: Vec<u64> =
        told.windows.iter().map(|window| window.end_ns + unix_less_boot_ns).collect();
    let first_ns = told.windows[0].start_ns + unix_less_boot_ns;
    let home = HomeNet::new(own.into_iter().map(Into::into));
    let options = ReplayOptions::default()
        .home(home)
        .windows_ending_at([first_ns].into_iter().chain(ends.iter().copied()));
    let enforcing = {
        raw.policy.mode = Mode::Enforce;
        raw.check().expect("a valid configuration").policy
    };
    let effect = experiment(&captured, options, model, enforcing, first_ns);
    let block = effect
        .blocks
        .iter()
        .find(|block| block.decision.evidence.address == attacker)
        .expect("the experiment blocks the attacker too");
    // The experiment's block stands from its window's end, the kernel's from when the entry was
    // there, both for the same lease. Beyond that, the two clocks' windows do not end at the same
    // packet: they may differ by a window's packets.
    let decided =
        told.anomalies.iter().find(|one| one.peer() == attacker && one.outcome.made_entry());
    let decided = decided.expect("the entry's own event");
    let window = told.windows.iter().find(|window| window.number == decided.window);
    let late_ns = decided.at_ns - window.expect("its window").end_ns;
    let lease_ns = u64::try_from(TTL.as_nanos()).expect("short");
    let stopped = block.stopped.packets;
    let expected = stopped * (lease_ns - late_ns) / lease_ns;
    let tolerance = stopped * u64::try_from(WINDOW.as_nanos()).expect("short") / lease_ns;
    println!(
        "kernel {}, experiment {stopped}, less {late_ns} ns: {expected}, at most {tolerance} apart",
        expired.would_drop_packets
    );
    assert!(expired.would_drop_packets > 4 * tolerance, "{expired:?}");
    assert!(expired.would_drop_packets.abs_diff(expected) <= tolerance, "as printed");
    drop(told);
    drop(live);
    lab.remove().expect("the lab is gone");
}

fn experiment(
    capture: &std::path::Path,
    options: ReplayOptions,
    model: ModelFile,
    policy: ValidPolicy,
    first_ns: u64,
) -> Effect {
    let policy = Policy::new(policy, ProtectedHosts::default()).calibrated(&basis(&model));
    let mut detector = Detector::new(model, Context::of_windows(WINDOW), WINDOW);
    let mut stream = Stream::default();
    for window in Replay::open(capture, options).expect("a capture") {
        let window = window.expect("whole");
        let found = detector.assess(&window, Arrival::default());
        // Before the first and behind the last live window are the odd ends.
        if window.start_ns < first_ns || window.end_ns == u64::MAX {
            continue;
        }
        let rows = found.evidence.into_iter().map(|evidence| Row {
            first_ns: window.start_ns,
            label: RowLabel::Unlabelled,
            evidence,
        });
        // The live detector went on with the past that was learnt.
        let facts = WindowFacts { warming_up: false, ..found.facts };
        stream.push(facts, rows.collect()).expect("few");
    }
    Effect::of(&stream, policy)
}
