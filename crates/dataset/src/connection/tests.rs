use super::*;
use flows_common::{DirectionCounters, map_v4};

const SECOND: u64 = 1_000_000_000;

fn key(protocol: u8, port: u16) -> FlowKey {
    FlowKey {
        local: map_v4([192, 0, 2, 1]),
        remote: map_v4([198, 51, 100, 7]),
        local_port: 80,
        remote_port: port,
        protocol,
        ..FlowKey::default()
    }
}

/// One direction of `packets` packets at a moment, with these TCP flags once each.
fn way(packets: u64, at_ns: u64, flags: &[TcpFlag]) -> DirectionCounters {
    let mut counters = DirectionCounters {
        packets,
        bytes: 100 * packets,
        payload_bytes: 40 * packets,
        first_ns: at_ns,
        last_ns: at_ns + 1,
        ..DirectionCounters::default()
    };
    for flag in flags {
        counters.flags[flag.index()] = 1;
    }
    counters
}

fn window(second: u64, flows: Vec<(FlowKey, [DirectionCounters; 2])>) -> Window {
    let counters = |directions| FlowCounters { directions, ..FlowCounters::default() };
    Window {
        start_ns: second * SECOND,
        end_ns: (second + 1) * SECOND,
        flows: flows.into_iter().map(|(key, directions)| (key, counters(directions))).collect(),
        ..Window::default()
    }
}

fn all(windows: &[Window]) -> Vec<Connection> {
    let mut connections = Connections::default();
    for window in windows {
        connections.observe(window);
    }
    connections.end_all();
    connections.take_ended()
}

#[test]
fn a_flow_over_several_windows_is_one_row_with_raw_totals() {
    use TcpFlag::{Fin, Syn};
    let flow = key(TCP, 40_000);
    // From time 0 on, which is a time.
    let flows = all(&[
        window(0, vec![(flow, [way(3, 0, &[Syn]), way(2, 5, &[Syn])])]),
        window(1, vec![(flow, [way(4, SECOND, &[]), way(0, 0, &[])])]),
        window(2, vec![(flow, [way(1, 2 * SECOND, &[Fin]), way(1, 2 * SECOND + 9, &[Fin])])]),
    ]);
    let [one] = &flows[..] else { panic!("one flow: {flows:?}") };
    assert_eq!((one.first_ns, one.last_ns), (0, 2 * SECOND + 10));
    assert_eq!((one.packets, one.bytes, one.payload_bytes), ([8, 3], [800, 300], [320, 120]));
    assert_eq!((one.initiator, one.state()), (Direction::Ingress, ConnectionState::Closed));
}

#[test]
fn silence_and_a_new_opening_begin_another_flow() {
    use TcpFlag::{Rst, Syn};
    let (tcp, udp) = (key(TCP, 40_000), key(17, 53));
    let flows = all(&[
        window(10, vec![(tcp, [way(2, 10 * SECOND, &[Syn, Rst]), way(1, 10 * SECOND, &[Syn])])]),
        window(11, vec![(tcp, [way(1, 11 * SECOND, &[Syn]), way(0, 0, &[])])]),
        window(20, vec![(udp, [way(1, 20 * SECOND, &[]), way(0, 0, &[])])]),
        window(300, vec![]),
        window(301, vec![(udp, [way(1, 301 * SECOND, &[]), way(1, 301 * SECOND, &[])])]),
    ]);
    let states: Vec<_> = flows.iter().map(|flow| flow.state().name()).collect();
    assert_eq!(states, ["reset", "attempt", "unanswered", "answered"]);
}

#[test]
fn every_state_is_told_by_the_flags_of_both_sides() {
    use TcpFlag::{Ack, Fin, Rst, Syn};
    let state = |ingress: &[TcpFlag], egress: Option<&[TcpFlag]>| {
        let egress = egress.map_or(way(0, 0, &[]), |flags| way(1, 2, flags));
        all(&[window(1, vec![(key(TCP, 1), [way(1, 1, ingress), egress])])])[0].state()
    };
    assert_eq!(state(&[Syn], None), ConnectionState::Attempt);
    assert_eq!(state(&[Syn], Some(&[Rst])), ConnectionState::Refused);
    assert_eq!(state(&[Syn], Some(&[Syn])), ConnectionState::Open);
    assert_eq!(state(&[Syn, Fin], Some(&[Syn, Fin])), ConnectionState::Closed);
    assert_eq!(state(&[Syn, Rst], Some(&[Syn])), ConnectionState::Reset);
    assert_eq!(state(&[Ack], Some(&[Ack])), ConnectionState::Midstream);
}

#[test]
fn the_table_names_the_source_and_the_community_id() {
    let flows = all(&[window(1, vec![(key(17, 53), [way(1, SECOND, &[]), way(0, 0, &[])])])]);
    let batch = batch(&flows, "a.pcap");
    assert_eq!(batch.schema(), connection_schema());
    let text = |name: &str| {
        let column = batch.column_by_name(name).expect(name);
        arrow_array::cast::AsArray::as_string::<i32>(column).value(0).to_owned()
    };
    assert_eq!((text("source").as_str(), text("state").as_str()), ("a.pcap", "unanswered"));
    assert_eq!(text("community_id"), flows[0].community_id());
    assert_eq!(
        (text("initiator"), text("remote_address")),
        ("remote".into(), "198.51.100.7".into())
    );
}
