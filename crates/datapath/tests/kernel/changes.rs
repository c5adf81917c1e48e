//! An interface that changes under a running weir: its size, features, state, master, kind of frames,
//! and a way to another network namespace and back.

use std::{os::fd::AsRawFd as _, process::Command};

use crate::{
    links::{UP, open_tun},
    support::{FAR, LOCAL, NEAR, Wire, attached, host, ip, small, udp_v4},
};
use flows_common::{Direction, Scope, map_v4};
use weir_datapath::{
    Attached, Block, BlockAction, InterfaceChange, InterfaceName, InterfaceSelection,
    InterfaceWatch, Kernel, KernelError, Target, XdpPreference, boot_ns,
};

/// Frames each way, and as many of who is blocked.
const TIMES: u32 = 10;
const BLOCKED: u8 = 66;

/// What is done to the interface and to its other end, and the bytes that a frame then has.
const CHANGES: [(&str, usize); 9] = [
    ("ip link set %i mtu 1300", 1_200),
    ("ip link set %i mtu 9000", 8_000),
    ("ethtool -K %i gro on tso off gso off tx off rx off", 8_000),
    ("ethtool -K %i gro off tso on gso on tx on rxvlan off txvlan off", 8_000),
    ("ip link set %i down", 0),
    ("ip link set %i up", 60),
    ("ip link set %i promisc on txqueuelen 7 alias uplink", 60),
    ("ip link set %i master br0", 60),
    ("ip link set %i nomaster", 60),
];

#[test]
fn what_changes_about_an_interface_ends_neither_counting_nor_the_guard() {
    if !test_support::root() || test_support::program("ethtool").is_none() {
        return;
    }
    for preference in [XdpPreference::Exclusive, XdpPreference::Generic, XdpPreference::TcIngress] {
        let wire = Wire::new();
        for namespace in [wire.near(), wire.far()] {
            ip(&["-n", namespace, "link", "add", "br0", "type", "bridge"]);
            ip(&["-n", namespace, "link", "set", "br0", "up"]);
        }
        wire.run(|wire| {
            let (mut kernel, attached) = attached(&small(), preference).expect("attached");
            let block = Block {
                action: BlockAction::Drop,
                scope: Scope::All,
                expires_ns: boot_ns() + (1 << 40),
                reason: 1,
            };
            let blocked = Target::address(std::net::IpAddr::from(host(BLOCKED)));
            kernel.blocklist().insert(blocked, &block, boot_ns()).expect("a block");
            let mut watch = InterfaceWatch::new(InterfaceSelection::new([NEAR])).expect("a watch");
            for (change, bytes) in CHANGES {
                for (namespace, end) in [(wire.near(), NEAR), (wire.far(), FAR)] {
                    let words = change.replace("%i", end);
                    let mut command = Command::new("ip");
                    command.args(["netns", "exec", namespace]).args(words.split(' '));
                    let output = command.output().expect("iproute2");
                    assert!(output.status.success(), "{words}: {output:?}");
                }
                if bytes > 0 {
                    exchange(wire, &mut kernel, bytes, &format!("{change}, {attached:?}"));
                }
                assert_eq!(watch.changes().expect("a list"), [], "{change}");
            }
        });
    }
}

/// Frames of a stranger, of who is blocked, and of the host: the first and the last are counted, the
/// others dropped, and nothing goes by unseen.
fn exchange(wire: &Wire, kernel: &mut Kernel, bytes: usize, what: &str) {
    let frame = |from, to, ports| {
        let mut frame = udp_v4(from, to, ports);
        frame.resize(bytes, 0);
        frame
    };
    let dropped = |kernel: &Kernel| {
        let counters = kernel.blocklist().guard_counters(Direction::Ingress);
        counters.expect("a ledger").dropped
    };
    let before = dropped(kernel);
    let network = wire.network_end();
    network.send_times(&frame(host(BLOCKED), LOCAL, [1_000, 53]), TIMES);
    network.send_times(&frame(host(1), LOCAL, [1_000, 53]), TIMES);
    wire.host_end().send_times(&frame(LOCAL, host(1), [53, 1_000]), TIMES);
    let (mut counted, mut length) = ([0; 2], 0);
    for _ in 0..100 {
        let window = kernel.drain(boot_ns()).expect("a window");
        assert_eq!((window.imbalance(), window.unseen_packets), (0, 0), "{what}");
        for (key, flow) in &window.flows {
            assert_ne!(key.remote, map_v4(host(BLOCKED)), "{what}: {:?}", flow.directions);
            if key.remote == map_v4(host(1)) {
                for (sum, way) in counted.iter_mut().zip(&flow.directions) {
                    *sum += way.packets;
                    length = length.max(way.length_max);
                }
            }
        }
        if counted.iter().sum::<u64>() >= 2 * u64::from(TIMES) {
            break;
        }
    }
    assert_eq!(counted, [u64::from(TIMES); 2], "{what}");
    assert_eq!(usize::try_from(length).expect("a length"), bytes, "{what}");
    assert_eq!(dropped(kernel) - before, u64::from(TIMES), "{what}");
}

fn changes(watch: &mut InterfaceWatch) -> Vec<(bool, String)> {
    let told = |change: &InterfaceChange| match change {
        InterfaceChange::Added { name, .. } => (true, name.to_string()),
        InterfaceChange::Removed { name, .. } => (false, name.to_string()),
    };
    watch.changes().expect("a list").iter().map(told).collect()
}

#[test]
fn an_interface_that_was_away_between_two_looks_is_there_anew() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        // An index that is free in the other namespace too, and so is the same afterwards.
        let add = ["link", "add", UP, "index", "77", "type", "veth", "peer", "name", "other"];
        ip(&[&["-n", wire.near()][..], &add].concat());
        let up = InterfaceName::new(UP).expect("a name");
        let mut watch = InterfaceWatch::new(InterfaceSelection::new([UP])).expect("a watch");
        ip(&["-n", wire.near(), "link", "set", UP, "netns", wire.far()]);
        ip(&["-n", wire.far(), "link", "set", UP, "netns", wire.near()]);
        assert_eq!(up.index().expect("its index"), 77, "the lists alone do not tell");
        let anew = [(false, UP.to_owned()), (true, UP.to_owned())];
        assert_eq!(changes(&mut watch), anew);
        assert_eq!(changes(&mut watch), []);
        // In the words of one that goes, and it stays.
        ip(&["-n", wire.near(), "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", wire.near(), "link", "set", UP, "master", "br0"]);
        ip(&["-n", wire.near(), "link", "set", UP, "nomaster"]);
        assert_eq!(changes(&mut watch), []);
    });
}

#[test]
fn an_interface_whose_frames_become_others_is_there_anew_or_refused_by_name() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|_| {
        let tun = open_tun();
        let up = InterfaceName::new(UP).expect("a name");
        let mut watch = InterfaceWatch::new(InterfaceSelection::new([UP])).expect("a watch");
        let mut kernel = Kernel::load(&small()).expect("loaded");
        let options = weir_datapath::AttachOptions::default();
        kernel.attach(&up, options).expect("attached");
        // ETHER, CAN, NONE.
        for (hardware, is_read) in [(1, true), (280, false), (0xfffe, true)] {
            // A tun may be given any type while it is down (`TUNSETLINK`).
            // SAFETY: an integer.
            let set = unsafe { libc::ioctl(tun.as_raw_fd(), 0x4004_54cd, hardware) };
            assert_eq!(set, 0, "TUNSETLINK: {}", std::io::Error::last_os_error());
            let anew = [(false, UP.to_owned()), (true, UP.to_owned())];
            assert_eq!(changes(&mut watch), anew, "{hardware}");
            let _ = kernel.detach(&up);
            let attached = kernel.attach(&up, options);
            match attached {
                Ok(Attached { .. }) => assert!(is_read, "{hardware}"),
                Err(KernelError::LinkType { .. }) => assert!(!is_read, "{hardware}"),
                Err(error) => panic!("{hardware}: {error}"),
            }
            assert_eq!(kernel.refused().contains_key(&up), !is_read);
        }
    });
}
