//! What this host's sockets say, by the kernel's socket monitoring (`sock_diag(7)`), and what its stack
//! counts.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd as _,
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// States of a TCP socket (`net/tcp_states.h`).
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// What a socket says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// The IP protocol.
    pub(crate) protocol: u8,
    /// It waits for others to open connections.
    pub(crate) listens: bool,
    /// Its own end.
    pub(crate) local: (IpAddr, u16),
    /// The other one, all zero for any.
    pub(crate) remote: (IpAddr, u16),
    /// Connections that wait to be accepted, or bytes that wait to be read.
    pub(crate) queued: u32,
    /// Connections that may wait; of one that does not listen, bytes that are under way.
    pub(crate) room: u32,
    /// Packets that it had no room for.
    pub(crate) drops: u64,
    /// TCP's own account, where there is one.
    pub(crate) tcp: Option<TcpState>,
}

/// What TCP says of a connection (`struct tcp_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpState {
    /// Segments sent again since it began.
    pub(crate) retransmitted: u32,
    /// Smoothed round-trip time, in µs.
    pub(crate) round_trip_us: u32,
    /// Bytes that the peer takes now; `None` where the kernel does not tell (before 5.4).
    pub(crate) peer_window: Option<u32>,
    /// Bytes that wait to be sent.
    pub(crate) unsent: Option<u32>,
}

/// What tells one socket from the others.
pub(crate) type Name = (u8, bool, (IpAddr, u16), (IpAddr, u16));

impl Socket {
    pub(crate) fn name(&self) -> Name {
        (self.protocol, self.listens, self.local, self.remote)
    }
}

/// Sockets of TCP and UDP in the calling thread's network namespace.
pub(crate) fn sockets() -> io::Result<BTreeMap<Name, Socket>> {
    let mut found = BTreeMap::new();
    for protocol in [TCP, UDP] {
        for family in [libc_family::V4, libc_family::V6] {
            for socket in dump(family, protocol)? {
                found.insert(socket.name(), socket);
            }
        }
    }
    Ok(found)
}

/// Address families as the kernel numbers them.
mod libc_family {
    pub(super) const V4: u8 = 2;
    pub(super) const V6: u8 = 10;
}

/// Bytes of `struct nlmsghdr`, `struct inet_diag_req_v2` and `struct inet_diag_msg`.
const HEADER: usize = 16;
const REQUEST: usize = 56;
const MESSAGE: usize = 72;

/// All sockets of a family and a protocol.
fn dump(family: u8, protocol: u8) -> io::Result<Vec<Socket>> {
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST_DUMP: u16 = 0x301;
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    /// `INET_DIAG_INFO` and `INET_DIAG_SKMEMINFO`, as bits.
    const EXTENSIONS: u8 = 1 << 1 | 1 << 6;
    let states: u32 = if protocol == TCP { 1 << ESTABLISHED | 1 << LISTEN } else { u32::MAX };
    let mut request = [0_u8; HEADER + REQUEST];
    request[..4].copy_from_slice(&u32::try_from(HEADER + REQUEST).unwrap_or(0).to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    request[HEADER..HEADER + 3].copy_from_slice(&[family, protocol, EXTENSIONS]);
    request[HEADER + 4..HEADER + 8].copy_from_slice(&states.to_ne_bytes());
    let asked = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    send(asked.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut found = Vec::new();
    let mut answer = vec![0_u8; 64 << 10];
    loop {
        let read = recv(asked.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        let mut rest = &answer[..read];
        if rest.is_empty() {
            return Ok(found);
        }
        while let (Some(length), Some(kind)) = (word(rest, 0), half(rest, 4)) {
            let message = rest.get(HEADER..length as usize).unwrap_or_default();
            match kind {
                SOCK_DIAG_BY_FAMILY => found.extend(parse(protocol, message)),
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => {
                    let code = word(message, 0).unwrap_or(0).cast_signed();
                    return Err(io::Error::from_raw_os_error(-code));
                }
                _ => {}
            }
            rest = rest.get((length as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn parse(protocol: u8, message: &[u8]) -> Option<Socket> {
    const INFO: u16 = 2;
    const MEMORY: u16 = 7;
    let (family, state) = (*message.first()?, *message.get(1)?);
    let port = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let address = |at: usize| -> Option<IpAddr> {
        let bytes = message.get(at..at + 16)?;
        Some(if family == libc_family::V4 {
            Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()
        } else {
            Ipv6Addr::from(*bytes.first_chunk::<16>()?).to_canonical()
        })
    };
    let mut socket = Socket {
        protocol,
        listens: protocol == TCP && state == LISTEN,
        local: (address(8)?, port(4)?),
        remote: (address(24)?, port(6)?),
        queued: word(message, 56)?,
        room: word(message, 60)?,
        drops: 0,
        tcp: None,
    };
    let mut rest = message.get(MESSAGE..)?;
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let value = rest.get(4..usize::from(length)).unwrap_or_default();
        match kind {
            // `SK_MEMINFO_DROPS`.
            MEMORY => socket.drops = word(value, 32).unwrap_or(0).into(),
            INFO if !socket.listens => socket.tcp = tcp_state(value),
            _ => {}
        }
        rest = rest.get(usize::from(length.max(4)).next_multiple_of(4)..).unwrap_or_default();
    }
    Some(socket)
}

/// Fields of `struct tcp_info`, to which newer kernels only add.
fn tcp_state(info: &[u8]) -> Option<TcpState> {
    Some(TcpState {
        retransmitted: word(info, 100)?,
        round_trip_us: word(info, 68)?,
        peer_window: word(info, 228),
        unsent: word(info, 144),
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

/// What the stack of the calling thread's network namespace counted since it is there, as
/// `Udp.RcvbufErrors`.
pub(crate) fn stack_counters() -> io::Result<BTreeMap<String, u64>> {
    let mut counters = BTreeMap::new();
    for file in ["netstat", "snmp"] {
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}"))?;
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let (Some((group, names)), Some((_, values))) =
                (pair[0].split_once(':'), pair[1].split_once(':'))
            else {
                continue;
            };
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                // One of them (`Tcp.MaxConn`) may be -1.
                counters.extend(value.parse().map(|value| (format!("{group}.{name}"), value)));
            }
        }
    }
    Ok(counters)
}

/// True where this host passes packets of others on.
pub(crate) fn forwards(v6: bool) -> bool {
    let path = if v6 { "ipv6/conf/all/forwarding" } else { "ipv4/ip_forward" };
    fs::read_to_string(format!("/proc/sys/net/{path}")).is_ok_and(|text| text.trim() != "0")
}

/// This host's own addresses.
pub(crate) fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let all = nix::ifaddrs::getifaddrs()?;
    let address = |one: nix::ifaddrs::InterfaceAddress| {
        let address = one.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(all.filter_map(address).collect())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn a_listener_a_connection_and_a_udp_socket_are_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let here = listener.local_addr().expect("an address");
        let stream = TcpStream::connect(here).expect("a connection");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let all = match sockets() {
            Ok(all) => all,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                test_support::skip("the kernel has no sock_diag for TCP or UDP");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let of = |address: std::net::SocketAddr| {
            let end = (address.ip(), address.port());
            all.values().filter(move |one| one.local == end).collect::<Vec<_>>()
        };
        let found = of(here);
        // The kernel's end of the connection waits to be accepted.
        let listening = found.iter().find(|one| one.listens).expect("it listens");
        assert_eq!((listening.queued, listening.drops), (1, 0));
        assert!(listening.room > 0);
        let own = of(stream.local_addr().expect("an address"));
        assert!(own[0].tcp.is_some_and(|tcp| tcp.retransmitted == 0), "{own:?}");
        assert_eq!(of(udp.local_addr().expect("an address")).len(), 1);
    }

    #[test]
    fn the_stack_counts_by_name() {
        let counters = stack_counters().expect("procfs");
        for name in ["TcpExt.ListenOverflows", "Udp.RcvbufErrors", "Ip.InAddrErrors"] {
            assert!(counters.contains_key(name), "{name}");
        }
    }
}
