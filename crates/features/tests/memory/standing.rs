//! What anybody may have sent in a remote's name never enters the row of what it sent itself.

use flows_common::{Fact, FlowCounters, FlowKey, Loss, PeerCounters, PeerKey, Standing, map_v4};
use weir_features::{Context, Observed, PeerRecord};

use crate::support::{IN, MS, SECOND, key, numbered_syn, udp, window};

const REMOTE: [u8; 16] = map_v4([198, 51, 100, 1]);

fn data(ways: [u64; 2], now_ns: u64) -> FlowCounters {
    let mut flow = FlowCounters::default();
    for (direction, packets) in flow.directions.iter_mut().zip(ways) {
        (direction.packets, direction.bytes) = (packets, packets * 100);
        direction.payload_bytes = packets * 40;
        (direction.first_ns, direction.last_ns) = (now_ns, now_ns);
    }
    flow
}

/// A connection that the remote opens and completes.
fn opened(now_ns: u64) -> FlowCounters {
    let mut flow = numbered_syn(1, now_ns);
    flow.merge(&data([3, 3], now_ns + MS));
    (flow.syn_acks, flow.syn_ack_ns, flow.accepted) = ([0, 1], [0, now_ns + MS], 1);
    flow
}

/// All rows of a time of 75 s in which a remote opens a connection, uses it and asks by UDP, with
/// others' packets in its name.
fn rows(forged: impl Fn(u64) -> Vec<(FlowKey, FlowCounters)>) -> Vec<PeerRecord> {
    let mut context = Context::default();
    let mut rows = Vec::new();
    let mut last = Observed::default();
    for end_s in 1..=75 {
        let at = end_s * SECOND - 500 * MS;
        let mut flows = forged(end_s);
        match end_s {
            1 => flows.push((key(1, 4_000, 443), opened(at))),
            20 => flows.push((key(1, 4_001, 443), opened(at))),
            // A window in which something else is on the same tuple is anybody's.
            _ if flows.iter().any(|(key, _)| key.remote_port == 4_000) => {}
            _ => flows.push((key(1, 4_000, 443), data([2, 2], at))),
        }
        let mut asked = data([1, 1], at);
        asked.facts = Fact::Initiated.bit();
        flows.push((udp(1, 53, 50_000), asked));
        context.observe_into(&window(end_s, flows), &mut last);
        rows.extend_from_slice(&last.peers);
    }
    let before = last.peers.len();
    context.finish_into(&mut last);
    rows.extend_from_slice(&last.peers[before..]);
    rows
}

fn of(rows: &[PeerRecord], standing: Standing) -> Vec<&PeerRecord> {
    rows.iter().filter(|row| row.key.standing == standing).collect()
}

#[test]
fn forged_packets_enter_no_row_of_a_proven_or_asked_peer_at_any_horizon() {
    let alone = rows(|_| vec![]);
    assert!(of(&alone, Standing::Unproven).is_empty());
    let horizons: Vec<u32> =
        of(&alone, Standing::Proven).iter().map(|row| row.horizon.ms()).collect();
    assert!([1_000, 10_000, 60_000, 600_000].iter().all(|ms| horizons.contains(ms)));
    let with_forged = rows(|end_s| {
        let at = end_s * SECOND - 400 * MS;
        let port = u16::try_from(end_s).expect("a small number");
        let other = (key(1, 50_000 + port, 20 + port), numbered_syn(7, at));
        vec![other, (udp(1, 9, port), data([5, 0], at))]
    });
    for standing in [Standing::Proven, Standing::Initiated] {
        assert_eq!(of(&with_forged, standing), of(&alone, standing), "{standing:?}");
    }
    let unproven = of(&with_forged, Standing::Unproven);
    let ten = unproven.iter().find(|row| row.level == 1).expect("a row of ten seconds");
    assert_eq!((ten.counts.flows, ten.counts.outcomes[IN].failed), ([20, 0], 20));
    assert_eq!((ten.counts.facts.standing, ten.counts.facts.packets), (Standing::Unproven, 60));
}

#[test]
fn a_forged_opening_on_a_proven_tuple_is_anybodys_and_ends_nothing() {
    let forged = |end_s: u64| match end_s {
        5 | 6 => vec![(key(1, 4_000, 443), numbered_syn(7, end_s * SECOND - 400 * MS))],
        _ => vec![],
    };
    let rows = rows(forged);
    let of_window = |standing, end_s: u64| {
        let mut rows = of(&rows, standing).into_iter();
        rows.find(|row| row.level == 0 && row.span.end_ns == end_s * SECOND)
    };
    assert_eq!(of_window(Standing::Proven, 5), None);
    let opened = |end_s| of_window(Standing::Unproven, end_s).map(|row| row.counts.flows);
    assert_eq!([5, 6, 7].map(opened), [Some([1, 0]), Some([0, 0]), None], "one SYN, repeated");
    let row = of_window(Standing::Unproven, 5).expect("a row");
    assert_eq!((row.counts.outcomes[IN].failed, row.counts.idle_open_flows), (1, 0));
    let after = of_window(Standing::Proven, 7).expect("it goes on");
    assert_eq!((after.counts.flows, after.counts.facts.packets), ([0, 0], 4));
    let held = of_window(Standing::Proven, 20).expect("a second connection");
    assert_eq!(held.counts.idle_open_flows, 1, "the first is still open");
}

#[test]
fn an_outcome_counts_in_the_standing_that_the_flow_was_opened_in() {
    let tuple = key(1, 4_000, 443);
    let mut completed = data([2, 2], SECOND + 20 * MS);
    (completed.syn_acks, completed.syn_ack_ns) = ([0, 1], [0, SECOND + 10 * MS]);
    completed.accepted = 1;
    let mut context = Context::default();
    let first = context.observe(&window(1, vec![(tuple, numbered_syn(1, 990 * MS))]));
    assert_eq!((first.peers[0].key.standing, first.new_peers), (Standing::Unproven, 1));
    let mut last = context.observe(&window(2, vec![(tuple, completed)]));
    assert_eq!((last.peers[0].key.standing, last.new_peers), (Standing::Proven, 0));
    context.finish_into(&mut last);
    let ten = |standing| {
        let longer = last.peers.iter().find(|row| row.level == 1 && row.key.standing == standing);
        let counts = longer.expect("a row").counts;
        (counts.flows[IN], counts.outcomes[IN].served, counts.active[1])
    };
    assert_eq!((ten(Standing::Unproven), ten(Standing::Proven)), ((1, 1, 1), (0, 0, 0)));
    assert_eq!(context.unheard_outcomes(), 0);
}

#[test]
fn flows_that_were_lost_count_as_nobodys_in_particular() {
    let mut lossy = window(1, vec![(key(1, 4_000, 443), opened(100 * MS))]);
    let mut noted = PeerCounters {
        flow_inserts: [6, 1],
        syns: [6, 0],
        syn_acks: [0, 1],
        notes: 6,
        ..PeerCounters::default()
    };
    noted.local_ports = [0b11_1111, 0, 0, 0];
    lossy.peers = vec![(PeerKey { address: REMOTE }, noted)];
    lossy.evicted_flows = 5;
    lossy.evicted_packets = 5;
    lossy.packet_counters.losses[Loss::TableFull.index()] = 1;
    let seen = Context::default().observe(&lossy);
    let told: Vec<_> = seen
        .peers
        .iter()
        .map(|row| (row.key.standing, row.counts.flows[IN], row.counts.outcomes[IN].failed))
        .collect();
    assert_eq!(told, [(Standing::Proven, 1, 0), (Standing::Unproven, 5, 5)]);
    let targets = seen.peers[1].counts.target_count();
    assert!((targets - 5.0).abs() < 0.1, "{targets}");
    // A peer of which nothing was lost has no row of losses.
    lossy.peers[0].1 = PeerCounters { flow_inserts: [1, 1], syns: [1, 0], notes: 1, ..noted };
    assert_eq!(Context::default().observe(&lossy).peers.len(), 1);
}
