//! Rows of windows and horizons: what counts, and which outcomes are completed late.

use std::time::Duration;

use flows_common::{Direction, Fact, FlowCounters, FlowKey, Span, Standing, TcpFlag, map_v4};
use weir_features::record::{ICMP, TCP};
use weir_features::{
    Context, Feature, FlowFeature, Handshake, Kind, LocalService, Observed, PeerFeature,
    PeerRecord, SiteKey, SiteRecord, Window,
};

use crate::support::{
    IN, LOCAL, MS, OUT, SECOND, datagrams, handshake, key, packets, rows_of, syn, syn_ack, udp,
    window, with_flag, with_payload,
};

/// What a context makes of flows by the second, then of quiet seconds up to the last.
fn play(flows: Vec<Vec<(FlowKey, FlowCounters)>>, last_s: u64) -> Vec<Observed> {
    let mut context = Context::default();
    let mut flows = flows.into_iter();
    (1..=last_s)
        .map(|end_s| context.observe(&window(end_s, flows.next().unwrap_or_default())))
        .collect()
}

fn site(observed: &Observed, key: SiteKey) -> &SiteRecord {
    observed.sites.iter().find(|row| row.key == key).expect("a row")
}

fn natural(row: &PeerRecord, feature: PeerFeature) -> f32 {
    feature.natural(feature.value(row))
}

#[test]
fn a_handshake_that_straddles_two_windows_is_answered_and_timed() {
    let flow = key(1, 4000, 80);
    let seen = play(vec![vec![(flow, syn(990 * MS))], vec![(flow, syn_ack(1_015 * MS))]], 2);
    assert_eq!(seen[0].flows[0].handshake, Handshake::Pending);
    let record = &seen[1].flows[0];
    assert_eq!(record.handshake, Handshake::Answered);
    assert_eq!(record.handshake_ns, Some(25 * MS));
    assert_eq!((record.initiator, record.is_new), (Direction::Ingress, false));
    let time_us = FlowFeature::HandshakeTime.natural(FlowFeature::HandshakeTime.value(record));
    assert!((time_us - 25_000.0).abs() < 0.1, "{time_us}");
    assert!((natural(&seen[1].peers[0], PeerFeature::HandshakeTime) - 25_000.0).abs() < 1.0);
}

#[test]
fn an_outcome_that_is_late_counts_in_the_row_of_the_opening() {
    let seen = play(vec![vec![(key(1, 4000, 80), syn(900 * MS))]], 13);
    let first = &seen[0].peers[0];
    assert_eq!((first.counts.flows, first.counts.outcomes[IN].failed), ([1, 0], 0));
    let settled: Vec<(usize, &PeerRecord)> = seen
        .iter()
        .enumerate()
        .skip(1)
        .flat_map(|(at, observed)| rows_of(observed, 1).into_iter().map(move |row| (at, row)))
        .collect();
    let [(at, row)] = settled[..] else { panic!("one row more: {settled:?}") };
    assert_eq!((at, row.span), (3, Span { start_ns: 0, end_ns: SECOND }));
    assert_eq!((row.counts.outcomes[IN].failed, row.counts.flows), (1, [1, 0]));
    assert!((natural(row, PeerFeature::NewTargetsFailed) - 1.0).abs() < 1e-6);
    let ten = rows_of(&seen[12], 10)[0];
    assert_eq!((ten.counts.outcomes[IN].failed, ten.counts.flows), (1, [1, 0]));
    assert_eq!(ten.span, Span { start_ns: 0, end_ns: 10 * SECOND });
}

#[test]
fn what_an_overlong_window_counted_is_in_no_row_of_another_time() {
    let mut context = Context::default();
    let mut seen = vec![context.observe(&window(1, vec![(key(1, 3999, 80), syn(900 * MS))]))];
    // A minute in one window, as after a pause of whoever drains: 100 openings without an answer.
    let flows = (0..100).map(|port| (key(1, 4000 + port, 80), syn(30 * SECOND))).collect();
    let minute = Window { start_ns: SECOND, ..window(61, flows) };
    seen.push(context.observe(&minute));
    assert_eq!(seen[1].peers[0].counts.flows, [100, 0], "in its own");
    seen.extend((62..=700).map(|end_s| context.observe(&window(end_s, Vec::new()))));
    let others = seen.iter().skip(1).flat_map(|observed| &observed.peers);
    let others = others.filter(|row| row.span != minute.span());
    let counted: Vec<_> = others
        .map(|row| (row.horizon.ms(), row.counts.flows, row.counts.outcomes[IN].failed))
        .collect();
    assert!(
        counted.iter().all(|&(_, flows, failed)| (flows, failed) == ([1, 0], 1)),
        "{counted:?}"
    );
    assert_eq!(counted.len(), 4, "the one flow before it, at each horizon: {counted:?}");
}

#[test]
fn a_late_answer_is_no_failure() {
    let flow = key(1, 4000, 80);
    let flows = vec![vec![(flow, syn(900 * MS))], vec![], vec![(flow, syn_ack(2_500 * MS))]];
    let seen = play(flows, 13);
    let outcomes = rows_of(&seen[12], 10)[0].counts.outcomes[IN];
    assert_eq!((outcomes.failed, outcomes.served), (0, 1));
}

#[test]
fn outcomes_are_told_apart() {
    let at = 100 * MS;
    let fin = |flow, end| with_flag(with_flag(flow, IN, TcpFlag::Fin, end), OUT, TcpFlag::Fin, end);
    let refused = with_flag(syn(at), OUT, TcpFlag::Rst, at + MS);
    let empty = with_payload(fin(handshake(at), 300 * MS), [40, 0]);
    let served = with_payload(fin(handshake(at), 300 * MS), [100, 900]);
    let mut probe = FlowCounters::default();
    packets(&mut probe, IN, 1, TcpFlag::Fin, at);
    packets(&mut probe, OUT, 1, TcpFlag::Rst, at);
    let seen = play(
        vec![vec![
            (key(1, 1, 80), refused),
            (key(2, 1, 80), empty),
            (key(3, 1, 80), served),
            (key(4, 1, 80), probe),
        ]],
        1,
    );
    let of = |peer: usize| {
        let told = seen[0].peers[peer].counts.outcomes[IN];
        (told.failed, told.empty, told.short, told.served)
    };
    assert_eq!(
        [of(0), of(1), of(2), of(3)],
        [(1, 0, 0, 0), (0, 1, 1, 1), (0, 0, 1, 1), (1, 0, 0, 0)]
    );
    assert!((natural(&seen[0].peers[2], PeerFeature::ResponseBytes) - 900.0).abs() < 0.1);
}

#[test]
fn a_request_that_nobody_answers_fails_in_any_protocol_and_a_complaint_does_not() {
    let echo = FlowKey { protocol: ICMP, ..key(3, 0, 0) };
    let complaint = FlowKey { remote: map_v4([198, 51, 100, 4]), ..echo };
    let mut unreachable = datagrams([1, 0], 100 * MS);
    unreachable.directions[IN].icmp_errors = 1;
    let flows = vec![
        (udp(1, 4000, 53), datagrams([1, 0], 100 * MS)),
        (udp(2, 4000, 53), datagrams([1, 1], 100 * MS)),
        (echo, datagrams([1, 0], 100 * MS)),
        (complaint, unreachable),
    ];
    let seen = play(vec![flows], 13);
    let failed: Vec<u32> =
        rows_of(&seen[12], 10).iter().map(|row| row.counts.outcomes[IN].failed).collect();
    assert_eq!(failed, [1, 0, 1, 0]);
}

#[test]
fn each_opening_of_a_tuple_is_a_flow_and_a_repeated_syn_is_none() {
    let tuple = key(1, 4000, 22);
    let mut thrice = syn(100 * MS);
    (thrice.openings[IN], thrice.syn_isn[IN]) = (3, 77);
    let mut repeated = syn(1_200 * MS);
    repeated.syn_isn[IN] = 77;
    let again = syn(2_300 * MS);
    let flows = vec![vec![(tuple, thrice)], vec![(tuple, repeated)], vec![(tuple, again)]];
    let seen = play(flows, 13);
    let opened: Vec<u32> =
        seen[..3].iter().map(|observed| observed.peers[0].counts.flows[IN]).collect();
    assert_eq!(opened, [3, 0, 1]);
    let ten = &rows_of(&seen[12], 10)[0].counts;
    assert_eq!((ten.flows[IN], ten.outcomes[IN].failed, ten.active[1]), (4, 4, 4));
    assert_eq!(ten.busiest_flows(Direction::Ingress), 4);
}

#[test]
fn sessions_that_were_served_on_one_tuple_share_what_it_carried() {
    let mut four = with_payload(handshake(100 * MS), [2_400, 3_600]);
    (four.openings[IN], four.syn_acks[OUT], four.accepted) = (4, 4, 4);
    packets(&mut four, IN, 12, TcpFlag::Psh, 800 * MS);
    for side in [IN, OUT] {
        packets(&mut four, side, 4, TcpFlag::Fin, 900 * MS);
    }
    let seen = play(vec![vec![(key(1, 4000, 22), four)]], 1);
    let counts = &seen[0].peers[0].counts;
    let outcomes = counts.outcomes[IN];
    assert_eq!((counts.flows[IN], outcomes.served, outcomes.short), (4, 4, 4));
    assert_eq!((outcomes.failed, outcomes.empty), (0, 0));
    let carried = (outcomes.request_bytes, outcomes.response_bytes, outcomes.messages);
    assert_eq!(carried, (2_400, 3_600, 12), "and no more than that");
}

#[test]
fn a_flow_that_began_before_it_was_watched_belongs_to_the_side_without_the_service() {
    let https = key(1, 443, 50_000);
    let ours = key(2, 50_000, 443);
    let both = |at| with_payload(datagrams([1, 1], at), [10, 10]);
    let seen = play(vec![vec![(https, both(100 * MS)), (ours, both(100 * MS))]], 1);
    let flows: Vec<[u32; 2]> = seen[0].peers.iter().map(|row| row.counts.flows).collect();
    assert_eq!(flows, [[0, 1], [1, 0]]);
}

#[test]
fn connections_that_are_held_show_as_idle_until_they_are_reset() {
    let held = |port| (key(1, port, 80), handshake(100 * MS + u64::from(port)));
    let flows = vec![
        (0..5).map(held).collect(),
        vec![(key(1, 9, 80), syn(1_100 * MS))],
        (1..5)
            .map(|port| {
                let mut reset = FlowCounters::default();
                packets(&mut reset, OUT, 1, TcpFlag::Rst, 2_500 * MS);
                (key(1, port, 80), reset)
            })
            .collect(),
        vec![(key(1, 10, 80), syn(3_100 * MS))],
    ];
    let seen = play(flows, 4);
    let idle: Vec<u32> =
        seen.iter().map(|observed| observed.peers[0].counts.idle_open_flows).collect();
    assert_eq!(idle, [0, 4, 0, 0], "five, less the one active; then one, less one");
}

#[test]
fn a_horizon_is_the_sum_of_its_windows_and_comes_when_its_outcomes_are_known() {
    let tick = |second: u16| {
        let at = u64::from(second) * SECOND + 500 * MS;
        let mut flow = datagrams([1, 1], at);
        flow.directions[IN].payload_bytes = 70;
        flow.directions[OUT].payload_bytes = 1_500;
        vec![(udp(1, 4_000 + second, 53), flow)]
    };
    let mut context = Context::default();
    let mut emitted = Vec::new();
    let mut last = Observed::default();
    for second in 0..75_u16 {
        last = context.observe(&window(u64::from(second) + 1, tick(second)));
        let longer = last.peers.iter().filter(|row| row.level > 0).cloned();
        emitted.extend(longer.map(|row| (second + 1, row)));
    }
    let told: Vec<(u16, u32, u32)> = emitted
        .iter()
        .map(|(at, row)| (*at, row.horizon.ms() / 1_000, row.counts.flows[IN]))
        .collect();
    let tens = (1..=7).map(|ten| (ten * 10 + 3, 10, 10));
    let mut expected: Vec<_> = tens.collect();
    expected.insert(6, (63, 60, 60));
    assert_eq!(told, expected);
    let minute = &emitted[6].1;
    assert!((natural(minute, PeerFeature::Repetition) - 60.0).abs() < 0.1);
    assert!((natural(minute, PeerFeature::Regularity) - 60.0).abs() < 0.1);
    assert_eq!(minute.counts.outcomes[IN].served, 60);
    assert_eq!((minute.counts.active[2], minute.counts.facts.packets), (60, 120));

    let before = last.peers.len();
    context.finish_into(&mut last);
    let rest: Vec<(u32, u32, u64)> = last.peers[before..]
        .iter()
        .filter(|row| row.level > 0)
        .map(|row| {
            (row.horizon.ms() / 1_000, row.counts.flows[IN], row.span.duration_ns() / SECOND)
        })
        .collect();
    assert_eq!(rest, [(10, 5, 5), (60, 15, 15), (600, 75, 75)]);
}

#[test]
fn a_capture_of_an_earlier_time_begins_anew_and_loses_no_row() {
    let one = |second: u64| vec![(udp(1, 4_000, 53), datagrams([1, 1], second * SECOND + MS))];
    let mut context = Context::default();
    let mut rows = Vec::new();
    for second in [100, 101, 102, 50, 51, 52] {
        rows.extend(context.observe(&window(second + 1, one(second))).peers);
    }
    let mut last = Observed {
        window: Span { start_ns: 52 * SECOND, end_ns: 53 * SECOND },
        ..Observed::default()
    };
    context.finish_into(&mut last);
    rows.extend(last.peers);
    let tens: Vec<(u64, u64)> = rows
        .iter()
        .filter(|row| row.level == 1)
        .map(|row| (row.span.start_ns / SECOND, row.counts.traffic.packets[IN]))
        .collect();
    assert_eq!(tens, [(100, 3), (50, 3)]);
}

#[test]
fn windows_of_a_minute_have_two_horizons() {
    let mut context = Context::of_windows(Duration::from_mins(1));
    let mut rows = Vec::new();
    for minute in 1..=11_u64 {
        let start_ns = (minute - 1) * 60 * SECOND;
        let flow = datagrams([1, 0], start_ns + SECOND);
        let window = Window {
            start_ns,
            end_ns: start_ns + 60 * SECOND,
            flows: vec![(udp(1, 4000, 53), flow)],
            ..Window::default()
        };
        rows.extend(context.observe(&window).peers);
    }
    let ten: Vec<&PeerRecord> = rows.iter().filter(|row| row.level == 1).collect();
    assert_eq!((ten.len(), ten[0].horizon.to_string()), (1, "600s".to_owned()));
    assert_eq!(ten[0].counts.traffic.packets, [10, 0]);
}

#[test]
fn groups_broadcast_and_nobody_have_no_row() {
    let nobody = [[224, 0, 0, 251], [255; 4], [0; 4]].map(map_v4);
    let mut flows: Vec<_> = nobody
        .iter()
        .map(|&remote| (FlowKey { remote, ..udp(0, 5353, 5353) }, datagrams([0, 1], MS)))
        .collect();
    let local = |local| FlowKey { local, ..udp(7, 5353, 5353) };
    flows.push((local(map_v4([224, 0, 0, 251])), datagrams([1, 0], MS)));
    flows.push((local(map_v4([192, 0, 2, 255])), datagrams([1, 0], MS)));
    let seen = play(vec![flows], 13);
    assert_eq!(seen[0].flows.len(), 5, "they are still flows");
    assert!(seen.iter().all(|observed| observed.peers.is_empty() && observed.sites.is_empty()));
}

#[test]
fn who_sends_the_first_datagram_between_high_ports_opened_the_flow_and_earns_no_trust_by_it() {
    let mut flow = datagrams([1, 1], 100 * MS);
    for (first, expected) in [(1, Direction::Egress), (0, Direction::Ingress)] {
        flow.first_direction = first;
        let seen = play(vec![vec![(udp(1, 13_749, 11_694), flow)]], 1);
        assert_eq!(seen[0].flows[0].initiator, expected);
        assert_eq!(seen[0].peers[0].counts.facts.standing, Standing::Unproven);
    }
}

#[test]
fn a_remote_that_sends_from_a_low_port_earns_no_trust_by_it() {
    let flow = datagrams([1, 1], 100 * MS);
    let seen = play(vec![vec![(udp(1, 53, 11_694), flow)]], 1);
    assert_eq!(seen[0].flows[0].initiator, Direction::Egress, "for features");
    let facts = &seen[0].peers[0].counts.facts;
    assert_eq!(facts.standing, Standing::Unproven);
    assert!(facts.service.is_some());
}

#[test]
fn the_hosts_side_has_rows_for_its_addresses_its_services_and_all_of_it() {
    let at = 100 * MS;
    let asked = |remote: u8| {
        let mut flow = datagrams([0, 1], at);
        (flow.openings, flow.syn_ns) = ([0, 1], [0, at]);
        flow.facts = Fact::Initiated.bit();
        (key(remote, 445, 50_000 + u16::from(remote)), flow)
    };
    let mut flows: Vec<_> = (1..=6).map(asked).collect();
    flows.push((key(100, 1, 443), with_payload(handshake(at), [80, 900])));
    flows.push((key(101, 1, 443), syn(at)));
    flows.push((key(101, 1, 8443), syn(at)));
    let seen = play(vec![flows], 13);
    let ten = |key: SiteKey| {
        let longer = seen[12].sites.iter().find(|row| row.key == key && row.level == 1);
        &longer.expect("a row").counts
    };
    for key in [SiteKey::Net, SiteKey::Host(LOCAL)] {
        let counts = ten(key);
        assert_eq!((counts.flows, counts.outcomes[OUT].failed), ([3, 6], 6), "{key:?}");
        assert!((counts.remotes[OUT].count() - 6.0).abs() < 0.1);
        for (estimate, truth) in [
            (counts.new_remotes[IN], 2.0),
            (counts.new_remotes[OUT], 6.0),
            (counts.new_failed[OUT], 6.0),
        ] {
            assert!((estimate - truth).abs() < 0.01, "{estimate} of {truth}");
        }
        let (_, fan_out) = counts.fan_out.iter().next().expect("one service");
        assert_eq!((fan_out.flows, format!("{:.0}", fan_out.remotes.count())), (6, "6".to_owned()));
    }
    let https = SiteKey::Service(LocalService { protocol: TCP, port: 443 });
    let counts = ten(https);
    assert_eq!((counts.flows, counts.outcomes[IN].failed), ([2, 0], 1));
    assert_eq!(counts.sources.iter().map(|(_, one)| one.abortive).sum::<u32>(), 1);
    assert_eq!(site(&seen[0], https).counts.flows, [2, 0]);
    let services = seen[0].sites_of(Kind::Service).count();
    assert_eq!(services, 1, "a port that never answered is no service");
}

#[test]
fn a_beacon_is_regular_whether_it_makes_new_flows_or_keeps_its_socket() {
    for same_socket in [true, false] {
        let mut context = Context::default();
        let mut last = Observed::default();
        for beat in 1..=30_u16 {
            let end_s = u64::from(beat) * 15;
            let port = if same_socket { 50_000 } else { 50_000 + beat };
            let mut flow = datagrams([0, 1], end_s * SECOND - 400 * MS);
            flow.facts = Fact::Initiated.bit();
            last = context.observe(&window(end_s, vec![(udp(1, 443, port), flow)]));
        }
        context.finish_into(&mut last);
        let row = last.peers.last().expect("a row of ten minutes");
        assert_eq!(row.horizon.to_string(), "600s");
        let regularity = natural(row, PeerFeature::Regularity);
        assert!(regularity > 28.0, "same socket: {same_socket}, regularity {regularity}");
    }
}
