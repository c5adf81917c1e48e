//! Interfaces of every kind that this kernel has: with an Ethernet header and without one, what
//! crosses them is counted in its flow, packet for packet, and a blocked remote is dropped.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    net::{IpAddr, UdpSocket},
    os::fd::AsRawFd as _,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::support::{FAR, NEAR, Wire, enter, ip, small};
use flows_common::{Direction, FlowCounters, Scope, Window, map_v4};
use weir_datapath::{
    AttachOptions, Block, BlockAction, GuardHook, InterfaceName, Kernel, KernelError, Target,
    TcPreference, XdpPreference, boot_ns,
};

/// The interface on top of the wire, or beside it.
pub(crate) const UP: &str = "up0";
/// weir's end and the remote one, over the interface.
const V4: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const V6: [&str; 2] = ["2001:db8:2::1", "2001:db8:2::2"];
/// Datagrams in each exchange.
const TIMES: u64 = 25;
const PAYLOAD: &[u8] = b"payload.";
/// Bytes that a datagram counts: an Ethernet header, whether there is one or not, IP, UDP, payload.
const LENGTHS: [u64; 2] = [14 + 20 + 8 + 8, 14 + 40 + 8 + 8];

/// A kind of interface.
struct Kind {
    name: &'static str,
    /// Frames of it begin with the IP header.
    bare: bool,
    inner: [&'static str; 2],
    /// What makes it, in `ip`'s words: `%i` is the wire's end here, `%l` and `%r` are the addresses on
    /// it here and there, `%L` and `%R` those of IPv6, joined by `;`.
    makes: &'static str,
    /// Both ends have it, or only weir's.
    both: bool,
}

const fn bare(name: &'static str, makes: &'static str) -> Kind {
    Kind { name, bare: true, inner: V4, makes, both: true }
}

const fn ethernet(name: &'static str, both: bool, makes: &'static str) -> Kind {
    Kind { name, bare: false, inner: V4, makes, both }
}

const KINDS: [Kind; 17] = [
    bare("tun", ""),
    bare("WireGuard", "wg"),
    bare("ipip", "link add up0 type ipip local %l remote %r"),
    Kind { inner: V6, ..bare("sit", "link add up0 type sit local %l remote %r ttl 64") },
    bare("gre", "link add up0 type gre local %l remote %r ttl 64"),
    bare("gre with a key and a sum", "link add up0 type gre local %l remote %r key 7 csum"),
    bare("ip6gre", "link add up0 type ip6gre local %L remote %R"),
    Kind { inner: V6, ..bare("ip6tnl", "link add up0 type ip6tnl mode any local %L remote %R") },
    ethernet("gretap", true, "link add up0 type gretap local %l remote %r"),
    ethernet("vxlan", true, "link add up0 type vxlan id 1 dstport 4789 local %l remote %r dev %i"),
    ethernet("geneve", true, "link add up0 type geneve id 1 remote %r"),
    ethernet("VLAN", true, "link add up0 link %i type vlan id 5"),
    ethernet(
        "QinQ",
        true,
        "link add s0 link %i type vlan proto 802.1ad id 7;link set s0 up;link add up0 link s0 type vlan id 5",
    ),
    ethernet("bridge", false, "link add up0 type bridge;link set %i master up0"),
    ethernet(
        "bond",
        false,
        "link add up0 type bond mode active-backup;link set %i down;link set %i master up0",
    ),
    ethernet("macvlan", false, "link add up0 link %i type macvlan mode bridge"),
    ethernet("ipvlan", false, "link add up0 link %i type ipvlan mode l2"),
];

#[test]
fn what_crosses_an_interface_of_any_kind_is_counted_and_dropped_where_it_is_blocked() {
    if !test_support::root() {
        return;
    }
    let mut tried = Vec::new();
    for kind in &KINDS {
        let wire = Wire::new();
        if let Err(why) = make(&wire, kind) {
            test_support::skip(&format!("{}: {why}", kind.name));
            continue;
        }
        let tun = (kind.name == "tun").then(|| Tun::start(&wire));
        dress(&wire, kind);
        wire.run(|wire| {
            let mut kernel = Kernel::load(&small()).expect("loaded");
            for tc in [TcPreference::Auto, TcPreference::Clsact] {
                watch(&mut kernel, wire, kind, tc);
            }
        });
        drop(tun);
        tried.push(kind.name);
    }
    println!("tried: {}", tried.join(", "));
    assert!(tried.contains(&"tun") && tried.contains(&"bridge"), "{tried:?}");
}

/// Counts an exchange, and blocks the next one.
fn watch(kernel: &mut Kernel, wire: &Wire, kind: &Kind, tc: TcPreference) {
    let what = format!("{} by {tc:?}", kind.name);
    let up = InterfaceName::new(UP).expect("a name");
    let options = AttachOptions { xdp: XdpPreference::Auto, tc };
    let attached = kernel.attach(&up, options).expect(&what);
    if kind.bare {
        let GuardHook::TcIngress { reason } = &attached.guard else {
            panic!("{what}: {attached:?}")
        };
        assert_eq!(reason, "its frames have no Ethernet header");
    }
    kernel.drain(boot_ns()).expect("a window");
    assert_eq!(exchange(wire, kind.inner), TIMES, "{what}");
    let window = kernel.drain(boot_ns()).expect("a window");
    assert_eq!(window.imbalance(), 0, "{what}");
    let remote: IpAddr = kind.inner[1].parse().expect("an address");
    let flow = flow_of(&window, remote).unwrap_or_else(|| panic!("{what}: {window:?}"));
    let length = LENGTHS[usize::from(remote.is_ipv6())];
    for way in Direction::ALL {
        let counted = &flow.directions[way.index()];
        assert_eq!((counted.packets, counted.bytes), (TIMES, TIMES * length), "{what} {way:?}");
        assert_eq!(counted.payload_bytes, TIMES * PAYLOAD.len() as u64, "{what} {way:?}");
    }

    let guard = kernel.blocklist();
    let dropped = || guard.guard_counters(Direction::Ingress).expect("a ledger").dropped;
    let before = dropped();
    let block = Block {
        action: BlockAction::Drop,
        scope: Scope::All,
        expires_ns: boot_ns() + (1 << 40),
        reason: 1,
    };
    guard.insert(remote.into(), &block, boot_ns()).expect("a block");
    assert_eq!(exchange(wire, kind.inner), 0, "{what}");
    // Neighbour discovery is of the same remote.
    assert!(dropped() >= before + TIMES, "{what}: {}", dropped() - before);
    assert!(guard.remove(&Target::address(remote)).expect("removed"));
    kernel.detach(&up).expect("detached");
}

fn flow_of(window: &Window, remote: IpAddr) -> Option<FlowCounters> {
    let remote = match remote {
        IpAddr::V4(v4) => map_v4(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    };
    let is_it = |key: &flows_common::FlowKey| key.remote == remote && key.protocol == 17;
    window.flows.iter().find(|(key, _)| is_it(key)).map(|(_, flow)| *flow)
}

/// Datagrams from the far end, each of which the near one answers; how many answers came.
fn exchange(wire: &Wire, [near, far]: [&str; 2]) -> u64 {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let server = UdpSocket::bind((near, 53)).expect("bound");
        server.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let over = &over;
        scope.spawn(move || {
            let mut bytes = [0; 64];
            while !over.load(Ordering::Relaxed) {
                if let Ok((read, from)) = server.recv_from(&mut bytes) {
                    let _ = server.send_to(&bytes[..read], from);
                }
            }
        });
        let client = scope.spawn(move || {
            enter(wire.far());
            let client = UdpSocket::bind((far, 4_000)).expect("bound");
            client.connect((near, 53)).expect("a route");
            client.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
            let mut answers = 0;
            for _ in 0..TIMES {
                // An answer that is late belongs to the datagram before.
                let sent = client.send(PAYLOAD).is_ok();
                assert!(sent, "{}", io::Error::last_os_error());
                let patience = if answers == 0 { 1 } else { 20 };
                answers += u64::from((0..patience).any(|_| client.recv(&mut [0; 64]).is_ok()));
            }
            over.store(true, Ordering::Relaxed);
            answers
        });
        client.join().expect("the client")
    })
}

/// Makes the interface at both ends; an error is the reason why this machine has none.
fn make(wire: &Wire, kind: &Kind) -> Result<(), String> {
    let ends = [(wire.near(), NEAR, ["198.51.100.1", "198.51.100.2"], 1, 2), {
        (wire.far(), FAR, ["198.51.100.2", "198.51.100.1"], 2, 1)
    }];
    for (namespace, interface, [local, remote], here, there) in ends {
        let v6 = |last: i32| format!("2001:db8:1::{last}");
        // Without it an address of IPv6 is refused; its own chatter is no flow of the remote's.
        let ipv6 = "net.ipv6.conf.all.disable_ipv6=0";
        // The interface below another one answers for addresses of its own only.
        let arp = "net.ipv4.conf.all.arp_ignore=1";
        ip(&["netns", "exec", namespace, "sysctl", "-qw", ipv6, arp]);
        ip(&["-n", namespace, "addr", "add", &format!("{local}/24"), "dev", interface]);
        let both = ["addr", "add", &format!("{}/64", v6(here)), "dev", interface, "nodad"];
        ip(&[&["-n", namespace][..], &both].concat());
        if !kind.both && namespace == wire.far() {
            continue;
        }
        if kind.makes == "wg" {
            wireguard(namespace, local, remote)?;
            continue;
        }
        for command in kind.makes.split(';').filter(|command| !command.is_empty()) {
            let command = command
                .replace("%i", interface)
                .replace("%l", local)
                .replace("%r", remote)
                .replace("%L", &v6(here))
                .replace("%R", &v6(there));
            let words = ["-n", namespace].into_iter().chain(command.split(' '));
            run(Command::new("ip").args(words))?;
        }
    }
    Ok(())
}

/// Gives the interface its addresses, and takes it up.
fn dress(wire: &Wire, kind: &Kind) {
    let far = if kind.both { UP } else { FAR };
    for (namespace, interface, address) in
        [(wire.near(), UP, kind.inner[0]), (wire.far(), far, kind.inner[1])]
    {
        let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        let prefix = if address.contains(':') { 64 } else { 24 };
        let address = format!("{address}/{prefix}");
        ip(&[&["-n", namespace, "addr", "add", &address, "dev", interface], nodad].concat());
        ip(&["-n", namespace, "link", "set", interface, "up"]);
    }
    ip(&["-n", wire.near(), "link", "set", NEAR, "up"]);
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// A WireGuard interface with one peer; keys are made of the addresses.
fn wireguard(namespace: &str, local: &str, remote: &str) -> Result<(), String> {
    run(Command::new("ip").args(["-n", namespace, "link", "add", UP, "type", "wireguard"]))?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let key_of = |address: &str| -> Result<(std::path::PathBuf, String), String> {
        let path = folder.path().join(address);
        // Any 32 bytes in base64 are a private key.
        let tail = address.bytes().last().map_or("E", |last| if last == b'1' { "I" } else { "M" });
        std::fs::write(&path, format!("{}{tail}=", "A".repeat(42)))
            .map_err(|error| error.to_string())?;
        let input = File::open(&path).map_err(|error| error.to_string())?;
        let public = run(Command::new("wg").arg("pubkey").stdin(input))?;
        Ok((path, public))
    };
    let (private, _) = key_of(local)?;
    let (_, peer) = key_of(remote)?;
    let private = private.display().to_string();
    let endpoint = format!("{remote}:51820");
    let set = ["wg", "set", UP, "listen-port", "51820", "private-key", &private, "peer", &peer];
    let peer = ["allowed-ips", "192.0.2.0/24", "endpoint", &endpoint];
    run(Command::new("ip").args(["netns", "exec", namespace]).args(set).args(peer))?;
    Ok(())
}

/// A tun in each namespace, and what carries packets between the two: a VPN without its crypto.
struct Tun {
    stop: std::sync::Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Tun {
    fn start(wire: &Wire) -> Self {
        let mut ends = [wire.near(), wire.far()].map(|namespace| {
            std::thread::scope(|scope| {
                let open = || {
                    enter(namespace);
                    open_tun()
                };
                scope.spawn(open).join().expect("a tun")
            })
        });
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let stopped = std::sync::Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while !stopped.load(Ordering::Relaxed) {
                let mut idle = true;
                for (from, to) in [(0, 1), (1, 0)] {
                    while let Ok(read) = ends[from].read(&mut bytes) {
                        idle = false;
                        // One that the other end does not take, as while it is down, is lost.
                        let _ = ends[to].write(&bytes[..read]);
                    }
                }
                if idle {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Tun {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// A tun of the calling thread's namespace, which goes with the file.
pub(crate) fn open_tun() -> File {
    const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
    // Packets without a header before them (`IFF_TUN | IFF_NO_PI`).
    const FLAGS: i16 = 0x0001 | 0x1000;
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").expect("tun");
    // SAFETY: integers, for which all zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(UP.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = FLAGS;
    // SAFETY: the request is ours, and as the call wants it.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
    assert_eq!(made, 0, "TUNSETIFF: {}", io::Error::last_os_error());
    // SAFETY: as above.
    let flagged = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    assert_eq!(flagged, 0);
    file
}

#[test]
fn an_interface_of_other_frames_is_refused_by_name_and_so_is_xdp_without_ethernet() {
    if !test_support::root() {
        return;
    }
    Wire::new().run(|_| {
        let tun = open_tun();
        let mut kernel = Kernel::load(&small()).expect("loaded");
        let up = InterfaceName::new(UP).expect("a name");
        for (xdp, mode) in [(XdpPreference::Native, "native"), (XdpPreference::Generic, "generic")]
        {
            let options = AttachOptions { xdp, ..AttachOptions::default() };
            let error = kernel.attach(&up, options).expect_err("no XDP").to_string();
            let expected =
                format!("`{UP}` takes no {mode} XDP program: its frames have no Ethernet");
            assert!(error.starts_with(&expected) && error.contains("`xdp = \"auto\"`"), "{error}");
        }
        // A tun may be given any type while it is down (`TUNSETLINK`); 280 is CAN's.
        // SAFETY: an integer.
        let set = unsafe { libc::ioctl(tun.as_raw_fd(), 0x4004_54cd, 280) };
        assert_eq!(set, 0, "TUNSETLINK: {}", io::Error::last_os_error());
        let error = kernel.attach(&up, AttachOptions::default()).expect_err("no IP in it");
        assert!(matches!(error, KernelError::LinkType { hardware: 280, .. }), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("carries CAN frames") && told.contains("WireGuard"), "{told}");
        assert!(kernel.attached().next().is_none());
        let refused = kernel.refused()[&up].clone();
        assert_eq!((refused.why, refused.by_type), (told, true));
    });
}
