//! Two network namespaces joined by a veth pair, and raw frames to send between them.
//!
//! `near` is where weir sits, `far` is the network. Nothing leaves the namespaces; both go when
//! the [`Wire`] does.

#![allow(dead_code, reason = "the tests of the whole program use a part of it")]

use std::{
    fs::File,
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use weir_datapath::{
    AttachOptions, Attached, InterfaceName, Kernel, KernelError, KernelOptions, XdpPreference,
};

/// The interface in each namespace.
pub(crate) const NEAR: &str = "near0";
/// The other end of [`NEAR`].
pub(crate) const FAR: &str = "far0";

/// Two namespaces and the wire between them.
#[derive(Debug)]
pub(crate) struct Wire {
    near: String,
    far: String,
}

impl Wire {
    /// Makes both, with IPv6's own chatter off so that counts are exact.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("weir-k{}-{number}-{end}", std::process::id());
        let wire = Self { near: name("n"), far: name("f") };
        for namespace in [&wire.near, &wire.far] {
            ip(&["netns", "add", namespace]);
            for scope in ["all", "default"] {
                let setting = format!("net.ipv6.conf.{scope}.disable_ipv6=1");
                ip(&["netns", "exec", namespace, "sysctl", "-qw", &setting]);
            }
        }
        ip(&[
            "-n", &wire.near, "link", "add", NEAR, "type", "veth", "peer", FAR, "netns", &wire.far,
        ]);
        ip(&["-n", &wire.near, "link", "set", NEAR, "up"]);
        ip(&["-n", &wire.far, "link", "set", FAR, "up"]);
        wire
    }

    /// Runs `body` in the near namespace, on a thread of its own.
    pub(crate) fn run<T: Send>(&self, body: impl FnOnce(&Self) -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&self.near);
                body(self)
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// The near namespace's name, for `ip -n`.
    pub(crate) fn near(&self) -> &str {
        &self.near
    }

    /// The far namespace's name.
    pub(crate) fn far(&self) -> &str {
        &self.far
    }

    /// A socket that sends from the far end: what it sends comes in at [`NEAR`].
    pub(crate) fn network_end(&self) -> Sender {
        Sender::open(&self.far, FAR)
    }

    /// A socket that sends from the near end: what it sends goes out of [`NEAR`].
    pub(crate) fn host_end(&self) -> Sender {
        Sender::open(&self.near, NEAR)
    }

    /// Output of a command in the near namespace.
    pub(crate) fn output(&self, command: &[&str]) -> String {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.near])
            .args(command)
            .output()
            .expect("the command runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// Runs `ip`, which must succeed.
pub(crate) fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("`ip` (iproute2) is there");
    assert!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Moves the calling thread into a namespace.
pub(crate) fn enter(namespace: &str) {
    let namespace = File::open(format!("/run/netns/{namespace}")).expect("the namespace is there");
    // SAFETY: a descriptor of ours.
    let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
}

/// A packet socket on one end of the wire.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: OwnedFd,
    address: libc::sockaddr_ll,
}

impl Sender {
    fn open(namespace: &str, interface: &str) -> Self {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    enter(namespace);
                    Self::open_here(interface)
                })
                .join()
                .expect("a packet socket")
        })
    }

    fn open_here(interface: &str) -> Self {
        // SAFETY: no pointers.
        let socket =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(socket >= 0, "packet socket: {}", io::Error::last_os_error());
        // SAFETY: a descriptor just made.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let index = InterfaceName::new(interface).and_then(|name| name.index()).expect("the end");
        // SAFETY: integers, for which all zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("a small number");
        address.sll_ifindex = index.cast_signed();
        address.sll_halen = 6;
        Self { socket, address }
    }

    /// Sends one frame; on a veth, it has gone through the other end's hooks when this returns
    /// or shortly after.
    pub(crate) fn send(&self, frame: &[u8]) {
        let sent = self.try_send(frame);
        assert_eq!(sent, frame.len().cast_signed(), "send: {}", io::Error::last_os_error());
    }

    /// Sends one frame that a program may drop on its way out; returns what `sendto` does.
    pub(crate) fn try_send(&self, frame: &[u8]) -> isize {
        // SAFETY: the frame and the address are ours and as long as said.
        unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                (&raw const self.address).cast(),
                libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("a small number"),
            )
        }
    }

    /// Sends one frame so many times.
    pub(crate) fn send_times(&self, frame: &[u8], times: u32) {
        for _ in 0..times {
            self.send(frame);
        }
    }
}

/// Loads with small tables and attaches to [`NEAR`].
pub(crate) fn attached(
    options: &KernelOptions,
    xdp: XdpPreference,
) -> Result<(Kernel, Attached), KernelError> {
    let mut kernel = Kernel::load(options)?;
    let options = AttachOptions { xdp, ..AttachOptions::default() };
    let attached = kernel.attach(&near(), options)?;
    Ok((kernel, attached))
}

/// Tables small enough to be made in no time.
pub(crate) fn small() -> KernelOptions {
    KernelOptions {
        flow_capacity: 4_096,
        peer_capacity: 1_024,
        block_capacity: 1_024,
        stats_slots: 64,
        ..KernelOptions::default()
    }
}

/// The near end's name.
pub(crate) fn near() -> InterfaceName {
    InterfaceName::new(NEAR).expect("a valid name")
}

/// A UDP datagram over IPv4 in an Ethernet frame.
pub(crate) fn udp_v4(source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
    let mut frame = ethernet(0x0800);
    frame.extend([0x45, 0, 0, 36, 0, 0, 0, 0, 64, 17]);
    let checksum = checksum_v4(&[&frame[14..24], &[0, 0], &source, &destination].concat());
    frame.extend(checksum.to_be_bytes());
    frame.extend(source);
    frame.extend(destination);
    frame.extend(udp(ports));
    frame.resize(60, 0);
    frame
}

/// A UDP datagram over IPv6 in an Ethernet frame.
pub(crate) fn udp_v6(source: u16, destination: u16, ports: [u16; 2]) -> Vec<u8> {
    let mut frame = ethernet(0x86dd);
    frame.extend([0x60, 0, 0, 0, 0, 16, 17, 64]);
    for last in [source, destination] {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        address[14..].copy_from_slice(&last.to_be_bytes());
        frame.extend(address);
    }
    frame.extend(udp(ports));
    frame
}

/// A TCP segment over IPv4 in an Ethernet frame.
pub(crate) fn tcp_v4(
    source: [u8; 4],
    destination: [u8; 4],
    ports: [u16; 2],
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = ethernet(0x0800);
    let length = u8::try_from(40 + payload.len()).expect("a short payload");
    frame.extend([0x45, 0, 0, length, 0, 0, 0, 0, 64, 6]);
    let checksum = checksum_v4(&[&frame[14..24], &[0, 0], &source, &destination].concat());
    frame.extend(checksum.to_be_bytes());
    frame.extend(source);
    frame.extend(destination);
    frame.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// The frame with an 802.1Q tag.
pub(crate) fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend([0x81, 0x00]);
    tagged.extend(vlan.to_be_bytes());
    tagged.extend(&frame[12..]);
    tagged
}

/// An Ethernet header.
pub(crate) fn ethernet(ether_type: u16) -> Vec<u8> {
    let mut header = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    header.extend(ether_type.to_be_bytes());
    header
}

/// The address of a host in 198.51.100.0/24.
pub(crate) fn host(last: u8) -> [u8; 4] {
    Ipv4Addr::new(198, 51, 100, last).octets()
}

/// weir's own address.
pub(crate) const LOCAL: [u8; 4] = [192, 0, 2, 1];

fn udp(ports: [u16; 2]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(ports[0].to_be_bytes());
    datagram.extend(ports[1].to_be_bytes());
    datagram.extend([0, 16, 0, 0]);
    datagram.extend(*b"payload.");
    datagram
}

fn checksum_v4(header: &[u8]) -> u16 {
    let mut sum: u32 =
        header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
