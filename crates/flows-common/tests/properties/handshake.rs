//! Openings, and who is proven by what, fact by fact.

use weir_flows_common::{
    Direction::{Egress, Ingress},
    Fact, FlowCounters, PeerKey, TcpFlag, map_v4,
    parse::Frame as Shape,
};

use crate::{
    frames::{Frame, Ip, Transport},
    table::Tables,
};

const SYN: u8 = TcpFlag::Syn.bit();
const ACK: u8 = TcpFlag::Ack.bit();
const RST: u8 = TcpFlag::Rst.bit();
const REMOTE: u8 = 7;
const PORTS: (u16, u16) = (50_000, 443);

/// One packet: its direction, what it carries.
type Step = (weir_flows_common::Direction, Transport);

fn tcp(ports: (u16, u16), flags: u8, sequence: u32, acknowledged: u32) -> Transport {
    Transport::Tcp { ports, flags, sequence, acknowledged, window: 1_000 }
}

/// A segment from the remote.
fn comes(flags: u8, sequence: u32, acknowledged: u32) -> Step {
    (Ingress, tcp(PORTS, flags, sequence, acknowledged))
}

/// A segment from this host.
fn goes(flags: u8, sequence: u32, acknowledged: u32) -> Step {
    (Egress, tcp((PORTS.1, PORTS.0), flags, sequence, acknowledged))
}

/// Tables that saw these packets, a millisecond apart, the first one at time 0.
fn seen(steps: &[Step]) -> Tables {
    let mut tables = Tables::default();
    for (&(direction, transport), now_ns) in steps.iter().zip((0..).step_by(1_000_000)) {
        let (source, destination) = match direction {
            Ingress => (REMOTE, 1),
            Egress => (1, REMOTE),
        };
        let ip = Ip { v6: false, source, destination, ttl: 64, option_words: 0 };
        let frame = Frame { ip, transport, payload: 0, tags: Vec::new() };
        let shape = Shape::of_length(frame.length());
        tables.count(&frame.bytes(), &shape, direction, now_ns);
    }
    tables
}

fn flow(steps: &[Step]) -> FlowCounters {
    seen(steps).only_flow().1
}

fn is_exempt(tables: &Tables) -> bool {
    tables.exempt.contains(&PeerKey { address: map_v4([192, 0, 2, REMOTE]) })
}

#[test]
fn who_acknowledges_this_hosts_number_is_proven() {
    let tables = seen(&[comes(SYN, 10, 0), goes(SYN | ACK, 700, 11), comes(ACK, 11, 701)]);
    let (_, counters) = tables.only_flow();
    assert_eq!((counters.openings, counters.syn_acks, counters.accepted), ([1, 0], [0, 1], 1));
    assert!(counters.is_proven() && is_exempt(&tables));
    assert!(!counters.has(Fact::Initiated));
}

#[test]
fn a_blind_acknowledgement_proves_nothing_and_the_true_one_after_it_does() {
    let blind = [comes(SYN, 10, 0), goes(SYN | ACK, 700, 11), comes(ACK, 11, 9)];
    let tables = seen(&blind);
    assert!(!tables.only_flow().1.is_proven() && !is_exempt(&tables));
    let mut steps = blind.to_vec();
    steps.push(comes(ACK, 11, 701));
    assert!(seen(&steps).only_flow().1.is_proven());
    // Without an answer of this host there is nothing to acknowledge, whatever the number.
    for guess in [0, 1, u32::MAX] {
        assert!(!flow(&[comes(SYN, 10, 0), comes(ACK, 11, guess)]).is_proven());
    }
}

#[test]
fn what_this_host_sends_proves_nobody() {
    let tables = seen(&[comes(SYN, 10, 0), comes(ACK, 11, 1), goes(ACK, 1, 11), goes(ACK, 2, 12)]);
    assert!(!tables.only_flow().1.is_proven() && !is_exempt(&tables));
}

#[test]
fn a_handshake_is_completed_over_two_cpus_and_over_two_windows() {
    let [one, two] =
        [flow(&[comes(SYN, 10, 0), goes(SYN | ACK, 700, 11)]), flow(&[comes(ACK, 11, 701)])];
    assert_eq!((one.awaited(), two.first_acknowledged()), (Some(701), Some(701)));
    assert_eq!((two.awaited(), one.first_acknowledged()), (None, None));
    for (mut sum, other) in [(one, two), (two, one)] {
        sum.merge(&other);
        assert_eq!((sum.accepted, sum.openings, sum.syn_acks), (1, [1, 0], [0, 1]));
        assert_eq!(sum.awaited(), None, "it is completed once");
    }
    let mut blind = one;
    blind.merge(&flow(&[comes(ACK, 11, 702)]));
    assert!(!blind.is_proven());
}

#[test]
fn every_new_number_on_one_tuple_is_an_opening() {
    let flood: Vec<Step> = (0..100).map(|number| comes(SYN, number * 1_013, 0)).collect();
    let tables = seen(&flood);
    assert_eq!(tables.only_flow().1.openings, [100, 0]);
    let peer = &tables.peers[&PeerKey { address: map_v4([192, 0, 2, REMOTE]) }];
    assert_eq!((peer.syns, peer.flow_inserts), ([100, 0], [1, 0]));
}

#[test]
fn a_repeated_syn_is_no_opening_unless_an_rst_ended_the_last_one() {
    let syn = comes(SYN, 10, 0);
    assert_eq!(flow(&[syn, syn, syn]).openings, [1, 0]);
    let refused = goes(RST | ACK, 0, 11);
    assert_eq!(flow(&[syn, refused, syn, refused, syn]).openings, [3, 0]);
    assert_eq!(flow(&[syn, refused, syn, syn]).openings, [2, 0]);
}

#[test]
fn a_port_that_is_used_again_opens_answers_and_completes_again() {
    let once = |n: u32| {
        [
            comes(SYN, 10 + n, 0),
            goes(SYN | ACK, 700 + n, 11 + n),
            comes(ACK, 11 + n, 701 + n),
            comes(RST, 11 + n, 0),
        ]
    };
    let counters = flow(&[once(0), once(1_000), once(2_000)].concat());
    assert_eq!((counters.openings, counters.syn_acks, counters.accepted), ([3, 0], [0, 3], 3));
    assert_eq!(counters.answered(Ingress), 3);
}

#[test]
fn openings_without_their_own_answer_stay_unanswered() {
    let mut steps = vec![comes(SYN, 1, 0), goes(SYN | ACK, 700, 2)];
    steps.extend((2..9).map(|number| comes(SYN, number, 0)));
    // A half-open connection answers a SYN out of its window with an ACK.
    steps.push(goes(ACK, 701, 2));
    let counters = flow(&steps);
    assert_eq!((counters.openings, counters.answered(Ingress), counters.accepted), ([8, 0], 1, 0));
}

#[test]
fn nothing_that_a_remote_sends_makes_this_host_the_one_that_asked() {
    for steps in [
        vec![comes(SYN | ACK, 77, 99), goes(RST, 99, 0)],
        vec![comes(ACK, 77, 99), goes(RST, 99, 0)],
        vec![comes(SYN, 77, 0), goes(SYN, 5, 0)],
        vec![goes(RST | ACK, 0, 78)],
        vec![goes(ACK, 5, 78), comes(ACK, 78, 5)],
    ] {
        let counters = flow(&steps);
        assert!(!counters.has(Fact::Initiated), "{steps:?}");
        assert_eq!(counters.opener(), Ingress, "{steps:?}");
        assert!(!counters.is_proven(), "{steps:?}");
    }
    let asked = flow(&[goes(SYN, 5, 0), comes(SYN | ACK, 77, 6), goes(ACK, 6, 78)]);
    assert!(asked.has(Fact::Initiated));
    assert_eq!((asked.opener(), asked.answered(Egress)), (Egress, 1));
}

#[test]
fn a_datagram_of_this_host_asks_unless_its_ports_are_those_of_an_answer() {
    let udp = |ports| Transport::Udp { ports };
    for (local, remote, asks) in [
        (45_000, 53, true),
        (123, 123, true),
        (40_000, 51_820, true),
        (53, 40_000, false),
        (53, 1_024, false),
    ] {
        let first = flow(&[(Egress, udp((local, remote))), (Ingress, udp((remote, local)))]);
        assert_eq!(first.has(Fact::Initiated), asks, "{local} to {remote}");
        let second = flow(&[(Ingress, udp((remote, local))), (Egress, udp((local, remote)))]);
        assert!(!second.has(Fact::Initiated), "{remote} to {local}");
        assert_eq!(second.opener(), Ingress);
    }
}

#[test]
fn of_icmp_only_an_echo_request_asks() {
    for (kind, asks) in [(8, true), (0, false), (3, false)] {
        let counters = flow(&[(Egress, Transport::Icmp { kind, code: 0 })]);
        assert_eq!(counters.has(Fact::Initiated), asks, "type {kind}");
    }
}

#[test]
fn zero_is_a_time() {
    let counters = flow(&[comes(SYN, 10, 0), goes(SYN | ACK, 700, 11)]);
    assert_eq!(counters.first_ns(), Some(0));
    assert_eq!(counters.first_syn_ns(Ingress), Some(0));
    assert_eq!(counters.first_syn_ack_ns(Egress), Some(1_000_000));
    assert_eq!(counters.first_syn_ns(Egress), None);
    assert_eq!(FlowCounters::default().first_ns(), None);
    let tables = seen(&[comes(SYN, 10, 0), comes(SYN, 11, 0)]);
    let peer = tables.peers.values().next().expect("a peer");
    assert_eq!((peer.first_note_ns(), peer.notes, peer.last_ns), (Some(0), 2, 1_000_000));
}

#[test]
fn a_segment_amid_a_connection_asks_the_host_once() {
    let tables = seen(&[comes(ACK, 5, 9), comes(ACK, 6, 9), goes(ACK, 9, 6)]);
    assert_eq!(tables.asked, 1);
    let opened = seen(&[comes(SYN, 10, 0), goes(SYN | ACK, 700, 11), comes(ACK, 11, 701)]);
    assert_eq!(opened.asked, 0);
    let own =
        seen(&[goes(SYN, 5, 0), comes(SYN | ACK, 77, 6), goes(ACK, 6, 78), comes(ACK, 78, 6)]);
    assert_eq!(own.asked, 0);
}
