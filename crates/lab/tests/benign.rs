//! Each kind of benign traffic is what it says, and its clients are served.

mod common;

use std::time::Duration;

use common::{Carries, Seen, lab_or_skip, read};
use lab::{BenignKind, CaptureBounds, ClientReport, Family, Lab, Node, Scenario, Tap, Topology};

/// Runs one kind of traffic of two clients over both families for a while.
fn run(lab: &Lab, does: &str, time: Duration) -> (Vec<Seen>, Vec<ClientReport>) {
    let scenario = format!(
        "name = \"t\"\nduration = \"10s\"\n[topology]\nclients = 2\n[[benign]]\ndoes = {does}\n"
    );
    let scenario = Scenario::parse("the test", &scenario).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.pcap");
    let capture = lab.capture(&path, Tap::Host, 0, CaptureBounds::default()).unwrap();
    let benign = lab.start_benign(&scenario).unwrap();
    std::thread::sleep(time);
    let reports = benign.finish().unwrap();
    assert_eq!(capture.finish().unwrap().dropped, 0);
    (read(&path), reports)
}

fn two_clients() -> Topology {
    Topology { clients: 2, attackers: 0, ..Topology::default() }
}

/// Every client was served, always, and only unicast documentation addresses were used.
fn assert_sound(kind: BenignKind, seen: &[Seen], reports: &[ClientReport]) {
    for report in reports {
        assert_eq!(report.total.failed, 0, "{report:?}");
        assert_eq!(report.kinds.keys().collect::<Vec<_>>(), [&kind]);
        assert!(report.total.succeeded > 2, "{report:?}");
        assert!(report.total.min_us <= report.total.median_us);
        assert!(report.total.median_us <= report.total.p99_us);
    }
    common::assert_inside(seen);
}

/// Packets between the host and a client over a family.
fn of<'a>(seen: &'a [Seen], node: &Node, family: Family) -> impl Iterator<Item = &'a Seen> {
    let own = node.address(family);
    seen.iter().filter(move |packet| packet.source == own || packet.target == own)
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

#[test]
fn web_clients_ask_in_sessions() {
    for (port, does) in [
        (80, "{ kind = \"web\", pause = \"60ms\" }"),
        (443, "{ kind = \"web\", port = 443, pause = \"60ms\" }"),
    ] {
        let Some(lab) = lab_or_skip(&two_clients()) else { return };
        let (seen, reports) = run(&lab, does, Duration::from_secs(2));
        assert_sound(BenignKind::Web, &seen, &reports);
        for (node, report) in lab.clients().iter().zip(&reports) {
            for family in FAMILIES {
                let opened = of(&seen, node, family).filter(|packet| packet.is_syn_to(port));
                let opened = opened.count() as u64;
                assert!(opened > 1, "{opened}");
                assert!(opened < report.total.attempted, "several requests share a connection");
            }
        }
    }
}

#[test]
fn names_are_asked_from_fresh_ports_and_answered() {
    let Some(lab) = lab_or_skip(&two_clients()) else { return };
    let (seen, reports) = run(&lab, "{ kind = \"dns\", pause = \"50ms\" }", Duration::from_secs(2));
    assert_sound(BenignKind::Dns, &seen, &reports);
    for node in lab.clients() {
        for family in FAMILIES {
            let asked: Vec<u16> = of(&seen, node, family)
                .filter_map(|packet| match packet.carries {
                    Carries::Udp { source_port, target_port: 53 } => Some(source_port),
                    _ => None,
                })
                .collect();
            let distinct: std::collections::HashSet<_> = asked.iter().collect();
            assert!(distinct.len() > 5 && distinct.len() * 10 >= asked.len() * 9, "{asked:?}");
        }
    }
}

#[test]
fn bulk_transfers_keep_to_their_rate_in_both_directions() {
    let Some(lab) = lab_or_skip(&two_clients()) else { return };
    let does = "{ kind = \"bulk\", bytes = 60_000, bytes_per_second = 500_000, pause = \"20ms\" }";
    let time = Duration::from_secs(3);
    let (seen, reports) = run(&lab, does, time);
    assert_sound(BenignKind::Bulk, &seen, &reports);
    for node in lab.clients() {
        for family in FAMILIES {
            let own = node.address(family);
            let bytes = |from: bool| -> usize {
                of(&seen, node, family)
                    .filter(|packet| (packet.source == own) == from)
                    .map(|packet| packet.payload)
                    .sum()
            };
            let (up, down) = (bytes(true), bytes(false));
            assert!(up > 50_000 && down > 50_000, "{up} up, {down} down");
            // Each transfer's first 16 KiB leave at once.
            assert!(up + down < 500_000 * 3 * 2, "{up} up, {down} down");
        }
    }
}

#[test]
fn an_interactive_session_stays_open() {
    let Some(lab) = lab_or_skip(&two_clients()) else { return };
    let (seen, reports) =
        run(&lab, "{ kind = \"interactive\", pause = \"40ms\" }", Duration::from_secs(2));
    assert_sound(BenignKind::Interactive, &seen, &reports);
    for node in lab.clients() {
        for family in FAMILIES {
            let opened = of(&seen, node, family).filter(|packet| packet.is_syn_to(22)).count();
            assert_eq!(opened, 1);
        }
    }
}

#[test]
fn telemetry_is_opened_by_the_host() {
    let Some(lab) = lab_or_skip(&two_clients()) else { return };
    let (seen, reports) =
        run(&lab, "{ kind = \"telemetry\", period = \"100ms\" }", Duration::from_secs(2));
    assert_sound(BenignKind::Telemetry, &seen, &reports);
    for node in lab.clients() {
        for family in FAMILIES {
            let opened: Vec<_> = of(&seen, node, family).filter(|packet| packet.is_syn()).collect();
            assert!(!opened.is_empty());
            for packet in opened {
                assert_eq!(packet.source, lab.host().address(family));
                assert!(packet.is_syn_to(4317));
            }
        }
    }
}
