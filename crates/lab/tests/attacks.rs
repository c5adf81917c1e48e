//! Each class of attack sends what it says, and its ground truth says what it sent.

mod common;

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use common::{Carries, Seen, lab_or_skip, read};
use lab::{
    Attack, AttackPlan, AttackTruth, CaptureBounds, Channel, Family, ScanGuise, Sources, Tap,
    Topology, Transport,
};
use serde_json::json;

const TIME: Duration = Duration::from_millis(1_500);

/// An attack as it was seen on the switch's port to the protected host.
struct Outcome {
    seen: Vec<Seen>,
    truth: AttackTruth,
}

impl Outcome {
    /// Packets from the attack's sources to the host.
    fn inbound(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|packet| {
            packet.target == self.truth.victim && self.truth.sources.contains(packet.source)
        })
    }

    /// Packets from the host to the attack's sources.
    fn outbound(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(|packet| {
            packet.source == self.truth.victim && self.truth.sources.contains(packet.target)
        })
    }

    fn inbound_where(&self, wanted: impl Fn(&&Seen) -> bool) -> u64 {
        self.inbound().filter(wanted).count() as u64
    }
}

/// Runs an attack over a family in a lab of its own, and checks what holds for all of them.
fn run(does: AttackPlan, family: Family, time: Duration) -> Option<Outcome> {
    let lab = lab_or_skip(&Topology { clients: 1, attackers: 1, ..Topology::default() })?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.pcap");
    let capture = lab.capture(&path, Tap::Switch, 0, CaptureBounds::default()).unwrap();
    let mut attack = Attack::new(does, time).unwrap();
    attack.family = family;
    let running = lab.start_attack(&attack).unwrap();
    let told = running.began();
    let truth = running.wait().unwrap();
    let report = capture.finish().unwrap();
    assert_eq!((report.dropped, report.beyond_bound), (0, 0));

    let outcome = Outcome { seen: read(&path), truth };
    common::assert_inside(&outcome.seen);
    let truth = &outcome.truth;
    assert_eq!(truth.began, told);
    assert!(truth.ended >= truth.began);
    assert!(truth.ended.since(truth.began) <= time + Duration::from_secs(1), "{truth:?}");
    assert_eq!(truth.victim, lab.host().address(family));
    assert_eq!(truth.sent.refused_frames, 0);
    let first = outcome.inbound().chain(outcome.outbound()).map(|packet| packet.unix_ns).min();
    let first = first.unwrap();
    assert!(first >= truth.began.unix_ns, "the moment is told before the first frame");
    assert!(first < truth.ended.unix_ns, "frames come while it is said to go on");
    Some(outcome)
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

#[test]
fn a_scan_asks_many_ports_with_one_syn_each_and_is_answered() {
    for family in FAMILIES {
        let does = scan([1, 100], 100, ScanGuise::Own);
        let Some(outcome) = run(does, family, Duration::from_secs(1)) else { return };
        assert_eq!(outcome.inbound_where(|packet| packet.is_syn()), outcome.truth.sent.frames);
        let asked: Vec<u16> = outcome
            .inbound()
            .filter(|packet| packet.is_syn())
            .filter_map(Seen::target_port)
            .collect();
        let distinct: HashSet<u16> = asked.iter().copied().collect();
        assert!((90..=101).contains(&asked.len()), "{}", asked.len());
        assert_eq!(distinct.len(), asked.len().min(100));
        let answers = |wanted: fn(&Carries) -> bool| {
            outcome.outbound().filter(|packet| wanted(&packet.carries)).count()
        };
        assert!(answers(|c| matches!(c, Carries::Tcp { syn: true, ack: true, .. })) >= 1);
        assert!(answers(|c| matches!(c, Carries::Tcp { rst: true, .. })) >= 80);
    }
}

fn scan(ports: [u16; 2], rate: u32, guise: ScanGuise) -> AttackPlan {
    AttackPlan::SynScan { ports, rate, vlan: None, guise }
}

fn flood(source_port: Option<u16>) -> AttackPlan {
    AttackPlan::SynFlood { port: 80, rate: 1_000, vlan: None, source_port }
}

#[test]
fn a_scan_comes_in_the_name_that_it_is_given() {
    for family in FAMILIES {
        let run = |guise| run(scan([1, 1_000], 200, guise), family, TIME);
        let Some(first) = run(ScanGuise::SynAckFirst) else { return };
        let is_syn_ack =
            |packet: &&Seen| matches!(packet.carries, Carries::Tcp { syn: true, ack: true, .. });
        assert!(first.inbound().next().is_some_and(|packet| is_syn_ack(&packet)), "it comes first");
        assert!((2..=4).contains(&first.inbound_where(is_syn_ack)));

        let decoys = run(ScanGuise::Decoys).expect("a lab");
        assert_eq!(decoys.truth.class, lab::AttackClass::DecoyScan);
        let scanned = || {
            let to_host = decoys.seen.iter().filter(|one| one.target == decoys.truth.victim);
            to_host.filter(|packet| packet.is_syn())
        };
        let sources: HashSet<IpAddr> = scanned().map(|packet| packet.source).collect();
        assert!((9..=11).contains(&sources.len()), "{sources:?}");
        assert_eq!(scanned().count() as u64, decoys.truth.sent.frames);

        let network = run(ScanGuise::Network).expect("a lab");
        let sources: HashSet<IpAddr> = network.inbound().map(|packet| packet.source).collect();
        assert!(sources.len() > 80 && network.truth.sources.are_spoofed(), "{}", sources.len());

        let client = run(ScanGuise::Client).expect("a lab");
        let Sources::Spoofed { network: address, attacker, .. } = client.truth.sources else {
            panic!("{:?}", client.truth.sources)
        };
        assert_ne!(address, attacker);
        assert!(client.inbound_where(|packet| packet.is_syn()) >= client.truth.sent.frames);
    }
}

#[test]
fn a_flood_keeps_its_port_or_ramps_up() {
    let Some(kept) = run(flood(Some(20)), Family::V4, TIME) else { return };
    let ports: HashSet<u16> = kept
        .inbound()
        .filter_map(|packet| match packet.carries {
            Carries::Tcp { source_port, .. } => Some(source_port),
            _ => None,
        })
        .collect();
    assert_eq!(ports, HashSet::from([20]));
    let ramp = Duration::from_secs(1);
    let does = AttackPlan::SpoofedSynFlood { port: 80, rate: 1_000, ramp };
    let ramped = run(does, Family::V4, Duration::from_secs(2)).expect("a lab");
    let began_ns = ramped.truth.began.unix_ns;
    let within = |from_ms: u64, to_ms: u64| {
        let span = began_ns + from_ms * 1_000_000..began_ns + to_ms * 1_000_000;
        ramped.inbound_where(|packet| span.contains(&packet.unix_ns))
    };
    let [early, late] = [within(0, 500), within(1_000, 1_500)];
    assert!(early * 2 < late && late > 200, "{early} then {late}");
}

#[test]
fn a_slow_scan_asks_one_port_at_a_time() {
    for family in FAMILIES {
        let period = Duration::from_millis(250);
        let does = AttackPlan::LowAndSlowScan { ports: [1, 1_024], period };
        let Some(outcome) = run(does, family, Duration::from_secs(2)) else { return };
        let times: Vec<u64> = outcome
            .inbound()
            .filter(|packet| packet.is_syn())
            .map(|packet| packet.unix_ns)
            .collect();
        assert!((6..=11).contains(&times.len()), "{}", times.len());
        for pair in times.windows(2) {
            assert!((150_000_000..450_000_000).contains(&(pair[1] - pair[0])), "{times:?}");
        }
    }
}

#[test]
fn a_syn_flood_comes_from_one_address_and_many_ports() {
    for family in FAMILIES {
        let does = flood(None);
        let Some(outcome) = run(does, family, TIME) else { return };
        assert_eq!(outcome.inbound_where(|packet| packet.is_syn_to(80)), outcome.truth.sent.frames);
        assert!(outcome.truth.sent.frames > 1_200, "{:?}", outcome.truth.sent);
        assert!(matches!(outcome.truth.sources, Sources::Real { .. }));
    }
}

#[test]
fn a_spoofed_flood_comes_from_addresses_that_are_not_the_attackers() {
    for family in FAMILIES {
        let does = AttackPlan::SpoofedSynFlood { port: 80, rate: 1_000, ramp: Duration::ZERO };
        let Some(outcome) = run(does, family, TIME) else { return };
        assert_eq!(outcome.inbound_where(|packet| packet.is_syn_to(80)), outcome.truth.sent.frames);
        let sources: HashSet<IpAddr> = outcome.inbound().map(|packet| packet.source).collect();
        assert!(sources.len() > 100, "{}", sources.len());
        assert!(outcome.truth.sources.are_spoofed());
        let Sources::Spoofed { attacker, .. } = outcome.truth.sources else { unreachable!() };
        assert!(!sources.contains(&attacker));
        // The host's answers go to the gateway, and cost it no broadcast.
        assert!(outcome.outbound().count() > 100);
    }
}

#[test]
fn a_udp_flood_hits_one_port_or_any() {
    for (family, port) in [(Family::V4, None), (Family::V6, Some(53))] {
        let does = AttackPlan::UdpFlood { port, payload: 512, rate: 1_000, vlan: None };
        let Some(outcome) = run(does, family, TIME) else { return };
        let is_udp = |packet: &&Seen| matches!(packet.carries, Carries::Udp { .. });
        assert_eq!(outcome.inbound_where(is_udp), outcome.truth.sent.frames);
        assert!(outcome.inbound().filter(is_udp).all(|packet| packet.payload == 512));
        let ports: HashSet<_> = outcome.inbound().filter_map(Seen::target_port).collect();
        match port {
            Some(port) => assert_eq!(ports, HashSet::from([port])),
            None => assert!(ports.len() > 1_000, "{}", ports.len()),
        }
    }
}

#[test]
fn an_icmp_flood_is_echo_requests() {
    for family in FAMILIES {
        let does = AttackPlan::IcmpFlood { payload: 200, rate: 1_000, vlan: None };
        let Some(outcome) = run(does, family, TIME) else { return };
        let is_echo = |packet: &&Seen| packet.carries == Carries::EchoRequest;
        assert_eq!(outcome.inbound_where(is_echo), outcome.truth.sent.frames);
        assert_eq!(outcome.truth.transport, Transport::Icmp);
        assert_eq!(outcome.truth.ports, None);
    }
}

#[test]
fn frames_on_a_vlan_are_tagged_and_not_answered() {
    for (family, does) in [
        (
            Family::V4,
            AttackPlan::SynScan {
                ports: [1, 50],
                rate: 300,
                vlan: Some(100),
                guise: ScanGuise::Own,
            },
        ),
        (
            Family::V6,
            AttackPlan::UdpFlood { port: Some(53), payload: 64, rate: 300, vlan: Some(100) },
        ),
    ] {
        let Some(outcome) = run(does, family, TIME) else { return };
        assert_eq!(
            outcome.inbound_where(|packet| packet.vlan == Some(100)),
            outcome.truth.sent.frames
        );
        assert_eq!(outcome.truth.vlan, Some(100));
        assert_eq!(outcome.outbound().count(), 0);
    }
}

#[test]
fn brute_force_is_many_short_connections_with_a_few_exchanges() {
    for family in FAMILIES {
        let does = AttackPlan::SshBruteForce { rate: 20 };
        let Some(outcome) = run(does, family, TIME) else { return };
        let opened = outcome.inbound_where(|packet| packet.is_syn_to(22));
        assert_eq!(opened, outcome.truth.sent.connections);
        assert!(opened >= 20, "{opened}");
        // A banner, a key exchange and three passwords each, but for those cut short.
        assert!(outcome.inbound_where(|packet| packet.payload > 0) > opened * 3);
    }
}

#[test]
fn slow_http_holds_connections_with_drips() {
    for family in FAMILIES {
        let drip = Duration::from_millis(200);
        let does = AttackPlan::SlowHttp { connections: 40, drip };
        let Some(outcome) = run(does, family, TIME) else { return };
        assert_eq!(outcome.inbound_where(|packet| packet.is_syn_to(80)), 40);
        assert!(outcome.inbound_where(|packet| (1..20).contains(&packet.payload)) > 80);
    }
}

#[test]
fn exfiltration_is_much_from_the_host_to_the_attacker() {
    for (family, channel) in [
        (Family::V4, Channel::Tcp),
        (Family::V6, Channel::Tcp),
        (Family::V4, Channel::Dns),
        (Family::V6, Channel::Dns),
    ] {
        let bytes_per_second = 60_000;
        let does = AttackPlan::Exfiltration { channel, bytes_per_second };
        let Some(outcome) = run(does, family, TIME) else { return };
        let left: usize = outcome.outbound().map(|packet| packet.payload).sum();
        let came: usize = match channel {
            Channel::Tcp => outcome.inbound().map(|packet| packet.payload).sum(),
            // The attacker echoes queries, as a name server would answer them.
            Channel::Dns => 0,
        };
        assert!((50_000..150_000).contains(&left), "{left}");
        assert!(came < left / 100, "{came} against {left}");
        assert!(outcome.truth.initiated_by_the_victim);
    }
}

#[test]
fn beacons_are_small_connections_of_the_host_at_a_steady_period() {
    for family in FAMILIES {
        let period = Duration::from_millis(300);
        let does = AttackPlan::Beaconing { period, jitter: 0.1 };
        let Some(outcome) = run(does, family, Duration::from_secs(2)) else { return };
        let times: Vec<u64> = outcome
            .outbound()
            .filter(|packet| packet.is_syn_to(8_443))
            .map(|packet| packet.unix_ns)
            .collect();
        assert_eq!(times.len() as u64, outcome.truth.sent.connections);
        assert!((5..=9).contains(&times.len()), "{}", times.len());
        for pair in times.windows(2) {
            assert!((260_000_000..400_000_000).contains(&(pair[1] - pair[0])), "{times:?}");
        }
    }
}

#[test]
fn an_attack_that_is_stopped_ends_at_once() {
    let Some(lab) = lab_or_skip(&Topology { clients: 1, attackers: 1, ..Topology::default() })
    else {
        return;
    };
    for class in AttackPlan::CLASSES {
        let does: AttackPlan = serde_json::from_value(json!({ "kind": class })).unwrap();
        let attack = Attack::new(does, Duration::from_secs(30)).unwrap();
        let running = lab.start_attack(&attack).unwrap();
        let asked = std::time::Instant::now();
        let truth = running.finish().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(1), "{class:?}");
        assert_eq!(truth.class, class);
    }
}

#[test]
fn without_offloads_no_segment_is_larger_than_the_mtu_allows() {
    let shape = Topology { clients: 1, attackers: 1, ..Topology::default() };
    for (offloads, is_wire_like) in [(false, true), (true, false)] {
        let Some(lab) = lab_or_skip(&Topology { offloads, ..shape.clone() }) else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.pcap");
        let capture = lab.capture(&path, Tap::Host, 0, CaptureBounds::default()).unwrap();
        let does = AttackPlan::Exfiltration { channel: Channel::Tcp, bytes_per_second: 10_000_000 };
        let attack = Attack::new(does, Duration::from_millis(500)).unwrap();
        lab.start_attack(&attack).unwrap().wait().unwrap();
        capture.finish().unwrap();
        let largest = read(&path).iter().map(|packet| packet.payload).max().unwrap();
        assert_eq!(largest <= 1_460, is_wire_like, "{largest}");
    }
}

#[test]
fn a_capture_keeps_to_its_bounds_and_says_so() {
    let shape = Topology { clients: 1, attackers: 1, ..Topology::default() };
    let Some(lab) = lab_or_skip(&shape) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.pcap");
    let bounds = CaptureBounds { bytes: 6_400, snaplen: 64 };
    let capture = lab.capture(&path, Tap::Switch, 0, bounds).unwrap();
    let does = AttackPlan::UdpFlood { port: Some(9), payload: 500, rate: 500, vlan: None };
    let attack = Attack::new(does, Duration::from_millis(500)).unwrap();
    let truth = lab.start_attack(&attack).unwrap().wait().unwrap();
    let report = capture.finish().unwrap();
    assert!((6_337..=6_400).contains(&report.bytes), "{report:?}");
    assert!(report.frames >= 100 && report.truncated > 80, "{report:?}");
    assert!(report.frames + report.beyond_bound >= truth.sent.frames, "{report:?}");
    assert!(std::fs::metadata(&path).unwrap().len() <= 24 + 6_400 + 16 * report.frames);
}
