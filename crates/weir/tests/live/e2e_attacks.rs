//! The whole loop against every kind of attack in the lab: learnt from benign traffic, each real
//! source gets an entry and loses packets to it, no forged source and no benign client gets one,
//! and no benign request fails.
//!
//! `WEIR_LOG=collector=debug` and `--no-capture` show the evidence of each window.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::support::{Record, lab_or_skip, learn, open_or_skip, scenario, wait_for, watching};
use collector::{
    config::Mode,
    event::DecisionRecord,
    live::Live,
    node::{Node, NodeParts},
    pipeline::Pipeline,
    protected::own_addresses,
};
use datapath::{Blocklist, Target};
use engine::{Arrival, Detector};
use events::Prefix;
use lab::{AttackTruth, Lab, RunningAttack, Scenario, Sources};
use policy::{LocallyInitiated, Policy, ProtectedHosts};

const WINDOW: Duration = Duration::from_millis(500);
/// Benign traffic to learn from.
const LEARN: Duration = Duration::from_secs(40);
/// Windows of benign traffic alone, under enforcement, and between two rounds.
const QUIET_WINDOWS: usize = 6;
/// Windows that a forged attack, which must not be answered, is watched for.
const FORGED_WINDOWS: usize = 8;
/// Longest wait for a stage that makes no progress.
const PATIENCE: Duration = Duration::from_mins(1);

/// Attacks that send so little at a time that they run beside all others.
const STEALTHY: [&str; 3] = ["beaconing", "beaconing-v6", "slow-scan"];
/// The others, those of a round together.
const ROUNDS: [&[&str]; 9] = [
    &["syn-scan", "syn-scan-v6"],
    &["syn-flood", "syn-flood-v6"],
    &["spoofed-syn-flood", "spoofed-syn-flood-v6"],
    &["udp-flood", "udp-flood-v6"],
    &["icmp-flood", "icmp-flood-v6"],
    &["ssh-brute-force", "ssh-brute-force-v6"],
    &["slow-http", "slow-http-v6"],
    &["exfiltration", "exfiltration-dns"],
    &["vlan-scan", "vlan-flood-v6"],
];
/// Attacks that are answered with a rate limit far above their own rate: their source has an
/// entry, but loses nothing to it.
const BELOW_THE_LIMIT: [&str; 1] = ["slow-scan"];
/// Attacks that may be left unanswered: a beacon is odd in regularity alone, and a few of its rows over
/// ten seconds are not enough.
const MAY_BE_MISSED: [&str; 2] = ["beaconing", "beaconing-v6"];
/// Volume alone is reported and not acted on, unless it is decisive.
const REPORTED: &str = "exfiltration";

#[test]
fn each_attack_is_answered_and_nobody_else_is() {
    show_log();
    let scenario = scenario(include_str!("scenarios/every-attack.toml"));
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.capture.window = WINDOW;
    raw.tables.blocks = 65_536;
    // Some attacks come from within: a beacon is a flow that the host opens.
    raw.policy.locally_initiated = LocallyInitiated::Act;
    let config = raw.check().expect("a valid configuration");
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let own = lab.enter(lab.host(), own_addresses).expect("the host").expect("its addresses");

    let benign = lab.start_benign(&scenario).expect("clients");
    let detector = detector(&live);
    let record = Record::default();
    let policy = Policy::new(config.policy.clone(), ProtectedHosts::own(own));
    let pipeline = Pipeline::score(
        live.drain(),
        WINDOW,
        detector,
        Arc::new(Node::new(NodeParts::new(
            policy,
            live.enforcer(&config).expect("an empty blocklist"),
        ))),
        vec![Box::new(record.clone())],
    )
    .expect("threads");
    let pass = |windows: usize| {
        let from = record.told().windows.len();
        wait_for("more windows", PATIENCE, || {
            assert!(!pipeline.has_failed(), "a stage ended");
            (record.told().windows.len() >= from + windows).then_some(())
        });
    };
    pass(QUIET_WINDOWS);

    let stealthy = start(&lab, &scenario, &STEALTHY);
    let mut truths = Vec::new();
    for round in ROUNDS {
        let running = start(&lab, &scenario, round);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until
            && round.iter().zip(&running).any(|(name, attack)| {
                let awaited = *name != REPORTED && !MAY_BE_MISSED.contains(name);
                awaited && is_answered(attack, live.blocklist()) == Some(false)
            })
        {
            pass(1);
        }
        if running.iter().any(|attack| is_answered(attack, live.blocklist()).is_none()) {
            pass(FORGED_WINDOWS);
        }
        truths.extend(finish(running));
        pass(QUIET_WINDOWS);
    }
    truths.extend(finish(stealthy));
    pipeline.stop().expect("the last window is drained");
    let clients = benign.finish().expect("clients");

    let told = record.told();
    for truth in &truths {
        println!("{}", describe(truth, &told.anomalies, live.blocklist()));
    }
    let late: u64 = told.windows.iter().map(|window| window.late).sum();
    println!("{} windows, {late} drains put off", told.windows.len());

    let must_be_answered = |truth: &AttackTruth| {
        !truth.sources.are_spoofed()
            && truth.name != REPORTED
            && !MAY_BE_MISSED.contains(&truth.name.as_str())
    };
    let entries: BTreeSet<IpAddr> = told
        .anomalies
        .iter()
        .filter(|anomaly| anomaly.outcome.made_entry())
        .map(DecisionRecord::peer)
        .collect();
    let real: BTreeSet<IpAddr> = truths.iter().filter_map(real_source).collect();
    let forged = truths.iter().filter(|truth| truth.sources.are_spoofed());
    let forged: Vec<&AttackTruth> = forged.collect();
    // A forged flood of one /64 may have it limited: what is proven from there passes.
    let is_meant = |entry: &&IpAddr| {
        real.contains(*entry)
            || real.iter().any(|&one| one.is_ipv6() && neighbourhood(one) == **entry)
            || forged.iter().any(|truth| truth.sources.contains(**entry) && entry.is_ipv6())
    };
    let others: Vec<&IpAddr> = entries.iter().filter(|entry| !is_meant(entry)).collect();
    let misses: Vec<&str> = truths
        .iter()
        .filter(|truth| must_be_answered(truth) && !was_answered(truth, live.blocklist()))
        .map(|truth| truth.name.as_str())
        .collect();
    let failed: u64 = clients.iter().map(|client| client.total.failed).sum();
    let attempted: u64 = clients.iter().map(|client| client.total.attempted).sum();
    assert!(others.is_empty(), "entries for forged or benign addresses: {others:?}");
    assert!(misses.is_empty(), "not answered: {misses:?}");
    let volume = truths.iter().find(|truth| truth.name == REPORTED).expect("it ran");
    let its = told.anomalies.iter().filter(|one| volume.sources.contains(one.peer()));
    assert!(its.count() > 0, "{REPORTED} is not reported");
    assert!(attempted > 1_000, "only {attempted} benign requests");
    assert_eq!(failed, 0, "of {attempted} benign requests");
    assert!(told.failures.is_empty(), "{:?}", told.failures);
    let imbalance: i64 = told.windows.iter().map(|window| window.imbalance.abs()).sum();
    assert_eq!(imbalance, 0);
    drop(live);
    lab.remove().expect("the lab is gone");
}

/// Learns for [`LEARN`], and goes on with the past that was learnt.
fn detector(live: &Live) -> Detector {
    let (model, context) = learn(live, WINDOW, LEARN);
    let mut detector = Detector::new(model, context, WINDOW);
    // What was counted during the fit is a window of odd length: part of the past, not scored.
    detector.assess(&live.drain_once().expect("a window"), Arrival::default());
    detector
}

fn start(lab: &Lab, scenario: &Scenario, names: &[&str]) -> Vec<RunningAttack> {
    let start = |name| lab.start_attack(scenario.attack(name).expect("it is there"));
    names.iter().map(|name| start(name).expect("an attack")).collect()
}

fn finish(running: Vec<RunningAttack>) -> impl Iterator<Item = AttackTruth> {
    running.into_iter().map(|attack| attack.finish().expect("an attack's truth"))
}

/// The source, unless it is forged.
fn real_source(truth: &AttackTruth) -> Option<IpAddr> {
    match truth.sources {
        Sources::Real { address } => Some(address),
        Sources::Spoofed { .. } | Sources::Network { .. } => None,
    }
}

/// Packets that the guard dropped of an address, if it or its /64 has an entry: all attackers of
/// IPv6 are neighbours, which read as one host.
fn dropped(address: IpAddr, blocklist: &Blocklist) -> Option<u64> {
    let host = Prefix::of_host(neighbourhood(address)).net();
    let targets = [Target::address(address), Target::from(host)];
    let entries = targets.iter().filter_map(|one| blocklist.get(one).expect("a look"));
    let of = |slot| blocklist.stats(slot).expect("statistics").dropped_packets;
    entries.map(|entry| of(entry.slot)).reduce(|one, other| one + other)
}

/// The address that stands for its /64 in IPv6, and itself in IPv4.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() >> 64 << 64).to_be_bytes()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// True where the attack's one source has an entry that dropped packets; none where the source is
/// forged.
fn is_answered(attack: &RunningAttack, blocklist: &Blocklist) -> Option<bool> {
    match attack.sources() {
        Sources::Real { address } => Some(dropped(*address, blocklist) > Some(0)),
        Sources::Spoofed { .. } | Sources::Network { .. } => None,
    }
}

fn was_answered(truth: &AttackTruth, blocklist: &Blocklist) -> bool {
    let least = if BELOW_THE_LIMIT.contains(&truth.name.as_str()) { Some(0) } else { Some(1) };
    real_source(truth).is_some_and(|address| dropped(address, blocklist) >= least)
}

/// Outcome of an attack, as text for the test's output.
fn describe(truth: &AttackTruth, anomalies: &[DecisionRecord], blocklist: &Blocklist) -> String {
    let its: Vec<&DecisionRecord> =
        anomalies.iter().filter(|one| truth.sources.contains(one.peer())).collect();
    let entry = its.iter().find(|one| one.outcome.made_entry());
    let refusals: BTreeSet<&str> =
        its.iter().filter_map(|one| one.refusal.map(policy::Refusal::text)).collect();
    let Some(shown) = entry.or(its.first()) else {
        return format!("{:<21} not anomalous; sent {:?}", truth.name, truth.sent);
    };
    let reasons: Vec<String> = shown
        .reasons
        .iter()
        .map(|one| {
            format!(
                "{}={:.3}[{:.3},{:.3}]",
                one.feature, one.value, one.benign_low, one.benign_high
            )
        })
        .collect();
    format!(
        "{:<21} {} after {} ms, {} anomalous, dropped {:?}: p {:.4} peer {:.3} over {} ms tail \
         {:.1} surprise {:.1} {} refusals {refusals:?}\n    {}",
        truth.name,
        shown.outcome.text(),
        shown.at_ns.saturating_sub(truth.began.boot_ns) / 1_000_000,
        its.len(),
        real_source(truth).and_then(|address| dropped(address, blocklist)),
        shown.evidence.p_value,
        shown.evidence.peer_score,
        shown.evidence.horizon_ms,
        shown.evidence.tail_score,
        shown.evidence.surprise,
        shown.evidence.standing.name(),
        reasons.join(" "),
    )
}

/// Prints the pipeline's log, where `WEIR_LOG` asks for it.
fn show_log() {
    let filter = tracing_subscriber::EnvFilter::from_env("WEIR_LOG");
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}
