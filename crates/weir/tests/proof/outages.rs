//! The host's own trouble: a service that is stopped, or cut off, in the midst of the lab's benign traffic.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
};

use flows_common::parse::{Address, Frame, TCP, parse};
use replay::CaptureReader;

use crate::{
    gate::is_syn,
    scene::{RunOutcome, dry_run, own_addresses, windows},
    traffic::{Composed, SECOND, START, own},
    trust::{ACK, ATTACKER, Crafted, Ends, RST, SYN, is_acted_on, scan, summary},
};

/// Benign traffic in all; when the service goes away, and for how long.
const ALL: u64 = 190 * SECOND;
const STOPPED: u64 = 130 * SECOND;
const PORT: u16 = 443;

/// What a service does that is away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Away {
    /// It is stopped: connections are reset, openings refused.
    Refuses,
    /// A firewall drops what goes to it.
    IsSilent,
}

/// `benign-test`, in which a service is away for some time; and the clients that met it.
fn benign(path: PathBuf, away: Away, until_ns: u64) -> (PathBuf, BTreeSet<IpAddr>) {
    let mut capture = Composed::create(path);
    let mut reader = CaptureReader::open(own("benign-test")).expect("a capture");
    let (mut begin_ns, mut met) = (None, BTreeSet::new());
    // Connections that were open, and those that never came to be.
    let (mut open, mut dead) = (BTreeMap::new(), BTreeSet::new());
    let hosts = own_addresses();
    let address = |one: Address| IpAddr::from(one.to_16()).to_canonical();
    while let Some(frame) = reader.next_frame().expect("a whole capture") {
        let from_ns = *begin_ns.get_or_insert(frame.time_ns / SECOND * SECOND);
        let at_ns = frame.time_ns.max(from_ns) - from_ns;
        if at_ns >= ALL {
            continue;
        }
        let put = |capture: &mut Composed, bytes: &[u8]| {
            let length = u32::try_from(bytes.len()).expect("a short frame");
            capture.put(START + at_ns, length.max(frame.wire_length), bytes);
        };
        let Ok(packet) = parse(frame.bytes, &Frame::of_length(frame.wire_length)) else {
            put(&mut capture, frame.bytes);
            continue;
        };
        let (source, destination) = (address(packet.source), address(packet.destination));
        let (client, local, port) = if hosts.contains(&destination) {
            (source, packet.destination_port, packet.source_port)
        } else {
            (destination, packet.source_port, packet.destination_port)
        };
        if packet.protocol != TCP || local != PORT {
            put(&mut capture, frame.bytes);
            continue;
        }
        let tuple = (client, port);
        let is_away = (STOPPED..until_ns).contains(&at_ns);
        if !is_away && !dead.contains(&tuple) {
            open.insert(tuple, at_ns);
            put(&mut capture, frame.bytes);
            continue;
        }
        // What a client sends meets nothing, or an RST; what the service sent is not sent any more.
        let first = dead.insert(tuple);
        if first && hosts.contains(&destination) {
            put(&mut capture, frame.bytes);
            met.insert(client);
            let (IpAddr::V4(v4), Away::Refuses) = (client, away) else { continue };
            let ends = Ends::to_host(v4.octets(), [port, PORT]).back();
            let answer = if is_syn(&packet) {
                ends.tcp(RST | ACK, 0, packet.sequence.wrapping_add(1))
            } else {
                ends.tcp(RST, packet.acknowledged, 0)
            };
            capture.put(START + at_ns + 50_000, 60, &answer);
        }
    }
    (capture.finish().0, met)
}

/// Attempts of these clients, ten a second each, while the service is away until then.
fn attempts(clients: &BTreeSet<IpAddr>, away: Away, until_ns: u64) -> Vec<Crafted> {
    let mut frames = Vec::new();
    for client in clients {
        let IpAddr::V4(v4) = client else { continue };
        for number in 0..(until_ns - STOPPED) / (SECOND / 10) {
            let low = u16::try_from(number).expect("few");
            let ends = Ends::to_host(v4.octets(), [61_000 + low, PORT]);
            let at_ns = number * SECOND / 10 + u64::from(v4.octets()[3]) * 1_000_000;
            let sequence = u32::from(low) * 7_001;
            frames.push((at_ns, ends.tcp(SYN, sequence, 0)));
            if away == Away::Refuses {
                frames.push((at_ns + 50_000, ends.back().tcp(RST | ACK, 0, sequence + 1)));
            }
        }
    }
    frames
}

/// What is decided with the service away until then, and with these frames after it went.
fn decided(away: Away, until_ns: u64, crafted: &[Crafted]) -> (RunOutcome, BTreeSet<IpAddr>) {
    let folder = tempfile::tempdir().expect("a folder");
    let (benign, met) = benign(folder.path().join("benign.pcap"), away, until_ns);
    let mut more = Composed::create(folder.path().join("crafted.pcap"));
    let mut crafted = [crafted, &attempts(&met, away, until_ns)].concat();
    crafted.sort_by_key(|(at_ns, _)| *at_ns);
    for (at_ns, frame) in &crafted {
        let length = u32::try_from(frame.len()).expect("a short frame");
        more.put(START + STOPPED + at_ns, length, frame);
    }
    let [_, _, act] = dry_run(&windows(&[benign, more.finish().0]));
    (act, met)
}

fn of_port(outcome: &RunOutcome) -> usize {
    outcome.outages.iter().filter(|event| event.outage.service.port == PORT).count()
}

#[test]
fn a_service_that_is_stopped_for_six_seconds_blocks_none_of_its_clients() {
    for away in [Away::Refuses, Away::IsSilent] {
        let (told, met) = decided(away, STOPPED + 6 * SECOND, &[]);
        assert!(met.len() >= 3, "{met:?}");
        let hit: BTreeSet<IpAddr> =
            told.blocked().into_iter().filter(|peer| met.contains(peer)).collect();
        assert!(hit.is_empty(), "{hit:?}");
        assert!(told.notices.is_empty(), "no breaker: {:?}", told.notices);
        if away == Away::Refuses {
            assert!(of_port(&told) > 0, "an incident of its own: {:?}", told.outages);
        }
        assert!(told.services.is_empty(), "no flood: {:?}", told.services);
    }
}

#[test]
fn a_gap_of_less_than_half_a_second_blocks_nobody() {
    let (told, met) = decided(Away::Refuses, STOPPED + 400_000_000, &[]);
    assert!(told.blocked().is_disjoint(&met), "{met:?} {:?}", told.blocked());
}

#[test]
fn a_scan_while_a_service_is_away_is_acted_on() {
    let (told, met) = decided(Away::Refuses, STOPPED + 12 * SECOND, &scan());
    assert!(is_acted_on(&told, ATTACKER), "{:?}", summary(&told, ATTACKER));
    assert!(told.blocked().is_disjoint(&met));
}
