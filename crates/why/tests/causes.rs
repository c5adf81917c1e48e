//! Ten causes for which a packet vanishes, staged in two network namespaces: each is named, with as many
//! packets as were sent.

// The support of the kernel's tests knows itself by its package's name.
extern crate datapath as weir_datapath;

#[path = "../../datapath/tests/kernel/support.rs"]
mod support;

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    path::PathBuf,
    process::Command,
    thread::sleep,
    time::Duration,
};

use datapath::{
    Block, BlockAction, Kernel, KernelOptions, RateLimit, Scope, Service, ServiceLimit, Target,
    XdpPreference, boot_ns, mount_bpffs,
};
use events::Action;
use support::{LOCAL, NEAR, Wire, attached, host, ip, small, tcp_v4, udp_v4};
use why::{Answer, Cause, Finding, Question, Sources, ask};

const SECOND: u64 = 1_000_000_000;
/// Frames sent for a cause.
const SENT: u32 = 30;
/// Time in which a frame has gone through a veth pair and the stack; nothing tells that it has.
const SETTLED: Duration = Duration::from_millis(300);

/// The near namespace as a host with the address [`LOCAL`], and a BPF filesystem of its own.
struct Stage<'a> {
    wire: &'a Wire,
    bpffs: PathBuf,
}

impl<'a> Stage<'a> {
    fn new(wire: &'a Wire, name: &str) -> Self {
        let bpffs = std::env::temp_dir().join(format!("weir-why-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&bpffs).expect("a folder");
        assert!(mount_bpffs(&bpffs).expect("a BPF filesystem"));
        let near = |rest: &[&str]| ip(&[&["-n", wire.near()], rest].concat());
        near(&["link", "set", "lo", "up"]);
        near(&["link", "set", NEAR, "address", "02:00:00:00:00:01"]);
        near(&["address", "add", "192.0.2.1/24", "dev", NEAR]);
        near(&["route", "add", "198.51.100.0/24", "dev", NEAR]);
        near(&["route", "add", "203.0.113.0/24", "dev", NEAR]);
        for last in 1..=20 {
            // Answers go out, to nobody.
            let address = format!("198.51.100.{last}");
            near(&["neigh", "add", &address, "lladdr", "02:00:00:00:00:02", "dev", NEAR]);
        }
        for setting in ["conf.all.rp_filter=0", "conf.default.rp_filter=0", "ip_forward=0"] {
            wire.output(&["sysctl", "-qw", &format!("net.ipv4.{setting}")]);
        }
        wire.output(&["sysctl", "-qw", &format!("net.ipv4.conf.{NEAR}.rp_filter=0")]);
        Self { wire, bpffs }
    }

    fn guarded(&self, xdp: XdpPreference) -> Kernel {
        let options = KernelOptions { pin: Some(self.bpffs.clone()), ..small() };
        attached(&options, xdp).expect("attached").0
    }

    /// Sends so many frames while it is asked.
    fn ask(&self, what: &str, frame: &[u8], times: u32) -> Answer {
        let question = Question::parse(&[what]).expect("a question");
        let sources = Sources { node: None, bpffs: &self.bpffs };
        let sender = self.wire.network_end();
        let answer = ask(&question, &sources, || {
            sender.send_times(frame, times);
            sleep(SETTLED);
        });
        assert_eq!(answer.not_seen, Vec::<String>::new(), "{}", answer.text());
        answer
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.bpffs, nix::mount::MntFlags::MNT_DETACH);
        let _ = std::fs::remove_dir(&self.bpffs);
    }
}

/// Runs `body` in a namespace that is a host of its own.
fn staged(name: &str, body: impl FnOnce(&Stage<'_>) + Send) {
    if test_support::root() {
        Wire::new().run(|wire| body(&Stage::new(wire, name)));
    }
}

/// The only finding.
fn only(answer: &Answer) -> &Finding {
    assert_eq!(answer.findings.len(), 1, "{}", answer.text());
    &answer.findings[0]
}

fn datagram(last: u8, port: u16) -> Vec<u8> {
    udp_v4(host(last), LOCAL, [4_000, port])
}

/// A SYN with the checksum that it should have.
fn syn(last: u8, ports: [u16; 2]) -> Vec<u8> {
    const SYN: u8 = 0x02;
    let mut frame = tcp_v4(host(last), LOCAL, ports, SYN, &[]);
    let segment = frame[34..54].to_vec();
    let pseudo = [&host(last)[..], &LOCAL, &[0, 6, 0, 20], &segment].concat();
    let mut sum: u32 =
        pseudo.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !u16::try_from(sum).expect("folded");
    frame[50..52].copy_from_slice(&checksum.to_be_bytes());
    frame
}

fn block(action: BlockAction) -> Block {
    Block { action, scope: Scope::All, expires_ns: boot_ns() + 60 * SECOND, reason: 3 }
}

const ONE_A_SECOND: RateLimit = RateLimit { packets_per_second: 1, burst_packets: 5 };

#[test]
fn weirs_block_is_named_wherever_the_guard_sits() {
    let hooks = [XdpPreference::Native, XdpPreference::Generic, XdpPreference::TcIngress];
    for (number, xdp) in hooks.into_iter().enumerate() {
        staged(&format!("block{number}"), |stage| {
            let kernel = stage.guarded(xdp);
            let target = Target::from(std::net::IpAddr::from(host(1)));
            kernel
                .blocklist()
                .insert(target, &block(BlockAction::Drop), boot_ns())
                .expect("a block");
            let answer = stage.ask("198.51.100.1", &datagram(1, 53), SENT);
            let found = only(&answer);
            assert_eq!((found.cause, found.packets), (Cause::Block, Some(SENT.into())));
            assert!(answer.verdict.starts_with("weir: 30 packets dropped (block)"), "{xdp:?}");
            assert!(
                found.look.as_ref().is_some_and(|look| look.contains("weir unblock 198.51.100.1"))
            );
            // Another one is not taken for it.
            let other = stage.ask("198.51.100.2", &datagram(2, 53), SENT);
            assert!(other.verdict.starts_with("not weir: NO_SOCKET"), "{}", other.text());
        });
    }
}

#[test]
fn weirs_rate_limit_is_named_with_what_it_left() {
    staged("rate", |stage| {
        let kernel = stage.guarded(XdpPreference::Auto);
        let _takes = UdpSocket::bind("192.0.2.1:53").expect("a socket");
        let target = Target::from(std::net::IpAddr::from(host(3)));
        let limit = block(BlockAction::Limit(ONE_A_SECOND));
        let kept = kernel.blocklist().insert(target, &limit, boot_ns()).expect("a limit");
        let answer = stage.ask("udp 198.51.100.3", &datagram(3, 53), SENT);
        let found = only(&answer);
        let stats = kernel.blocklist().stats(kept.slot).expect("counts");
        assert_eq!((found.cause, found.packets), (Cause::RateLimit, Some(stats.dropped_packets)));
        assert_eq!(stats.dropped_packets + stats.passed_packets, u64::from(SENT));
        assert!((20..=25).contains(&stats.dropped_packets), "{stats:?}");
    });
}

#[test]
fn weirs_limit_of_a_service_is_named() {
    staged("service", |stage| {
        let kernel = stage.guarded(XdpPreference::Auto);
        let _takes = UdpSocket::bind("192.0.2.1:53").expect("a socket");
        let limit = ServiceLimit {
            rate: ONE_A_SECOND,
            action: Action::RateLimit,
            expires_ns: boot_ns() + 60 * SECOND,
            reason: 7,
        };
        let dns = Service { protocol: 17, port: 53 };
        let kept = kernel.blocklist().limit_service(dns, &limit, boot_ns()).expect("a limit");
        let answer = stage.ask("udp 198.51.100.4 192.0.2.1:53", &datagram(4, 53), SENT);
        let found = only(&answer);
        let stats = kernel.blocklist().stats(kept.slot).expect("counts");
        assert_eq!(
            (found.cause, found.packets),
            (Cause::ServiceLimit, Some(stats.dropped_packets))
        );
        assert!((20..=25).contains(&stats.dropped_packets), "{stats:?}");
        assert!(found.what.contains("udp/53"), "{}", found.what);
    });
}

#[test]
fn a_rule_of_the_firewall_is_named() {
    if test_support::program("nft").is_none() {
        return;
    }
    staged("nft", |stage| {
        for rule in [
            "add table inet t",
            "add chain inet t c { type filter hook input priority 0 ; }",
            "add rule inet t c ip saddr 198.51.100.5 drop",
        ] {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", stage.wire.near(), "nft", rule]);
            assert!(command.status().expect("nft runs").success(), "{rule}");
        }
        let _takes = UdpSocket::bind("192.0.2.1:53").expect("a socket");
        let answer = stage.ask("198.51.100.5", &datagram(5, 53), SENT);
        let found = only(&answer);
        assert_eq!(found.reason.as_deref(), Some("NETFILTER_DROP"));
        assert_eq!(found.packets, Some(SENT.into()));
        assert!(found.look.as_ref().is_some_and(|look| look.contains("nft list ruleset")));
    });
}

#[test]
fn a_port_without_a_socket_is_named() {
    staged("socket", |stage| {
        let answer = stage.ask("udp 198.51.100.6", &datagram(6, 9), SENT);
        let found = only(&answer);
        assert_eq!(found.reason.as_deref(), Some("NO_SOCKET"));
        assert_eq!(found.packets, Some(SENT.into()));
        assert_eq!(found.flows, ["udp 198.51.100.6:4000 -> 192.0.2.1:9: 30 packets"]);
    });
}

#[test]
fn a_listener_that_accepts_nobody_is_named() {
    staged("listen", |stage| {
        let listener = TcpListener::bind("192.0.2.1:8080").expect("a listener");
        // SAFETY: a descriptor of ours.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 1) }, 0);
        let full: Vec<TcpStream> =
            (0..2).map(|_| TcpStream::connect("192.0.2.1:8080").expect("room for two")).collect();
        let answer = stage.ask("tcp 198.51.100.8", &syn(8, [4_000, 8_080]), SENT);
        let found = only(&answer);
        assert_eq!((found.cause, found.packets), (Cause::ListenOverflow, Some(SENT.into())));
        assert!(found.what.contains("tcp/8080 has 2 waiting of 1"), "{}", found.what);
        drop(full);
    });
}

#[test]
fn a_full_receive_buffer_is_named() {
    staged("buffer", |stage| {
        let socket = UdpSocket::bind("192.0.2.1:5000").expect("a socket");
        let least: libc::c_int = 1;
        // SAFETY: a descriptor and a number of ours.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                (&raw const least).cast(),
                libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("a small number"),
            )
        };
        assert_eq!(set, 0);
        let answer = stage.ask("udp 198.51.100.9", &datagram(9, 5_000), SENT);
        socket.set_nonblocking(true).expect("a socket");
        let read = std::iter::from_fn(|| socket.recv(&mut [0; 64]).ok()).count() as u64;
        let found = only(&answer);
        assert_eq!(found.reason.as_deref(), Some("SOCKET_RCVBUFF"));
        assert!(read > 0 && read < SENT.into());
        assert_eq!(found.packets, Some(u64::from(SENT) - read));
    });
}

#[test]
fn a_wrong_checksum_is_named() {
    staged("checksum", |stage| {
        let _listener = TcpListener::bind("192.0.2.1:8080").expect("a listener");
        let mut wrong = syn(10, [4_000, 8_080]);
        wrong[50] ^= 0xff;
        let answer = stage.ask("198.51.100.10", &wrong, SENT);
        let found = only(&answer);
        assert_eq!(found.reason.as_deref(), Some("TCP_CSUM"));
        assert_eq!(found.packets, Some(SENT.into()));
    });
}

#[test]
fn a_host_that_forwards_nothing_is_named() {
    staged("forward", |stage| {
        let frame = udp_v4(host(11), [203, 0, 113, 9], [4_000, 53]);
        let answer = stage.ask("198.51.100.11", &frame, SENT);
        let found = only(&answer);
        assert_eq!((found.cause, found.packets), (Cause::NotForwarded, Some(SENT.into())));
        assert!(found.look.as_ref().is_some_and(|look| look.contains("ip_forward")));
    });
}

#[test]
fn what_was_never_sent_never_arrived() {
    staged("never", |stage| {
        let answer = stage.ask("198.51.100.99", &datagram(12, 9), SENT);
        let found = only(&answer);
        assert_eq!((found.cause, found.packets), (Cause::NeverArrived, None));
        let seen = answer.seen.expect("the kernel was followed");
        assert_eq!((seen.arrived, seen.left, seen.dropped), (0, 0, 0));
    });
}

#[test]
fn what_arrives_and_is_taken_is_no_loss() {
    staged("taken", |stage| {
        let _takes = UdpSocket::bind("192.0.2.1:53").expect("a socket");
        let answer = stage.ask("198.51.100.13", &datagram(13, 53), SENT);
        assert!(answer.findings.is_empty(), "{}", answer.text());
        assert_eq!(answer.seen.expect("it was followed").arrived, u64::from(SENT));
        assert!(answer.verdict.starts_with("not weir, and nothing else was lost"));
    });
}
