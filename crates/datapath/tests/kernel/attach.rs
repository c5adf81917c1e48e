//! Attaching to an interface, counting what crosses it, and leaving nothing behind.

use crate::support::{
    FAR, LOCAL, NEAR, Wire, attached, ethernet, host, ip, near, small, tagged, udp_v4, udp_v6,
};
use flows_common::{FlowKey, Loss, Window, map_v4};
use weir_datapath::{
    AttachOptions, GuardHook, InterfaceChange, InterfaceName, InterfaceSelection, InterfaceWatch,
    Kernel, KernelError, TcHook, TcPreference, XdpPreference, boot_ns,
};

/// Drains until so many frames were seen, for a veth hands them over a moment later.
fn drain_until(kernel: &mut Kernel, frames: u64) -> Window {
    let mut sum = kernel.drain(boot_ns()).expect("a window");
    for _ in 0..100 {
        if sum.packet_counters.frames.iter().sum::<u64>() >= frames {
            break;
        }
        let next = kernel.drain(boot_ns()).expect("a window");
        sum.packet_counters.add(&next.packet_counters);
        sum.flows.extend(next.flows);
        sum.peers.extend(next.peers);
    }
    sum
}

fn packets_of(window: &Window, wanted: impl Fn(&FlowKey) -> bool) -> [u64; 2] {
    let mut packets = [0; 2];
    for (key, flow) in window.flows.iter().filter(|(key, _)| wanted(key)) {
        assert_ne!(key.ifindex, 0);
        for (sum, direction) in packets.iter_mut().zip(flow.directions) {
            *sum += direction.packets;
        }
    }
    packets
}

#[test]
fn every_packet_is_counted_once_in_its_own_flow() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, attached) = attached(&small(), XdpPreference::Auto).expect("attached");
        assert_eq!((attached.tc, attached.guard), (TcHook::Tcx, GuardHook::XdpNative));
        let (network, host_end) = (wire.network_end(), wire.host_end());
        network.send_times(&udp_v4(host(1), LOCAL, [1000, 53]), 30);
        host_end.send_times(&udp_v4(LOCAL, host(1), [53, 1000]), 20);
        network.send_times(&udp_v6(7, 1, [1001, 53]), 10);
        network.send_times(&tagged(&udp_v4(host(2), LOCAL, [1002, 53]), 42), 5);
        let mut arp = ethernet(0x0806);
        arp.resize(60, 0);
        network.send(&arp);
        network.send(&ethernet(0x0800));

        let window = drain_until(&mut kernel, 67);
        assert_eq!(window.packet_counters.frames, [47, 20]);
        assert_eq!(window.imbalance(), 0);
        let remote = map_v4(host(1));
        assert_eq!(packets_of(&window, |key| key.remote == remote), [30, 20]);
        assert_eq!(packets_of(&window, |key| key.remote[0] == 0x20), [10, 0]);
        assert_eq!(packets_of(&window, |key| key.outer_vlan == 42), [5, 0]);
        assert_eq!(window.packet_counters.losses[Loss::NotIp.index()], 1);
        assert_eq!(window.packet_counters.losses[Loss::TruncatedIpv4.index()], 1);
        let keys: Vec<_> = window.flows.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys.len(), 3, "both directions meet in one key");
    });
}

/// The stack copies such frames for generic XDP, for they have no room before them.
#[test]
fn what_generic_xdp_lets_through_comes_to_the_flows_with_its_ethernet_header() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, attached) = attached(&small(), XdpPreference::Generic).expect("attached");
        assert_eq!(attached.guard, GuardHook::XdpGeneric);
        let network = wire.network_end();
        network.send_times(&udp_v4(host(1), LOCAL, [1000, 53]), 30);
        network.send_times(&udp_v6(7, 1, [1001, 53]), 10);
        network.send_times(&tagged(&udp_v4(host(2), LOCAL, [1002, 53]), 42), 5);
        let mut long = udp_v4(host(3), LOCAL, [1003, 53]);
        long.resize(1_514, 0);
        network.send_times(&long, 5);

        let window = drain_until(&mut kernel, 50);
        assert_eq!((window.packet_counters.frames, window.packet_counters.lost()), ([50, 0], 0));
        assert_eq!(packets_of(&window, |key| key.remote == map_v4(host(1))), [30, 0]);
        assert_eq!(packets_of(&window, |key| key.remote[0] == 0x20), [10, 0]);
        assert_eq!(packets_of(&window, |key| key.outer_vlan == 42), [5, 0]);
        let bytes = window.flows.iter().map(|(_, flow)| flow.directions[0].bytes).sum::<u64>();
        assert_eq!(bytes, 30 * 60 + 10 * 70 + 5 * 64 + 5 * 1_514);
    });
}

#[test]
fn a_window_that_is_larger_than_the_tables_balances() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, _) = attached(&small(), XdpPreference::Off).expect("attached");
        let network = wire.network_end();
        for port in 1..=20_000 {
            network.send(&udp_v4(host(9), LOCAL, [port, 53]));
        }
        let mut seen = 0;
        for _ in 0..100 {
            let window = kernel.drain(boot_ns()).expect("a window");
            assert_eq!(window.imbalance(), 0);
            if seen == 0 {
                assert!(window.evicted_flows > 0, "{}", window.flows.len());
            }
            seen += window.packet_counters.frames[0];
            if seen == 20_000 {
                return;
            }
        }
        panic!("{seen} of 20,000 frames were seen");
    });
}

#[test]
fn detaching_leaves_nothing_behind() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        for (xdp, tc) in [
            (XdpPreference::Auto, TcPreference::Auto),
            (XdpPreference::Auto, TcPreference::Clsact),
            (XdpPreference::TcIngress, TcPreference::Clsact),
        ] {
            let mut kernel = Kernel::load(&small()).expect("loaded");
            kernel.attach(&near(), AttachOptions { xdp, tc }).expect("attached");
            let link = wire.output(&["ip", "link", "show", NEAR]);
            assert_eq!(link.contains("xdp"), xdp == XdpPreference::Auto, "{link}");
            kernel.detach(&near()).expect("detached");
            assert!(matches!(kernel.detach(&near()), Err(KernelError::NotAttached { .. })));
            assert!(!wire.output(&["ip", "link", "show", NEAR]).contains("xdp"));
            for end in ["ingress", "egress"] {
                assert_eq!(wire.output(&["tc", "filter", "show", "dev", NEAR, end]), "");
            }
            assert!(!wire.output(&["bpftool", "net", "show"]).contains("tc_"));
        }
    });
}

#[test]
fn dropping_the_kernel_detaches_too() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        drop(attached(&small(), XdpPreference::Generic).expect("attached"));
        assert!(!wire.output(&["ip", "link", "show", NEAR]).contains("xdp"));
        assert!(!wire.output(&["bpftool", "net", "show"]).contains("tc_"));
    });
}

#[test]
fn a_program_behind_ours_still_sees_every_packet() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        // Two of weir's own: the second one's ingress program is put before the first one's.
        let (mut behind, _) = attached(&small(), XdpPreference::Off).expect("attached");
        let (mut before, _) = attached(&small(), XdpPreference::Off).expect("attached");
        wire.network_end().send_times(&udp_v4(host(1), LOCAL, [1000, 53]), 25);
        assert_eq!(drain_until(&mut before, 25).packet_counters.frames, [25, 0]);
        assert_eq!(drain_until(&mut behind, 25).packet_counters.frames, [25, 0]);
    });
}

#[test]
fn clsact_counts_what_tcx_counts() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let mut kernel = Kernel::load(&small()).expect("loaded");
        let options = AttachOptions { tc: TcPreference::Clsact, xdp: XdpPreference::Off };
        assert_eq!(kernel.attach(&near(), options).expect("attached").tc, TcHook::Clsact);
        wire.network_end().send_times(&udp_v4(host(1), LOCAL, [1000, 53]), 12);
        wire.host_end().send_times(&udp_v4(LOCAL, host(1), [53, 1000]), 7);
        let window = drain_until(&mut kernel, 19);
        assert_eq!((window.packet_counters.frames, window.imbalance()), ([12, 7], 0));
    });
}

#[test]
fn a_filter_of_somebody_else_survives() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        wire.output(&["tc", "qdisc", "add", "dev", NEAR, "clsact"]);
        let bytecode = "1,6 0 0 4294967295";
        let place = ["tc", "filter", "add", "dev", NEAR, "ingress", "prio", "51"];
        let filter = [&place[..], &["bpf", "bytecode", bytecode]].concat();
        wire.output(&filter);
        let mut kernel = Kernel::load(&small()).expect("loaded");
        let options = AttachOptions { tc: TcPreference::Clsact, ..AttachOptions::default() };
        kernel.attach(&near(), options).expect("attached");
        kernel.detach(&near()).expect("detached");
        let left = wire.output(&["tc", "filter", "show", "dev", NEAR, "ingress"]);
        assert!(left.contains(bytecode) && !left.contains("tc_ingress"), "{left}");
    });
}

#[test]
fn a_super_packet_counts_as_its_segments() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let (mut kernel, _) = attached(&small(), XdpPreference::Off).expect("attached");
        ip(&["-n", wire.near(), "addr", "add", "192.0.2.1/24", "dev", NEAR]);
        let far = wire.near().replace("-n", "-f");
        ip(&["-n", &far, "addr", "add", "192.0.2.2/24", "dev", FAR]);
        let listener = std::net::TcpListener::bind("192.0.2.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let writer = std::thread::spawn(move || {
            crate::support::enter(&far);
            let mut stream = std::net::TcpStream::connect(address).expect("a connection");
            std::io::Write::write_all(&mut stream, &vec![7; 1 << 20]).expect("a megabyte");
        });
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut received = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut received).expect("a megabyte");
        writer.join().expect("a writer");
        let window = drain_until(&mut kernel, 4);
        assert_eq!(window.imbalance(), 0);
        let [incoming, _] = window.packet_counters.segments;
        assert!(incoming > (1 << 20) / 1_460, "{incoming} segments");
        assert!(incoming > window.packet_counters.frames[0], "no super-packet was seen");
        let payload: u64 =
            window.flows.iter().map(|(_, flow)| flow.directions[0].payload_bytes).sum();
        assert_eq!(payload, 1 << 20);
    });
}

#[test]
fn an_unknown_interface_is_named() {
    if !test_support::root() {
        return;
    }
    let mut kernel = Kernel::load(&small()).expect("loaded");
    let name = InterfaceName::new("weir-none").expect("a valid name");
    let error = kernel.attach(&name, AttachOptions::default()).expect_err("there is none");
    assert!(error.to_string().starts_with("no interface `weir-none`"), "{error}");
}

#[test]
fn an_interface_that_comes_is_renamed_is_moved_or_goes_is_told() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|wire| {
        let mut watch =
            InterfaceWatch::new(InterfaceSelection::new(["near*", "plug?"])).expect("a watch");
        assert_eq!(watch.known().map(InterfaceName::as_str).collect::<Vec<_>>(), [NEAR]);
        assert_eq!(watch.changes().expect("no change"), []);
        ip(&["-n", wire.near(), "link", "add", "plug1", "type", "veth", "peer", "other"]);
        assert!(watch.wait(std::time::Duration::from_secs(5)).expect("an event"));
        let changes = watch.changes().expect("a change");
        let [InterfaceChange::Added { name, ifindex }] = &changes[..] else {
            panic!("{changes:?}");
        };
        assert_eq!((name.as_str(), *ifindex), ("plug1", name.index().expect("its index")));
        let (before, ifindex) = (name.clone(), *ifindex);
        ip(&["-n", wire.near(), "link", "set", "plug1", "name", "plug2"]);
        assert!(watch.wait(std::time::Duration::from_secs(5)).expect("an event"));
        let name = InterfaceName::new("plug2").expect("a name");
        let gone = InterfaceChange::Removed { name: before, ifindex };
        let came = InterfaceChange::Added { name: name.clone(), ifindex };
        assert_eq!(watch.changes().expect("a change"), [gone, came]);
        ip(&["-n", wire.near(), "link", "set", "plug2", "netns", wire.far()]);
        assert!(watch.wait(std::time::Duration::from_secs(5)).expect("an event"));
        let gone = InterfaceChange::Removed { name, ifindex };
        assert_eq!(watch.changes().expect("a change"), [gone]);
        ip(&["-n", wire.near(), "link", "add", "plug3", "type", "veth", "peer", "third"]);
        assert_eq!(watch.changes().expect("a change").len(), 1);
        ip(&["-n", wire.near(), "link", "del", "plug3"]);
        assert!(watch.wait(std::time::Duration::from_secs(5)).expect("an event"));
        let changes = watch.changes().expect("a change");
        assert!(matches!(&changes[..], [InterfaceChange::Removed { .. }]), "{changes:?}");
    });
}
