//! Counting on one CPU.

use proptest::{collection::vec, prelude::*};
use weir_flows_common::{
    Direction, DirectionCounters, FlowCounters, LENGTH_BUCKETS, Loss, TcpFlag,
    account::length_bucket, parse::Frame,
};

use crate::{
    frames,
    table::{Tables, counted, way},
};

/// Properties of a direction whatever it saw, as long as nothing saturated.
fn adds_up(one: &DirectionCounters) -> Result<(), TestCaseError> {
    if one.packets == 0 {
        prop_assert_eq!(*one, DirectionCounters::default());
        return Ok(());
    }
    let buckets: u64 = one.length_histogram.iter().map(|&count| u64::from(count)).sum();
    prop_assert_eq!(buckets, one.packets);
    prop_assert!(u64::from(one.length_min) * one.packets <= one.bytes);
    prop_assert!(one.bytes <= u64::from(one.length_max) * one.packets);
    // Cauchy and Schwarz: the mean of squares is no less than the square of the mean.
    let (packets, bytes) = (u128::from(one.packets), u128::from(one.bytes));
    prop_assert!(u128::from(one.length_sum_sq) * packets >= bytes * bytes);
    prop_assert!(one.payload_bytes <= one.bytes);
    for count in one.flags {
        prop_assert!(u64::from(count) <= one.packets);
    }
    prop_assert!(one.ttl_min <= one.ttl_max);
    prop_assert!(one.window_min <= one.window_first);
    prop_assert!(one.first_ns <= one.last_ns);
    prop_assert!(u64::from(one.retransmissions) + u64::from(one.out_of_order) < one.packets);
    if one.packets >= 2 {
        prop_assert!(one.iat_min_us <= one.iat_max_us);
        prop_assert!(u64::from(one.iat_max_us) <= one.iat_sum_us);
    } else {
        prop_assert_eq!((one.iat_min_us, one.iat_max_us, one.iat_sum_us), (u32::MAX, 0, 0));
    }
    Ok(())
}

fn flow_adds_up(flow: &FlowCounters) -> Result<(), TestCaseError> {
    prop_assert_eq!(flow.reserved, [0; 5]);
    prop_assert!(flow.first_direction <= 1);
    for way in Direction::ALL {
        let syns = flow.directions[way.index()].flags[TcpFlag::Syn.index()];
        prop_assert!(flow.openings[way.index()] + flow.syn_acks[way.index()] <= syns);
        prop_assert!(flow.answered(way) <= flow.openings[way.index()]);
    }
    prop_assert!(flow.accepted <= flow.syn_acks[Direction::Egress.index()]);
    prop_assert!(flow.directions[usize::from(flow.first_direction)].packets > 0);
    flow.directions.iter().try_for_each(adds_up)
}

/// Segments seen are those in flows and those lost, and each insert is a flow.
fn balances(tables: &Tables) -> Result<(), TestCaseError> {
    let in_flows: u64 = tables.flows.values().map(FlowCounters::packets).sum();
    prop_assert_eq!(
        tables.packet_counters.segments_seen(),
        in_flows + tables.packet_counters.lost()
    );
    prop_assert_eq!(
        tables.packet_counters.not_ip.iter().sum::<u64>(),
        tables.packet_counters.losses[Loss::NotIp.index()]
    );
    prop_assert_eq!(tables.packet_counters.flow_inserts, tables.flows.len() as u64);
    let told: u64 = tables.peers.values().flat_map(|peer| peer.flow_inserts).sum();
    prop_assert_eq!(told, tables.packet_counters.flow_inserts);
    Ok(())
}

proptest! {
    #[test]
    fn any_frames_in_any_order_add_up(
        arrivals in vec((frames::frame(), any::<(bool, u32)>()), 1..60),
    ) {
        let mut tables = Tables::default();
        for (frame, (back, now_ns)) in &arrivals {
            let shape = Frame::of_length(frame.length());
            tables.count(&frame.bytes(), &shape, way(*back), u64::from(*now_ns));
        }
        tables.flows.values().try_for_each(flow_adds_up)?;
        balances(&tables)?;
    }

    #[test]
    fn any_bytes_balance(
        arrivals in vec((vec(any::<u8>(), 0..120), any::<(bool, u16, u8, u16)>()), 1..60),
    ) {
        let mut tables = Tables::default();
        for (bytes, (back, length, gso_segs, gso_size)) in &arrivals {
            let shape = Frame {
                length: u32::from(*length),
                gso_segs: u32::from(*gso_segs),
                gso_size: u32::from(*gso_size),
                ..Frame::of_length(0)
            };
            tables.count(bytes, &shape, way(*back), 1);
        }
        balances(&tables)?;
    }

    #[test]
    fn counters_saturate_and_do_not_wrap(
        frame in frames::segment(),
        gso_size in 1_u32..,
        gso_segs: u32,
        times in 1_usize..8,
    ) {
        let mut tables = Tables::default();
        let bytes = frame.bytes();
        for _ in 0..times {
            let shape = Frame { gso_segs, gso_size, ..Frame::of_length(u32::MAX) };
            tables.count(&bytes, &shape, Direction::Egress, u64::MAX);
        }
        let (_, flow) = tables.only_flow();
        let one = flow.directions[Direction::Egress.index()];
        prop_assert!(one.bytes >= one.payload_bytes);
        prop_assert!(one.length_sum_sq >= one.bytes || one.length_min == 0);
    }

    #[test]
    fn a_conversation_has_one_key_and_adds_up(
        frames in frames::conversation(),
        gap_ns in 1_u64..10_000_000,
    ) {
        let tables = counted(&frames, gap_ns);
        let (_, flow) = tables.only_flow();
        flow_adds_up(&flow)?;
        prop_assert_eq!(flow.packets(), frames.len() as u64);
        for direction in flow.directions {
            let lasted_us = (direction.last_ns - direction.first_ns) / 1_000;
            prop_assert!(direction.iat_sum_us <= lasted_us);
            // Each gap was rounded down by less than a microsecond.
            prop_assert!(lasted_us < direction.iat_sum_us + direction.packets.max(1));
        }
    }

    #[test]
    fn a_super_packet_counts_as_its_segments(
        frame in frames::segment(),
        gso_size in 1_u16..9_000,
        tag in proptest::option::of(any::<u16>()),
    ) {
        // A third tag would be too many, and more segments than this only make the test slow.
        let frame = frame.tagged(&frame.tags[..frame.tags.len().min(1)]);
        prop_assume!(frame.payload / gso_size < 500);
        let mut whole = Tables::default();
        let count = u32::from(frame.payload.div_ceil(gso_size));
        let shape = Frame {
            gso_segs: count,
            gso_size: u32::from(gso_size),
            tag,
            ..Frame::of_length(frame.length())
        };
        whole.count(&frame.bytes(), &shape, Direction::Egress, 1_000);

        let mut apart = Tables::default();
        for segment in cut(&frame, gso_size) {
            let shape = Frame { tag, ..Frame::of_length(segment.length()) };
            apart.count(&segment.bytes(), &shape, Direction::Egress, 1_000);
        }

        prop_assert_eq!(whole.packet_counters.segments, apart.packet_counters.segments);
        prop_assert_eq!(&whole.peers, &apart.peers);
        let ((key, one), (other_key, other)) = (whole.only_flow(), apart.only_flow());
        prop_assert_eq!(key, other_key);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn an_unknown_number_of_segments_is_worked_out(
        frame in frames::segment(),
        gso_size in 1_u16..9_000,
    ) {
        let count = u32::from(frame.payload.div_ceil(gso_size));
        let of = |gso_segs| {
            let mut tables = Tables::default();
            let gso_size = u32::from(gso_size);
            let shape = Frame { gso_segs, gso_size, ..Frame::of_length(frame.length()) };
            tables.count(&frame.bytes(), &shape, Direction::Ingress, 1);
            tables.only_flow()
        };
        prop_assert_eq!(of(0), of(count));
    }

    #[test]
    fn a_stream_in_order_repeats_and_skips_nothing(
        frame in frames::segment(),
        payloads in vec(0_u16..1_500, 1..20),
        reset_first: bool,
    ) {
        let frames::Transport::Tcp { ports, sequence, window, .. } = frame.transport else {
            unreachable!("a segment is TCP");
        };
        let mut next = sequence;
        let mut stream = Vec::new();
        let mut send = |flags: u8, payload: u16| {
            let transport = frames::Transport::Tcp { ports, flags, sequence: next, acknowledged: 0, window };
            stream.push((frames::Frame { transport, payload, ..frame.clone() }, false));
            next = next.wrapping_add(u32::from(payload) + u32::from(flags & TcpFlag::Syn.bit() != 0));
        };
        if reset_first {
            send(TcpFlag::Rst.bit(), 0);
        }
        send(TcpFlag::Syn.bit(), 0);
        for payload in payloads {
            send(TcpFlag::Ack.bit(), payload);
        }
        let (_, flow) = counted(&stream, 1_000).only_flow();
        let one = flow.directions[Direction::Ingress.index()];
        prop_assert_eq!((one.retransmissions, one.out_of_order), (0, 0));
        prop_assert_eq!(one.next_seq, next);
    }

    #[test]
    fn a_port_used_again_is_no_gap_and_a_repeated_syn_is_a_retransmission(
        frame in frames::segment(),
        again: u32,
    ) {
        let frames::Transport::Tcp { ports, sequence, window, .. } = frame.transport else {
            unreachable!("a segment is TCP");
        };
        prop_assume!(again != sequence);
        let syn = |sequence| {
            let flags = TcpFlag::Syn.bit();
            let transport = frames::Transport::Tcp { ports, flags, sequence, acknowledged: 0, window };
            (frames::Frame { transport, payload: 0, ..frame.clone() }, false)
        };
        let (_, flow) = counted(&[syn(sequence), syn(again), syn(again)], 1_000).only_flow();
        let one = flow.directions[Direction::Ingress.index()];
        prop_assert_eq!((one.retransmissions, one.out_of_order), (1, 0));
    }

    #[test]
    fn a_length_falls_in_the_bucket_its_bits_say(length: u32) {
        let expected = (u32::BITS - length.leading_zeros()).saturating_sub(7) as usize;
        prop_assert_eq!(length_bucket(length), expected.min(LENGTH_BUCKETS - 1));
    }
}

/// The segments that offload makes of a frame: PSH only in the last.
fn cut(frame: &frames::Frame, size: u16) -> Vec<frames::Frame> {
    let frames::Transport::Tcp { ports, flags, sequence, window, .. } = frame.transport else {
        unreachable!("only TCP is cut");
    };
    let mut segments = Vec::new();
    let mut sent = 0;
    while sent < frame.payload {
        let payload = size.min(frame.payload - sent);
        let last = sent + payload == frame.payload;
        let flags = if last { flags } else { flags & !TcpFlag::Psh.bit() };
        let sequence = sequence.wrapping_add(u32::from(sent));
        let transport = frames::Transport::Tcp { ports, flags, sequence, acknowledged: 0, window };
        segments.push(frames::Frame { transport, payload, ..frame.clone() });
        sent += payload;
    }
    segments
}
