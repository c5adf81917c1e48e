//! Blocks that spare what this host holds, and proof by its sockets: test runs of packets that
//! belong to real connections over the loopback of a namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use crate::support::{Wire, ip, small, tcp_v4, udp_v4};
use flows_common::{Action, Direction, Fact, Scope, map_v4};
use weir_datapath::{
    Block, BlockAction, Kernel, RateLimit, Service, ServiceLimit, SkbContext, Target, boot_ns,
};

const SECOND: u64 = 1_000_000_000;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const SERVER: [u8; 4] = [127, 0, 0, 1];
const CLIENT: [u8; 4] = [127, 0, 0, 2];

/// A listener, and one connection to it with both ends.
struct Connection {
    _listener: TcpListener,
    client: TcpStream,
    _accepted: TcpStream,
}

impl Connection {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::from(SERVER), 0)).expect("a listener");
        let address = listener.local_addr().expect("bound");
        let client = nix_connect(address);
        let (accepted, _) = listener.accept().expect("accepted");
        Self { _listener: listener, client, _accepted: accepted }
    }

    /// Ports of client and server.
    fn ports(&self) -> [u16; 2] {
        [self.client.local_addr(), self.client.peer_addr()].map(|end| end.expect("open").port())
    }

    /// A segment of the client, as the server's host sees it come in.
    fn to_server(&self, flags: u8) -> Vec<u8> {
        tcp_v4(CLIENT, SERVER, self.ports(), flags, b"payload")
    }

    /// A segment of the server, as the client's host sees it come in.
    fn to_client(&self, flags: u8) -> Vec<u8> {
        let [client, server] = self.ports();
        tcp_v4(SERVER, CLIENT, [server, client], flags, b"payload")
    }
}

/// Connects from [`CLIENT`], which a stream of the standard library cannot choose.
fn nix_connect(server: SocketAddr) -> TcpStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
    use std::os::fd::AsRawFd as _;
    let SocketAddr::V4(server) = server else { unreachable!("an IPv4 listener") };
    let [a, b, c, d] = CLIENT;
    let end = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)
        .expect("a socket");
    bind(end.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0)).expect("bound");
    connect(end.as_raw_fd(), &SockaddrIn::from(server)).expect("connected");
    end.into()
}

/// Runs a body with the programs loaded, in a namespace with a loopback.
fn in_namespace(body: impl FnOnce(&mut Kernel) + Send) {
    Wire::new().run(|wire| {
        ip(&["-n", wire.near(), "link", "set", "lo", "up"]);
        body(&mut Kernel::load(&small()).expect("loaded"));
    });
}

/// Blocks an address, and tells what becomes of a packet.
fn ruled(kernel: &mut Kernel, remote: [u8; 4], scope: Scope, frame: &[u8]) -> u32 {
    let block =
        Block { action: BlockAction::Drop, scope, expires_ns: boot_ns() + 60 * SECOND, reason: 1 };
    let target = Target::from(IpAddr::from(remote));
    kernel.blocklist().insert(target, &block, boot_ns()).expect("a block");
    kernel.test_run_xdp(frame, 1).expect("a run").returned
}

#[test]
fn an_unproven_scope_spares_an_open_connection_and_nothing_else() {
    if !test_support::root() {
        return;
    }
    in_namespace(|kernel| {
        let open = Connection::new();
        let mut of = |frame: &[u8]| ruled(kernel, CLIENT, Scope::Unproven, frame);
        assert_eq!(of(&open.to_server(ACK)), XDP_PASS);
        assert_eq!(of(&open.to_server(SYN)), XDP_DROP, "whoever forges a SYN may guess the ports");
        let [client, server] = open.ports();
        let other = [client.wrapping_add(1), server];
        assert_eq!(of(&tcp_v4(CLIENT, SERVER, other, ACK, b"")), XDP_DROP);
        assert_eq!(of(&udp_v4(CLIENT, SERVER, open.ports())), XDP_DROP);
        let ledger = kernel.blocklist().guard_counters(Direction::Ingress).expect("a ledger");
        assert_eq!((ledger.spared, ledger.dropped, ledger.frames), (1, 3, 4));
    });
}

#[test]
fn an_inbound_scope_spares_what_this_host_opened_and_not_what_it_accepted() {
    if !test_support::root() {
        return;
    }
    in_namespace(|kernel| {
        let open = Connection::new();
        assert_eq!(ruled(kernel, CLIENT, Scope::Inbound, &open.to_server(ACK)), XDP_DROP);
        assert_eq!(ruled(kernel, SERVER, Scope::Inbound, &open.to_client(ACK)), XDP_PASS);
        assert_eq!(ruled(kernel, SERVER, Scope::All, &open.to_client(ACK)), XDP_DROP);
    });
}

#[test]
fn a_connected_udp_socket_is_spared_and_one_that_anybody_may_write_to_is_not() {
    if !test_support::root() {
        return;
    }
    in_namespace(|kernel| {
        let server = UdpSocket::bind((Ipv4Addr::from(SERVER), 0)).expect("bound");
        let client = UdpSocket::bind((Ipv4Addr::from(CLIENT), 0)).expect("bound");
        let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
        client.connect((Ipv4Addr::from(SERVER), port(&server))).expect("connected");
        let answer = udp_v4(SERVER, CLIENT, [port(&server), port(&client)]);
        let request = udp_v4(CLIENT, SERVER, [port(&client), port(&server)]);
        for scope in [Scope::Unproven, Scope::Inbound] {
            assert_eq!(ruled(kernel, SERVER, scope, &answer), XDP_PASS, "{scope:?}");
            assert_eq!(ruled(kernel, CLIENT, scope, &request), XDP_DROP, "{scope:?}");
        }
    });
}

#[test]
fn what_goes_out_to_a_source_is_ruled_as_what_comes_in() {
    if !test_support::root() {
        return;
    }
    in_namespace(|kernel| {
        let open = Connection::new();
        for (scope, passes) in
            [(Scope::All, false), (Scope::Inbound, true), (Scope::Unproven, true)]
        {
            // The client's segments, as they leave the client's host; and a stray one.
            ruled(kernel, SERVER, scope, &open.to_client(ACK));
            let stray = tcp_v4(CLIENT, SERVER, [9, 9], ACK, b"");
            for (frame, passes) in [(open.to_server(ACK), passes), (stray, false)] {
                let run = kernel.test_run_tc(Direction::Egress, &frame, &SkbContext::default(), 1);
                assert_eq!(run.expect("a run").returned == u32::MAX, passes, "{scope:?}");
            }
        }
    });
}

#[test]
fn a_segment_amid_a_connection_is_proven_by_this_hosts_socket_alone() {
    if !test_support::root() {
        return;
    }
    in_namespace(|kernel| {
        let open = Connection::new();
        let [client, server] = open.ports();
        let strange = tcp_v4(CLIENT, SERVER, [client.wrapping_add(1), server], ACK, b"");
        for frame in [open.to_server(ACK), strange] {
            let context = SkbContext::default();
            kernel.test_run_tc(Direction::Ingress, &frame, &context, 3).expect("a run");
        }
        let window = kernel.drain(boot_ns()).expect("a window");
        let proven: Vec<(u16, bool)> = window
            .flows
            .iter()
            .filter(|(key, _)| key.remote == map_v4(CLIENT))
            .map(|(key, flow)| (key.remote_port, flow.has(Fact::Socket) && flow.is_proven()))
            .collect();
        assert_eq!(proven.len(), 2, "{proven:?}");
        assert!(proven.contains(&(client, true)), "{proven:?}");
    });
}

#[test]
fn unproven_sources_share_the_limit_of_closed_ports_and_an_open_port_is_none() {
    if !test_support::root() {
        return;
    }
    in_namespace(|kernel| {
        let listener = TcpListener::bind((Ipv4Addr::from(SERVER), 0)).expect("a listener");
        let open = listener.local_addr().expect("bound").port();
        let blocklist = kernel.blocklist();
        let rate = RateLimit { packets_per_second: 1, burst_packets: 5 };
        let (action, expires_ns) = (Action::RateLimit, boot_ns() + 60 * SECOND);
        let limit = ServiceLimit { rate, action, expires_ns, reason: 7 };
        blocklist.limit_service(Service::CLOSED_PORTS, &limit, boot_ns()).expect("a limit");
        let mut dropped = |remote: u8, port: u16, flags| {
            let frame = tcp_v4([127, 0, 0, remote], SERVER, [5000, port], flags, b"");
            kernel.test_run_xdp(&frame, 1).expect("a run").returned == XDP_DROP
        };
        // Ports below the first that is given out, at which nothing listens here.
        let drops = (1..=40).filter(|&remote| dropped(remote, u16::from(remote), SYN)).count();
        assert!((30..=35).contains(&drops), "forty decoys share one limit: {drops}");
        assert!(!dropped(1, open, SYN), "one knock is none");
        assert!((2..=4).all(|port| dropped(1, port, SYN)));
        assert!(dropped(1, open, SYN), "who knocked at several shares the limit at open ports");
        assert!(!dropped(50, open, SYN), "who knocked nowhere does not");
        assert!(!dropped(1, open, ACK), "nor does a segment of a connection");
        let until_ns = boot_ns() + 60 * SECOND;
        blocklist.exempt(&[IpAddr::from([127, 0, 0, 1])], until_ns).expect("known");
        assert!(!dropped(1, 9, SYN) && !dropped(1, open, SYN), "nor who is known");
        let ledger = blocklist.guard_counters(Direction::Ingress).expect("a ledger");
        assert_eq!((ledger.service_limited, ledger.service_known), (drops as u64 + 4, 0));
        drop(listener);
        assert!(dropped(51, open, SYN), "nothing listens there any more");
    });
}
