//! What a context knows after a restart.

use std::time::Duration;

use flows_common::{FlowCounters, FlowKey, Standing};
use proptest::prelude::*;
use weir_features::{Context, ContextCount, Hosts, Outages, kept_layout};

use crate::support::{IN, MS, SECOND, datagrams, handshake, key, syn, udp, window, with_payload};

const WINDOW: Duration = Duration::from_secs(1);

fn kept(context: &Context) -> Vec<u8> {
    let mut bytes = Vec::new();
    context.keep(&mut bytes);
    bytes
}

fn taken_up(mut bytes: &[u8]) -> Option<Context> {
    Context::taken_up(WINDOW, &mut bytes).filter(|_| bytes.is_empty())
}

/// A client that opens a connection a second and is served, and asks by UDP.
fn client(end_s: u64) -> Vec<(FlowKey, FlowCounters)> {
    let at_ns = end_s * SECOND - 500 * MS;
    let port = 4_000 + u16::try_from(end_s).expect("a small number");
    let mut served = with_payload(handshake(at_ns), [100, 900]);
    served.accepted = 1;
    let data = with_payload(datagrams([2, 2], at_ns), [80, 80]);
    let mut connection = data;
    if end_s == 1 {
        connection.merge(&served);
    }
    vec![(key(1, port, 443), served), (key(1, 9, 22), connection), (udp(1, 53, 50_000), data)]
}

#[test]
fn nothing_is_new_for_a_restart_and_no_flow_that_it_cut_off_fails() {
    let mut context = Context::default();
    for end_s in 1..=20 {
        context.observe(&window(end_s, client(end_s)));
    }
    // Its answer comes while nobody looks.
    context.observe(&window(21, vec![(key(1, 7, 443), syn(21 * SECOND - 10 * MS))]));
    let mut resumed = taken_up(&kept(&context)).expect("what was kept");
    assert!(!resumed.is_empty());
    let mut fresh = Context::default();
    let mut told = Vec::new();
    for end_s in 24..=60 {
        let next = window(end_s, client(end_s));
        let seen = [context.observe(&next), resumed.observe(&next), fresh.observe(&next)];
        told.push(seen.map(|one| (one.new_peers, one.peers)));
    }
    let [went_on, restarted, anew] = &told[0];
    assert_eq!((went_on.0, restarted.0, anew.0), (0, 0, 1));
    let new_targets = |(_, rows): &(u64, Vec<weir_features::PeerRecord>)| {
        rows.iter().map(|row| row.counts.new_targets[IN]).sum::<f32>()
    };
    assert!(new_targets(restarted).abs() < 1e-6 && new_targets(anew) > 1.0);
    let failed = |which: usize| -> u32 {
        let rows = told.iter().flat_map(|seen| &seen[which].1);
        rows.map(|row| row.counts.outcomes[IN].failed).sum()
    };
    assert!(failed(0) > 0, "the cut-off opening, where somebody looked on");
    assert_eq!(failed(1), 0);
    let proven = |which: usize| {
        let rows = &told[0][which].1;
        let row = rows.iter().find(|row| row.key.standing == Standing::Proven).expect("a row");
        (row.counts.facts.packets, row.counts.flows, row.counts.idle_open_flows)
    };
    // The connections of before may have ended: they are open again when they go on.
    assert_eq!((proven(0).0, proven(0).1), (proven(1).0, proven(1).1));
    assert_eq!((proven(0).2, proven(1).2), (20, 0));
    let minute = |which: usize| {
        let mut rows = told.iter().flat_map(|seen| &seen[which].1);
        let minute = rows.find(|row| row.level == 2 && row.key.standing == Standing::Proven);
        minute.map(|row| row.counts.flows[IN])
    };
    assert_eq!((minute(0), minute(1)), (None, None), "it ends at 63 s");
    let last = [&mut context, &mut resumed].map(|one| {
        let seen = one.observe(&window(63, vec![]));
        let mut rows = seen.peers.into_iter();
        let is_minute = |row: &_| matches!(row, weir_features::PeerRecord { level: 2, .. });
        rows.find(|row| is_minute(row) && row.key.standing == Standing::Proven)
            .map(|row| row.counts.flows[IN])
    });
    assert_eq!(last[0], last[1], "a longer horizon has what was counted before and behind");
    assert!(last[0] > Some(50), "{last:?}");
}

#[test]
fn what_is_kept_has_a_bound() {
    let mut context = Context::default();
    let many = (0..20_000_u32).map(|number| {
        let mut key = key(0, 1, 443);
        key.remote[12..].copy_from_slice(&(number + 100_000).to_be_bytes());
        (key, handshake(500 * MS))
    });
    context.observe(&window(1, many.collect()));
    (2..=6).for_each(|end_s| drop(context.observe(&window(end_s, vec![]))));
    let ContextCount { flows, peers, .. } = context.size();
    assert_eq!((flows, peers), (20_000, 20_000));
    let bytes = kept(&context);
    assert!(bytes.len() < 20 << 20, "{}", bytes.len());
    let size = taken_up(&bytes).expect("what was kept").size();
    assert_eq!((size.flows, size.peers), (8_192, 8_192));
}

#[test]
fn the_layout_has_a_name() {
    assert_eq!(kept_layout(), kept_layout());
    assert_ne!(kept_layout(), 0);
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0_usize..4_000) {
        let mut some = Context::default();
        some.observe(&window(1, client(1)));
        let whole = kept(&some);
        prop_assert!(taken_up(&whole[..cut.min(whole.len() - 1)]).is_none(), "cut off");
        taken_up(&bytes);
        let _ = (Hosts::taken_up(&mut &bytes[..]), Outages::taken_up(&mut &bytes[..]));
    }
}
