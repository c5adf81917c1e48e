//! Packets followed through the kernel: each is counted where it comes and where it ends, in its own
//! network namespace alone.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::support::{LOCAL, NEAR, Wire, host, ip, udp_v4};
use flows_common::parse::UDP;
use weir_datapath::{KernelError, Trace, TraceEndpoint, TraceFilter, TracePoint, Traced};

/// Longest that a frame takes through a veth pair.
const PATIENCE: Duration = Duration::from_secs(30);

/// All packets of one remote.
fn about(last: u8) -> TraceFilter {
    let net = format!("198.51.100.{last}/32").parse().ok();
    TraceFilter {
        ends: [TraceEndpoint { net, port: None }, TraceEndpoint::default()],
        protocol: None,
    }
}

/// A namespace that takes packets for [`LOCAL`] and answers nobody.
fn hosted(wire: &Wire) {
    let near = ["-n", wire.near()];
    let near = |rest: &[&str]| ip(&[&near[..], rest].concat());
    near(&["link", "set", NEAR, "address", "02:00:00:00:00:01"]);
    near(&["address", "add", "192.0.2.1/24", "dev", NEAR]);
    near(&["route", "add", "blackhole", "198.51.100.0/24"]);
    for scope in ["all", "default", NEAR] {
        let setting = format!("net.ipv4.conf.{scope}.rp_filter=0");
        wire.output(&["sysctl", "-qw", &setting]);
    }
}

/// Packets of what is followed, by point and reason.
fn by_reason(traced: &Traced) -> BTreeMap<(TracePoint, Option<String>), u64> {
    let mut sums = BTreeMap::new();
    for flow in &traced.flows {
        let reason = flow.reason.as_ref().map(|reason| reason.name.clone());
        *sums.entry((flow.point, reason)).or_insert(0) += flow.counters.packets;
    }
    sums
}

/// What was followed once so many have ended; `None` on a kernel that tells no reasons.
fn once_dropped(trace: &Trace, packets: u64) -> Traced {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let traced = trace.read().expect("the tables");
        let dropped: u64 = traced.reasons.iter().map(|(_, counters)| counters.packets).sum();
        if dropped >= packets || Instant::now() > deadline {
            return traced;
        }
        sleep(Duration::from_millis(10));
    }
}

fn started(filter: &TraceFilter) -> Option<Trace> {
    match Trace::start(filter, &TracePoint::ALL) {
        Ok(trace) => Some(trace),
        Err(error @ KernelError::NoDropReasons { .. }) => {
            test_support::skip(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_packet_is_counted_where_it_came_and_where_it_ended() {
    if !test_support::root() {
        return;
    }
    // Another namespace, in which the same is dropped meanwhile.
    let other = Wire::new();
    hosted(&other);
    Wire::new().run(|wire| {
        hosted(wire);
        let Some(trace) = started(&about(7)) else { return };
        wire.network_end().send_times(&udp_v4(host(7), LOCAL, [1000, 9]), 40);
        wire.network_end().send_times(&udp_v4(host(8), LOCAL, [1000, 9]), 30);
        other.network_end().send_times(&udp_v4(host(7), LOCAL, [1000, 9]), 20);
        let traced = once_dropped(&trace, 70);
        let sums = by_reason(&traced);
        assert_eq!(sums.get(&(TracePoint::Arrived, None)), Some(&40), "{traced:#?}");
        let none = (TracePoint::Dropped, Some("NO_SOCKET".to_owned()));
        assert_eq!(sums.get(&none), Some(&40), "{traced:#?}");
        let all = traced.reasons.iter().find(|(reason, _)| reason.name == "NO_SOCKET");
        let all = all.expect("a reason").1;
        // From the IP header on: 20 bytes, 8, and "payload.".
        assert_eq!((all.packets, all.bytes), (70, 70 * 36));
        let flow = traced.flows.iter().find(|flow| flow.reason.is_some()).expect("a drop");
        assert_eq!(flow.protocol, UDP);
        assert_eq!(flow.name(), "udp 198.51.100.7:1000 -> 192.0.2.1:9");
        let ledger = traced.ledger[&TracePoint::Dropped];
        assert!(ledger.elsewhere >= 20, "{ledger:?}");
        assert_eq!((ledger.no_room, traced.missed), (0, 0), "{ledger:?}");
    });
}

#[test]
fn flows_beyond_the_tables_room_are_counted_as_such_and_their_reasons_all() {
    const FLOWS: u16 = 9_000;
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        hosted(wire);
        let Some(trace) = started(&about(7)) else { return };
        let sender = wire.network_end();
        for port in 0..FLOWS {
            sender.send(&udp_v4(host(7), LOCAL, [10_000 + port, 9]));
        }
        let traced = once_dropped(&trace, FLOWS.into());
        let all = traced.reasons.iter().find(|(reason, _)| reason.name == "NO_SOCKET");
        assert_eq!(all.expect("a reason").1.packets, u64::from(FLOWS), "{:?}", traced.reasons);
        let told: u64 = traced.flows.iter().map(|flow| flow.counters.packets).sum();
        let no_room: u64 = traced.ledger.values().map(|ledger| ledger.no_room).sum();
        assert!(no_room > 0);
        // Each came once and ended once.
        assert_eq!(told + no_room, 2 * u64::from(FLOWS), "{:?}", traced.ledger);
    });
}
