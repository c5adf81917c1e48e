//! A forged flood through the guard, packet by packet, with the limits that the policy decides on
//! meanwhile: what passes is what the next window is made of, as on a node that enforces.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use collector::enforcer::kernel_limit;
use engine::{Arrival, Detector, judge};
use flows_common::{
    Direction, ServiceKey, TcpFlag, Verdict,
    parse::{Address, Frame, TCP, parse},
};
use model::Context;
use policy::{Mode, Outcome, Policy};
use replay::{Captures, Tables};

use crate::{
    floods::{AHEAD, Flooded},
    gate::{Gate, is_syn},
    scene::{SETTINGS, home, model, policy},
    traffic::{Composed, SECOND, START},
};

/// Where the benign clients' web server listens, and where the flood is turned to.
const WEB: ([u8; 4], u16) = ([192, 0, 2, 1], 80);
/// Client known from before the flood, which comes again while it lasts.
const REGULAR: [u8; 4] = [198, 51, 100, 1];
/// Client whose connection is older than weir: no table knows it.
const CONNECTED: [u8; 4] = [198, 51, 100, 2];
const CONNECTED_PORT: u16 = 40_000;
/// Length of the flood, in ns.
const FLOOD: u64 = 24 * SECOND;

/// Packets that came in: passed, dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    passed: u64,
    dropped: u64,
}

impl Fate {
    const fn note(&mut self, passes: bool) {
        if passes { self.passed += 1 } else { self.dropped += 1 }
    }
}

/// Fate of the packets, by sender.
#[derive(Debug, Default)]
struct Seen {
    regular: Fate,
    connected: Fate,
    clients: Fate,
    flood_before: Fate,
    /// The flood's SYNs since the service was limited.
    flood: Fate,
    /// When those of them came that passed.
    passed_ns: Vec<u64>,
    /// When it was limited first.
    limited_ns: Option<u64>,
    limits: u64,
    packets_per_second: u32,
    blocked: BTreeSet<IpAddr>,
    regular_was_known: bool,
    connected_was_known: bool,
}

/// The node without its kernel.
struct Node {
    gate: Gate,
    tables: Tables,
    detector: Detector,
    policy: Policy,
    seen: Seen,
}

impl Node {
    fn end_window(&mut self, end_ns: u64) {
        if self.tables.is_empty() {
            return;
        }
        let window = self.tables.take(end_ns - SECOND, end_ns);
        let found = self.detector.assess(&window, Arrival::default());
        let verdicts = judge(&mut self.policy, found).verdicts;
        for limit in &verdicts.services {
            let (protocol, port) = (limit.service.protocol, limit.service.port);
            let key = ServiceKey { port, protocol, reserved: 0 };
            self.gate.limit(key, &kernel_limit(limit), end_ns);
            self.seen.limits += 1;
            self.seen.packets_per_second = limit.packets_per_second;
            self.seen.limited_ns.get_or_insert(end_ns);
        }
        let blocks =
            verdicts.peers.into_iter().filter(|one| matches!(one.outcome, Outcome::Block { .. }));
        // The two that are made up here resemble nobody that was learnt from.
        let made_up = [REGULAR, CONNECTED].map(IpAddr::from);
        let addresses = blocks.map(|one| one.evidence.address);
        self.seen.blocked.extend(addresses.filter(|address| !made_up.contains(address)));
    }

    fn take(&mut self, time_ns: u64, frame: &Frame, bytes: &[u8]) {
        let parsed = parse(bytes, frame);
        let Ok(packet) = &parsed else { return };
        let direction = home().direction(packet, None);
        if direction == Direction::Ingress {
            let ruling = self.gate.hold(packet, time_ns);
            let passes = ruling.is_none_or(|ruling| ruling.verdict() == Verdict::Pass);
            self.note(packet.source, is_syn(packet), time_ns, passes);
            if !passes {
                return;
            }
        }
        self.gate.see(packet, direction, time_ns);
        self.tables.count(frame, &parsed, direction, 1, time_ns);
    }

    fn note(&mut self, source: Address, syn: bool, time_ns: u64, passes: bool) {
        let seen = &mut self.seen;
        match source.v4() {
            Some(REGULAR) => seen.regular.note(passes),
            Some(CONNECTED) => seen.connected.note(passes),
            Some([192, 0, 2, _]) | None => seen.clients.note(passes),
            Some(_) if syn && seen.limited_ns.is_some() => {
                seen.flood.note(passes);
                if passes {
                    seen.passed_ns.push(time_ns);
                }
            }
            Some(_) => seen.flood_before.note(passes),
        }
    }

    fn run(mut self, captures: &mut Captures) -> Seen {
        let mut end_ns = START + SECOND;
        let mut asked = false;
        while let Some(frame) = captures.next_frame().expect("a whole capture") {
            while frame.time_ns >= end_ns {
                self.end_window(end_ns);
                end_ns += SECOND;
            }
            if frame.time_ns >= START + AHEAD && !asked {
                asked = true;
                self.seen.regular_was_known = self.gate.is_known(&Address::of_v4(REGULAR));
                self.seen.connected_was_known = self.gate.is_known(&Address::of_v4(CONNECTED));
            }
            if frame.time_ns >= START + AHEAD + FLOOD {
                break;
            }
            self.take(frame.time_ns, &Frame::of_length(frame.wire_length), frame.bytes);
        }
        self.seen
    }
}

/// A TCP segment between a remote and the web server, as an Ethernet frame.
fn segment(remote: ([u8; 4], u16), inwards: bool, flags: u8, payload: usize) -> Vec<u8> {
    let (source, destination) = if inwards { (remote, WEB) } else { (WEB, remote) };
    let length = u16::try_from(40 + payload).expect("a short segment");
    let mut bytes = vec![0; 14 + usize::from(length)];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&length.to_be_bytes());
    bytes[22..24].copy_from_slice(&[64, TCP]);
    bytes[26..30].copy_from_slice(&source.0);
    bytes[30..34].copy_from_slice(&destination.0);
    bytes[34..36].copy_from_slice(&source.1.to_be_bytes());
    bytes[36..38].copy_from_slice(&destination.1.to_be_bytes());
    // The host's initial sequence number is 0.
    bytes[42..46].copy_from_slice(&1_u32.to_be_bytes());
    bytes[46..48].copy_from_slice(&[0x50, flags]);
    bytes[48..50].copy_from_slice(&[0xff, 0xff]);
    bytes
}

/// A request and its answer on a connection of their own.
fn exchange(remote: ([u8; 4], u16), at_ns: u64) -> Vec<(u64, Vec<u8>)> {
    let [syn, ack, fin] = [TcpFlag::Syn, TcpFlag::Ack, TcpFlag::Fin].map(TcpFlag::bit);
    let turns = [
        (true, syn, 0),
        (false, syn | ack, 0),
        (true, ack, 0),
        (true, ack, 80),
        (false, ack, 200),
        (true, ack | fin, 0),
        (false, ack | fin, 0),
        (true, ack, 0),
    ];
    (0..)
        .zip(turns)
        .map(|(turn, (inwards, flags, payload))| {
            (at_ns + turn * SECOND / 1_000, segment(remote, inwards, flags, payload))
        })
        .collect()
}

/// Frames of the regular and of the connected client.
fn friends() -> Vec<(u64, Vec<u8>)> {
    let flood = START + AHEAD;
    let mut frames = exchange((REGULAR, 50_000), START + 30 * SECOND);
    for (port, half) in (50_001..).zip(0..FLOOD * 2 / SECOND) {
        let at_ns = flood + half * SECOND / 2;
        frames.extend(exchange((REGULAR, port), at_ns));
        let upload = segment((CONNECTED, CONNECTED_PORT), true, TcpFlag::Ack.bit(), 100);
        let answer = segment((CONNECTED, CONNECTED_PORT), false, TcpFlag::Ack.bit(), 0);
        frames.extend([(at_ns + 50_000_000, upload), (at_ns + 50_100_000, answer)]);
    }
    frames.sort();
    frames
}

#[test]
fn a_forged_flood_is_limited_and_who_is_known_passes() {
    let Some(folder) = test_support::shared_data() else { return };
    let flood = folder.join("stopddos/pkt.TCP.synflood.spoofed.pcap");
    let mut flooded = Flooded::compose(&flood, |bytes| {
        bytes[30..34].copy_from_slice(&WEB.0);
        bytes[36..38].copy_from_slice(&WEB.1.to_be_bytes());
        true
    });
    let mut capture = Composed::create(flooded.folder.path().join("friends.pcap"));
    for (time_ns, bytes) in friends() {
        capture.put(time_ns, u32::try_from(bytes.len()).expect("short"), &bytes);
    }
    flooded.captures.push(capture.finish().0);
    let mut node = Node {
        gate: Gate::default(),
        tables: Tables::new(65_536),
        detector: Detector::new(model().clone(), Context::default(), Duration::from_secs(1)),
        policy: policy(Mode::Enforce, SETTINGS[0]),
        seen: Seen::default(),
    };
    node.gate.connect((Address::of_v4(CONNECTED), CONNECTED_PORT, WEB.1));
    let seen = node.run(&mut Captures::open(&flooded.captures).expect("captures"));
    println!(
        "limited after {:.1} s to {} packets/s, {} times; the flood's SYNs before {:?}, since {:?}; \
         the regular one {:?}, the connected one {:?}, recorded clients {:?}",
        seen.limited_ns.map_or(f64::NAN, |at_ns| (at_ns - START - AHEAD) as f64 / 1e9),
        seen.packets_per_second,
        seen.limits,
        seen.flood_before,
        seen.flood,
        seen.regular,
        seen.connected,
        seen.clients,
    );

    let limited_ns = seen.limited_ns.expect("a limit");
    assert!(limited_ns <= START + AHEAD + 2 * SECOND, "{limited_ns}");
    assert!(seen.limits > 1, "a flood of seconds renews the limit: {}", seen.limits);
    let most = fullest(&seen.passed_ns, f64::from(seen.packets_per_second));
    // The burst is a second's worth.
    assert!(most <= f64::from(seen.packets_per_second) + 1.0, "{most} ahead of the rate");
    assert!(seen.flood.dropped > 10_000 && seen.flood.passed > 500, "{:?}", seen.flood);
    assert!(seen.regular_was_known && !seen.connected_was_known);
    for (who, fate) in [("regular", seen.regular), ("connected", seen.connected)] {
        assert!(fate.passed >= FLOOD * 2 / SECOND && fate.dropped == 0, "{who}: {fate:?}");
    }
    assert!(seen.clients.passed > 1_000 && seen.clients.dropped == 0, "{:?}", seen.clients);
    assert!(seen.blocked.is_empty(), "{:?}", seen.blocked);
}

/// Greatest lead of packets at these times over a rate, in packets a second: the level of a leaky
/// bucket.
fn fullest(times_ns: &[u64], rate: f64) -> f64 {
    let (mut level, mut most) = (0.0_f64, 0.0_f64);
    let mut last_ns = times_ns.first().copied().unwrap_or(0);
    for &time_ns in times_ns {
        level = (level - (time_ns - last_ns) as f64 / 1e9 * rate).max(0.0) + 1.0;
        most = most.max(level);
        last_ns = time_ns;
    }
    most
}
