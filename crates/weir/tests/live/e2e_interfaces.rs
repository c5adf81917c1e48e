//! Several interfaces, every place the guard can sit, and VLANs, with the traffic of a lab.

use std::{net::IpAddr, time::Duration};

use crate::support::{frames_at_rest, lab_or_skip, open_or_skip, scenario, wait_for, watching};
use collector::{
    clock::boot_ns,
    config::{Mode, RawConfig, XdpChoice},
    live::Live,
};
use datapath::{Block, BlockAction, GuardHook, Target};
use flows_common::{FlowKey, Scope, map_v4};
use lab::{Family, Lab, Scenario};
use model::Window;

const PATIENCE: Duration = Duration::from_secs(30);
/// Frames that are enough to have seen one.
const SOME: u64 = 50;

/// An attacker on each of two interfaces, and one client each.
const TWO_INTERFACES: &str = r#"
name = "two-interfaces"
duration = "1m"
topology = { clients = 2, attackers = 2, second_interface = true }
benign = [{ does = { kind = "dns", pause = "50ms" } }]
attack = [
    { name = "first", does = { kind = "udp_flood", port = 53, rate = 300 }, attacker = 0, duration = "1m" },
    { name = "second", does = { kind = "udp_flood", port = 53, rate = 300 }, attacker = 1, duration = "1m" },
]
"#;

/// A flood with a tag of a VLAN that the host does not have.
const TAGGED: &str = r#"
name = "tagged"
duration = "1m"
topology = { clients = 1, attackers = 1 }
attack = [
    { name = "flood", does = { kind = "udp_flood", port = 53, rate = 300, vlan = 100 }, duration = "1m" },
    { name = "flood-v6", does = { kind = "udp_flood", port = 53, rate = 300, vlan = 200 }, family = "v6", duration = "1m" },
]
"#;

fn checked(raw: RawConfig) -> collector::config::Config {
    raw.check().expect("a valid configuration")
}

fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => map_v4(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Flows of a remote address in a window.
fn flows_of(window: &Window, address: IpAddr) -> Vec<FlowKey> {
    let remote = sixteen(address);
    window.flows.iter().map(|(key, _)| *key).filter(|key| key.remote == remote).collect()
}

/// Waits for a window that holds flows of an address, and returns them.
#[track_caller]
fn seen(live: &Live, address: IpAddr) -> Vec<FlowKey> {
    wait_for("flow of the address", PATIENCE, || {
        let flows = flows_of(&live.drain_once().expect("a window"), address);
        (!flows.is_empty()).then_some(flows)
    })
}

/// Blocks an address.
fn block(live: &Live, address: IpAddr) {
    let now = boot_ns();
    let block = Block {
        action: BlockAction::Drop,
        scope: Scope::All,
        expires_ns: now + (1 << 40),
        reason: 1,
    };
    live.blocklist().insert(address.into(), &block, now).expect("a block");
}

/// Frames that a blocked address has lost.
fn dropped(live: &Live, address: IpAddr) -> u64 {
    let entry = live.blocklist().get(&Target::address(address)).expect("a look");
    live.blocklist().stats(entry.expect("it stands").slot).expect("statistics").dropped_packets
}

/// Waits until a blocked address has lost [`SOME`] frames, of which the flow programs, that are
/// behind the guard, count none.
#[track_caller]
fn lost(live: &Live, address: IpAddr) {
    // What passed before the block is in here.
    live.drain_once().expect("a window");
    let before = dropped(live, address);
    wait_for("drops of the address", PATIENCE, || {
        (dropped(live, address) >= before + SOME).then_some(())
    });
    let window = live.drain_once().expect("a window");
    assert_eq!(flows_of(&window, address), [], "{address} got through");
}

fn attack(lab: &Lab, scenario: &Scenario, name: &str) -> lab::RunningAttack {
    lab.start_attack(scenario.attack(name).expect("it is there")).expect("an attack")
}

#[test]
fn flows_and_blocks_hold_on_two_interfaces() {
    let scenario = scenario(TWO_INTERFACES);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let config = checked(watching(&["eth0", "eth1"], Mode::Enforce));
    let Some(live) = open_or_skip(&lab, &config) else { return };
    let attached = live.attached();
    assert_eq!(attached.len(), 2, "{attached:?}");
    let before = frames_at_rest(&lab, &live, |_| ());
    let mut segments = [0; 2];
    let benign = lab.start_benign(&scenario).expect("clients");
    let floods = [attack(&lab, &scenario, "first"), attack(&lab, &scenario, "second")];

    // Each interface's flows carry its index.
    let mut window = live.drain_once().expect("a window");
    for (one, node) in
        attached.iter().zip(lab.attackers()).chain(attached.iter().zip(lab.clients()))
    {
        let address = node.address(Family::V4);
        let flows = wait_for("flow on each interface", PATIENCE, || {
            let flows = flows_of(&window, address);
            if flows.is_empty() {
                add(&mut segments, &window);
                window = live.drain_once().expect("a window");
            }
            (!flows.is_empty()).then_some(flows)
        });
        assert!(flows.iter().all(|key| key.ifindex == one.ifindex), "{one:?}: {flows:?}");
    }
    add(&mut segments, &window);

    // One blocklist holds on both.
    let blocked = lab.attackers().iter().map(|node| node.address(Family::V4));
    blocked.clone().for_each(|address| block(&live, address));
    for address in blocked {
        wait_for("drops on each interface", PATIENCE, || {
            (dropped(&live, address) >= SOME).then_some(())
        });
    }
    for flood in floods {
        flood.finish().expect("the flood's truth");
    }
    for client in benign.finish().expect("clients") {
        assert_eq!(client.total.failed, 0, "{client:?}");
        assert!(client.total.attempted > 0, "{client:?}");
    }
    let after = frames_at_rest(&lab, &live, |window| add(&mut segments, window));
    let dropped =
        live.blocklist().guard_counters(flows_common::Direction::Ingress).expect("it").dropped;
    assert_eq!(segments, [after[0] - before[0] - dropped, after[1] - before[1]]);
    lab.remove().expect("the lab is gone");
}

fn add(segments: &mut [u64; 2], window: &Window) {
    for (sum, seen) in segments.iter_mut().zip(window.packet_counters.segments) {
        *sum += seen;
    }
}

#[test]
fn tagged_frames_are_counted_and_their_source_is_dropped_wherever_the_guard_sits() {
    let scenario = scenario(TAGGED);
    for (xdp, expected) in [
        (XdpChoice::Native, GuardHook::XdpNative),
        (XdpChoice::Generic, GuardHook::XdpGeneric),
        (XdpChoice::Off, GuardHook::TcIngress { reason: String::new() }),
    ] {
        let Some(lab) = lab_or_skip(&scenario) else { return };
        let mut raw = watching(&["eth0"], Mode::Enforce);
        raw.guard.xdp = xdp;
        let Some(live) = open_or_skip(&lab, &checked(raw)) else { return };
        assert_eq!(live.attached()[0].guard, expected);
        for (name, family, vlan) in [("flood", Family::V4, 100), ("flood-v6", Family::V6, 200)] {
            let flood = attack(&lab, &scenario, name);
            let address = lab.attackers()[0].address(family);
            let flows = seen(&live, address);
            let tagged = flows.iter().filter(|key| key.outer_vlan == vlan).count();
            assert!(tagged > 0, "{name}, {expected:?}: {flows:?}");
            block(&live, address);
            lost(&live, address);
            flood.finish().expect("the flood's truth");
        }
        lab.remove().expect("the lab is gone");
    }
}

#[test]
fn beside_another_xdp_program_the_guard_drops_at_tc_ingress_and_leaves_it_alone() {
    let scenario = scenario(TAGGED);
    let Some(lab) = lab_or_skip(&scenario) else { return };
    let config = checked(watching(&["eth0"], Mode::Enforce));
    let Some(other) = open_or_skip(&lab, &config) else { return };
    let Some(live) = open_or_skip(&lab, &config) else { return };
    assert_eq!(other.attached()[0].guard, GuardHook::XdpNative);
    let guard = live.attached()[0].guard.clone();
    let GuardHook::TcIngress { reason } = &guard else { panic!("{guard:?}") };
    assert!(reason.contains("another XDP program"), "{reason}");
    let flood = attack(&lab, &scenario, "flood");
    let address = lab.attackers()[0].address(Family::V4);
    seen(&live, address);
    block(&live, address);
    lost(&live, address);
    drop(live);
    block(&other, address);
    lost(&other, address);
    flood.finish().expect("the flood's truth");
    lab.remove().expect("the lab is gone");
}
