//! Windows as the tests write them.

use flows_common::{Direction, FlowCounters, FlowKey, TcpFlag, map_v4};
use weir_features::record::{TCP, UDP};
use weir_features::{Horizon, Observed, PeerRecord, Window};

pub(crate) const IN: usize = Direction::Ingress.index();
pub(crate) const OUT: usize = Direction::Egress.index();
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const LOCAL: [u8; 16] = map_v4([192, 0, 2, 1]);

pub(crate) fn key(remote: u8, remote_port: u16, local_port: u16) -> FlowKey {
    FlowKey {
        local: LOCAL,
        remote: map_v4([198, 51, 100, remote]),
        local_port,
        remote_port,
        protocol: TCP,
        ..FlowKey::default()
    }
}

pub(crate) fn udp(remote: u8, remote_port: u16, local_port: u16) -> FlowKey {
    FlowKey { protocol: UDP, ..key(remote, remote_port, local_port) }
}

/// Packets of one direction at one time, with a flag; each has this much payload.
pub(crate) fn packets(
    flow: &mut FlowCounters,
    side: usize,
    count: u64,
    flag: TcpFlag,
    now_ns: u64,
) {
    let direction = &mut flow.directions[side];
    if direction.packets == 0 {
        direction.first_ns = now_ns;
    }
    direction.packets += count;
    direction.bytes += count * 100;
    direction.last_ns = now_ns;
    direction.flags[flag.index()] += u32::try_from(count).expect("a small count");
}

pub(crate) fn syn(now_ns: u64) -> FlowCounters {
    numbered_syn(u32::try_from(now_ns / MS).expect("a small time"), now_ns)
}

/// A SYN with this sequence number.
pub(crate) fn numbered_syn(isn: u32, now_ns: u64) -> FlowCounters {
    let mut flow =
        FlowCounters { syn_ns: [now_ns, 0], openings: [1, 0], ..FlowCounters::default() };
    flow.syn_isn[IN] = isn;
    packets(&mut flow, IN, 1, TcpFlag::Syn, now_ns);
    flow
}

pub(crate) fn syn_ack(now_ns: u64) -> FlowCounters {
    let mut flow = FlowCounters {
        syn_ack_ns: [0, now_ns],
        syn_acks: [0, 1],
        first_direction: 1,
        ..FlowCounters::default()
    };
    packets(&mut flow, OUT, 1, TcpFlag::Syn, now_ns);
    packets(&mut flow, IN, 1, TcpFlag::Ack, now_ns + 1);
    flow
}

/// A handshake that the remote began.
pub(crate) fn handshake(now_ns: u64) -> FlowCounters {
    let mut flow = syn(now_ns);
    flow.merge(&syn_ack(now_ns + MS));
    flow
}

pub(crate) fn with_payload(mut flow: FlowCounters, bytes: [u64; 2]) -> FlowCounters {
    for (direction, bytes) in flow.directions.iter_mut().zip(bytes) {
        direction.payload_bytes = bytes;
    }
    flow
}

pub(crate) fn with_flag(
    mut flow: FlowCounters,
    side: usize,
    flag: TcpFlag,
    now_ns: u64,
) -> FlowCounters {
    packets(&mut flow, side, 1, flag, now_ns);
    flow
}

pub(crate) fn datagrams(count: [u64; 2], now_ns: u64) -> FlowCounters {
    let mut flow = FlowCounters::default();
    for side in [IN, OUT].into_iter().filter(|&side| count[side] > 0) {
        packets(&mut flow, side, count[side], TcpFlag::Psh, now_ns);
        flow.directions[side].flags = [0; 8];
    }
    flow
}

/// The window of one second that ends at `end_s`.
pub(crate) fn window(end_s: u64, flows: Vec<(FlowKey, FlowCounters)>) -> Window {
    let segments = flows.iter().map(|(_, flow)| flow.packets()).sum();
    let mut window = Window {
        start_ns: (end_s - 1) * SECOND,
        end_ns: end_s * SECOND,
        flows,
        ..Window::default()
    };
    window.packet_counters.segments = [segments, 0];
    window
}

pub(crate) fn rows_of(observed: &Observed, horizon_s: u32) -> Vec<&PeerRecord> {
    let horizon = Horizon::from_ms(horizon_s * 1_000);
    observed.peers.iter().filter(|row| row.horizon == horizon).collect()
}
