//! What the context forgets, and what is known of what was lost.

use std::time::Duration;

use flows_common::{FlowKey, Loss, PeerCounters, PeerKey};
use weir_features::{Context, ContextLimits, Observed, Window};

use crate::support::{IN, MS, SECOND, handshake, key, rows_of, syn, window};

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
        notes: 200,
        ..PeerCounters::default()
    };
    noted.local_ports = [0xffff, 0, 0, 0];
    lossy.peers = vec![(PeerKey { address: flow.0.remote }, noted)];

    let whole = Context::default().observe(&lossy);
    assert_eq!(whole.peers[0].counts.flows, [1, 0], "without a loss the flows are the truth");

    lossy.evicted_flows = 199;
    lossy.evicted_packets = 199;
    lossy.packet_counters.losses[Loss::TableFull.index()] = 1;
    let observed = context.observe(&lossy);
    let row = &observed.peers[0];
    assert!(row.is_lossy);
    let counts = &row.counts;
    assert_eq!((counts.flows, counts.active[0]), ([200, 0], 200));
    assert_eq!((counts.traffic.openings, counts.outcomes[IN].failed), ([200, 0], 180));
    assert_eq!(counts.traffic.resets, [0, 7]);
    assert!((counts.target_count() - 17.0).abs() < 0.1);
    assert!((counts.new_targets[IN] - 17.0).abs() < 1e-6);
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
    let row = &observed.peers[0];
    assert_eq!((row.key.address, row.counts.flows), ([9; 16], [5, 0]));
}

#[test]
fn a_million_peers_fit_into_the_limits() {
    let limits = ContextLimits {
        flows: 1_000,
        peers: 500,
        hosts: 1,
        services: 50,
        gathered: 100,
        ..ContextLimits::default()
    };
    let mut context = Context::new(limits, Duration::from_secs(1)).expect("valid limits");
    for end_s in 1..=10_u64 {
        let flows = (0..100_000_u32).map(|one| {
            let number = (u32::try_from(end_s).expect("a small number") << 20) | one;
            let mut remote = [0x20; 16];
            remote[12..].copy_from_slice(&number.to_be_bytes());
            let port = u16::try_from(one % 60_000).expect("below 60000");
            (FlowKey { remote, ..key(0, 1, port) }, handshake((end_s - 1) * SECOND + 1))
        });
        let observed = context.observe(&window(end_s, flows.collect()));
        let of_window =
            rows_of(&observed, 1).iter().filter(|row| row.span.end_ns == end_s * SECOND).count();
        assert_eq!((observed.flows.len(), of_window), (100_000, 100_000));
        let size = context.size();
        assert_eq!((size.flows, size.peers, size.hosts, size.services), (1_000, 500, 1, 50));
        assert!(size.gathered <= 2 * 2 * 100, "{size:?}");
    }
    let evictions = context.evictions();
    assert_eq!((evictions.flows, evictions.peers), (999_000, 999_500));
    assert!(evictions.services > 0 && evictions.gathered > 0);
    let Observed { sites, .. } = context.observe(&window(11, vec![]));
    let failed: u32 = sites.iter().map(|row| row.counts.outcomes[IN].failed).sum();
    assert_eq!(failed, 0, "a flow forgotten for want of room is judged by what was seen of it");
}

#[test]
fn limits_of_nothing_are_refused_by_name() {
    let limits = ContextLimits { peers: 0, ..ContextLimits::default() };
    let error = Context::new(limits, Duration::from_secs(1)).err().expect("no context");
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
    let limits =
        ContextLimits { flows: 64, peers: 4, services: 2, gathered: 3, ..ContextLimits::default() };
    let context = || Context::new(limits, Duration::from_secs(1)).expect("valid limits");
    let (mut one, mut other) = (context(), context());
    let mut reused = Observed::default();
    for window in &windows {
        other.observe_into(window, &mut reused);
        assert_eq!(one.observe(window), reused);
    }
}
