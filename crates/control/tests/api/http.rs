//! Requests as any program may send them, good and bad.

use std::{
    io::Write as _,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use control::{Limits, Rate};

use crate::support::{Bench, ask, generous, reply};

const JSON: &[&str] = &["Content-Type: application/json"];

#[test]
fn what_monitoring_reads_is_text() {
    let bench = Bench::new();
    for path in ["/livez", "/readyz"] {
        let reply = ask(bench.tcp(), &format!("GET {path}"), &[], "");
        assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
    }
    ask(bench.unix(), "GET /nowhere", &[], "").assert_problem(404, "`/nowhere`");
    let metrics = ask(bench.tcp(), "GET /metrics", &[], "");
    assert!(metrics.header("content-type").unwrap().contains("version=0.0.4"));
    assert!(metrics.body.contains("\nweir_windows_total 40\n"), "{metrics:?}");
    assert!(metrics.body.contains("weir_api_responses_total{class=\"4xx\"} 1\n"), "{metrics:?}");
}

#[test]
fn a_node_without_a_window_is_alive_but_not_ready() {
    use std::sync::Arc;
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(control::fake::FakeNode::starting());
    let socket = folder.path().join("weir.sock");
    let config = control::ServerConfig { socket, group: None, listen: None, limits: generous() };
    let server = control::Server::start(&config, node).unwrap();
    let connect = || std::os::unix::net::UnixStream::connect(server.socket()).unwrap();
    assert_eq!(ask(connect(), "GET /livez", &[], "").status, 200);
    ask(connect(), "GET /readyz", &[], "").assert_problem(503, "no window");
}

#[test]
fn a_request_without_a_host_is_bad() {
    let bench = Bench::new();
    let bare = b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n";
    let (mut tcp, mut unix) = (bench.tcp(), bench.unix());
    tcp.write_all(bare).unwrap();
    unix.write_all(bare).unwrap();
    reply(tcp).assert_problem(400, "`Host` is missing");
    reply(unix).assert_problem(400, "`Host` is missing");
}

#[test]
fn an_unknown_field_is_named() {
    let bench = Bench::new();
    let body = r#"{"target":"192.0.2.1","acton":"drop"}"#;
    let reply = ask(bench.unix(), "POST /v1/blocks", JSON, body);
    reply.assert_problem(400, "`acton`");
    ask(bench.unix(), "GET /v1/blocks?limt=5", &[], "").assert_problem(400, "`limt`");
    ask(bench.unix(), "GET /v1/status?x=1", &[], "").assert_problem(400, "`x`");
    assert_eq!(bench.node.acts(), []);
}

#[test]
fn what_is_no_valid_request_is_refused_with_the_reason() {
    let bench = Bench::new();
    for (line, body, word) in [
        ("POST /v1/blocks", "{", "EOF"),
        ("POST /v1/blocks", "[]", "BlockRequest"),
        ("POST /v1/blocks", "", "target"),
        ("POST /v1/blocks", r#"{"target":"192.0.2.300"}"#, "`192.0.2.300`"),
        ("POST /v1/blocks", r#"{"target":"192.0.2.1","for_s":0}"#, "`for_s`"),
        ("POST /v1/blocks", r#"{"target":"192.0.2.1","reason":"a\u001b[2J"}"#, "`reason`"),
        ("PUT /v1/mode", r#"{"mode":"block"}"#, "`block`"),
        ("PUT /v1/mode", r#"{"mode":"shadow","confirm_within_s":5}"#, "`confirm_within_s`"),
        ("PUT /v1/maintenance", r#"{"for_s":86401}"#, "`for_s`"),
        ("PUT /v1/maintenance", "{}", "for_s"),
        ("PUT /v1/maintenance", r#"{"for_s":60,"port":443}"#, "`port`"),
        ("DELETE /v1/blocks", "", "target"),
        ("GET /v1/alerts?limit=0", "", "between 1 and 4096, got 0"),
        ("GET /v1/alerts?after=1&before=2", "", "exclude"),
    ] {
        ask(bench.unix(), line, JSON, body).assert_problem(400, word);
    }
    let form = ask(bench.unix(), "POST /v1/blocks", &[], r#"{"target":"192.0.2.1"}"#);
    form.assert_problem(400, "application/json");
    ask(bench.unix(), "POST /v1/status", JSON, "{}").assert_problem(405, "no POST");
    assert_eq!(bench.node.acts(), []);
}

#[test]
fn a_maintenance_is_said_is_in_the_status_and_ends() {
    let bench = Bench::new();
    let put = |for_s: u32| {
        let body = format!(r#"{{"service":{{"protocol":6,"port":443}},"for_s":{for_s}}}"#);
        let reply = ask(bench.unix(), "PUT /v1/maintenance", JSON, &body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["services"].clone()
    };
    let said = put(600);
    assert_eq!(
        (&said[0]["service"]["port"], &said[0]["condition"]),
        (&443.into(), &"maintenance".into())
    );
    let status = ask(bench.unix(), "GET /v1/status", &[], "").json();
    assert_eq!(status["services"], said);
    assert_eq!(put(0), serde_json::json!([]));
    assert_eq!(bench.node.acts().len(), 2);
}

#[test]
fn a_body_too_large_is_refused_whether_or_not_its_length_is_told() {
    let bench = Bench::with(Limits { body_bytes: 1_000, ..generous() });
    let body = format!(r#"{{"target":"192.0.2.1","reason":"{}"}}"#, "x".repeat(2_000));
    ask(bench.unix(), "POST /v1/blocks", JSON, &body).assert_problem(413, "1000 bytes");
    let mut stream = bench.unix();
    let head = "POST /v1/blocks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
        Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n";
    stream.write_all(format!("{head}{:x}\r\n{body}\r\n", body.len()).as_bytes()).unwrap();
    reply(stream).assert_problem(413, "1000 bytes");
}

#[test]
fn garbage_is_answered_with_400_or_nothing_and_hurts_nobody() {
    let bench = Bench::new();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(64 * 1_024));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1_000));
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00".as_slice(),
        b"\r\n\r\n\0\0\0\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ] {
        for tcp in [false, true] {
            let answer = if tcp {
                let mut stream = bench.tcp();
                let _ = stream.write_all(bytes);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                reply(stream)
            } else {
                let mut stream = bench.unix();
                let _ = stream.write_all(bytes);
                let _ = stream.shutdown(std::net::Shutdown::Write);
                reply(stream)
            };
            assert!([0, 400, 414, 431].contains(&answer.status), "{answer:?}");
        }
    }
    bench.client().status().expect("it still answers");
}

#[test]
fn whoever_asks_too_often_is_told_when_to_come_back() {
    let bench = Bench::with(Limits { rate: Rate { per_second: 1, burst: 3 }, ..generous() });
    let replies: Vec<_> = (0..20).map(|_| ask(bench.tcp(), "GET /v1/status", &[], "")).collect();
    assert!(replies[..3].iter().all(|reply| reply.status == 200), "{replies:?}");
    let refused = replies.iter().find(|reply| reply.status != 200).expect("one is refused");
    refused.assert_problem(429, "1 requests a second");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // Another client is not held to it.
    let metrics = ask(bench.unix(), "GET /metrics", &[], "");
    assert!(metrics.body.contains("weir_api_refused_total{reason=\"rate\"}"), "{metrics:?}");
}

#[test]
fn a_thousand_requests_at_once_are_all_answered() {
    let bench = Bench::with(Limits { connections: 1_000, requests: 1_000, ..generous() });
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        for worker in 0..10 {
            let (bench, done) = (&bench, &done);
            scope.spawn(move || {
                for _ in 0..100 {
                    let reply = if worker % 2 == 0 {
                        ask(bench.tcp(), "GET /v1/status", &[], "")
                    } else {
                        ask(bench.unix(), "GET /v1/blocks", &[], "")
                    };
                    assert_eq!(reply.status, 200, "{reply:?}");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 1_000);
}
