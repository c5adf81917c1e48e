//! Packets, bytes and TCP flags of each 5-tuple agree with what tshark counts.
//!
//! The captures were chosen for what is hard to parse. One difference is known and is allowed for
//! in `tshark::count`: a frame of another link type counts with an Ethernet header in the place of
//! its own. No other was found, in these or in any capture at hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    path::Path,
};

use flows_common::{Direction, FlowCounters, FlowKey, Loss, unmap_v4};
use replay::{Replay, ReplayOptions};

use super::{
    captures, corpus,
    sweeps::SEED,
    tshark::{self, Counts, Tuple},
};

/// Captures, and what makes each worth comparing.
const CASES: [(&str, &str); 23] = [
    ("ndpi/tests/cfgs/default/pcap/false_positives.pcapng", "QinQ and single VLAN tags, pcapng"),
    ("ndpi/tests/cfgs/default/pcap/linecall_falsepositve.pcap", "QinQ"),
    ("ndpi/tests/cfgs/default/pcap/smtp-starttls.pcap", "IPv6 behind a VLAN tag"),
    (
        "ndpi/tests/cfgs/default/pcap/dns_fragmented.pcap",
        "IPv4 and IPv6 fragments, fragment headers",
    ),
    ("ndpi/tests/cfgs/default/pcap/badpackets.pcap", "nothing but fragments, cut by a snap length"),
    (
        "ndpi/tests/cfgs/default/pcap/anyconnect-vpn.pcap",
        "IPv4 options, IPv6 hop-by-hop options, ICMP errors",
    ),
    ("joy/test/pcaps/firefox58.pcap", "IPv6 hop-by-hop options"),
    (
        "ndpi/tests/cfgs/default/pcap/vrrp3.pcapng",
        "IPv6 behind a VLAN tag, a protocol without ports",
    ),
    ("ndpi/tests/cfgs/default/pcap/syslog.pcap", "IPv6 in IPv4, VLAN tags"),
    ("ndpi/tests/cfgs/default/pcap/vxlan.pcap", "a tunnel over UDP behind a VLAN tag"),
    ("ndpi/tests/cfgs/default/pcap/teredo.pcap", "neighbour discovery in a tunnel over UDP"),
    ("ndpi/tests/cfgs/default/pcap/capwap.pcap", "neighbour discovery in frames over UDP"),
    ("ndpi/tests/cfgs/default/pcap/gre.pcapng", "GRE behind a VLAN tag"),
    ("ndpi/tests/cfgs/default/pcap/reasm_segv_anon.pcapng", "frames cut by a snap length, pcapng"),
    ("ndpi/tests/cfgs/default/pcap/mongodb.pcap", "ECN flags, VLAN tags"),
    ("ndpi/tests/cfgs/default/pcap/rdp.pcap", "raw IP, ECN flags"),
    ("ndpi/tests/cfgs/default/pcap/rtsp.pcap", "Linux cooked"),
    ("ndpi/tests/cfgs/default/pcap/openwire.pcapng", "BSD loopback, IPv6, pcapng"),
    ("ndpi/tests/cfgs/default/pcap/nfsv3.pcap", "a big-endian pcap of version 2.1"),
    (
        "pcapplusplus/Tests/ExamplesTest/pcap_examples/many-protocols.pcap",
        "captures joined, clocks that jump, QinQ",
    ),
    ("slips/dataset/test7-malicious.pcap", "IPv4 options, IPv6 options, ICMP errors, ECN flags"),
    ("try-zeek/manager/static/pcaps/sumstat.pcap", "a scan among browsing"),
    ("zeek/testing/btest/Traces/ssh/sshguess.pcap", "password guessing"),
];

/// Frames put together by chance that tshark counts too.
const DRAWN: usize = 5_000;

#[test]
fn the_corpus_counts_what_tshark_counts() {
    let Some(tshark) = test_support::program("tshark") else { return };
    let frames: Vec<_> = corpus::written()
        .into_iter()
        .chain(corpus::drawn(SEED, DRAWN))
        .filter(|frame| frame.well_formed)
        .collect();
    let mut differences = Vec::new();
    for (name, ticks_per_second) in
        [("in microseconds", 1_000_000), ("in nanoseconds", 1_000_000_000)]
    {
        let target = tempfile::NamedTempFile::new().expect("a temporary file");
        corpus::write_pcap(&frames, ticks_per_second, target.path()).expect("a file takes it");
        differences.extend(compare(name, &tshark, target.path()));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn tuples_count_what_tshark_counts() {
    let Some(folder) = test_support::shared_data() else { return };
    let Some(tshark) = test_support::program("tshark") else { return };
    let mut differences = Vec::new();
    for (name, shows) in CASES {
        println!("{shows}:");
        differences.extend(compare(name, &tshark, &folder.join(name)));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_capture_in_nanoseconds_counts_what_tshark_counts() {
    let Some(folder) = test_support::shared_data() else { return };
    let Some(tshark) = test_support::program("tshark") else { return };
    let target = tempfile::NamedTempFile::new().expect("a temporary file");
    let (name, _) = CASES[CASES.len() - 1];
    tshark::to_nanoseconds(&tshark, &folder.join(name), target.path());
    let differences = compare(name, &tshark, target.path());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
#[ignore = "starts tshark 660 times, four minutes: `cargo nextest run --run-ignored only every_capture_counts`"]
fn every_capture_counts_what_tshark_counts() {
    let Some(folder) = test_support::shared_data() else { return };
    let Some(tshark) = test_support::program("tshark") else { return };
    let mut differences = Vec::new();
    for capture in captures::all(&folder) {
        match capture.open() {
            Ok(_) => differences.extend(compare(&capture.name, &tshark, &capture.path)),
            Err(why) => println!("{why}"),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The tuples of one capture on which the two disagree.
fn compare(name: &str, tshark: &Path, capture: &Path) -> Vec<String> {
    let (ours, unfit) = replayed(capture);
    let theirs = tshark::count(tshark, capture);
    let tuples: BTreeSet<&Tuple> = ours.keys().chain(theirs.keys()).collect();
    let packets: u64 = ours.values().map(|count| count.packets).sum();
    println!("{name}: {packets} packets in {} tuples, {unfit} in none", tuples.len());
    tuples
        .into_iter()
        .filter(|&tuple| ours.get(tuple) != theirs.get(tuple))
        .map(|tuple| {
            let (one, other) = (ours.get(tuple), theirs.get(tuple));
            format!("{name}: {tuple}: {one:?}, tshark {other:?}")
        })
        .collect()
}

/// Counts of a capture by the replay, and the number of IP packets that are in no flow.
fn replayed(capture: &Path) -> (BTreeMap<Tuple, Counts>, u64) {
    let mut counts: BTreeMap<Tuple, Counts> = BTreeMap::new();
    let mut unfit = 0;
    // tshark counts frames as they were captured, super-packets too.
    let options = ReplayOptions::default().mtu(u32::MAX);
    for window in Replay::open(capture, options).expect("a capture") {
        let window = window.expect("a whole capture");
        unfit += window.packet_counters.lost()
            - window.packet_counters.losses[Loss::NotIp.index()]
            - window.packet_counters.losses[Loss::LinkControl.index()];
        for (key, flow) in &window.flows {
            for direction in Direction::ALL {
                add(&mut counts, key, flow, direction);
            }
        }
    }
    (counts, unfit)
}

fn add(
    counts: &mut BTreeMap<Tuple, Counts>,
    key: &FlowKey,
    flow: &FlowCounters,
    direction: Direction,
) {
    let one = &flow.directions[direction.index()];
    if one.packets == 0 {
        return;
    }
    let local = (address(&key.local), key.local_port);
    let remote = (address(&key.remote), key.remote_port);
    let (source, destination) = match direction {
        Direction::Ingress => (remote, local),
        Direction::Egress => (local, remote),
    };
    let tuple = Tuple {
        source: source.0,
        destination: destination.0,
        protocol: key.protocol,
        ports: (source.1, destination.1),
        vlans: [key.outer_vlan, key.inner_vlan],
    };
    let count = counts.entry(tuple).or_default();
    count.packets += one.packets;
    count.bytes += one.bytes;
    for (sum, flag) in count.flags.iter_mut().zip(one.flags) {
        *sum += u64::from(flag);
    }
}

fn address(bytes: &[u8; 16]) -> IpAddr {
    unmap_v4(bytes).map_or_else(|| Ipv6Addr::from(*bytes).into(), IpAddr::from)
}
