//! The accounting identity on real traffic: what the windows hold, what the ledger lost by cause
//! and what the guard dropped is what the interface counted, to the packet, also while the flow
//! tables are far too small.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{frames_at_rest, lab_or_skip, open_or_skip, scenario, wait_for, watching};
use collector::{
    clock::boot_ns,
    config::{Mode, WINDOW_MIN},
    live::Live,
    pipeline::Pipeline,
};
use datapath::{Block, BlockAction};
use flows_common::{Direction, Scope};
use lab::{Family, Lab, Scenario};
use model::Window;

/// Flows that the tables hold: a tenth of what the floods below make in a window.
const FLOWS: u32 = 128;
/// Windows that the identity is watched over.
const WINDOWS: u64 = 120;

/// Sums over windows.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    windows: u64,
    imbalanced_windows: u64,
    /// By direction.
    segments: [u64; 2],
    drained: u64,
    lost: u64,
    evicted_flows: u64,
    evicted_packets: u64,
    /// Windows whose evictions are fewer packets than flows, which cannot be.
    impossible_windows: u64,
}

impl Sums {
    fn add(&mut self, window: &Window) {
        self.windows += 1;
        self.imbalanced_windows += u64::from(window.imbalance() != 0);
        self.impossible_windows += u64::from(window.evicted_packets < window.evicted_flows);
        for way in 0..2 {
            self.segments[way] += window.packet_counters.segments[way];
        }
        self.drained += window.drained_packets();
        self.lost += window.packet_counters.lost();
        self.evicted_flows += window.evicted_flows;
        self.evicted_packets += window.evicted_packets;
    }
}

/// Sums that a pipeline and the test add to.
#[derive(Clone, Default)]
struct SharedSums(Arc<Mutex<Sums>>);

impl SharedSums {
    fn add(&self, window: &Window) {
        self.0.lock().expect("no panic while adding").add(window);
    }

    fn sums(&self) -> Sums {
        *self.0.lock().expect("no panic while adding")
    }
}

/// weir on the lab's host, with tables of [`FLOWS`] flows.
#[track_caller]
fn open(lab: &Lab) -> Option<Live> {
    let mut raw = watching(&["eth0"], Mode::Enforce);
    raw.tables.flows = FLOWS;
    raw.tables.blocks = 1_024;
    raw.policy.max_blocks = 1_024;
    open_or_skip(lab, &raw.check().expect("a valid configuration"))
}

/// Starts the scenario's attacks, waits for so many of the shortest windows, ends the attacks.
fn under_attack(lab: &Lab, live: &Live, scenario: &Scenario, shared_sums: &SharedSums) -> u64 {
    let into = shared_sums.clone();
    let pipeline = Pipeline::feed(live.drain(), WINDOW_MIN, move |next| {
        into.add(&next.window);
        Ok(())
    })
    .expect("threads");
    let running: Vec<_> = scenario
        .attacks
        .iter()
        .map(|attack| lab.start_attack(attack).expect("an attack"))
        .collect();
    wait_for("enough windows", Duration::from_secs(90), || {
        assert!(!pipeline.has_failed(), "{pipeline:?}");
        (shared_sums.sums().windows >= WINDOWS).then_some(())
    });
    let sent = running
        .into_iter()
        .map(|attack| attack.finish().expect("an attack's truth").sent.frames)
        .sum();
    pipeline.stop().expect("the last window is drained");
    sent
}

#[test]
fn under_load_windows_and_ledger_hold_what_the_interface_counted() {
    let scenario = scenario(
        r#"
        name = "load"
        duration = "2m"
        topology = { clients = 4, attackers = 4 }
        benign = [
            { does = { kind = "web", port = 80, pause = "50ms" } },
            { does = { kind = "dns", pause = "100ms" } },
            { does = { kind = "bulk", bytes = 300_000, bytes_per_second = 1_000_000, pause = "1s" } },
        ]
        attack = [
            { name = "scan", does = { kind = "syn_scan", ports = [1, 60_000], rate = 2_000 }, attacker = 0, duration = "90s" },
            { name = "spoofed", does = { kind = "spoofed_syn_flood", rate = 2_000 }, attacker = 1, duration = "90s" },
            { name = "udp", does = { kind = "udp_flood", rate = 3_000 }, attacker = 2, family = "v6", duration = "90s" },
            { name = "blocked", does = { kind = "icmp_flood", rate = 1_000 }, attacker = 3, duration = "90s" },
        ]
        "#,
    );
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let Some(live) = open(&lab) else { return };
    let blocked = lab.attackers()[3].address(Family::V4);
    let now = boot_ns();
    let block = Block {
        action: BlockAction::Drop,
        scope: Scope::All,
        expires_ns: now + (1 << 40),
        reason: 1,
    };
    live.blocklist().insert(blocked.into(), &block, now).expect("a block");

    let before = frames_at_rest(&lab, &live, |_| ());
    let shared_sums = SharedSums::default();
    let benign = lab.start_benign(&scenario).expect("clients");
    under_attack(&lab, &live, &scenario, &shared_sums);
    benign.finish().expect("clients");
    let after = frames_at_rest(&lab, &live, |window| shared_sums.add(window));

    let sums = shared_sums.sums();
    let dropped = live.blocklist().guard_counters(Direction::Ingress).expect("a ledger").dropped;
    println!("{sums:?}, dropped {dropped}, the interface {before:?} to {after:?}");
    assert!(sums.windows >= WINDOWS);
    assert_eq!((sums.imbalanced_windows, sums.impossible_windows), (0, 0), "{sums:?}");
    assert!(sums.evicted_flows > 0 && dropped > 0, "{sums:?}, dropped {dropped}");
    let [received, sent] = [after[0] - before[0], after[1] - before[1]];
    assert_eq!(sums.segments, [received - dropped, sent], "{sums:?}");
    let accounted = sums.drained + sums.lost + sums.evicted_packets;
    assert_eq!(accounted + dropped, received + sent, "{sums:?}");
    lab.remove().expect("the lab is gone");
}

/// Frames on a VLAN that the host does not have draw no answer, so that each flow of this flood
/// is one packet, bar the few that draw the same two ports: evicted packets, which no table
/// holds any more, can be checked against evicted flows, which the tables count.
#[test]
fn evicted_flows_of_one_packet_are_as_many_packets() {
    let scenario = scenario(
        r#"
        name = "one-packet-flows"
        duration = "2m"
        topology = { clients = 1, attackers = 1 }
        attack = [
            { does = { kind = "udp_flood", payload = 32, rate = 5_000, vlan = 100 }, duration = "90s" },
        ]
        "#,
    );
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let Some(live) = open(&lab) else { return };
    let before = frames_at_rest(&lab, &live, |_| ());
    let shared_sums = SharedSums::default();
    let sent = under_attack(&lab, &live, &scenario, &shared_sums);
    let after = frames_at_rest(&lab, &live, |window| shared_sums.add(window));

    let sums = shared_sums.sums();
    println!("{sums:?}, sent {sent}");
    assert_eq!(sums.segments, [after[0] - before[0], after[1] - before[1]], "{sums:?}");
    assert!(sums.segments[0] >= sent, "{sent} frames were sent, {sums:?}");
    assert!(sums.evicted_flows > sent / 2, "{sums:?}");
    assert!(sums.evicted_packets >= sums.evicted_flows, "{sums:?}");
    let shared = sums.evicted_packets - sums.evicted_flows;
    assert!(shared <= sums.evicted_flows / 1_000, "{shared} packets too many: {sums:?}");
    lab.remove().expect("the lab is gone");
}
