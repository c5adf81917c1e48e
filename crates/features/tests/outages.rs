//! Whose failure it is: what a service of this host does to its clients, and what an attacker can
//! make of that.

use std::borrow::Cow;

use flows_common::{Direction, FlowCounters, FlowKey, TcpFlag, map_v4};
use weir_features::record::TCP;
use weir_features::{LocalService, Maintained, Outage, Outages, Window};

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();
const SECOND: u64 = 1_000_000_000;

/// What became of an opening.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Served,
    Refused,
    Silent,
    Reset,
}
use Fate::{Refused, Reset, Served, Silent};

/// A flow of a remote to a port, opened so many ms after the window's start.
fn flow(
    remote: [u8; 4],
    source: u16,
    port: u16,
    fate: Fate,
    at_ns: u64,
) -> (FlowKey, FlowCounters) {
    let key = FlowKey {
        local: map_v4([192, 0, 2, 1]),
        remote: map_v4(remote),
        local_port: port,
        remote_port: source,
        protocol: TCP,
        ..FlowKey::default()
    };
    let mut counters = FlowCounters::default();
    let mut packet = |way: usize, flag: TcpFlag| {
        let direction = &mut counters.directions[way];
        direction.packets += 1;
        (direction.first_ns, direction.last_ns) = (at_ns, at_ns);
        direction.flags[flag.index()] += 1;
    };
    match fate {
        Served => [(IN, TcpFlag::Syn), (OUT, TcpFlag::Syn), (IN, TcpFlag::Ack)]
            .into_iter()
            .for_each(|(way, flag)| packet(way, flag)),
        Refused => [(IN, TcpFlag::Syn), (OUT, TcpFlag::Rst)]
            .into_iter()
            .for_each(|(way, flag)| packet(way, flag)),
        Silent => packet(IN, TcpFlag::Syn),
        Reset => [(IN, TcpFlag::Psh), (OUT, TcpFlag::Rst)]
            .into_iter()
            .for_each(|(way, flag)| packet(way, flag)),
    }
    if fate != Reset {
        (counters.openings[IN], counters.syn_ns[IN]) = (1, at_ns);
    }
    if fate == Served {
        (counters.syn_acks[OUT], counters.syn_ack_ns[OUT]) = (1, at_ns);
        counters.accepted = 1;
    }
    (key, counters)
}

/// The flows of a window of a second: remote (last octet of its own network), port, fate, ms.
fn window(second: u64, flows: &[(u8, u16, Fate, u64)]) -> Window {
    let start_ns = second * SECOND;
    let flows = flows.iter().zip(1_000_u16..).map(|(&(remote, port, fate, ms), source)| {
        flow([198, 51, remote, 7], source, port, fate, start_ns + ms * 1_000_000)
    });
    let flows: Vec<_> = flows.collect();
    let packets = flows.iter().map(|(_, flow)| flow.packets()).sum();
    let mut window = Window { start_ns, end_ns: start_ns + SECOND, flows, ..Window::default() };
    window.packet_counters.segments = [packets, 0];
    window
}

/// A memory in which clients 1 to 5 were served at 443, and client 1 alone at 2222.
fn served() -> Outages {
    let mut outages = Outages::default();
    let flows: Vec<_> = (1..=5).map(|client| (client, 443, Served, 10)).collect();
    outages.look(&window(1, &flows), &[]);
    outages.look(&window(2, &[(1, 2_222, Served, 10)]), &[]);
    outages
}

/// Flows of a window that stay evidence, and the outages.
fn left(outages: &mut Outages, window: &Window) -> (usize, Vec<Outage>) {
    let (rest, found) = outages.look(window, &[]);
    assert!(!rest.is_lossy());
    (rest.flows.len(), found)
}

#[test]
fn what_a_stopped_service_refuses_is_no_evidence_even_of_one_client() {
    let mut outages = served();
    let (rest, found) = left(&mut outages, &window(3, &[(1, 443, Refused, 500)]));
    assert_eq!(rest, 0);
    let service = LocalService { protocol: TCP, port: 443 };
    assert_eq!(found, [Outage { service, clients: 1, flows: 1, told: false }]);
    let (rest, _) = left(&mut outages, &window(4, &[(9, 443, Refused, 500)]));
    assert_eq!(rest, 0, "nor of a newcomer");
}

#[test]
fn a_port_that_hardly_served_anybody_has_no_outage() {
    let mut outages = served();
    let closed: Vec<_> = (1..=5).map(|client| (client, 81, Refused, 10)).collect();
    assert_eq!(left(&mut outages, &window(3, &closed)), (5, vec![]), "never open");
    let mine: Vec<_> = (1..=5).map(|client| (client, 2_222, Refused, 10)).collect();
    assert_eq!(left(&mut outages, &window(4, &mine)), (4, vec![]), "open to one, who is none");
    let silent: Vec<_> = (1..=5).map(|client| (client, 2_222, Silent, 10)).collect();
    assert_eq!(left(&mut outages, &window(5, &silent)), (4, vec![]), "nor in silence");
    let hammered: Vec<_> = (0..257).map(|_| (1, 2_222, Refused, 100)).collect();
    assert_eq!(left(&mut outages, &window(6, &hammered)).0, 257);
}

#[test]
fn a_scan_in_the_midst_of_an_outage_stays_evidence() {
    let mut outages = served();
    let mut flows: Vec<_> = (1..=200).map(|port| (9, port, Refused, 100)).collect();
    flows.push((9, 443, Refused, 100));
    flows.push((1, 443, Refused, 200));
    let (rest, found) = left(&mut outages, &window(3, &flows));
    assert_eq!((rest, found.len()), (200, 1));
}

#[test]
fn a_firewall_that_refuses_one_while_others_are_served_is_no_outage() {
    let mut outages = served();
    let flows = [(9, 443, Refused, 100), (1, 443, Served, 500), (9, 443, Refused, 900)];
    assert_eq!(left(&mut outages, &window(3, &flows)), (3, vec![]));
}

#[test]
fn a_restart_has_openings_served_before_and_after_it() {
    let mut outages = served();
    let flows = [
        (1, 443, Served, 100),
        (2, 443, Refused, 400),
        (3, 443, Refused, 500),
        (4, 443, Served, 800),
    ];
    assert_eq!(left(&mut outages, &window(3, &flows)).0, 2);
}

#[test]
fn silence_is_an_outage_while_nobody_is_answered() {
    let mut outages = served();
    let all: Vec<_> = (1..=3).map(|client| (client, 443, Silent, 100)).collect();
    let (rest, found) = left(&mut outages, &window(3, &all));
    assert_eq!((rest, found.len()), (0, 1));
    let (rest, _) = left(&mut outages, &window(4, &[(9, 443, Silent, 100)]));
    assert_eq!(rest, 0, "a newcomer meets it too");
    let dropped = [(1, 443, Silent, 100), (2, 443, Served, 500)];
    assert_eq!(left(&mut outages, &window(5, &dropped)), (2, vec![]), "one client's own loss");
    let lone = [(9, 443, Silent, 100)];
    assert_eq!(left(&mut outages, &window(6, &lone)), (1, vec![]), "a stranger's alone");
}

#[test]
fn resets_that_meet_most_clients_at_once_read_as_closes() {
    let mut outages = served();
    let all: Vec<_> = (1..=3).map(|client| (client, 443, Reset, 100)).collect();
    let window = window(3, &all);
    let (rest, found) = outages.look(&window, &[]);
    assert_eq!((rest.flows.len(), found.len()), (3, 1));
    assert!(
        rest.flows.iter().all(|(_, flow)| flow.directions[OUT].flags[TcpFlag::Rst.index()] == 0)
    );
    let one = [(1, 443, Reset, 100), (2, 443, Served, 100), (3, 443, Served, 100)];
    let own = self::window(4, &one);
    let (rest, found) = outages.look(&own, &[]);
    assert!(matches!(rest, Cow::Borrowed(_)) && found.is_empty(), "one that provokes them");
}

#[test]
fn more_than_a_service_ever_served_and_more_than_a_crowd_is_a_flood() {
    let mut outages = served();
    let hammered: Vec<_> = (0..257).map(|_| (1, 443, Refused, 100)).collect();
    assert_eq!(left(&mut outages, &window(3, &hammered)).0, 257);
    let crowd: Vec<_> = (20..=220).map(|stranger| (stranger, 443, Refused, 100)).collect();
    assert_eq!(left(&mut outages, &window(4, &crowd)).0, 201);
}

#[test]
fn a_service_that_somebody_spoke_of_is_excused_without_a_past() {
    let mut outages = Outages::default();
    let service = LocalService { protocol: TCP, port: 8_080 };
    let told = [Maintained { service: Some(service), until_ns: 4 * SECOND }];
    let one = [(1, 8_080, Refused, 100)];
    let [during, after] = [3, 5].map(|second| window(second, &one));
    let (rest, found) = outages.look(&during, &told);
    assert_eq!(rest.flows.len(), 0);
    assert!(found[0].told);
    let (rest, _) = outages.look(&after, &told);
    assert_eq!(rest.flows.len(), 1, "its time is over");
}
