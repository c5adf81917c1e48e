//! The context's memory: kept, forgotten and taken back.

use flows_common::{
    Direction, Fact, FlowCounters, FlowKey, Loss, PeerCounters, PeerKey, TcpFlag, map_v4,
};
use weir_features::HalfLife;
use weir_features::record::{TCP, UDP};
use weir_features::{
    Context, ContextLimits, Feature, FlowFeature, Handshake, Observed, PeerFeature, Window,
};

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();
const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

fn key(remote: u8, remote_port: u16, local_port: u16) -> FlowKey {
    FlowKey {
        local: map_v4([192, 0, 2, 1]),
        remote: map_v4([198, 51, 100, remote]),
        local_port,
        remote_port,
        protocol: TCP,
        ..FlowKey::default()
    }
}

/// Packets of one direction at one time, with a flag.
fn packets(flow: &mut FlowCounters, side: usize, count: u64, flag: TcpFlag, now_ns: u64) {
    let direction = &mut flow.directions[side];
    if direction.packets == 0 {
        direction.first_ns = now_ns;
    }
    direction.packets += count;
    direction.bytes += count * 100;
    direction.last_ns = now_ns;
    direction.flags[flag.index()] += u32::try_from(count).expect("a small count");
}

fn syn(now_ns: u64) -> FlowCounters {
    let mut flow =
        FlowCounters { syn_ns: [now_ns, 0], openings: [1, 0], ..FlowCounters::default() };
    packets(&mut flow, IN, 1, TcpFlag::Syn, now_ns);
    flow
}

fn syn_ack(now_ns: u64) -> FlowCounters {
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

fn reset(now_ns: u64) -> FlowCounters {
    let mut flow = FlowCounters::default();
    packets(&mut flow, OUT, 1, TcpFlag::Rst, now_ns);
    flow
}

/// The window of one second that ends at `end_s`.
fn window(end_s: u64, flows: Vec<(FlowKey, FlowCounters)>) -> Window {
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

fn peer_value(observed: &Observed, feature: PeerFeature) -> f32 {
    feature.natural(feature.value(&observed.peers[0]))
}

#[track_caller]
fn assert_close(one: f64, other: f64) {
    assert!((one - other).abs() <= 1e-9 * other.abs().max(1.0), "{one} is not {other}");
}

#[test]
fn a_handshake_that_straddles_two_windows_is_answered_and_timed() {
    let mut context = Context::default();
    let flow = key(1, 4000, 80);
    let first = context.observe(&window(1, vec![(flow, syn(990 * MS))]));
    assert_eq!(first.flows[0].handshake, Handshake::Pending);
    let second = context.observe(&window(2, vec![(flow, syn_ack(1_015 * MS))]));
    let record = &second.flows[0];
    assert_eq!(record.handshake, Handshake::Answered);
    assert_eq!(record.handshake_ns, Some(25 * MS));
    assert_eq!((record.initiator, record.is_new), (Direction::Ingress, false));
    let time_us = FlowFeature::HandshakeTime.natural(FlowFeature::HandshakeTime.value(record));
    assert!((time_us - 25_000.0).abs() < 0.1, "{time_us}");
}

#[test]
fn a_late_answer_takes_back_exactly_what_its_syn_had_added() {
    let mut context = Context::default();
    let flow = key(1, 4000, 80);
    let first = context.observe(&window(1, vec![(flow, syn(100 * MS))]));
    assert_eq!(first.flows[0].handshake, Handshake::Unanswered);
    for half_life in HalfLife::ALL {
        assert_close(first.peers[0].damped(half_life).unanswered, 1.0);
    }
    let later = context.observe(&window(8, vec![(flow, syn_ack(7_500 * MS))]));
    for half_life in HalfLife::ALL {
        assert!(later.peers[0].damped(half_life).unanswered.abs() < 1e-12, "{half_life:?}");
        let left = (-7.0 / half_life.seconds()).exp2();
        assert_close(later.peers[0].damped(half_life).syns, left);
    }
}

#[test]
fn damped_counts_agree_with_their_closed_form() {
    let mut context = Context::default();
    let mut last = Observed::default();
    for second in 1..=300_u16 {
        let at = u64::from(second) * SECOND - 900 * MS;
        let flow = (key(1, second, 1000 + second), syn(at));
        last = context.observe(&window(u64::from(second), vec![flow]));
    }
    for half_life in HalfLife::ALL {
        // One a second makes a geometric series of ratio 2^(-1 / half-life).
        let ratio = (-1.0 / half_life.seconds()).exp2();
        let expected = (1.0 - ratio.powi(300)) / (1.0 - ratio);
        let damped = last.peers[0].damped(half_life);
        assert_close(damped.opened[IN], expected);
        assert_close(damped.syns, expected);
        assert_close(damped.unanswered, expected);
        assert!((damped.new_targets / expected - 1.0).abs() < 0.2, "{}", damped.new_targets);
    }
    let rate = f64::from(peer_value(&last, PeerFeature::RemoteOpenRate10s));
    assert!((rate - 1.0).abs() < 0.05, "one flow a second reads as {rate}");
    assert!((peer_value(&last, PeerFeature::UnansweredRatio600s) - 1.0).abs() < 1e-6);
}

#[test]
fn a_refused_syn_is_not_taken_for_an_answered_one() {
    let mut context = Context::default();
    let mut flow = syn(100 * MS);
    packets(&mut flow, OUT, 1, TcpFlag::Rst, 101 * MS);
    let observed = context.observe(&window(1, vec![(key(1, 4000, 81), flow)]));
    assert_eq!(observed.flows[0].handshake, Handshake::Refused);
    assert!((peer_value(&observed, PeerFeature::UnansweredRatio) - 1.0).abs() < 1e-6);
    assert!((peer_value(&observed, PeerFeature::EgressResetRatio) - 1.0).abs() < 1e-6);
    assert_eq!(observed.peers[0].half_open_flows, 0, "a reset closes");
}

#[test]
fn a_connection_counts_as_open_until_it_is_reset() {
    let mut context = Context::default();
    let flows = |port| key(1, port, 80);
    let open = |at, port| {
        let mut flow = syn_ack(at);
        (flow.syn_ns[IN], flow.openings[IN]) = (at - MS, 1);
        packets(&mut flow, IN, 1, TcpFlag::Syn, at - MS);
        (flows(port), flow)
    };
    let first = context.observe(&window(1, vec![open(100 * MS, 1), open(200 * MS, 2)]));
    assert_eq!(first.peers[0].past.open_tcp_flows, 2);
    let second = context.observe(&window(2, vec![(flows(1), reset(1_500 * MS))]));
    assert_eq!(second.peers[0].past.open_tcp_flows, 1);
    assert_close(second.peers[0].damped(HalfLife::Short).short_flows, 1.0);
    let third = context.observe(&window(3, vec![open(2_500 * MS, 1)]));
    assert_eq!(third.peers[0].past.open_tcp_flows, 2);
    assert!(third.flows[0].is_new, "a SYN after a close is a new flow of the old name");
    let after_idle = context.observe(&window(700, vec![open(699_500 * MS, 3)]));
    assert_eq!(after_idle.peers[0].past.open_tcp_flows, 1, "the idle ones are forgotten");
}

#[test]
fn flows_that_were_evicted_still_show_in_their_peer() {
    let mut context = Context::default();
    let flow = (key(1, 4000, 80), syn(100 * MS));
    let mut lossy = window(1, vec![flow]);
    let mut noted = PeerCounters {
        flow_inserts: [200, 0],
        syns: [200, 0],
        syn_acks: [0, 20],
        resets: [0, 7],
        ..PeerCounters::default()
    };
    noted.local_ports = [0xffff, 0, 0, 0];
    lossy.peers = vec![(PeerKey { address: flow.0.remote }, noted)];

    let whole = Context::default().observe(&lossy);
    assert_eq!(whole.peers[0].opened, [1, 0], "without a loss the flows are the whole truth");

    lossy.evicted_flows = 199;
    lossy.evicted_packets = 199;
    lossy.packet_counters.losses[Loss::TableFull.index()] = 1;
    let observed = context.observe(&lossy);
    let peer = &observed.peers[0];
    assert_eq!((peer.opened, peer.active_flows), ([200, 0], 200));
    assert_eq!((peer.syns, peer.unanswered), ([200, 0], [180, 0]));
    assert_eq!((peer.reset_flows, peer.distinct_local_ports), ([0, 7], 17));
    assert_close(peer.damped(HalfLife::Long).syns, 200.0);
    assert_close(peer.damped(HalfLife::Long).unanswered, 180.0);
}

#[test]
fn a_peer_of_which_every_flow_was_evicted_still_has_a_record() {
    let mut lossy = window(1, vec![]);
    let noted =
        PeerCounters { flow_inserts: [5, 0], notes: 5, first_ns: 7, ..PeerCounters::default() };
    lossy.peers = vec![(PeerKey { address: [9; 16] }, noted)];
    lossy.evicted_flows = 5;
    let observed = Context::default().observe(&lossy);
    assert!(observed.flows.is_empty());
    let peer = &observed.peers[0];
    assert_eq!((peer.key.address, peer.flows.len(), peer.opened), ([9; 16], 0, [5, 0]));
    assert_eq!((peer.first_seen_ns, peer.is_new), (7, true));
}

#[test]
fn a_beacon_is_regular_whether_it_makes_new_flows_or_keeps_its_socket() {
    for same_socket in [true, false] {
        let mut context = Context::default();
        let mut last = Observed::default();
        for beat in 1..=30_u16 {
            let end_s = u64::from(beat) * 15;
            let port = if same_socket { 5000 } else { 5000 + beat };
            let mut flow = FlowCounters {
                facts: Fact::Initiated.bit(),
                first_direction: 1,
                ..Default::default()
            };
            packets(&mut flow, OUT, 1, TcpFlag::Psh, end_s * SECOND - 400 * MS);
            let key = FlowKey { protocol: UDP, ..key(1, 443, port) };
            last = context.observe(&window(end_s, vec![(key, flow)]));
        }
        assert!((peer_value(&last, PeerFeature::StartRate) - 1.0 / 15.0).abs() < 1e-3);
        let regularity = peer_value(&last, PeerFeature::StartRegularity);
        assert!(regularity > 0.7, "same socket: {same_socket}, regularity {regularity}");
    }
}

#[test]
fn a_million_peers_fit_into_the_limits() {
    let limits =
        ContextLimits { flows: 1_000, peers: 500, services: 50, ..ContextLimits::default() };
    let mut context = Context::new(limits).expect("valid limits");
    for end_s in 1..=10_u64 {
        let flows = (0..100_000_u32).map(|one| {
            let number = (u32::try_from(end_s).expect("a small number") << 20) | one;
            let mut remote = [0x20; 16];
            remote[12..].copy_from_slice(&number.to_be_bytes());
            let port = u16::try_from(one % 60_000).expect("below 60000");
            (FlowKey { remote, ..key(0, 1, port) }, syn((end_s - 1) * SECOND + 1))
        });
        let observed = context.observe(&window(end_s, flows.collect()));
        assert_eq!((observed.flows.len(), observed.peers.len()), (100_000, 100_000));
        assert!(observed.peers.iter().all(|peer| peer.is_new));
        let size = context.size();
        assert_eq!((size.flows, size.peers, size.services), (1_000, 500, 50));
    }
    let evictions = context.evictions();
    assert_eq!((evictions.flows, evictions.peers), (999_000, 999_500));
    assert!(evictions.services > 0);
}

#[test]
fn limits_of_nothing_are_refused_by_name() {
    let limits = ContextLimits { peers: 0, ..ContextLimits::default() };
    let error = Context::new(limits).err().expect("no context without peers");
    assert_eq!(error.to_string(), "the context's `peers` must be between 1 and 268435456, got 0");
}

#[test]
fn same_windows_make_same_records() {
    let windows: Vec<Window> = (1..=20)
        .map(|end_s| {
            let flow = |one: u16| {
                let remote = u8::try_from(one % 7).expect("below 7");
                (key(remote, one, 80 + one % 3), syn(end_s * SECOND - 500 * MS))
            };
            window(end_s, (0..200).map(flow).collect())
        })
        .collect();
    let limits = ContextLimits { flows: 64, peers: 4, services: 2, ..ContextLimits::default() };
    let (mut one, mut other) =
        (Context::new(limits).expect("valid limits"), Context::new(limits).expect("valid limits"));
    let mut reused = Observed::default();
    for window in &windows {
        other.observe_into(window, &mut reused);
        assert_eq!(one.observe(window), reused);
    }
}
