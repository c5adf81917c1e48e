//! Merging of the counters of several CPUs.

use proptest::{collection::vec, prelude::*};
use weir_flows_common::{
    Direction, DirectionCounters, FlowCounters, PeerCounters, TcpFlag, parse::Frame,
};

use crate::{
    frames,
    table::{Tables, counted, way},
};

const GAP_NS: u64 = 7_500;

/// Counts each frame on the CPU chosen for it, at the time of its place in the whole.
fn counted_on<const CPUS: usize>(
    frames: &[(frames::Frame, bool)],
    cpu: impl Fn(usize, bool) -> usize,
) -> [Tables; CPUS] {
    let mut tables = [const { None }; CPUS].map(|_: Option<()>| Tables::default());
    for (place, (frame, back)) in frames.iter().enumerate() {
        let shape = Frame::of_length(frame.length());
        let now_ns = (place as u64 + 1) * GAP_NS;
        tables[cpu(place, *back)].count(&frame.bytes(), &shape, way(*back), now_ns);
    }
    tables
}

fn merged_flow(tables: &[Tables]) -> FlowCounters {
    let mut sum = FlowCounters::default();
    for one in tables {
        for flow in one.flows.values() {
            sum.merge(flow);
        }
    }
    sum
}

fn merged_peer(tables: &[Tables]) -> PeerCounters {
    let mut sum = PeerCounters::default();
    for one in tables {
        for peer in one.peers.values() {
            sum.merge(peer);
        }
    }
    sum
}

/// A flow without what accounting keeps for itself: a CPU keeps it for what it sees.
fn read(flow: &FlowCounters) -> FlowCounters {
    FlowCounters { memory: 0, ..*flow }
}

/// True where a direction repeats a SYN's number: whether that opens anew is told by the RSTs of
/// both, which two CPUs do not see.
fn repeats_a_syn(frames: &[(frames::Frame, bool)]) -> bool {
    let mut numbers: Vec<(bool, u32)> = frames
        .iter()
        .filter_map(|(frame, back)| match frame.transport {
            frames::Transport::Tcp { flags, sequence, .. } if flags & TcpFlag::Syn.bit() != 0 => {
                Some((*back, sequence))
            }
            _ => None,
        })
        .collect();
    let syns = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len() < syns
}

/// The part of a direction that does not depend on the order of its packets.
fn without_order(one: DirectionCounters) -> DirectionCounters {
    DirectionCounters {
        iat_sum_us: 0,
        iat_sum_sq: 0,
        iat_min_us: 0,
        iat_max_us: 0,
        next_seq: 0,
        retransmissions: 0,
        out_of_order: 0,
        ..one
    }
}

proptest! {
    #[test]
    fn two_cpus_with_a_direction_each_count_what_one_would(frames in frames::conversation()) {
        prop_assume!(!repeats_a_syn(&frames));
        let (_, alone) = counted(&frames, GAP_NS).only_flow();
        let cpus = counted_on::<2>(&frames, |_, back| usize::from(back));
        prop_assert_eq!(read(&merged_flow(&cpus)), read(&alone));
    }

    #[test]
    fn cpus_that_take_turns_lose_nothing(
        frames in frames::conversation(),
        turns in vec(0_usize..3, 40),
    ) {
        let (_, alone) = counted(&frames, GAP_NS).only_flow();
        let merged = merged_flow(&counted_on::<3>(&frames, |place, _| turns[place]));
        for (one, other) in merged.directions.iter().zip(alone.directions) {
            prop_assert_eq!(without_order(*one), without_order(other));
        }
        prop_assert_eq!(
            (merged.syn_ns, merged.syn_ack_ns, merged.first_direction, merged.facts),
            (alone.syn_ns, alone.syn_ack_ns, alone.first_direction, alone.facts)
        );
    }

    #[test]
    fn a_flow_that_moves_to_another_cpu_keeps_its_times(
        frames in frames::conversation(),
        moved in 0_usize..40,
    ) {
        let (_, alone) = counted(&frames, GAP_NS).only_flow();
        let merged = merged_flow(&counted_on::<2>(&frames, |place, _| usize::from(place >= moved)));
        for (one, other) in merged.directions.iter().zip(alone.directions) {
            prop_assert_eq!(
                (one.iat_sum_us, one.iat_sum_sq, one.iat_min_us, one.iat_max_us),
                (other.iat_sum_us, other.iat_sum_sq, other.iat_min_us, other.iat_max_us)
            );
        }
    }

    #[test]
    fn the_order_of_merging_does_not_matter(
        frames in frames::conversation(),
        turns in vec(0_usize..2, 40),
    ) {
        let mut cpus = counted_on::<2>(&frames, |place, _| turns[place]);
        let (flow, peer) = (merged_flow(&cpus), merged_peer(&cpus));
        cpus.reverse();
        prop_assert_eq!(merged_flow(&cpus), flow);
        prop_assert_eq!(merged_peer(&cpus), peer);
    }

    #[test]
    fn nothing_merged_changes_nothing(frames in frames::conversation()) {
        let tables = counted(&frames, GAP_NS);
        let (_, alone) = tables.only_flow();
        let mut sum = alone;
        sum.merge(&FlowCounters::default());
        prop_assert_eq!(sum, alone);
        prop_assert_eq!(merged_flow(std::slice::from_ref(&tables)), alone);
        let peers: Vec<_> = tables.peers.values().copied().collect();
        prop_assert_eq!(vec![merged_peer(std::slice::from_ref(&tables))], peers);
    }

    #[test]
    fn counters_of_any_value_merge_without_overflow(
        packets in any::<[u64; 2]>(),
        times in any::<[u64; 4]>(),
        sums in any::<[u64; 2]>(),
    ) {
        let of = |place: usize| {
            let mut flow = FlowCounters::default();
            let one = &mut flow.directions[Direction::Ingress.index()];
            one.packets = packets[place];
            one.bytes = sums[place];
            one.iat_sum_sq = sums[place];
            one.first_ns = times[place].min(times[place + 2]);
            one.last_ns = times[place].max(times[place + 2]);
            flow
        };
        let mut sum = of(0);
        sum.merge(&of(1));
        let expected = packets[0].saturating_add(packets[1]);
        prop_assert_eq!(sum.packets(), expected);
    }
}
