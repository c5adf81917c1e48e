//! What an adversary forges or provokes, in the midst of the lab's benign traffic: it neither
//! shields nor convicts anybody.

use std::{collections::BTreeMap, net::IpAddr};

use collector::event::{ActionTaken, DecisionRecord};
use events::{Refusal, Scope, Service, Standing};
use flows_common::parse::{Frame, parse};
use replay::CaptureReader;

use crate::{
    gate::is_syn,
    scene::{RunOutcome, dry_run, windows},
    traffic::{Composed, SECOND, START},
};

/// Benign traffic in all, and ahead of what is crafted.
const ALL: u64 = 70 * SECOND;
const AHEAD: u64 = 50 * SECOND;

pub(crate) const HOST: [u8; 4] = [192, 0, 2, 1];
pub(crate) const ATTACKER: [u8; 4] = [198, 51, 100, 66];
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// A crafted frame, and when it comes, in ns after [`AHEAD`].
pub(crate) type Crafted = (u64, Vec<u8>);

/// An IPv4 frame.
fn ip(source: [u8; 4], destination: [u8; 4], protocol: u8, above: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + above.len()).expect("a short packet");
    let mut frame = vec![2; 12];
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    frame.extend(source.into_iter().chain(destination));
    frame.extend(above);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// The ends of a conversation; its other way is [`Self::back`].
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    source: [u8; 4],
    destination: [u8; 4],
    ports: [u16; 2],
}

impl Ends {
    pub(crate) const fn to_host(source: [u8; 4], ports: [u16; 2]) -> Self {
        Self { source, destination: HOST, ports }
    }

    pub(crate) const fn back(self) -> Self {
        let [source, destination] = self.ports;
        Self { source: self.destination, destination: self.source, ports: [destination, source] }
    }

    pub(crate) fn tcp(self, flags: u8, sequence: u32, acknowledged: u32) -> Vec<u8> {
        let mut above: Vec<u8> = self.ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        above.extend([sequence, acknowledged].iter().flat_map(|number| number.to_be_bytes()));
        above.extend([0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        ip(self.source, self.destination, 6, &above)
    }

    /// An echo request, or the answer to it.
    pub(crate) fn echo(self, is_request: bool) -> Vec<u8> {
        let mut above = vec![if is_request { 8 } else { 0 }, 0, 0, 0, 0, 1, 0, 1];
        above.resize(64, 0);
        ip(self.source, self.destination, 1, &above)
    }

    fn udp(self, payload: usize) -> Vec<u8> {
        let mut above: Vec<u8> = self.ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        above.extend(u16::try_from(8 + payload).expect("a short datagram").to_be_bytes());
        above.resize(8 + payload, 0);
        ip(self.source, self.destination, 17, &above)
    }
}

/// What is decided with these frames among the benign ones, where blocks need no support.
pub(crate) fn decided(crafted: Vec<Crafted>) -> RunOutcome {
    decided_until(ALL, crafted)
}

/// The same with benign traffic for so long.
fn decided_until(all: u64, mut crafted: Vec<Crafted>) -> RunOutcome {
    let folder = tempfile::tempdir().expect("a folder");
    let mut benign = Composed::create(folder.path().join("benign.pcap"));
    benign.append_benign(START, START + all);
    let mut forged = Composed::create(folder.path().join("crafted.pcap"));
    crafted.sort_by_key(|(at_ns, _)| *at_ns);
    for (at_ns, frame) in crafted {
        let length = u32::try_from(frame.len()).expect("a short frame");
        forged.put(START + AHEAD + at_ns, length, &frame);
    }
    let captures = [benign, forged].map(|capture| capture.finish().0);
    let [_, _, act] = dry_run(&windows(&captures));
    act
}

fn of(told: &RunOutcome, peer: [u8; 4]) -> impl Iterator<Item = &DecisionRecord> {
    told.anomalies.iter().filter(move |anomaly| anomaly.peer() == IpAddr::from(peer))
}

pub(crate) fn is_acted_on(told: &RunOutcome, peer: [u8; 4]) -> bool {
    of(told, peer).any(|anomaly| anomaly.outcome == ActionTaken::WouldBlock)
}

/// What a peer's anomalies came to, in words.
pub(crate) fn summary(told: &RunOutcome, peer: [u8; 4]) -> BTreeMap<String, usize> {
    let mut sums = BTreeMap::new();
    for one in of(told, peer) {
        let words = (one.evidence.standing, one.outcome, one.refusal, one.scope);
        *sums.entry(format!("{words:?}")).or_default() += 1;
    }
    sums
}

/// 200 SYNs a second to ever other ports, each answered by an RST.
pub(crate) fn scan() -> Vec<Crafted> {
    (0..2_000_u16)
        .flat_map(|number| {
            let at_ns = u64::from(number) * SECOND / 200;
            let ends = Ends::to_host(ATTACKER, [40_000 + number, 1 + number * 2]);
            let sequence = u32::from(number) * 1_013;
            let refused = ends.back().tcp(RST | ACK, 0, sequence + 1);
            [(at_ns, ends.tcp(SYN, sequence, 0)), (at_ns + 50_000, refused)]
        })
        .collect()
}

/// An unsolicited SYN-ACK a second, answered by an RST (RFC 9293, 3.10.7.1).
fn unsolicited() -> Vec<Crafted> {
    (0..10_u16)
        .flat_map(|number| {
            let at_ns = u64::from(number) * SECOND;
            let ends = Ends::to_host(ATTACKER, [443, 33_333 + number]);
            let refused = ends.back().tcp(RST, 99, 0);
            [(at_ns, ends.tcp(SYN | ACK, 77, 99)), (at_ns + 50_000, refused)]
        })
        .collect()
}

#[test]
fn an_unsolicited_syn_ack_shields_no_scan() {
    let alone = decided(scan());
    assert!(is_acted_on(&alone, ATTACKER), "{:?}", summary(&alone, ATTACKER));
    let shielded = decided([unsolicited(), scan()].concat());
    assert!(is_acted_on(&shielded, ATTACKER), "{:?}", summary(&shielded, ATTACKER));
    let only_syn_acks = scan()
        .chunks(2)
        .enumerate()
        .flat_map(|(number, pair)| {
            let ports = [443, 1 + u16::try_from(number).expect("few") * 2];
            let ends = Ends::to_host(ATTACKER, ports);
            let refused = ends.back().tcp(RST, 99, 0);
            [(pair[0].0, ends.tcp(SYN | ACK, 77, 99)), (pair[1].0, refused)]
        })
        .collect();
    let told = decided(only_syn_acks);
    assert!(is_acted_on(&told, ATTACKER), "{:?}", summary(&told, ATTACKER));
    for told in [alone, shielded, told] {
        let refused = of(&told, ATTACKER).filter_map(|anomaly| anomaly.refusal);
        assert!(refused.into_iter().all(|refusal| refusal != Refusal::LocallyInitiated));
    }
}

/// A UDP scan of 300 ports a second, of which a service answers one flow; `first` says whose packet
/// of that flow comes first.
fn udp_scan(host_first: bool) -> Vec<Crafted> {
    let probes = (0..3_000_u16).map(|number| {
        let ends = Ends::to_host(ATTACKER, [45_000, 2_000 + number]);
        (u64::from(number) * SECOND / 300, ends.udp(4))
    });
    let service = Ends::to_host(ATTACKER, [45_000, 53]);
    let answers = (0..100_u64).flat_map(|number| {
        let at_ns = number * SECOND / 10;
        let (request, answer) = if host_first { (50_000, 0) } else { (0, 50_000) };
        [(at_ns + request, service.udp(30)), (at_ns + answer, service.back().udp(60))]
    });
    probes.chain(answers).collect()
}

#[test]
fn a_udp_flow_has_the_same_verdict_whichever_packet_came_first() {
    let [asked, answered] = [false, true].map(|host_first| {
        let told = decided(udp_scan(host_first));
        assert!(is_acted_on(&told, ATTACKER), "{host_first} {:?}", summary(&told, ATTACKER));
        summary(&told, ATTACKER)
    });
    assert_eq!(asked, answered);
}

/// The benign client that opens most connections.
fn busiest_client() -> [u8; 4] {
    let mut syns: BTreeMap<[u8; 4], u64> = BTreeMap::new();
    let mut reader = CaptureReader::open(crate::traffic::own("benign-test")).expect("a capture");
    while let Some(frame) = reader.next_frame().expect("a whole capture") {
        if let Ok(packet) = parse(frame.bytes, &Frame::of_length(frame.wire_length))
            && is_syn(&packet)
            && packet.destination.v4() == Some(HOST)
            && let Some(source) = packet.source.v4().filter(|source| source[3] % 2 == 0)
        {
            *syns.entry(source).or_default() += 1;
        }
    }
    syns.into_iter().max_by_key(|(_, count)| *count).expect("a client").0
}

#[test]
fn forged_syns_never_touch_the_packets_that_a_client_proves() {
    let client = busiest_client();
    for rate in [4, 300] {
        let forged = (0..10 * rate).map(|number| {
            let low = u16::try_from(number).expect("few");
            let ends = Ends::to_host(client, [1_024 + low, 7_000 + low % 50]);
            (u64::from(number) * SECOND / u64::from(rate), ends.tcp(SYN, number * 7_919, 0))
        });
        let told = decided(forged.collect());
        let acted = of(&told, client).filter(|one| one.outcome == ActionTaken::WouldBlock);
        for one in acted {
            assert_eq!(
                (one.evidence.standing, one.scope),
                (Standing::Unproven, Some(Scope::Unproven)),
                "{rate}: {one:?}"
            );
        }
        assert!(told.notices.is_empty(), "no breaker: {:?}", told.notices);
        assert!(
            of(&told, client).any(|one| one.evidence.standing == Standing::Unproven) || rate == 4,
            "{:?}",
            summary(&told, client)
        );
    }
}

#[test]
fn a_blind_acknowledgement_that_nothing_refuses_proves_nobody() {
    // As towards a host whose firewall drops what is out of state: no RST tells.
    let blind = (0..3_000_u16).flat_map(|number| {
        let at_ns = u64::from(number) * SECOND / 300;
        let ends = Ends::to_host(ATTACKER, [20_000 + number, 80]);
        let sequence = u32::from(number) * 1_013;
        let answer = ends.back().tcp(SYN | ACK, 4_000_000 + sequence, sequence + 1);
        [
            (at_ns, ends.tcp(SYN, sequence, 0)),
            (at_ns + 50_000, answer),
            (at_ns + 100_000, ends.tcp(ACK, sequence + 1, 1)),
        ]
    });
    let told = decided(blind.collect());
    assert!(of(&told, ATTACKER).next().is_some(), "it is reported");
    for one in of(&told, ATTACKER) {
        assert_eq!(one.evidence.standing, Standing::Unproven);
        assert!(one.scope.is_none_or(|scope| scope == Scope::Unproven), "{one:?}");
    }
}

#[test]
fn a_flood_from_one_port_is_as_much_a_flood_as_from_ever_others() {
    for fixed in [false, true] {
        let flood = (0..8_000_u16).flat_map(|number| {
            let at_ns = u64::from(number) * SECOND / 800;
            let port = if fixed { 20 } else { 1_024 + number };
            let ends = Ends::to_host(ATTACKER, [port, 80]);
            let sequence = 5 + u32::from(number) * 1_013;
            let first = number == 0 || !fixed;
            // A half-open connection answers a SYN out of its window with an ACK, now and then.
            let answers = first || number % 400 == 0;
            let flags = if first { SYN | ACK } else { ACK };
            let answer = ends.back().tcp(flags, 9, sequence + 1);
            let answer = answers.then_some((at_ns + 40_000, answer));
            [Some((at_ns, ends.tcp(SYN, sequence, 0))), answer].into_iter().flatten()
        });
        let told = decided(flood.collect());
        assert!(is_acted_on(&told, ATTACKER), "{fixed}: {:?}", summary(&told, ATTACKER));
    }
}

#[test]
fn ten_forged_syns_or_sixty_forged_datagrams_a_second_suspend_no_block() {
    const LONG: u64 = 290 * SECOND;
    let stream = |rate: u64, frame: &dyn Fn([u8; 4], u16) -> Vec<u8>| -> Vec<Crafted> {
        let crafted = (0..rate * (LONG - AHEAD) / SECOND).map(|number| {
            let [.., high, low] = number.to_be_bytes();
            let source = [203, 0, 113, 1 + low % 250];
            (number * SECOND / rate, frame(source, u16::from_be_bytes([high, low]) | 1_024))
        });
        crafted.collect()
    };
    let syns = stream(10, &|source, port| Ends::to_host(source, [port, 80]).tcp(SYN, 7, 0));
    let datagrams = stream(60, &|source, port| Ends::to_host(source, [port, 53]).udp(30));
    for (what, crafted) in [("SYNs", syns), ("datagrams", datagrams)] {
        let told = decided_until(LONG, crafted);
        assert!(told.drifts.is_empty(), "{what}: {:?}", told.drifts);
        assert!(told.notices.is_empty(), "{what}: {:?}", told.notices);
    }
}

#[test]
fn a_flood_from_few_forged_sources_limits_its_service() {
    const LONG: u64 = 90 * SECOND;
    // What is ordinary is known by then.
    const FROM: u64 = 25 * SECOND;
    const WEB: Service = Service { protocol: 6, port: 80 };
    for (sources, each) in [(256, 156), (40, 1_000)] {
        let rate = sources * each;
        let flood = (0..5 * rate).map(|number: u64| {
            let [.., low] = (number % sources).to_be_bytes();
            let [.., high, port] = number.to_be_bytes();
            let ends = Ends::to_host([203, 0, 113, low], [u16::from_be_bytes([high, port]), 80]);
            (FROM + number * SECOND / rate, ends.tcp(SYN, 5, 0))
        });
        let told = decided_until(LONG, flood.collect());
        let first = told.services.first().expect("a limit");
        assert_eq!((first.limit.service, first.limit.sources), (WEB, sources));
        assert!(first.at_ns <= START + AHEAD + FROM + 2 * SECOND, "{sources}: {first:?}");
        assert!(told.services.iter().all(|one| one.limit.service == WEB), "{:?}", told.services);
        assert!(told.notices.is_empty() && told.drifts.is_empty(), "{sources}: {:?}", told.notices);
        for one in told.anomalies.iter().filter(|one| one.outcome == ActionTaken::WouldBlock) {
            assert_eq!(one.scope, Some(Scope::Unproven), "{sources}: {one:?}");
        }
    }
}

#[test]
fn a_scan_of_a_port_every_four_seconds_is_acted_on() {
    let probes = (0..25_u16).flat_map(|number| {
        let at_ns = u64::from(number) * 4 * SECOND;
        let ends = Ends::to_host(ATTACKER, [40_000 + number, 1 + number * 2]);
        let sequence = u32::from(number) * 1_013;
        let refused = ends.back().tcp(RST | ACK, 0, sequence + 1);
        [(at_ns, ends.tcp(SYN, sequence, 0)), (at_ns + 50_000, refused)]
    });
    let told = decided_until(AHEAD + 100 * SECOND, probes.collect());
    assert!(is_acted_on(&told, ATTACKER), "{:?}", summary(&told, ATTACKER));
}
