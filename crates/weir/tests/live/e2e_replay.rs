//! Traffic of an interface, watched live and replayed from a capture taken there, gives the same
//! counters and the same features.
//!
//! The two differ in their time stamps: a capture's frames are stamped in front of the packet
//! socket, the live ones in the program at TC, by another clock. Values that depend on time are
//! compared within a bound, all others to the bit.

mod command;
mod compare;
mod streams;
mod watched;

use flows_common::{FlowCounters, FlowKey};
use model::{Context, FlowFeature, PeerFeature, Window};
use replay::{Replay, ReplayOptions};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use self::{
    compare::{Difference, Features, additive, compare_features, compare_times, timeless},
    watched::Watched,
};

/// Number of times that traffic runs and comes to rest again.
const PHASES: usize = 3;
/// Length of each run.
const PHASE: Duration = Duration::from_secs(3);

/// Benign traffic and every way of attacking that the programs count differently: by flows, by
/// bytes, by forged sources, by ICMP, in both families.
const SCENARIO: &str = r#"
    name = "live-and-replayed"
    duration = "2m"
    topology = { clients = 3, attackers = 4 }
    benign = [
        { does = { kind = "web", port = 80, pause = "50ms" } },
        { does = { kind = "dns", pause = "50ms" } },
        { does = { kind = "bulk", bytes = 300_000, bytes_per_second = 1_000_000, pause = "500ms" } },
    ]
    attack = [
        { name = "scan", does = { kind = "syn_scan", ports = [1, 60_000], rate = 200 }, attacker = 0, duration = "90s" },
        { name = "spoofed", does = { kind = "spoofed_syn_flood", rate = 200 }, attacker = 1, duration = "90s" },
        { name = "udp", does = { kind = "udp_flood", rate = 200 }, attacker = 2, family = "v6", duration = "90s" },
        { name = "icmp", does = { kind = "icmp_flood", rate = 200 }, attacker = 3, duration = "90s" },
    ]
"#;

fn none_of(differences: &[Difference]) {
    let shown: Vec<String> = differences.iter().take(20).map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{}, of them:\n{}", differences.len(), shown.join("\n"));
}

/// Windows that end while nothing passes hold the same packets live and replayed. Then every
/// counter of every flow that is no time is the same to the bit, and so is every feature that is
/// computed from no time; times differ by what lies between the two stamps.
#[test]
fn windows_that_end_at_rest_are_the_same_live_and_replayed() {
    let Some(watched) = Watched::start(SCENARIO) else { return };
    let (mut live, replayed, capture) = watched.live_and_replayed(PHASES, PHASE);

    let [mut live_past, mut replayed_past] = [(); 2].map(|()| Context::of_windows(PHASE));
    let mut times = compare::Times::default();
    let mut features = Features::default();
    for (live, replayed) in live.iter_mut().zip(&replayed) {
        watched::renumber(live);
        assert!(live.imbalance() == 0 && !live.is_lossy() && live.flows.len() > 500);
        none_of(&compare::flows(&live.flows, &replayed.flows, timeless));
        none_of(&compare::peers(&live.peers, &replayed.peers));
        compare_times(live, replayed, &capture, &mut times);
        let (seen, again) = (live_past.observe(live), replayed_past.observe(replayed));
        compare_features::<FlowFeature>(&seen.flows, &again.flows, &mut features);
        compare_features::<PeerFeature>(&seen.peers, &again.peers, &mut features);
    }
    println!("{times}\n{features}");
    times.assert_within_bounds();
    none_of(&features.beyond);
    assert!(features.exact > 50_000 && features.timed > 5_000, "{features}");
    watched::remove(capture);
}

/// Windows that end in the middle of traffic split a flow elsewhere live than replayed. Summed
/// over its windows each flow counts the same to the bit, but for times and for what is out of
/// sequence; and so do all packets and losses.
#[test]
fn summed_over_its_windows_each_flow_counts_the_same_live_and_replayed() {
    let Some(watched) = Watched::start(SCENARIO) else { return };
    let drained = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&drained);
    let pipeline = watched.feed(Duration::from_millis(250), move |window| {
        into.lock().expect("no panic while adding").push(window);
    });
    watched.run_traffic(2 * PHASE);
    watched.rest();
    pipeline.stop().expect("the last window is drained");
    let begun_ns = watched.begun_ns();
    let capture = watched.finish();
    let mut live = std::mem::take(&mut *drained.lock().expect("no panic while adding"));
    let ended_ns = live.last().expect("windows").end_ns;
    for window in &mut live {
        watched::renumber(window);
    }

    let ends = (begun_ns..ended_ns).step_by(1_000_000_000).chain([ended_ns]);
    let ends: Vec<u64> = ends.map(|boot_ns| capture.unix_ns(boot_ns)).collect();
    let replayed: Vec<Window> = replay(&capture, capture.options().windows_ending_at(ends.clone()))
        .into_iter()
        .filter(|window| window.start_ns >= ends[0] && window.end_ns <= ended_at(&ends))
        .collect();
    println!("{} live windows, {} replayed", live.len(), replayed.len());
    assert!(live.len() > 20 && replayed.len() > 5);
    let (live_flows, replayed_flows) = (summed(&live), summed(&replayed));
    assert!(live_flows.len() > 1_500, "{} flows", live_flows.len());
    none_of(&compare::flows(&live_flows, &replayed_flows, additive));
    assert_eq!(compare::Ledgers::of(&live), compare::Ledgers::of(&replayed));
    watched::remove(capture);
}

fn replay(capture: &watched::Captured, options: ReplayOptions) -> Vec<Window> {
    let replay = Replay::open(capture.path(), options).expect("a capture");
    replay.map(|window| window.expect("whole")).collect()
}

fn ended_at(ends: &[u64]) -> u64 {
    *ends.last().expect("some")
}

/// Each flow over all windows, by key.
fn summed(windows: &[Window]) -> Vec<(FlowKey, FlowCounters)> {
    let mut sums: BTreeMap<FlowKey, FlowCounters> = BTreeMap::new();
    for (key, counters) in windows.iter().flat_map(|window| &window.flows) {
        sums.entry(*key).and_modify(|sum| sum.merge(counters)).or_insert(*counters);
    }
    sums.into_iter().collect()
}
