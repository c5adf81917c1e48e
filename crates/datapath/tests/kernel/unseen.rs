//! Programs of others beside weir's: packets that they keep from weir are noticed by the interface's
//! own counts, and weir goes before them without taking any of them off.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use crate::support::{LOCAL, NEAR, Wire, attached, host, near, small, udp_v4};
use flows_common::{Direction, Window};
use weir_datapath::{
    AttachOptions, GuardHook, Kernel, TcPreference, XdpPreference, boot_ns, neighbours, syscall,
};

/// More than the tolerance of ten seconds.
const TIMES: u32 = 200;

/// Hooks of a program of somebody else's: the program's type, and the hook's (`enum
/// bpf_attach_type`).
const TCX_INGRESS: (u32, u32) = (3, 46);
const TCX_EGRESS: (u32, u32) = (3, 47);
const XDP: (u32, u32) = (6, 37);
/// Return values that end a packet's way through the programs: `TCX_PASS`, `XDP_DROP`.
const PASS: i32 = 0;
const DROP: i32 = 1;
/// `BPF_F_BEFORE`.
const BEFORE: u32 = 1 << 3;

/// A program that returns a number and does nothing, named `other`.
fn program(kind: u32, returns: i32) -> OwnedFd {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct LoadRequest {
        kind: u32,
        instructions: u32,
        code: u64,
        license: u64,
        log: [u64; 2],
        version: u32,
        flags: u32,
        name: [u8; 16],
    }
    const PROG_LOAD: i64 = 5;
    // r0 = the number; exit.
    let code: [u64; 2] = [0xb7 | u64::from(returns.cast_unsigned()) << 32, 0x95];
    let mut name = [0; 16];
    name[..5].copy_from_slice(b"other");
    let request = LoadRequest {
        kind,
        instructions: 2,
        code: code.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 2],
        version: 0,
        flags: 0,
        name,
    };
    // SAFETY: code and license are alive and as long as said.
    unsafe { syscall::descriptor(PROG_LOAD, &request) }.expect("loaded")
}

/// Puts such a program on weir's interface, before whatever is there.
fn other((kind, hook): (u32, u32), returns: i32) -> OwnedFd {
    const LINK_CREATE: i64 = 28;
    let program = program(kind, returns);
    let ifindex = near().index().expect("it is there");
    let flags = if kind == XDP.0 { 0 } else { BEFORE };
    let fd = program.as_raw_fd().cast_unsigned();
    // SAFETY: integers.
    unsafe { syscall::descriptor(LINK_CREATE, &[fd, ifindex, hook, flags, 0, 0, 0, 0]) }
        .expect("attached")
}

/// Sends frames one way and drains the window that holds them.
fn window(
    wire: &Wire,
    kernel: &mut Kernel,
    way: Direction,
    settled: impl Fn(&Window) -> bool,
) -> Window {
    let frame = udp_v4(host(1), LOCAL, [1_000, 53]);
    match way {
        Direction::Ingress => wire.network_end().send_times(&frame, TIMES),
        Direction::Egress => wire.host_end().send_times(&frame, TIMES),
    }
    let mut sum = kernel.drain(boot_ns()).expect("a window");
    // A veth hands frames over a moment later.
    for _ in 0..100 {
        if settled(&sum) {
            break;
        }
        let next = kernel.drain(boot_ns()).expect("a window");
        sum.unseen_packets += next.unseen_packets;
        sum.packet_counters.add(&next.packet_counters);
    }
    sum
}

fn seen(way: Direction) -> impl Fn(&Window) -> bool {
    move |window| window.packet_counters.frames[way.index()] >= u64::from(TIMES)
}

fn unseen(window: &Window) -> bool {
    window.unseen_packets > 0
}

#[test]
fn a_program_that_ends_the_chain_before_weirs_is_noticed_and_weir_goes_before_it() {
    if !test_support::root() {
        return;
    }
    for (hook, way) in [(TCX_EGRESS, Direction::Egress), (TCX_INGRESS, Direction::Ingress)] {
        Wire::new().run(|wire| {
            let (mut kernel, _) = attached(&small(), XdpPreference::Auto).expect("attached");
            let whole = window(wire, &mut kernel, way, seen(way));
            assert!(seen(way)(&whole) && !whole.is_lossy(), "{way:?}: {:?}", whole.packet_counters);

            let other = other(hook, PASS);
            let found = neighbours(Path::new("/sys/fs/bpf"), &near(), None).expect("a list");
            let [one] = &found[..] else { panic!("{found:?}") };
            assert!(one.is_before && one.name.starts_with("other (program "), "{one}");

            let blind = window(wire, &mut kernel, way, unseen);
            assert_eq!((blind.unseen_packets, blind.is_lossy()), (u64::from(TIMES), true));
            assert_eq!(blind.packet_counters.frames[way.index()], 0);
            let attached = kernel.attached().next().expect("attached");
            assert_eq!(attached.unseen[way.index()], u64::from(TIMES));

            // The other program is still there, behind weir's, and nothing is missed any more.
            let found = neighbours(Path::new("/sys/fs/bpf"), &near(), None).expect("a list");
            assert!(matches!(&found[..], [one] if !one.is_before), "{found:?}");
            let whole = window(wire, &mut kernel, way, seen(way));
            assert!(seen(way)(&whole) && !whole.is_lossy(), "{way:?}: {:?}", whole.packet_counters);
            drop(other);
        });
    }
}

#[test]
fn what_another_xdp_program_drops_is_no_fault_for_it_never_comes_to_the_host() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let other = other(XDP, DROP);
        let (mut kernel, attached) = attached(&small(), XdpPreference::Auto).expect("attached");
        assert!(matches!(attached.guard, GuardHook::TcIngress { .. }), "{attached:?}");
        let kept = window(wire, &mut kernel, Direction::Ingress, unseen);
        assert_eq!((kept.unseen_packets, kept.packet_counters.frames), (0, [0, 0]));
        let found = neighbours(Path::new("/sys/fs/bpf"), &near(), None).expect("a list");
        assert!(matches!(&found[..], [one] if one.hook == "XDP" && one.is_before), "{found:?}");
        let counts = wire.output(&["ip", "-s", "link", "show", NEAR]);
        assert!(counts.contains("xdp"), "{counts}");
        drop(other);
    });
}

#[test]
fn filters_of_clsact_are_listed_in_their_order() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let mut kernel = Kernel::load(&small()).expect("loaded");
        let options = AttachOptions { xdp: XdpPreference::Off, tc: TcPreference::Clsact };
        kernel.attach(&near(), options).expect("attached");
        for priority in ["3", "70"] {
            let words = ["tc", "filter", "add", "dev", NEAR, "egress", "prio", priority];
            let words = [&words[..], &["matchall", "action", "continue"]].concat();
            if wire.output(&["tc", "filter", "show", "dev", NEAR, "egress"]).is_empty() {
                test_support::skip("no filters to be had");
                return;
            }
            assert_eq!(wire.output(&words), "");
        }
        kernel.look_around();
        let attached = kernel.attached().next().expect("attached");
        let told: Vec<String> = attached.neighbours.iter().map(ToString::to_string).collect();
        if told.is_empty() {
            test_support::skip("this kernel has no matchall filters");
            return;
        }
        let expected = [
            "clsact egress matchall (priority 3), before weir's",
            "clsact egress matchall (priority 70)",
        ];
        assert_eq!(told, expected);
    });
}
