//! A veth pair between two network namespaces: frames are sent at one end, and a host at the
//! other takes them in.
//!
//! Traffic is bounded, between documentation addresses, and cannot leave the namespaces.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use nix::sched::{CloneFlags, setns};

/// The host's interface.
pub const NEAR: &str = "near0";
/// The sender's.
const FAR: &str = "far0";
/// The host, and the port that a socket listens on.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 9;
const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Frames handed to the kernel by one system call.
const AT_ONCE: usize = 64;
/// The longest that frames are waited for at the host.
const PATIENCE: Duration = Duration::from_secs(2);

/// The two namespaces; they go with it.
#[derive(Debug)]
pub struct Wire {
    near: String,
    far: String,
}

impl Wire {
    /// Makes both, with nothing on the wire but what is sent.
    ///
    /// # Errors
    /// iproute2 is not installed, or the process may not make namespaces.
    pub fn new() -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("weir-b{}-{number}-{end}", process::id());
        let wire = Self { near: name("n"), far: name("f") };
        let (near, far) = (wire.near.as_str(), wire.far.as_str());
        for namespace in [near, far] {
            ip(&["netns", "add", namespace])?;
            let quiet = "net.ipv6.conf.default.disable_ipv6=1";
            ip(&["netns", "exec", namespace, "sysctl", "-qw", quiet])?;
            let any = "net.ipv4.conf.default.rp_filter=0";
            ip(&[
                "netns",
                "exec",
                namespace,
                "sysctl",
                "-qw",
                any,
                "net.ipv4.conf.all.rp_filter=0",
            ])?;
        }
        let mac = NEAR_MAC.map(|byte| format!("{byte:02x}")).join(":");
        ip(&[
            "-n", near, "link", "add", NEAR, "address", &mac, "type", "veth", "peer", FAR, "netns",
            far,
        ])?;
        ip(&["-n", near, "address", "add", &format!("{HOST}/32"), "dev", NEAR])?;
        ip(&["-n", near, "link", "set", NEAR, "up"])?;
        ip(&["-n", far, "link", "set", FAR, "up"])?;
        // Without a way back, a source is taken for a forged one.
        ip(&["-n", near, "route", "add", "default", "dev", NEAR])?;
        Ok(wire)
    }

    /// Moves the calling thread to the host's end for good; children that it starts are there too.
    ///
    /// # Errors
    /// The process may not.
    pub fn enter(&self) -> anyhow::Result<()> {
        enter(&self.near)
    }

    /// Opens the sender and the host's socket; the calling thread must have entered.
    ///
    /// # Errors
    /// The process may not open packet sockets.
    pub fn ends(&self) -> anyhow::Result<Ends> {
        let socket = UdpSocket::bind((HOST, PORT)).context("cannot bind at the host's end")?;
        socket.set_nonblocking(true)?;
        let sender = std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                enter(&self.far)?;
                Sender::open()
            });
            sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(Ends { socket, sender })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn enter(namespace: &str) -> anyhow::Result<()> {
    let file = File::open(format!("/run/netns/{namespace}"))?;
    setns(file, CloneFlags::CLONE_NEWNET).context("cannot enter a namespace")
}

/// Runs a command to its end, which must be a good one; returns what it printed.
///
/// # Errors
/// It is not installed, or it failed: what it said.
pub fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    run("ip", arguments).map(drop)
}

/// Both ends, open.
#[derive(Debug)]
pub struct Ends {
    socket: UdpSocket,
    sender: Sender,
}

impl Ends {
    /// Sends so many of the frames, in turn, and returns when all have come in at the host's
    /// interface: how many seconds of the calling thread's CPU time that took. On a veth, the
    /// host's work on a frame is done within the sender's call.
    ///
    /// # Errors
    /// Frames were lost on the wire, time after time.
    pub fn send(&self, frames: &[Vec<u8>], count: usize) -> anyhow::Result<f64> {
        const ATTEMPTS: u32 = 5;
        for _ in 0..ATTEMPTS {
            let before = received()?;
            let (seconds, sent) = crate::cpu::timed(|| self.sender.send(frames, count));
            sent?;
            let whole = arrived(before + count as u64)?;
            self.drain();
            if whole {
                return Ok(seconds);
            }
        }
        bail!("the veth lost frames in {ATTEMPTS} attempts; the machine is too busy to measure")
    }

    /// Number of a few frames that reach the host's socket.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn delivered(&self, frames: &[Vec<u8>], count: usize) -> anyhow::Result<usize> {
        self.drain();
        let before = received()?;
        self.sender.send(frames, count)?;
        ensure!(arrived(before + count as u64)?, "the veth lost frames");
        Ok(self.drain())
    }

    /// Empties the socket; returns how many datagrams it held.
    fn drain(&self) -> usize {
        let mut buffer = [0; 64];
        std::iter::from_fn(|| self.socket.recv(&mut buffer).ok()).count()
    }
}

/// Waits for the host's interface to have counted so many frames; false where it does not.
fn arrived(wanted: u64) -> anyhow::Result<bool> {
    let until = Instant::now() + PATIENCE;
    while received()? < wanted {
        if Instant::now() > until {
            return Ok(false);
        }
        std::thread::yield_now();
    }
    Ok(true)
}

/// Frames that came in at the host's interface.
fn received() -> anyhow::Result<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/dev")?;
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(NEAR)?.strip_prefix(':'))
        .context("the interface is not listed")?;
    // proc_net(5): bytes, then packets.
    Ok(line.split_whitespace().nth(1).context("no count")?.parse()?)
}

#[derive(Debug)]
struct Sender(OwnedFd);

impl Sender {
    /// In the calling thread's namespace.
    fn open() -> anyhow::Result<Self> {
        // SAFETY: no pointers.
        let socket =
            unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        ensure!(socket >= 0, "cannot open a packet socket: {}", io::Error::last_os_error());
        // SAFETY: a descriptor just made.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: integers, for which all zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET)?;
        address.sll_ifindex = nix::net::if_::if_nametoindex(FAR)?.cast_signed();
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>())?;
        // SAFETY: the address is as long as said.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        ensure!(bound == 0, "cannot bind a packet socket: {}", io::Error::last_os_error());
        Ok(Self(socket))
    }

    fn send(&self, frames: &[Vec<u8>], count: usize) -> io::Result<()> {
        let mut parts: Vec<libc::iovec> = frames
            .iter()
            .map(|frame| libc::iovec {
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = parts
            .iter_mut()
            .map(|part| {
                // SAFETY: integers and pointers, for which all zero is a value.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = std::ptr::from_mut(part);
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let (mut left, mut next) = (count, 0);
        while left > 0 {
            let some = left.min(AT_ONCE).min(messages.len() - next);
            let batch = &mut messages[next..next + some];
            let length = libc::c_uint::try_from(some).unwrap_or(libc::c_uint::MAX);
            // SAFETY: the messages point to frames that are alive and only read; at most 64 are
            // sent, which fits.
            let sent = unsafe { libc::sendmmsg(self.0.as_raw_fd(), batch.as_mut_ptr(), length, 0) };
            match usize::try_from(sent) {
                Ok(sent) => {
                    left -= sent;
                    next = (next + sent) % messages.len();
                }
                Err(_) => match io::Error::last_os_error() {
                    error if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                    error => return Err(error),
                },
            }
        }
        Ok(())
    }
}

/// A UDP datagram of 60 bytes from a source to the host's socket.
#[must_use]
pub fn frame(source: Ipv4Addr) -> Vec<u8> {
    let mut frame = [NEAR_MAC, [2, 0, 0, 0, 0, 2]].concat();
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(source.octets());
    frame.extend(HOST.octets());
    let checksum = checksum(&frame[14..34]).to_be_bytes();
    frame[24..26].copy_from_slice(&checksum);
    // Ports, length, no checksum.
    frame.extend([0x10, 0x00]);
    frame.extend(PORT.to_be_bytes());
    frame.extend([0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}

fn checksum(header: &[u8]) -> u16 {
    let sum: u32 =
        header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_with_its_checksum_sums_to_nothing() {
        let frame = frame(Ipv4Addr::new(198, 51, 100, 7));
        assert_eq!(frame.len(), 60);
        assert_eq!(checksum(&frame[14..34]), 0);
    }

    #[test]
    fn what_is_sent_comes_in() {
        if !test_support::root() {
            return;
        }
        let wire = Wire::new().unwrap();
        let delivered = std::thread::scope(|scope| {
            let host = scope.spawn(|| {
                wire.enter().unwrap();
                let frames = [frame(Ipv4Addr::new(198, 51, 100, 7))];
                wire.ends().unwrap().delivered(&frames, 10).unwrap()
            });
            host.join().unwrap()
        });
        assert_eq!(delivered, 10);
    }
}
