//! Clients that are slow, many or gone, and a server that stops under load.

use std::{
    io::{Read as _, Write as _},
    os::fd::AsRawFd as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use control::Limits;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn};

use crate::support::{Bench, ask, generous, reply};

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_client_that_dawdles_over_its_headers_is_cut_off() {
    let bench = Bench::with(Limits { head_time: SHORT, ..generous() });
    let start = Instant::now();
    let mut silent = bench.tcp();
    let mut dawdling = bench.unix();
    dawdling.write_all(b"GET /v1/status HTTP/1.1\r\nHost: ").unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).expect("an end");
    dawdling.read_to_end(&mut rest).expect("an end");
    assert!(start.elapsed() >= SHORT);
}

#[test]
fn a_client_that_dawdles_over_its_body_is_told_so() {
    let bench = Bench::with(Limits { request_time: SHORT, ..generous() });
    let mut stream = bench.unix();
    let head = "POST /v1/blocks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"target\":";
    stream.write_all(head.as_bytes()).unwrap();
    reply(stream).assert_problem(408, "200ms");
}

#[test]
fn a_connection_ends_with_its_time_even_when_it_keeps_asking() {
    let bench = Bench::with(Limits { connection_time: SHORT, ..generous() });
    let mut stream = bench.unix();
    let start = Instant::now();
    let mut buffer = [0; 4_096];
    loop {
        if stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").is_err() {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(_) => assert!(start.elapsed() < Duration::from_secs(20), "it never ends"),
        }
    }
    assert!(start.elapsed() >= SHORT);
}

#[test]
fn a_node_that_hangs_is_reported_and_keeps_nothing_else_from_answering() {
    let bench = Bench::with(Limits { request_time: SHORT, requests: 2, ..generous() });
    bench.node.hold();
    for _ in 0..2 {
        ask(bench.unix(), "GET /v1/status", &[], "").assert_problem(503, "longer than");
    }
    // Both calls are still under way, though nobody waits for them any more.
    let full = ask(bench.unix(), "GET /v1/status", &[], "");
    full.assert_problem(503, "2 requests are under way");
    assert_eq!(full.header("retry-after"), Some("1"));
    // Those of the network have their own room, and so does what needs no node.
    assert_eq!(ask(bench.tcp(), "GET /livez", &[], "").status, 200);
    bench.node.release();
    let start = Instant::now();
    while ask(bench.unix(), "GET /v1/status", &[], "").status != 200 {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not recover");
        thread::yield_now();
    }
}

#[test]
fn connections_beyond_the_bound_are_turned_away_and_counted() {
    let bench = Bench::with(Limits { connections: 3, ..generous() });
    let mut held: Vec<_> = (0..3).map(|_| bench.unix()).collect();
    for stream in &mut held {
        // An answer shows that the connection was accepted and not only queued.
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
    }
    let turned = reply(bench.unix());
    assert_eq!((turned.status, turned.header("retry-after")), (503, Some("1")), "{turned:?}");
    // The answer may come, and the connection end, before the client has sent its request: it then
    // knows only that there was no answer to that.
    let start = Instant::now();
    while !bench.client().status().unwrap_err().to_string().contains("as many connections") {
        assert!(start.elapsed() < Duration::from_secs(20), "the client never says why");
        thread::yield_now();
    }
    let metrics = ask(bench.tcp(), "GET /metrics", &[], "").body;
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("weir_api_refused_total{reason=\"connections\"} "))
        .and_then(|count| count.parse::<u64>().ok());
    assert!(counted >= Some(2), "{metrics}");
    drop(held);
    let start = Instant::now();
    while bench.client().status().is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "no place becomes free");
        thread::yield_now();
    }
}

#[test]
fn one_client_over_tcp_does_not_take_all_places() {
    let bench = Bench::with(Limits { connections: 8, ..generous() });
    let from = |last: u8| {
        let kind = (AddressFamily::Inet, SockType::Stream, SockFlag::empty());
        let socket = socket::socket(kind.0, kind.1, kind.2, None).unwrap();
        let own = SockaddrIn::new(127, 0, 0, last, 0);
        socket::bind(socket.as_raw_fd(), &own).unwrap();
        let std::net::SocketAddr::V4(server) = bench.server.address().unwrap() else { panic!() };
        socket::connect(socket.as_raw_fd(), &SockaddrIn::from(server)).unwrap();
        std::net::TcpStream::from(socket)
    };
    let slow: Vec<_> = (0..30)
        .map(|_| {
            let mut stream = from(2);
            // A quarter is let in; the others are told to go.
            let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: l");
            stream
        })
        .collect();
    for last in 3..=8 {
        assert_eq!(ask(from(last), "GET /livez", &[], "").status, 200, "from 127.0.0.{last}");
    }
    drop(slow);
}

/// The threads of this process that belong to a server.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim_end() == MARK)
        .count()
}

/// Names of the threads of the server under test; other tests run beside it.
const MARK: &str = "weir-api";

#[test]
fn a_server_that_stops_under_load_answers_or_closes_and_leaves_no_thread() {
    // In a process of its own, for the threads of other tests' servers have the same names.
    if std::env::var_os("WEIR_TEST_ALONE").is_none() {
        let name = "faults::a_server_that_stops_under_load_answers_or_closes_and_leaves_no_thread";
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env("WEIR_TEST_ALONE", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let bench = Bench::new();
    let (socket, address) = (bench.server.socket().to_owned(), bench.server.address().unwrap());
    let stopped = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    let Ok(stream) = std::os::unix::net::UnixStream::connect(&socket) else {
                        break;
                    };
                    let reply = ask(stream, "GET /v1/blocks", &[], "");
                    assert!([200, 0].contains(&reply.status), "{reply:?}");
                }
            });
        }
        let idle = std::net::TcpStream::connect(address).unwrap();
        for _ in 0..50 {
            bench.client().status().unwrap();
        }
        let start = Instant::now();
        bench.server.stop();
        let took = start.elapsed();
        stopped.store(true, Ordering::Relaxed);
        assert!(took < Duration::from_secs(10), "it took {took:?}");
        drop(idle);
    });
    assert_eq!(threads(), 0);
    assert!(!socket.exists());
    assert!(std::net::TcpStream::connect(address).is_err(), "it still listens");
}
