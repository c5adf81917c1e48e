//! Limits by attacked service, on real packets and in test runs: who is held to them, who is not.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::support::{LOCAL, Wire, attached, host, small, tagged, tcp_v4, udp_v4, udp_v6};
use flows_common::{
    Action, Direction, GuardCounters, Scope,
    parse::{TCP, UDP},
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use weir_datapath::{
    Block, BlockAction, BlockCount, Blocklist, Kernel, KernelError, KernelOptions, RateLimit,
    Service, ServiceLimit, Target, XdpPreference, boot_ns, mount_bpffs,
};

const SECOND: u64 = 1_000_000_000;
const DNS: Service = Service { protocol: UDP, port: 53 };
const HTTPS: Service = Service { protocol: TCP, port: 443 };
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const XDP_PASS: u32 = 2;

/// Limit of one packet a second, five at once.
fn limit(action: Action) -> ServiceLimit {
    let rate = RateLimit { packets_per_second: 1, burst_packets: 5 };
    ServiceLimit { rate, action, expires_ns: boot_ns() + 60 * SECOND, reason: 7 }
}

fn limited(blocklist: &Blocklist, service: Service) {
    blocklist.limit_service(service, &limit(Action::RateLimit), boot_ns()).expect("a limit");
}

fn ingress(blocklist: &Blocklist) -> GuardCounters {
    blocklist.guard_counters(Direction::Ingress).expect("a ledger")
}

/// The guard's ledger once it knows of so many frames, for a veth hands them over a moment later.
fn ledger_at(blocklist: &Blocklist, frames: u64) -> GuardCounters {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ledger = ingress(blocklist);
        if ledger.frames >= frames || Instant::now() > deadline {
            assert_eq!(ledger.frames, frames, "{ledger:?}");
            return ledger;
        }
        std::thread::yield_now();
    }
}

/// Counters that a hundred test runs of a frame add to the ledger.
fn ruled(kernel: &mut Kernel, frame: &[u8]) -> GuardCounters {
    let before = ingress(&kernel.blocklist());
    kernel.test_run_xdp(frame, 100).expect("a run");
    let after = ingress(&kernel.blocklist());
    assert_eq!(after.frames - before.frames, 100);
    GuardCounters {
        passed: after.passed - before.passed,
        service_limited: after.service_limited - before.service_limited,
        service_below_rate: after.service_below_rate - before.service_below_rate,
        service_known: after.service_known - before.service_known,
        service_shadowed: after.service_shadowed - before.service_shadowed,
        expired: after.expired - before.expired,
        shadowed: after.shadowed - before.shadowed,
        ..GuardCounters::default()
    }
}

#[test]
fn strangers_share_a_limit_wherever_the_guard_sits_and_no_address_is_blocked() {
    if !test_support::root() {
        return;
    }
    for xdp in [XdpPreference::Native, XdpPreference::Generic, XdpPreference::TcIngress] {
        Wire::new().run(|wire| {
            let (mut kernel, _) = attached(&small(), xdp).expect("attached");
            let blocklist = kernel.blocklist();
            let entry = blocklist
                .limit_service(DNS, &limit(Action::RateLimit), boot_ns())
                .expect("a limit");
            let known = IpAddr::from(host(200));
            blocklist.exempt(&[known], boot_ns() + 60 * SECOND).expect("known");
            let network = wire.network_end();
            let started = Instant::now();
            for last in 1..=100 {
                network.send(&udp_v4(host(last), LOCAL, [1000, 53]));
            }
            network.send_times(&udp_v4(host(200), LOCAL, [1000, 53]), 10);
            network.send_times(&udp_v4(host(1), LOCAL, [1000, 54]), 7);
            let ledger = ledger_at(&blocklist, 117);
            let earned = started.elapsed().as_secs() + 1;
            assert_eq!(ledger.service_limited + ledger.service_below_rate, 100, "{xdp:?}");
            assert!((5..=5 + earned).contains(&ledger.service_below_rate), "{xdp:?} {ledger:?}");
            assert_eq!((ledger.service_known, ledger.passed), (10, 7), "{xdp:?} {ledger:?}");
            assert_eq!((ledger.dropped, ledger.limited), (ledger.service_limited, 0));
            assert_eq!(ledger.dropped_bytes, 60 * ledger.service_limited);
            let stats = blocklist.stats(entry.slot).expect("statistics");
            assert_eq!(stats.dropped_packets, ledger.service_limited);
            assert_eq!(stats.passed_packets, ledger.service_below_rate);
            assert_eq!(blocklist.count().expect("counts"), BlockCount::default());
            // A dropped packet does not reach the flow programs.
            let window = kernel.drain(boot_ns()).expect("a window");
            assert_eq!(window.packet_counters.frames[0], 17 + ledger.service_below_rate, "{xdp:?}");
        });
    }
}

#[test]
fn syns_and_other_segments_have_a_bucket_each() {
    if !test_support::root() {
        return;
    }
    let mut kernel = Kernel::load(&small()).expect("loaded");
    limited(&kernel.blocklist(), HTTPS);
    let mut of = |flags| {
        let added = ruled(&mut kernel, &tcp_v4(host(1), LOCAL, [5000, 443], flags, b""));
        assert_eq!(added.service_below_rate + added.service_limited, 100, "{flags:#x}");
        added.service_below_rate
    };
    assert!((5..20).contains(&of(SYN)));
    assert!(of(SYN) < 5, "the burst is spent");
    assert!((5..20).contains(&of(ACK)), "the other bucket is full");
    assert!(of(SYN | ACK) < 5, "an answer that nobody asked for opens nothing");
}

#[test]
fn a_limit_finds_its_service_behind_tags_and_extension_headers() {
    if !test_support::root() {
        return;
    }
    let mut kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    let v4 = udp_v4(host(1), LOCAL, [1000, 53]);
    let v6 = udp_v6(7, 1, [1000, 53]);
    for frame in [&v4, &tagged(&v4, 7), &tagged(&tagged(&v4, 7), 8), &v6, &with_options(&v6)] {
        // A renewed limit gives no burst anew; a new one does.
        blocklist.lift_service(DNS).expect("a table");
        limited(&blocklist, DNS);
        let added = ruled(&mut kernel, frame);
        assert!((5..20).contains(&added.service_below_rate), "{frame:x?}: {added:?}");
        assert_eq!(added.service_below_rate + added.service_limited, 100, "{added:?}");
    }
    // A later fragment has no port: it is its protocol's port 0.
    let mut fragment = v4.clone();
    fragment[21] = 5;
    assert_eq!(ruled(&mut kernel, &fragment).passed, 100);
    limited(&blocklist, Service { protocol: UDP, port: 0 });
    assert!(ruled(&mut kernel, &fragment).service_limited > 80);
    // Neighbour discovery keeps the link going and is never held to a rate.
    limited(&blocklist, Service { protocol: 58, port: 0 });
    let mut solicitation = v6.clone();
    solicitation[20..22].copy_from_slice(&[58, 255]);
    solicitation[54] = 135;
    assert_eq!(ruled(&mut kernel, &solicitation).passed, 100);
}

/// The IPv6 frame with a destination options header of eight bytes before its transport header.
fn with_options(frame: &[u8]) -> Vec<u8> {
    let mut longer = frame[..54].to_vec();
    let first = std::mem::replace(&mut longer[20], 60);
    longer[19] += 8;
    longer.extend([first, 0, 1, 4, 0, 0, 0, 0]);
    longer.extend(&frame[54..]);
    longer
}

#[test]
fn an_entry_of_the_source_goes_before_the_limit_of_the_service() {
    if !test_support::root() {
        return;
    }
    let mut kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    limited(&blocklist, DNS);
    let block = Block {
        action: BlockAction::Shadow,
        scope: Scope::All,
        expires_ns: boot_ns() + 60 * SECOND,
        reason: 1,
    };
    blocklist.insert(Target::from(IpAddr::from(host(1))), &block, boot_ns()).expect("a block");
    assert_eq!(ruled(&mut kernel, &udp_v4(host(1), LOCAL, [9, 53])).shadowed, 100);
    // Allowed prefixes are exempt.
    blocklist.allow("198.51.100.2/32".parse().expect("a prefix")).expect("allowed");
    let run = kernel.test_run_xdp(&udp_v4(host(2), LOCAL, [9, 53]), 100).expect("a run");
    assert_eq!((run.returned, ingress(&blocklist).allowed), (XDP_PASS, 100));
}

#[test]
fn in_shadow_a_limit_counts_what_it_would_drop() {
    if !test_support::root() {
        return;
    }
    let mut kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    let entry = blocklist.limit_service(DNS, &limit(Action::Shadow), boot_ns()).expect("a limit");
    let added = ruled(&mut kernel, &udp_v4(host(1), LOCAL, [9, 53]));
    assert_eq!(added.service_shadowed + added.service_below_rate, 100);
    assert!(added.service_shadowed > 80, "{added:?}");
    let stats = blocklist.stats(entry.slot).expect("statistics");
    assert_eq!((stats.shadow_packets, stats.passed_packets), (added.service_shadowed, 100));
    assert_eq!(ingress(&blocklist).dropped, 0);
}

#[test]
fn a_limit_ends_with_its_lease_or_when_it_is_lifted() {
    if !test_support::root() {
        return;
    }
    let mut kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    let now = boot_ns();
    let short = ServiceLimit { expires_ns: now + SECOND / 4, ..limit(Action::RateLimit) };
    blocklist.limit_service(DNS, &short, now).expect("a limit");
    let frame = udp_v4(host(1), LOCAL, [9, 53]);
    std::thread::sleep(Duration::from_nanos(short.expires_ns.saturating_sub(boot_ns()) + 1));
    assert_eq!(ruled(&mut kernel, &frame).expired, 100);
    let expired = blocklist.expire_services(boot_ns()).expect("a sweep");
    assert_eq!(expired.iter().map(|one| one.service).collect::<Vec<_>>(), [DNS]);
    assert_eq!(ruled(&mut kernel, &frame).passed, 100);

    limited(&blocklist, DNS);
    assert!(blocklist.lift_service(DNS).expect("it was there"));
    assert!(!blocklist.lift_service(DNS).expect("it is gone"));
    assert_eq!(ruled(&mut kernel, &frame).passed, 100);
}

#[test]
fn limits_are_read_back_listed_and_bounded() {
    if !test_support::root() {
        return;
    }
    let kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    let now = boot_ns();
    let kept = blocklist.limit_service(HTTPS, &limit(Action::RateLimit), now).expect("a limit");
    assert_eq!(blocklist.service(HTTPS).expect("a look"), Some(kept));
    assert_eq!((kept.packet_cost_ns, kept.burst_ns, kept.created_ns), (SECOND, 4 * SECOND, now));
    let again = blocklist.limit_service(HTTPS, &limit(Action::Shadow), now).expect("anew");
    assert_eq!(again.slot, kept.slot, "a replaced limit keeps its statistics");
    for port in 1..=255 {
        limited(&blocklist, Service { protocol: UDP, port });
    }
    let error = blocklist
        .limit_service(Service { protocol: UDP, port: 256 }, &limit(Action::RateLimit), now)
        .expect_err("it is full");
    assert!(matches!(error, KernelError::BlocklistFull { capacity: 256, .. }), "{error}");
    let listed = blocklist.services().expect("a list");
    assert_eq!((listed.len(), listed[0].service), (256, HTTPS));
}

#[test]
fn only_who_acknowledges_this_hosts_own_number_becomes_known() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, _) = attached(&small(), XdpPreference::Native).expect("attached");
        let blocklist = kernel.blocklist();
        // Each CPU has a table of its own: as RSS does, this keeps a connection on one.
        let mut cpu = CpuSet::new();
        cpu.set(0).expect("there is a first CPU");
        sched_setaffinity(Pid::from_raw(0), &cpu).expect("a thread may choose its CPU");
        let (host_end, network_end) = (wire.host_end(), wire.network_end());
        let mut frames = 0;
        // This host's number is 1 in each answer, and what is to be acknowledged is 2.
        let mut ends = |last, answers: bool, acknowledged: u32, payload: &[u8]| {
            network_end.send(&tcp_v4(host(last), LOCAL, [5000, 443], SYN, b""));
            frames += 2;
            ledger_at(&blocklist, frames - 1);
            if answers {
                host_end.send(&tcp_v4(LOCAL, host(last), [443, 5000], SYN | ACK, b""));
            } else {
                host_end.send(&tcp_v4(LOCAL, host(last), [443, 5000], ACK, payload));
            }
            let mut end = tcp_v4(host(last), LOCAL, [5000, 443], ACK, payload);
            end[42..46].copy_from_slice(&acknowledged.to_be_bytes());
            network_end.send(&end);
            ledger_at(&blocklist, frames);
        };
        ends(1, true, 3, b"");
        ends(2, true, 1, b"payload");
        ends(3, false, 2, b"payload");
        ends(5, true, 2, b"");
        kernel.drain(boot_ns()).expect("every program has ended");
        let known: Vec<u8> = (1..=6)
            .filter(|&last| blocklist.is_known(host(last).into(), boot_ns()).expect("a look"))
            .collect();
        assert_eq!(known, [5]);
        assert_eq!(blocklist.known(boot_ns()).expect("a count").known, 1);
        // Nothing listens here: the handshakes are with somebody behind this host, who is served.
        limited(&blocklist, Service::CLOSED_PORTS);
        let mut at = |port| ruled(&mut kernel, &tcp_v4(host(9), LOCAL, [5000, port], SYN, b""));
        assert_eq!(at(443).passed, 100, "an open port");
        assert!(at(444).service_limited > 80);
    });
}

#[test]
fn a_known_peer_keeps_the_longer_time() {
    if !test_support::root() {
        return;
    }
    let kernel = Kernel::load(&small()).expect("loaded");
    let blocklist = kernel.blocklist();
    let peers: Vec<IpAddr> = vec![host(1).into(), "2001:db8::7".parse().expect("an address")];
    let now = boot_ns();
    assert_eq!(blocklist.exempt(&peers, now + 60 * SECOND).expect("known"), 2);
    assert_eq!(blocklist.exempt(&peers, now + SECOND).expect("known"), 0);
    assert!(blocklist.is_known(peers[1], now + 30 * SECOND).expect("a look"));
    assert!(!blocklist.is_known(peers[1], now + 61 * SECOND).expect("a look"));
}

#[test]
fn a_restart_keeps_limits_and_known_peers() {
    if !test_support::root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    assert!(mount_bpffs(folder.path()).expect("a BPF filesystem"));
    let options = KernelOptions { pin: Some(folder.path().to_owned()), ..small() };
    let first = Kernel::load(&options).expect("loaded");
    let until_ns = boot_ns() + 60 * SECOND;
    limited(&first.blocklist(), DNS);
    first.blocklist().exempt(&[host(1).into()], until_ns).expect("known");
    drop(first);
    let mut second = Kernel::load(&options).expect("taken over");
    let blocklist = second.blocklist();
    assert_eq!(ruled(&mut second, &udp_v4(host(1), LOCAL, [9, 53])).service_known, 100);
    assert!(ruled(&mut second, &udp_v4(host(2), LOCAL, [9, 53])).service_limited > 80);
    let next = blocklist.limit_service(HTTPS, &limit(Action::RateLimit), boot_ns());
    let slots: Vec<u32> =
        blocklist.services().expect("a list").iter().map(|one| one.entry.slot).collect();
    assert_eq!(slots[0], next.expect("a limit").slot);
    assert_ne!(slots[0], slots[1], "statistics slots of both lives are kept apart");
    drop((second, blocklist));
    nix::mount::umount2(folder.path(), nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
}
