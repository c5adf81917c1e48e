//! Floods that others captured, in the midst of the lab's benign traffic.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::{Path, PathBuf},
};

use policy::Service;

use crate::{
    scene::{RunOutcome, SETTINGS, dry_run, windows},
    traffic::{Composed, SECOND, START},
};

/// Benign traffic ahead of a flood.
pub(crate) const AHEAD: u64 = 60 * SECOND;
/// Benign traffic in all: some is left behind the shorter floods.
const ALL: u64 = 90 * SECOND;

/// A flood and benign traffic around it, as two captures, in a folder that lasts as long.
pub(crate) struct Flooded {
    pub(crate) captures: Vec<PathBuf>,
    pub(crate) folder: tempfile::TempDir,
}

impl Flooded {
    pub(crate) fn compose(flood: &Path, alter: impl Fn(&mut [u8]) -> bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut benign = Composed::create(folder.path().join("benign.pcap"));
        benign.append_benign(START, START + ALL);
        let mut flooding = Composed::create(folder.path().join("flood.pcap"));
        flooding.append_altered(flood, START + AHEAD, START + ALL, alter);
        let captures = [benign, flooding].map(|capture| capture.finish().0).to_vec();
        Self { captures, folder }
    }
}

fn is_client(peer: &IpAddr) -> bool {
    match peer {
        IpAddr::V4(v4) => v4.octets()[..3] == [192, 0, 2],
        IpAddr::V6(v6) => v6.segments()[..4] == [0x2001, 0xdb8, 0, 0],
    }
}

/// Decisions about a flood, and about the benign clients meanwhile.
#[derive(Debug)]
struct Outcome {
    reported: BTreeSet<IpAddr>,
    blocked: BTreeSet<IpAddr>,
    clients_blocked: BTreeSet<IpAddr>,
    refused: BTreeMap<&'static str, usize>,
    /// When each service was limited first, in s since the flood began, and for how many sources.
    limited: BTreeMap<Service, (f64, u64)>,
}

impl Outcome {
    fn of(told: &RunOutcome) -> Self {
        let (clients_blocked, blocked) = told.blocked().into_iter().partition(is_client);
        let mut refused = BTreeMap::new();
        let flood = told.anomalies.iter().filter(|anomaly| !is_client(&anomaly.peer()));
        for refusal in flood.filter_map(|anomaly| anomaly.refusal) {
            *refused.entry(refusal.text()).or_default() += 1;
        }
        let mut limited = BTreeMap::new();
        for service in &told.services {
            let after_s = (service.at_ns as f64 - (START + AHEAD) as f64) / 1e9;
            limited.entry(service.limit.service).or_insert((after_s, service.limit.sources));
        }
        Self {
            reported: told.reported().into_iter().filter(|peer| !is_client(peer)).collect(),
            blocked,
            clients_blocked,
            refused,
            limited,
        }
    }
}

/// By each setting. Nothing is suspended, and the breaker stays closed.
fn outcomes(flood: &Path) -> [Outcome; 3] {
    let flooded = Flooded::compose(flood, |_| true);
    dry_run(&windows(&flooded.captures)).map(|told| {
        assert_eq!(
            (&told.notices[..], &told.drifts[..]),
            (&[][..], &[][..]),
            "{}",
            flood.display()
        );
        Outcome::of(&told)
    })
}

/// A flood, the services that are limited, and whom it is right to block.
struct Flood {
    capture: &'static str,
    limited: &'static [Service],
    attacker: Option<[u8; 4]>,
}

const fn udp(port: u16) -> Service {
    Service { protocol: 17, port }
}

const SPOOFED: Flood = Flood {
    capture: "stopddos/pkt.TCP.synflood.spoofed.pcap",
    limited: &[Service { protocol: 6, port: 25_565 }],
    attacker: None,
};

/// Those behind the answers of an amplification are as little to blame as those that are forged.
const OTHERS: [Flood; 5] = [
    Flood { capture: "stopddos/amp.UDP.isakmp.pcap", limited: &[], attacker: None },
    Flood {
        capture: "stopddos/amp.UDP.snmp.src161.pcapng",
        // Some of those that were asked are not there, and their routers say so by ICMP.
        limited: &[Service { protocol: 1, port: 0 }, udp(3_299), udp(12_294), udp(54_609)],
        attacker: None,
    },
    Flood {
        capture: "lucid-ddos/sample-dataset/CIC-DDoS-2019-SynFlood.pcap",
        // From one source, for ever other ports.
        limited: &[Service::CLOSED_PORTS],
        attacker: Some([172, 16, 0, 5]),
    },
    // Requests that are made slowly: nothing is reported of its first minute.
    Flood {
        capture: "lucid-ddos/sample-dataset/CIC-DDoS-2019-WebDDoS.pcap",
        limited: &[],
        attacker: None,
    },
    Flood { capture: "netlyzer/ddos.pcap", limited: &[], attacker: None },
];

#[track_caller]
fn check(folder: &Path, flood: &Flood) {
    for (setting, outcome) in SETTINGS.iter().zip(outcomes(&folder.join(flood.capture))) {
        let Outcome { reported, blocked, clients_blocked, refused, limited } = outcome;
        println!(
            "{}, {}: {} sources reported, blocked {blocked:?}; refused {refused:?}; limited \
             {limited:?}",
            flood.capture,
            setting.name,
            reported.len(),
        );
        assert!(clients_blocked.is_empty(), "{}: {clients_blocked:?}", setting.name);
        let attacker: BTreeSet<IpAddr> = flood.attacker.into_iter().map(IpAddr::from).collect();
        assert_eq!(blocked, attacker, "{}, {}", flood.capture, setting.name);
        let services: Vec<Service> = limited.keys().copied().collect();
        assert_eq!(services, flood.limited, "{}, {}", flood.capture, setting.name);
        for (service, (after_s, sources)) in limited {
            let are_many = sources > 200 || service == Service::CLOSED_PORTS;
            assert!(after_s <= 2.0 && are_many, "{service:?}: {after_s} s, {sources}");
        }
    }
}

#[test]
fn the_spoofed_flood_limits_its_service_and_blocks_no_address() {
    if let Some(folder) = test_support::shared_data() {
        check(&folder, &SPOOFED);
    }
}

#[test]
fn no_flood_gets_an_innocent_blocked() {
    let Some(folder) = test_support::shared_data() else { return };
    for flood in &OTHERS {
        check(&folder, flood);
    }
}
