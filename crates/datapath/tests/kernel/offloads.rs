//! TCP that leaves the host in super-packets of up to 200 kB (GSO; BIG TCP, whose IPv6 packets carry a
//! hop-by-hop header that no wire sees) and in jumbo frames: counted as the packets on the wire, to the
//! byte.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
};

use crate::support::{FAR, NEAR, Wire, enter, ip, small};
use flows_common::{DirectionCounters, TCP_FLAGS, TcpFlag};
use weir_datapath::{AttachOptions, InterfaceName, Kernel, XdpPreference, boot_ns};

/// Bytes that are sent.
const SENT: usize = 32 << 20;
/// Bytes by which the options of a SYN exceed those of a segment with a timestamp.
const SYN_MORE: u64 = 8;

#[test]
fn tcp_in_super_packets_counts_as_on_the_wire_to_the_byte() {
    if !test_support::root() {
        return;
    }
    for (mtu, most) in [(1_500, 65_536_u64), (1_500, 200_000), (9_000, 200_000)] {
        let wire = Wire::new();
        for (namespace, interface, last) in [(wire.near(), NEAR, 1), (wire.far(), FAR, 2)] {
            let (mtu, most) = (mtu.to_string(), most.to_string());
            let sizes = ["mtu", &mtu, "gso_max_size", &most, "gro_max_size", &most];
            ip(&[&["-n", namespace, "link", "set", interface][..], &sizes].concat());
            let enabled = "net.ipv6.conf.all.disable_ipv6=0";
            ip(&["netns", "exec", namespace, "sysctl", "-qw", enabled]);
            let v4 = format!("192.0.2.{last}/24");
            ip(&["-n", namespace, "addr", "add", &v4, "dev", interface]);
            let v6 = format!("2001:db8::{last}/64");
            ip(&["-n", namespace, "addr", "add", &v6, "dev", interface, "nodad"]);
        }
        wire.run(|wire| {
            let mut kernel = Kernel::load(&small()).expect("loaded");
            let near = InterfaceName::new(NEAR).expect("a name");
            let options = AttachOptions { xdp: XdpPreference::Off, ..AttachOptions::default() };
            kernel.attach(&near, options).expect("attached");
            // Ethernet, IP, and TCP with a timestamp.
            for (far, headers) in [("192.0.2.2", 14 + 20 + 32), ("2001:db8::2", 14 + 40 + 32)] {
                let what = format!("{far}, MTU {mtu}, super-packets of {most}");
                let (sent, frames) = send(wire, &mut kernel, far);
                // What was sent again is on the wire, too.
                let again = sent.payload_bytes.checked_sub(SENT as u64).expect(&what);
                // A super-packet that is sent again may be told as one retransmission.
                let most_again = u64::from(sent.retransmissions) * most;
                assert!(again <= most_again, "{what}: {again} bytes again, at most {most_again}");
                assert_eq!(sent.flags[TcpFlag::Syn.index()], 1, "{what}");
                assert_eq!(
                    sent.bytes,
                    sent.payload_bytes + headers * sent.packets + SYN_MORE,
                    "{what}"
                );
                assert!(u64::from(sent.length_max) <= mtu + 14, "{what}: {}", sent.length_max);
                assert!(frames < sent.packets / 2, "{what}: {frames} of {}", sent.packets);
            }
        });
    }
}

/// Sends bytes to the far end; what was counted of them, and the frames that they were in.
fn send(wire: &Wire, kernel: &mut Kernel, far: &str) -> (DirectionCounters, u64) {
    let far: IpAddr = far.parse().expect("an address");
    let (mut sum, mut frames) = (None::<DirectionCounters>, 0);
    std::thread::scope(|scope| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let sink = scope.spawn(move || {
            enter(wire.far());
            let listener = TcpListener::bind((far, 5_000)).expect("bound");
            ready.send(()).expect("the other end waits");
            let (mut stream, _) = listener.accept().expect("accepted");
            let (mut bytes, mut read) = (vec![0; 1 << 20], 0);
            while let Ok(more @ 1..) = stream.read(&mut bytes) {
                read += more;
            }
            read
        });
        is_ready.recv().expect("it listens");
        let mut stream = TcpStream::connect((far, 5_000)).expect("connected");
        stream.write_all(&vec![7; SENT]).expect("sent");
        drop(stream);
        assert_eq!(sink.join().expect("the sink"), SENT);
    });
    // The last segments are acknowledged a moment later.
    for _ in 0..20 {
        let window = kernel.drain(boot_ns()).expect("a window");
        assert_eq!((window.imbalance(), window.unseen_packets), (0, 0));
        frames += window.packet_counters.frames[1];
        for (_, flow) in window.flows.iter().filter(|(key, _)| key.remote_port == 5_000) {
            let sent = flow.directions[1];
            match &mut sum {
                None => sum = Some(sent),
                Some(sum) => {
                    sum.packets += sent.packets;
                    sum.bytes += sent.bytes;
                    sum.payload_bytes += sent.payload_bytes;
                    sum.retransmissions += sent.retransmissions;
                    sum.length_max = sum.length_max.max(sent.length_max);
                    for flag in 0..TCP_FLAGS {
                        sum.flags[flag] += sent.flags[flag];
                    }
                }
            }
        }
        let is_over = |sum: &DirectionCounters| sum.flags[TcpFlag::Fin.index()] > 0;
        if sum.as_ref().is_some_and(is_over) {
            break;
        }
    }
    (sum.expect("a flow"), frames)
}
