//! Pins: the guard outlives the process, and no longer than its leases.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{LOCAL, NEAR, Wire, attached, host, near, small, udp_v4};
use flows_common::{Direction, Scope};
use weir_datapath::{
    AttachOptions, Block, BlockAction, Blocklist, GuardHook, Kernel, KernelError, KernelOptions,
    Target, XdpPreference, boot_ns, gone_namespaces, leftovers, mount_bpffs, stray_guards,
    take_everything_off, unpin_all,
};

/// Environment variable that gives the process to be killed its BPF filesystem.
const VICTIM: &str = "WEIR_TEST_VICTIM";
const SECOND: u64 = 1_000_000_000;
/// Lease of the victim's block, in ns.
const LEASE: u64 = 8 * SECOND;

/// A BPF filesystem of the test's own.
pub(crate) struct BpfFs(pub(crate) PathBuf);

impl BpfFs {
    pub(crate) fn mount(name: &str) -> Self {
        let path = env::temp_dir().join(format!("weir-bpf-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        assert!(mount_bpffs(&path).expect("a BPF filesystem"));
        assert!(!mount_bpffs(&path).expect("it is there"));
        Self(path)
    }

    pub(crate) fn options(&self) -> KernelOptions {
        KernelOptions { pin: Some(self.0.clone()), ..small() }
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
        let _ = std::fs::remove_dir(&self.0);
    }
}

pub(crate) fn blocked(last: u8) -> Target {
    Target::from(IpAddr::from(host(last)))
}

pub(crate) fn block(lease_ns: u64) -> Block {
    Block {
        action: BlockAction::Drop,
        scope: Scope::All,
        expires_ns: boot_ns() + lease_ns,
        reason: 3,
    }
}

fn from_blocked() -> Vec<u8> {
    udp_v4(host(1), LOCAL, [1000, 53])
}

/// Runs this test binary again, in the near namespace, as the process that gets killed.
fn victim(wire: &Wire, bpffs: &Path) -> Child {
    Command::new("ip")
        .args(["netns", "exec", wire.near()])
        .arg(env::current_exe().expect("this binary"))
        .args(["--exact", "pins::the_process_that_gets_killed", "--ignored", "--nocapture"])
        .env(VICTIM, bpffs)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a second process")
}

#[test]
#[ignore = "is run by another test, as the process that gets killed"]
fn the_process_that_gets_killed() {
    let Some(bpffs) = env::var_os(VICTIM) else { return };
    let options = KernelOptions { pin: Some(bpffs.into()), ..small() };
    let (kernel, _) = attached(&options, XdpPreference::Auto).expect("attached");
    let now = boot_ns();
    let kept = kernel.blocklist().insert(blocked(1), &block(LEASE), now).expect("a block");
    println!("\nexpires {}", kept.expires_ns);
    loop {
        std::thread::sleep(Duration::from_mins(1));
    }
}

#[test]
fn a_killed_weir_keeps_its_blocks_until_their_lease_and_no_longer() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("kill");
    Wire::new().run(|wire| {
        let mut victim = victim(wire, &bpffs.0);
        let output = BufReader::new(victim.stdout.take().expect("its output"));
        let expires_ns: u64 = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("expires ")?.parse().ok())
            .expect("the victim blocks");
        victim.kill().expect("kill -9");
        victim.wait().expect("it is gone");
        let network = wire.network_end();
        network.send_times(&from_blocked(), 5);
        assert!(boot_ns() < expires_ns, "the machine is too slow for this lease");
        assert!(!wire.output(&["bpftool", "net", "show"]).contains("tc_"), "an orphan");
        std::thread::sleep(Duration::from_nanos(expires_ns.saturating_sub(boot_ns()) + 1));
        network.send_times(&from_blocked(), 4);
        std::thread::sleep(Duration::from_millis(100));

        let (mut kernel, attachment) =
            attached(&bpffs.options(), XdpPreference::Auto).expect("taken over");
        assert_eq!(attachment.guard, GuardHook::XdpNative);
        let ledger = kernel.blocklist().guard_counters(Direction::Ingress).expect("its ledger");
        assert_eq!((ledger.dropped, ledger.expired), (5, 4), "{ledger:?}");
        kernel.detach(&near()).expect("detached");
    });
}

#[test]
fn a_restart_takes_the_pins_over_and_keeps_the_blocks() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("restart");
    Wire::new().run(|wire| {
        let link = || wire.output(&["ip", "link", "show", NEAR]);
        let (kernel, _) = attached(&bpffs.options(), XdpPreference::Auto).expect("attached");
        let entry =
            kernel.blocklist().insert(blocked(1), &block(60 * SECOND), boot_ns()).expect("a block");
        let prefix = Target::Prefix("203.0.113.0/24".parse().expect("a prefix"));
        kernel.blocklist().insert(prefix, &block(60 * SECOND), boot_ns()).expect("a block");
        drop(kernel);
        assert!(link().contains("xdp"), "the guard stays");

        let (mut kernel, attachment) =
            attached(&bpffs.options(), XdpPreference::Auto).expect("taken over");
        assert_eq!(attachment.guard, GuardHook::XdpNative);
        let blocklist = kernel.blocklist();
        assert_eq!(blocklist.get(&blocked(1)).expect("a look"), Some(entry));
        wire.network_end().send_times(&from_blocked(), 3);
        wire.network_end().send_times(&udp_v4([203, 0, 113, 9], LOCAL, [1, 2]), 2);
        // A veth hands frames over a moment later.
        let dropped =
            || kernel.blocklist().guard_counters(Direction::Ingress).expect("a ledger").dropped;
        let deadline = Instant::now() + Duration::from_secs(30);
        while dropped() < 5 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(dropped(), 5);
        let next = blocklist.insert(blocked(2), &block(60 * SECOND), boot_ns()).expect("a block");
        assert_ne!(next.slot, entry.slot, "statistics slots of both lives are kept apart");
        kernel.detach(&near()).expect("detached");
        assert!(!link().contains("xdp"));
    });
}

#[test]
fn the_pins_belong_to_one_weir_at_a_time() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("lock");
    let first = Kernel::load(&bpffs.options()).expect("loaded");
    let error = Kernel::load(&bpffs.options()).map(drop).expect_err("they are held");
    assert!(matches!(error, KernelError::PinsHeld { .. }), "{error}");
    assert!(matches!(unpin_all(&bpffs.0), Err(KernelError::PinsHeld { .. })));
    assert!(leftovers(&bpffs.0).expect("a list").held);
    drop(first);
    let left = leftovers(&bpffs.0).expect("a list");
    assert_eq!((left.pins.len(), left.held), (9, false));
    assert_eq!(unpin_all(&bpffs.0).expect("removed").len(), 9);
    assert_eq!(leftovers(&bpffs.0).expect("a list").pins.len(), 0);
}

#[test]
fn unpinning_takes_the_guard_off() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("unpin");
    Wire::new().run(|wire| {
        drop(attached(&bpffs.options(), XdpPreference::Generic).expect("attached"));
        assert!(wire.output(&["ip", "link", "show", NEAR]).contains("xdpgeneric"));
        // A mode that is not asked for any more goes, rather than standing in the way.
        let mut kernel = Kernel::load(&bpffs.options()).expect("loaded");
        let options = AttachOptions { xdp: XdpPreference::Native, ..AttachOptions::default() };
        assert_eq!(kernel.attach(&near(), options).expect("attached").guard, GuardHook::XdpNative);
        drop(kernel);
        unpin_all(&bpffs.0).expect("removed");
        assert!(!wire.output(&["ip", "link", "show", NEAR]).contains("xdp"));
    });
}

#[test]
fn pinned_maps_of_other_sizes_are_carried_over_with_what_is_in_force() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("sizes");
    let kernel = Kernel::load(&bpffs.options()).expect("loaded");
    let prefix = Target::Prefix("203.0.113.0/24".parse().expect("a prefix"));
    let mut entries = Vec::new();
    for target in (1..=40).map(blocked).chain([prefix]) {
        let entry = kernel.blocklist().insert(target, &block(60 * SECOND), boot_ns());
        entries.push((target, entry.expect("a block")));
    }
    let now = boot_ns();
    let over = Block { expires_ns: now + 1, ..block(0) };
    kernel.blocklist().insert(blocked(99), &over, now).expect("a block");
    drop(kernel);

    // Larger, and fewer statistics: the slots that are gone become the shared one.
    let other = KernelOptions { block_capacity: 2_048, stats_slots: 16, ..bpffs.options() };
    let kernel = Kernel::load(&other).expect("carried over");
    let blocklist = kernel.blocklist();
    assert_eq!(blocklist.count().expect("counts").v4, 40, "what is past its lease is left behind");
    for (target, mut entry) in entries {
        entry.slot = if entry.slot < 16 { entry.slot } else { 0 };
        assert_eq!(blocklist.get(&target).expect("a look"), Some(entry), "{target}");
    }
    blocklist.stats(0).expect("its slot");
    drop((kernel, blocklist));

    // Too small for what is in force: refused, and nothing is changed.
    let tiny = KernelOptions { block_capacity: 32, ..other.clone() };
    let error = Kernel::load(&tiny).map(drop).expect_err("they do not fit");
    let KernelError::PinMismatch { found, expected, live: 40, .. } = &error else {
        panic!("{error}")
    };
    assert!(found.starts_with("2048 entries") && expected.starts_with("32 entries"), "{error}");
    let blocklist = Kernel::load(&other).expect("as before").blocklist();
    assert_eq!(blocklist.count().expect("counts").v4, 40);
    drop(blocklist);
    unpin_all(&bpffs.0).expect("removed");
}

#[test]
fn guards_of_two_namespaces_share_a_file_system_and_nothing_else() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("namespaces");
    let (one, two) = (Wire::new(), Wire::new());
    let near_index = |wire: &Wire| wire.run(|_| near().index().expect("an index"));
    assert_eq!(near_index(&one), near_index(&two), "an index means an interface in one of them");
    let start = |wire: &Wire| {
        wire.run(|_| {
            let (kernel, attached) =
                attached(&bpffs.options(), XdpPreference::Auto).expect("attached");
            assert_eq!(attached.guard, GuardHook::XdpNative);
            kernel
        })
    };
    // The first ends and leaves its guard; then both run at once.
    drop(start(&one));
    let second = start(&two);
    let first = start(&one);
    second.blocklist().insert(blocked(1), &block(60 * SECOND), boot_ns()).expect("a block");
    for (wire, kernel, dropped) in [(&one, &first, 0), (&two, &second, 3)] {
        wire.network_end().send_times(&from_blocked(), 3);
        let counters = kernel.blocklist().guard_counters(Direction::Ingress).expect("its ledger");
        assert_eq!(counters.dropped, dropped);
    }
    drop((first, second));
    // By hand: the one of the calling thread's namespace; elsewhere it has to be said.
    let held = |wire: &Wire| {
        wire.run(|_| Blocklist::pinned(&bpffs.0).expect("pinned").count().expect("a count").v4)
    };
    assert_eq!((held(&one), held(&two)), (0, 1));
    let error = Blocklist::pinned(&bpffs.0).map(drop).expect_err("which of them?").to_string();
    assert!(error.contains("2 guards are pinned") && error.contains("nsenter"), "{error}");
    unpin_all(&bpffs.0).expect("removed");
}

#[test]
fn pins_of_a_namespace_that_is_gone_are_told_and_the_next_start_removes_them() {
    if !test_support::root() {
        return;
    }
    if std::fs::read_link("/proc/self/ns/pid").ok() != Some("pid:[4026531836]".into()) {
        return test_support::skip("in a container nobody can tell which namespaces are gone");
    }
    let bpffs = BpfFs::mount("gone");
    let (one, two) = (Wire::new(), Wire::new());
    let start = |wire: &Wire| {
        wire.run(|_| attached(&bpffs.options(), XdpPreference::Auto).expect("attached").0)
    };
    let gone = || gone_namespaces(&bpffs.0).expect("a list");
    let folders = || std::fs::read_dir(bpffs.0.join("weir/v4")).expect("a folder").count();
    drop(start(&one));
    drop(start(&two));
    assert_eq!((gone(), folders()), (0, 2), "both guards are in force");
    drop(one);
    // The kernel takes a namespace down when it comes to it.
    let until = Instant::now() + Duration::from_secs(20);
    while gone() == 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((gone(), folders()), (1, 2));
    let kernel = start(&two);
    assert_eq!((gone(), folders()), (0, 1));
    drop(kernel);
    unpin_all(&bpffs.0).expect("removed");
}

#[test]
fn a_guard_that_another_mount_holds_is_told_and_taken_over() {
    if !test_support::root() {
        return;
    }
    let (before, after) = (BpfFs::mount("before"), BpfFs::mount("after"));
    for preference in [XdpPreference::Auto, XdpPreference::TcIngress] {
        Wire::new().run(|wire| {
            let (kernel, _) = attached(&before.options(), preference).expect("attached");
            kernel.blocklist().insert(blocked(1), &block(60 * SECOND), boot_ns()).expect("a block");
            assert_eq!(stray_guards(&after.0).expect("a list"), [""; 0], "a process holds it");
            drop(kernel);
            let program = if preference == XdpPreference::Auto { "xdp_guard" } else { "tc_guard" };
            let stray = [format!("{NEAR} {program}")];
            assert_eq!(stray_guards(&after.0).expect("a list"), stray);
            assert_eq!(stray_guards(&before.0).expect("a list"), [""; 0], "it is pinned there");

            let (kernel, now) = attached(&after.options(), preference).expect("taken over");
            let at_xdp = now.guard == GuardHook::XdpNative;
            assert_eq!(at_xdp, preference == XdpPreference::Auto, "{now:?}");
            let from_flow = udp_v4(host(1), LOCAL, [1000, 53]);
            wire.network_end().send_times(&from_flow, 3);
            let counters = kernel.blocklist().guard_counters(Direction::Ingress);
            assert_eq!(counters.expect("its ledger").dropped, 0, "the old one's block is gone");
            drop(kernel);
            assert_eq!(stray_guards(&after.0).expect("a list"), [""; 0]);
            unpin_all(&after.0).expect("removed");
            unpin_all(&before.0).expect("removed");
        });
    }
}

#[test]
fn everything_comes_off_at_once_whoever_holds_it() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("off");
    Wire::new().run(|wire| {
        let (kernel, _) = attached(&bpffs.options(), XdpPreference::Auto).expect("attached");
        kernel.blocklist().insert(blocked(1), &block(60 * SECOND), boot_ns()).expect("a block");
        let taken = take_everything_off(&bpffs.0, false).expect("a list");
        let hooks = ["tc_egress", "tc_ingress", "xdp_guard"].map(|name| format!("{NEAR} {name}"));
        let mut off = taken.hooks.clone();
        off.sort();
        assert_eq!((off, taken.left), (hooks.to_vec(), Vec::new()));
        assert!(!taken.pins.is_empty() && !bpffs.0.join("weir").exists(), "{:?}", taken.pins);
        wire.network_end().send_times(&from_blocked(), 3);
        let counters = kernel.blocklist().guard_counters(Direction::Ingress).expect("its ledger");
        assert_eq!(counters.dropped, 0);
        drop(kernel);
        let nothing = take_everything_off(&bpffs.0, false).expect("a list");
        assert_eq!((nothing.hooks, nothing.pins), (Vec::new(), Vec::new()));
    });
}

#[test]
fn a_folder_that_others_could_change_is_refused() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("open");
    let folder = bpffs.0.join("weir");
    std::fs::create_dir(&folder).expect("a folder");
    std::os::unix::fs::chown(&folder, Some(65_534), None).expect("root may");
    let error = Kernel::load(&bpffs.options()).map(drop).expect_err("it is not ours").to_string();
    assert!(error.contains("owned by uid 65534") && error.contains("mode=0700"), "{error}");
    std::fs::remove_dir(&folder).expect("it is empty");
    drop(Kernel::load(&bpffs.options()).expect("loaded"));
    unpin_all(&bpffs.0).expect("removed");
}

#[test]
fn a_newer_layout_is_refused_by_name() {
    if !test_support::root() {
        return;
    }
    let bpffs = BpfFs::mount("newer");
    std::fs::create_dir_all(bpffs.0.join("weir/v999")).expect("a folder");
    let error = Kernel::load(&bpffs.options()).map(drop).expect_err("it would enforce against it");
    assert!(matches!(error, KernelError::PinLayout { .. }), "{error}");
    assert!(error.to_string().contains("weir/v999"), "{error}");
    unpin_all(&bpffs.0).expect("removed");
    drop(Kernel::load(&bpffs.options()).expect("loaded"));
}

#[test]
fn a_folder_that_is_no_bpf_filesystem_is_refused_with_the_remedy() {
    if !test_support::root() {
        return;
    }
    let options = KernelOptions { pin: Some(env::temp_dir()), ..small() };
    let error = Kernel::load(&options).map(drop).expect_err("it is none");
    assert!(error.to_string().contains("mount -t bpf bpf"), "{error}");
}
