//! The feature tables as a person reads them, and that every value is finite.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use flows_common::{
    Direction, DirectionCounters, FlowCounters, FlowKey, PacketCounters, PeerCounters, PeerKey,
};
use proptest::prelude::*;
use weir_features::context::Context;
use weir_features::{
    Feature, FlowFeature, HostFeature, Kind, Observed, PeerFeature, ServiceFeature, Window,
};

fn table<F: Feature>() -> String {
    let mut table = String::new();
    for feature in F::ALL {
        let (name, unit, used) = (feature.name(), feature.unit(), feature.used());
        writeln!(table, "{name} [{unit}] {used:?}\n    {}", feature.doc())
            .expect("a string takes what is written");
    }
    table
}

#[test]
fn the_flow_features_are_these() {
    insta::assert_snapshot!(table::<FlowFeature>());
}

#[test]
fn the_peer_features_are_these() {
    insta::assert_snapshot!(table::<PeerFeature>());
}

#[test]
fn the_host_features_are_these() {
    insta::assert_snapshot!(table::<HostFeature>());
}

#[test]
fn the_service_features_are_these() {
    insta::assert_snapshot!(table::<ServiceFeature>());
}

/// Numbers as they come, and those that arithmetic trips over.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 63), any::<u64>(), 0_u64..5_000_000_000]
}

/// Takes numbers one by one, narrowed to what a field holds.
struct Numbers(std::vec::IntoIter<u64>);

impl Numbers {
    fn wide(&mut self) -> u64 {
        self.0.next().expect("as many numbers as fields")
    }

    fn narrow(&mut self) -> u32 {
        let wide = self.wide();
        u32::try_from(wide).unwrap_or((wide >> 32) as u32)
    }

    fn short(&mut self) -> u16 {
        (self.wide() & 0xffff) as u16
    }

    fn byte(&mut self) -> u8 {
        (self.wide() & 0xff) as u8
    }

    fn direction(&mut self) -> DirectionCounters {
        DirectionCounters {
            packets: self.wide(),
            bytes: self.wide(),
            payload_bytes: self.wide(),
            length_sum_sq: self.wide(),
            iat_sum_us: self.wide(),
            iat_sum_sq: self.wide(),
            first_ns: self.wide(),
            last_ns: self.wide(),
            length_min: self.narrow(),
            length_max: self.narrow(),
            iat_min_us: self.narrow(),
            iat_max_us: self.narrow(),
            length_histogram: std::array::from_fn(|_| self.narrow()),
            flags: std::array::from_fn(|_| self.narrow()),
            next_seq: self.narrow(),
            zero_windows: self.narrow(),
            retransmissions: self.narrow(),
            out_of_order: self.narrow(),
            fragments: self.narrow(),
            icmp_errors: self.narrow(),
            window_first: self.short(),
            window_min: self.short(),
            ttl_min: self.byte(),
            ttl_max: self.byte(),
            icmp_type: self.byte(),
            icmp_code: self.byte(),
        }
    }

    fn flow(&mut self) -> FlowCounters {
        FlowCounters {
            directions: [self.direction(), self.direction()],
            syn_ns: [self.wide(), self.wide()],
            syn_ack_ns: [self.wide(), self.wide()],
            openings: [self.narrow(), self.narrow()],
            syn_acks: [self.narrow(), self.narrow()],
            syn_isn: [self.narrow(), self.narrow()],
            syn_ack_isn: [self.narrow(), self.narrow()],
            acknowledged: self.narrow(),
            accepted: self.narrow(),
            first_direction: self.byte(),
            facts: self.byte(),
            memory: self.byte(),
            reserved: [0; 5],
        }
    }

    fn peer(&mut self) -> PeerCounters {
        let mut pair = || [self.wide(), self.wide()];
        PeerCounters {
            flow_inserts: pair(),
            syns: pair(),
            syn_acks: pair(),
            resets: pair(),
            notes: self.wide(),
            first_ns: self.wide(),
            last_ns: self.wide(),
            local_ports: std::array::from_fn(|_| self.wide()),
            local_hosts: self.wide(),
        }
    }
}

/// More than any of the above takes.
const NUMBERS: usize = 104;

fn flow() -> impl Strategy<Value = FlowCounters> {
    prop::collection::vec(number(), NUMBERS).prop_map(|numbers| Numbers(numbers.into_iter()).flow())
}

fn peer() -> impl Strategy<Value = PeerCounters> {
    prop::collection::vec(number(), NUMBERS).prop_map(|numbers| Numbers(numbers.into_iter()).peer())
}

prop_compose! {
    /// Few distinct keys, so that flows and peers come back.
    fn key()(
        local in 0_u8..3,
        remote in 0_u8..4,
        ports in prop::array::uniform2(0_u16..4),
        protocol in prop_oneof![Just(1_u8), Just(6), Just(17), Just(58), any::<u8>()],
    ) -> FlowKey {
        FlowKey {
            local: [local; 16],
            remote: [remote; 16],
            local_port: ports[0],
            remote_port: ports[1],
            protocol,
            ..FlowKey::default()
        }
    }
}

prop_compose! {
    fn window()(
        bounds in [number(), number()],
        flows in prop::collection::btree_map(key(), flow(), 0..8),
        peers in prop::collection::btree_map(0_u8..5, peer(), 0..4),
        segments in [number(), number()],
        evicted in [number(), number(), number()],
    ) -> Window {
        let peers = peers.into_iter();
        Window {
            start_ns: bounds[0],
            end_ns: bounds[1],
            flows: flows.into_iter().collect(),
            peers: peers.map(|(byte, peer)| (PeerKey { address: [byte; 16] }, peer)).collect(),
            packet_counters: PacketCounters { segments, ..PacketCounters::default() },
            evicted_flows: evicted[0],
            evicted_packets: evicted[1],
            evicted_peers: evicted[2],
            unseen_packets: 0,
        }
    }
}

fn assert_finite<'a, F: Feature>(
    records: impl Iterator<Item = &'a F::Record> + Clone,
) -> Result<(), TestCaseError>
where
    F::Record: 'a,
{
    let rows = F::rows(records.clone());
    let scored: Vec<F> = F::scored().collect();
    for (at, record) in records.enumerate() {
        for (place, &feature) in F::ALL.iter().enumerate() {
            let value = feature.value(record);
            prop_assert!(value.is_finite(), "{} is {}", feature.name(), value);
            if let Some(filled) = scored.get(place) {
                prop_assert_eq!(*filled, feature);
                let filled = rows[at * scored.len() + place];
                prop_assert_eq!(value.to_bits(), filled.to_bits(), "{}", feature.name());
            }
            let bounded = feature.unit() == "1"
                && ["_share", "_ratio", "is_"].iter().any(|part| feature.name().contains(part));
            prop_assert!(!bounded || (0.0..=1.0).contains(&value), "{}: {}", feature.name(), value);
        }
    }
    Ok(())
}

fn assert_all_finite(observed: &Observed) -> Result<(), TestCaseError> {
    assert_finite::<FlowFeature>(observed.flows.iter())?;
    assert_finite::<PeerFeature>(observed.peers.iter())?;
    for kind in [Kind::Host, Kind::Net] {
        let rows: Vec<_> = observed.sites_of(kind).collect();
        assert_finite::<HostFeature>(rows.iter().copied())?;
    }
    let rows: Vec<_> = observed.sites_of(Kind::Service).collect();
    assert_finite::<ServiceFeature>(rows.iter().copied())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_windows_make_finite_features_and_a_record_per_flow_and_remote(
        windows in prop::collection::vec(window(), 1..5),
    ) {
        // A row is told from a late one of an earlier window by its span.
        let spans: BTreeSet<_> = windows.iter().map(Window::span).collect();
        prop_assume!(spans.len() == windows.len());
        let mut context = Context::default();
        let mut observed = Observed::default();
        for window in &windows {
            context.observe_into(window, &mut observed);
            prop_assert_eq!(observed.flows.len(), window.flows.len());
            let of_window: Vec<_> = observed
                .peers
                .iter()
                .take_while(|row| row.level == 0 && row.span == window.span())
                .map(|row| row.key)
                .collect();
            prop_assert!(of_window.is_sorted_by(|one, next| one < next));
            for (flow, _) in &window.flows {
                let is_there = of_window.iter().any(|part| part.address == flow.remote);
                let is_nobody = flow.remote == [0; 16] || flow.local == [0; 16];
                prop_assert!(is_there || is_nobody, "{:?}", flow);
            }
            assert_all_finite(&observed)?;
        }
        context.finish_into(&mut observed);
        assert_all_finite(&observed)?;
    }

    #[test]
    fn the_order_of_a_windows_flows_does_not_matter(mut window in window()) {
        let forwards = Context::default().observe(&window);
        window.flows.reverse();
        window.peers.reverse();
        prop_assert_eq!(Context::default().observe(&window), forwards);
    }
}

#[test]
fn a_flow_of_one_packet_each_way_reads_as_expected() {
    let mut counters = FlowCounters::default();
    for (index, packets, bytes) in
        [(Direction::Ingress.index(), 3, 300), (Direction::Egress.index(), 1, 700)]
    {
        counters.directions[index].packets = packets;
        counters.directions[index].bytes = bytes;
        counters.directions[index].first_ns = 1_000_000_000;
        counters.directions[index].last_ns = 1_200_000_000;
    }
    let window = Window {
        start_ns: 1_000_000_000,
        end_ns: 3_000_000_000,
        flows: vec![(FlowKey { protocol: 17, ..FlowKey::default() }, counters)],
        ..Window::default()
    };
    let observed = Context::default().observe(&window);
    let value = |feature: FlowFeature| feature.natural(feature.value(&observed.flows[0]));
    let close = |one: f32, other: f32| {
        assert!((one - other).abs() <= 1e-4 * other.max(1.0), "{one} is not {other}");
    };
    close(value(FlowFeature::IngressPacketRate), 1.5);
    close(value(FlowFeature::EgressByteRate), 350.0);
    close(value(FlowFeature::IngressPacketShare), 0.75);
    close(value(FlowFeature::IngressByteShare), 0.3);
    close(value(FlowFeature::IngressIatMean), 100_000.0);
    close(value(FlowFeature::EgressIatMean), 0.0);
    close(value(FlowFeature::Age), 2.0);
    close(value(FlowFeature::IsUdp), 1.0);
    close(value(FlowFeature::IsNew), 1.0);
    close(value(FlowFeature::RemoteInitiated), 1.0);
}
