//! The loaded programs and the host build count the same, bit for bit.
//!
//! Every frame runs through `bpf_prog_test_run` with its own time for a clock, and through the
//! same parsing and accounting on the host; then all flow counters, peer counters and the ledger
//! are compared, key by key.

use flows_common::{Direction, DirectionCounters, EtherClass, Loss, TcpFlag, parse::LinkLayer};
use weir_datapath::SkbContext;

use super::{
    both::{Both, Fed, Host},
    captures::OwnedFrame,
    corpus::{self, CorpusFrame},
    sweeps::{self, SEED, none_of},
};

/// Causes that no frame has: they are of the tables.
const OF_TABLES: [Loss; 2] = [Loss::TableFull, Loss::NoTable];

/// A cause that no test run shows: it takes no frame that short.
const NOT_IN_A_TEST_RUN: Loss = Loss::TruncatedEthernet;

/// A name, and what some direction of some flow is to show.
type Fact = (&'static str, fn(&DirectionCounters) -> bool);

#[test]
fn the_written_frames_leave_out_no_cause_no_class_and_no_counter() {
    let mut host = Host::new();
    let frames = corpus::written();
    assert!(!frames.is_sorted_by_key(|frame| frame.context.tstamp_ns), "time goes back");
    for frame in frames {
        host.count_if(&frame.bytes, &frame.context, |_| true);
    }
    let window = host.take();
    for loss in Loss::ALL.into_iter().filter(|loss| !OF_TABLES.contains(loss)) {
        assert_ne!(
            window.packet_counters.losses[loss.index()],
            0,
            "no frame is lost as {}",
            loss.name()
        );
    }
    for class in EtherClass::ALL {
        assert_ne!(window.packet_counters.not_ip[class.index()], 0, "no frame is {}", class.name());
    }
    for way in Direction::ALL {
        let ways = || window.flows.iter().map(|(_, flow)| &flow.directions[way.index()]);
        for flag in TcpFlag::ALL {
            assert!(ways().any(|one| one.flags[flag.index()] > 1), "{flag:?} {way:?}");
        }
        assert!(ways().any(|one| one.icmp_errors > 0), "an ICMP error {way:?}");
    }
    let facts: [Fact; 7] = [
        ("a retransmission", |one| one.retransmissions > 0),
        ("a gap", |one| one.out_of_order > 0),
        ("a window of zero", |one| one.zero_windows > 0),
        ("a window that shrinks", |one| one.window_min < one.window_first),
        ("a fragment", |one| one.fragments > 0),
        ("a TTL that changes", |one| one.ttl_min < one.ttl_max),
        ("time that leaps", |one| one.iat_max_us == u32::MAX),
    ];
    for (what, holds) in facts {
        let mut ways = window.flows.iter().flat_map(|(_, flow)| &flow.directions);
        assert!(ways.any(holds), "no flow shows {what}");
    }
    let both_ways = |(_, flow): &&(_, flows_common::FlowCounters)| {
        flow.directions.iter().all(|one| one.packets > 0)
    };
    assert!(window.flows.iter().filter(both_ways).count() > 100);
    assert!(window.flows.iter().any(|(key, _)| key.outer_vlan != 0 && key.inner_vlan != 0));
    assert!(
        window.packet_counters.segments_seen() > window.packet_counters.frames.iter().sum::<u64>()
    );
}

#[test]
fn the_written_frames_count_the_same_in_the_kernel_and_on_the_host() {
    if !test_support::root() {
        return;
    }
    let mut both = Both::load();
    let mut differences = Vec::new();
    // Groups of one name, so that a difference names its cause.
    for group in corpus::written().chunk_by(|one, next| one.what == next.what) {
        for frame in group {
            assert_ne!(both.feed_as(&frame.bytes, &frame.context), Fed::Cut, "{}", frame.what);
        }
        differences.extend(both.differences(group[0].what));
    }
    none_of(&differences);
    let ledger = both.ledger();
    for loss in Loss::ALL {
        let occurs = !OF_TABLES.contains(&loss) && loss != NOT_IN_A_TEST_RUN;
        assert_eq!(ledger.losses[loss.index()] > 0, occurs, "{}", loss.name());
    }
    println!("{} frames, {} keys compared", ledger.frames.iter().sum::<u64>(), both.compared());
}

#[test]
fn frames_put_together_by_chance_count_the_same() {
    if !test_support::root() {
        return;
    }
    let mut both = Both::load();
    let mut differences = Vec::new();
    for seed in SEED..SEED + 20 {
        for frame in corpus::drawn(seed, 1_000) {
            both.feed_as(&frame.bytes, &frame.context);
        }
        differences.extend(both.differences(&format!("seed {seed}")));
    }
    println!("{} keys compared", both.compared());
    none_of(&differences);
}

/// What lies behind the Ethernet headers (a VLAN tag is then no IP version), and none of it cut.
#[test]
fn packets_without_an_ethernet_header_count_the_same() {
    if !test_support::root() {
        return;
    }
    let mut both = Both::load();
    let mut differences = Vec::new();
    let mut whole = 0;
    for group in [corpus::written(), corpus::drawn(SEED, 5_000)] {
        for frame in &group {
            let context = SkbContext { link: LinkLayer::Bare, ..frame.context };
            let packet = frame.bytes.get(14..).unwrap_or_default();
            whole += u32::from(both.feed_as(packet, &context) == Fed::Whole);
        }
        differences.extend(both.differences(group[0].what));
    }
    none_of(&differences);
    let ledger = both.ledger();
    println!("{whole} packets, {} keys compared", both.compared());
    assert!(both.compared() > 500 && ledger.losses[Loss::NotIp.index()] > 0);
    assert_eq!(ledger.losses[Loss::TruncatedEthernet.index()], 0);
}

#[test]
fn a_frame_cut_at_any_length_counts_the_same() {
    if test_support::root() {
        sweeps::cut_at_any_length(&few_of_each());
    }
}

#[test]
fn changed_and_random_bytes_count_the_same() {
    if test_support::root() {
        sweeps::changed_and_random_bytes(&few_of_each(), 40);
    }
}

#[test]
fn super_packets_count_the_same() {
    if test_support::root() {
        let frames: Vec<_> = corpus::written().into_iter().map(bare).collect();
        sweeps::super_packets(&frames);
    }
}

/// Eight frames of each name at most, and some put together by chance.
fn few_of_each() -> Vec<OwnedFrame> {
    let written = corpus::written();
    let few =
        written.chunk_by(|one, next| one.what == next.what).flat_map(|group| group.iter().take(8));
    few.cloned().chain(corpus::drawn(SEED, 300)).map(bare).collect()
}

fn bare(frame: CorpusFrame) -> OwnedFrame {
    OwnedFrame { time_ns: frame.context.tstamp_ns, bytes: frame.bytes }
}
