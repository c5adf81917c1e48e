//! The guard on real packets: what it drops, what it lets through, what it counts.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::support::{LOCAL, NEAR, Wire, attached, host, ip, near, small, tagged, udp_v4, udp_v6};
use flows_common::{Direction, GuardCounters, Scope, Window, map_v4};
use weir_datapath::{
    AttachOptions, Block, BlockAction, Blocklist, GuardHook, Kernel, KernelError, KernelOptions,
    Loaded, RateLimit, Target, TcPreference, XdpPreference, boot_ns,
};

const SECOND: u64 = 1_000_000_000;

fn drop_for(seconds: u64) -> Block {
    Block {
        action: BlockAction::Drop,
        scope: Scope::All,
        expires_ns: boot_ns() + seconds * SECOND,
        reason: 7,
    }
}

fn v4(last: u8) -> Target {
    Target::from(IpAddr::from(host(last)))
}

fn from_host(last: u8) -> Vec<u8> {
    udp_v4(host(last), LOCAL, [1000, 53])
}

/// The guard's ledger once it knows of so many frames, for a veth hands them over a moment later.
fn ledger_at(blocklist: &Blocklist, frames: u64) -> GuardCounters {
    ledger_of(blocklist, Direction::Ingress, frames)
}

fn ledger_of(blocklist: &Blocklist, direction: Direction, frames: u64) -> GuardCounters {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ledger = blocklist.guard_counters(direction).expect("a ledger");
        if ledger.frames >= frames || Instant::now() > deadline {
            assert_eq!(ledger.frames, frames, "{ledger:?}");
            return ledger;
        }
        std::thread::yield_now();
    }
}

/// Packets from a host that the flow programs counted.
fn counted(kernel: &mut Kernel, last: u8) -> u64 {
    packets_from(&kernel.drain(boot_ns()).expect("a window"), last)
}

fn packets_from(window: &Window, last: u8) -> u64 {
    let from = map_v4(host(last));
    window
        .flows
        .iter()
        .filter(|(key, _)| key.remote == from)
        .map(|(_, flow)| flow.directions[0].packets)
        .sum()
}

#[test]
fn a_blocked_source_is_dropped_wherever_the_guard_sits() {
    if !test_support::root() {
        return;
    }
    for (xdp, tc) in [
        (XdpPreference::Native, TcPreference::Auto),
        (XdpPreference::Generic, TcPreference::Auto),
        (XdpPreference::TcIngress, TcPreference::Auto),
        (XdpPreference::TcIngress, TcPreference::Clsact),
    ] {
        Wire::new().run(|wire| {
            let mut kernel = Kernel::load(&small()).expect("loaded");
            kernel.attach(&near(), AttachOptions { xdp, tc }).expect("attached");
            let blocklist = kernel.blocklist();
            let entry = blocklist.insert(v4(1), &drop_for(60), boot_ns()).expect("a block");
            let network = wire.network_end();
            network.send_times(&from_host(1), 10);
            network.send_times(&tagged(&from_host(1), 42), 3);
            network.send_times(&from_host(2), 5);
            let ledger = ledger_at(&blocklist, 18);
            assert_eq!((ledger.dropped, ledger.passed), (13, 5), "{xdp:?}, {tc:?}");
            assert_eq!(ledger.dropped_bytes, 13 * 60 + 3 * 4, "{xdp:?}, {tc:?}");
            let stats = blocklist.stats(entry.slot).expect("statistics");
            assert_eq!((stats.dropped_packets, stats.dropped_bytes), (13, 13 * 60 + 3 * 4));
            assert!(stats.first_ns > 0 && stats.first_ns <= stats.last_ns);
            if xdp == XdpPreference::Generic {
                return; // What the kernel copies for it has no Ethernet header at TC.
            }
            // What passes XDP is counted a moment later.
            let deadline = Instant::now() + Duration::from_secs(30);
            let (mut of_blocked, mut of_other) = (0, 0);
            while of_other < 5 && Instant::now() < deadline {
                let window = kernel.drain(boot_ns()).expect("a window");
                of_blocked += packets_from(&window, 1);
                of_other += packets_from(&window, 2);
            }
            assert_eq!((of_blocked, of_other), (0, 5), "{xdp:?}, {tc:?}");
        });
    }
}

#[test]
fn a_blocked_ipv6_source_is_dropped() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
        let blocklist = kernel.blocklist();
        let address: IpAddr = "2001:db8::7".parse().expect("an address");
        blocklist.insert(address.into(), &drop_for(60), boot_ns()).expect("a block");
        wire.network_end().send_times(&udp_v6(7, 1, [1000, 53]), 4);
        wire.network_end().send_times(&udp_v6(8, 1, [1000, 53]), 2);
        let ledger = ledger_at(&blocklist, 6);
        assert_eq!((ledger.dropped, ledger.passed), (4, 2));
    });
}

#[test]
fn a_lease_ends_in_the_kernel_without_anybody() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
        let blocklist = kernel.blocklist();
        let now = boot_ns();
        let block = Block {
            action: BlockAction::Drop,
            scope: Scope::All,
            expires_ns: now + 3 * SECOND,
            reason: 0,
        };
        blocklist.insert(v4(1), &block, now).expect("a block");
        let network = wire.network_end();
        network.send(&from_host(1));
        assert_eq!(ledger_at(&blocklist, 1).dropped, 1);
        std::thread::sleep(Duration::from_nanos(block.expires_ns.saturating_sub(boot_ns()) + 1));
        network.send(&from_host(1));
        let ledger = ledger_at(&blocklist, 2);
        assert_eq!((ledger.dropped, ledger.expired), (1, 1));
        let gone = blocklist.expire(boot_ns()).expect("a sweep");
        assert_eq!(gone.iter().map(|blocked| blocked.target).collect::<Vec<_>>(), [v4(1)]);
        assert_eq!(blocklist.list().expect("a list"), []);
    });
}

#[test]
fn shadow_counts_what_it_would_drop_and_drops_nothing() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
        let blocklist = kernel.blocklist();
        let block = Block { action: BlockAction::Shadow, ..drop_for(60) };
        let entry = blocklist.insert(v4(1), &block, boot_ns()).expect("a block");
        wire.network_end().send_times(&from_host(1), 6);
        let ledger = ledger_at(&blocklist, 6);
        assert_eq!((ledger.shadowed, ledger.dropped), (6, 0));
        let stats = blocklist.stats(entry.slot).expect("statistics");
        assert_eq!((stats.shadow_packets, stats.passed_packets), (6, 6));
        assert_eq!(counted(&mut kernel, 1), 6);
    });
}

#[test]
fn a_rate_limit_passes_its_burst_and_counts_every_packet() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
        let blocklist = kernel.blocklist();
        let limit = RateLimit { packets_per_second: 1, burst_packets: 5 };
        let block = Block { action: BlockAction::Limit(limit), ..drop_for(60) };
        let entry = blocklist.insert(v4(1), &block, boot_ns()).expect("a block");
        let started = Instant::now();
        wire.network_end().send_times(&from_host(1), 100);
        let ledger = ledger_at(&blocklist, 100);
        let earned = started.elapsed().as_secs() + 1;
        assert_eq!(ledger.limited + ledger.below_rate, 100);
        assert!((5..=5 + earned).contains(&ledger.below_rate), "{ledger:?}");
        let stats = blocklist.stats(entry.slot).expect("statistics");
        assert_eq!(stats.dropped_packets + stats.passed_packets, 100);
        assert_eq!(counted(&mut kernel, 1), ledger.below_rate);
    });
}

#[test]
fn an_allowed_prefix_goes_before_any_block() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
        let blocklist = kernel.blocklist();
        let prefix = "198.51.100.0/30".parse().expect("a prefix");
        blocklist.allow(prefix).expect("allowed");
        assert_eq!(blocklist.allowed().expect("a list"), [prefix]);
        for last in [1, 4] {
            blocklist.insert(v4(last), &drop_for(60), boot_ns()).expect("a block");
        }
        let network = wire.network_end();
        network.send_times(&from_host(1), 3);
        network.send_times(&from_host(4), 3);
        let ledger = ledger_at(&blocklist, 6);
        assert_eq!((ledger.allowed, ledger.dropped), (3, 3));
        assert!(blocklist.disallow(prefix).expect("it was allowed"));
        network.send(&from_host(1));
        assert_eq!(ledger_at(&blocklist, 7).dropped, 4);
    });
}

#[test]
fn a_blocked_prefix_drops_what_it_holds_until_it_is_removed() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
        let blocklist = kernel.blocklist();
        let prefix = Target::Prefix("198.51.100.0/29".parse().expect("a prefix"));
        blocklist.insert(prefix, &drop_for(60), boot_ns()).expect("a block");
        assert_eq!(blocklist.count().expect("counts").prefixes, 1);
        let network = wire.network_end();
        network.send_times(&from_host(3), 2);
        network.send_times(&from_host(9), 2);
        assert_eq!(ledger_at(&blocklist, 4).dropped, 2);
        // The exact entry goes before the prefix.
        let shadow = Block { action: BlockAction::Shadow, ..drop_for(60) };
        blocklist.insert(v4(3), &shadow, boot_ns()).expect("a block");
        network.send(&from_host(3));
        assert_eq!(ledger_at(&blocklist, 5).shadowed, 1);
        assert!(blocklist.remove(&prefix).expect("it was there"));
        network.send(&from_host(4));
        assert_eq!(ledger_at(&blocklist, 6).dropped, 2);
    });
}

#[test]
fn egress_drops_towards_blocked_remotes() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (kernel, _) = attached(&small(), XdpPreference::Off).expect("attached");
        let blocklist = kernel.blocklist();
        blocklist.insert(v4(1), &drop_for(60), boot_ns()).expect("a block");
        let host_end = wire.host_end();
        host_end.send_times(&udp_v4(LOCAL, host(2), [53, 1000]), 3);
        assert_eq!(ledger_of(&blocklist, Direction::Egress, 3).dropped, 0);
        host_end.try_send(&udp_v4(LOCAL, host(1), [53, 1000]));
        assert_eq!(ledger_of(&blocklist, Direction::Egress, 4).dropped, 1);
        // A packet socket leaves the IP header of so long a frame in a fragment.
        ip(&["-n", wire.near(), "link", "set", NEAR, "mtu", "9000"]);
        let mut long = udp_v4(LOCAL, host(1), [53, 1000]);
        long.resize(8_000, 0);
        host_end.try_send(&long);
        assert_eq!(ledger_of(&blocklist, Direction::Egress, 5).dropped, 2);
    });
}

#[test]
fn what_is_blocked_is_read_back_and_listed() {
    if !test_support::root() {
        return;
    }
    let kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    let now = boot_ns();
    let targets: Vec<Target> = [
        IpAddr::from(host(1)).into(),
        "2001:db8::1".parse::<IpAddr>().expect("an address").into(),
        Target::Prefix("203.0.113.0/24".parse().expect("a prefix")),
        Target::Prefix("2001:db8:1::/48".parse().expect("a prefix")),
    ]
    .into();
    for target in &targets {
        let kept = blocklist.insert(*target, &drop_for(60), now).expect("a block");
        assert_eq!(blocklist.get(target).expect("a look"), Some(kept));
    }
    let mut listed: Vec<Target> =
        blocklist.list().expect("a list").iter().map(|blocked| blocked.target).collect();
    listed.sort();
    let mut wanted = targets.clone();
    wanted.sort();
    assert_eq!(listed, wanted);
    for target in &targets {
        assert!(blocklist.remove(target).expect("removed"));
        assert!(!blocklist.remove(target).expect("gone"));
    }
}

#[test]
fn a_full_blocklist_says_so_and_keeps_what_it_has() {
    if !test_support::root() {
        return;
    }
    let options = KernelOptions { block_capacity: 4, ..small() };
    let kernel = Kernel::load(&options).expect("loaded");
    let blocklist = kernel.blocklist();
    for last in 1..=4 {
        blocklist.insert(v4(last), &drop_for(60), boot_ns()).expect("a block");
    }
    let error = blocklist.insert(v4(5), &drop_for(60), boot_ns()).expect_err("it is full");
    assert!(matches!(error, KernelError::BlocklistFull { capacity: 4, .. }), "{error}");
    assert_eq!(blocklist.count().expect("counts").v4, 4);
    blocklist.insert(v4(4), &drop_for(90), boot_ns()).expect("a renewed block needs no room");
}

#[test]
fn another_xdp_program_is_left_alone_and_the_guard_sits_at_tc() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (_other, _) = attached(&small(), XdpPreference::Native).expect("attached");
        let (mut kernel, attachment) = attached(&small(), XdpPreference::Auto).expect("attached");
        let GuardHook::TcIngress { reason } = attachment.guard else {
            panic!("{:?}", attachment.guard);
        };
        assert!(reason.contains("another XDP program"), "{reason}");
        kernel.detach(&near()).expect("detached");
        let error = kernel_error(XdpPreference::Native);
        assert!(matches!(error, KernelError::XdpOccupied { .. }), "{error}");
        let blocklist = kernel.blocklist();
        assert_eq!(blocklist.count().expect("counts").v4, 0);
        ip(&["-n", wire.near(), "link", "show", NEAR]);
    });
}

fn kernel_error(xdp: XdpPreference) -> KernelError {
    attached(&small(), xdp).map(drop).expect_err("the interface is taken")
}

#[test]
fn many_addresses_are_blocked_in_one_go() {
    if !test_support::root() {
        return;
    }
    let options = KernelOptions { block_capacity: 20_000, ..small() };
    let kernel = Kernel::load(&options).expect("loaded");
    let blocklist = kernel.blocklist();
    let mut addresses: Vec<IpAddr> =
        (0..10_000_u32).map(|n| IpAddr::from((0xc633_0000 + n).to_be_bytes())).collect();
    addresses.extend((0..100_u16).map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])));
    assert_eq!(
        blocklist.insert_all(&addresses, &drop_for(60), boot_ns()).expect("written"),
        10_100
    );
    let count = blocklist.count().expect("counts");
    assert_eq!((count.v4, count.v6), (10_000, 100));
}

#[test]
fn a_list_leaves_a_block_that_stands_its_counters_and_the_longer_lease() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
        let blocklist = kernel.blocklist();
        let short = blocklist.insert(v4(1), &drop_for(10), boot_ns()).expect("a block");
        let long = blocklist.insert(v4(2), &drop_for(600), boot_ns()).expect("a block");
        wire.network_end().send_times(&from_host(1), 3);
        ledger_at(&blocklist, 3);

        let list: Vec<IpAddr> = [1, 2, 3, 3].map(|last| IpAddr::from(host(last))).into();
        let block = drop_for(60);
        let mut bulk = blocklist.bulk(boot_ns(), 0);
        let loaded: Vec<Loaded> = list
            .iter()
            .map(|&address| bulk.put(&Target::from(address), &block).expect("room"))
            .collect();
        assert_eq!(loaded, [Loaded::Replaced, Loaded::Kept, Loaded::New, Loaded::Repeated]);
        assert_eq!(bulk.verify().expect("all there").v4, 3);
        let entry = |last| blocklist.get(&v4(last)).expect("readable").expect("blocked");
        assert_eq!((entry(1).slot, entry(1).expires_ns), (short.slot, block.expires_ns));
        assert_eq!(entry(2), long);
        wire.network_end().send_times(&from_host(1), 2);
        ledger_at(&blocklist, 5);
        assert_eq!(blocklist.stats(short.slot).expect("statistics").dropped_packets, 5);

        // A removal behind its back is noticed.
        blocklist.remove(&v4(3)).expect("removed");
        let error = bulk.verify().expect_err("one is gone");
        assert!(matches!(error, KernelError::LoadNotKept { wrote: 2, read: 1 }), "{error}");
    });
}

#[test]
fn a_list_fills_no_table_that_the_models_blocks_need() {
    if !test_support::root() {
        return;
    }
    let options = KernelOptions { block_capacity: 8, prefix_capacity: 8, ..small() };
    let kernel = Kernel::load(&options).expect("loaded");
    let blocklist = kernel.blocklist();
    let address = |n: u16| Target::from(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n]));
    let network = |n: u16| {
        let first = IpAddr::from([0x2001, 0xdb8, 7, n, 0, 0, 0, 0]);
        Target::Prefix(ipnet::IpNet::new(first, 64).expect("a length"))
    };
    let kinds: [&dyn Fn(u16) -> Target; 3] = [&|n| v4(n.to_be_bytes()[1]), &address, &network];
    for target in kinds {
        // Of the three that are to be left free, a quarter of the table is.
        let mut bulk = blocklist.bulk(boot_ns(), 3);
        let mut put = |n| bulk.put(&target(n), &drop_for(60));
        assert!((1..=6).all(|n| put(n).expect("room") == Loaded::New));
        let refused = put(7).expect_err("the rest is not for lists");
        assert!(matches!(refused, KernelError::Reserved { room: 6, reserve: 2, .. }), "{refused}");
        assert_eq!(put(6).expect("it stands"), Loaded::Repeated);
        for n in [7, 8] {
            blocklist.insert(target(n), &drop_for(60), boot_ns()).expect("the model's block");
        }
        let full = blocklist.insert(target(9), &drop_for(60), boot_ns()).expect_err("no room");
        assert!(matches!(full, KernelError::BlocklistFull { .. }), "{full}");
    }
}

#[test]
fn a_super_packet_that_is_dropped_counts_as_its_packets() {
    if !test_support::root() {
        return;
    }
    let mut kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    blocklist.insert(v4(1), &drop_for(60), boot_ns()).expect("a block");
    let frame = crate::support::tcp_v4(LOCAL, host(1), [80, 1000], 0x10, &[7; 200]);
    let context = weir_datapath::SkbContext { gso_size: 50, gso_segs: 4, ..Default::default() };
    let run = kernel.test_run_tc(Direction::Egress, &frame, &context, 1).expect("a run");
    // `TC_ACT_SHOT`.
    assert_eq!(run.returned, 2);
    let ledger = blocklist.guard_counters(Direction::Egress).expect("a ledger");
    assert_eq!((ledger.frames, ledger.dropped), (1, 4));
    let slot = blocklist.get(&v4(1)).expect("a look").expect("it stands").slot;
    assert_eq!(blocklist.stats(slot).expect("statistics").dropped_packets, 4);
}
