//! Each way to a sink, against one of its kind.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, any_value},
    logs::v1::SeverityNumber,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};
use weir_forward::{Observer, Record, SendError, Severity, Sink, Target};

const PATIENCE: Duration = Duration::from_secs(10);

fn record(text: &str) -> Record {
    let time: Timestamp = "2026-11-28T19:00:00.25Z".parse().unwrap();
    Record { time, severity: Severity::High, name: "anomaly", text: text.to_owned() }
}

fn sink(target: &str, ca: Option<&Path>, token: Option<&str>) -> Box<dyn Sink> {
    let observer = Observer { host: "gate.example".to_owned() };
    target.parse::<Target>().unwrap().sink(&observer, true, ca, token).unwrap()
}

/// Takes `<length> <message>` off a stream, RFC 6587.
fn frame(stream: &mut impl Read) -> Option<String> {
    let mut length = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        match byte[0] {
            b' ' => break,
            digit => length.push(char::from(digit)),
        }
    }
    let mut message = vec![0; length.parse().expect("a length")];
    stream.read_exact(&mut message).ok()?;
    String::from_utf8(message).ok()
}

const HEAD: &str = "<131>1 2026-11-28T19:00:00.250000Z gate.example weir - anomaly - ";

#[test]
fn syslog_over_udp_is_a_datagram_each() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sink = sink(&format!("syslog+udp://{}", server.local_addr().unwrap()), None, None);
    sink.send(&[record("one"), record("two")]).unwrap();
    for text in ["one", "two"] {
        let mut bytes = [0; 2_048];
        let length = server.recv(&mut bytes).unwrap();
        assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), format!("{HEAD}{text}"));
    }
    let large = sink.send(&[record(&"x".repeat(70_000))]);
    assert!(matches!(large, Err(SendError::Never(_))), "{large:?}");
}

#[test]
fn syslog_over_tcp_comes_back_after_its_server_and_says_when_it_is_gone() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut sink = sink(&format!("syslog+tcp://{address}"), None, None);
    sink.send(&[record("one")]).unwrap();
    let mut stream = server.accept().unwrap().0;
    assert_eq!(frame(&mut stream).unwrap(), format!("{HEAD}one"));
    drop((stream, server));
    let gone = sink.send(&[record("two")]);
    assert!(
        matches!(&gone, Err(SendError::Later(error)) if error.to_string().contains("127.0.0.1"))
    );
    let server = TcpListener::bind(address).unwrap();
    sink.send(&[record("two"), record("three")]).unwrap();
    let mut stream = server.accept().unwrap().0;
    assert_eq!(frame(&mut stream).unwrap(), format!("{HEAD}two"));
    assert_eq!(frame(&mut stream).unwrap(), format!("{HEAD}three"));
}

/// A server with a certificate of its own for `localhost`, and the file that makes it known.
fn tls_server(folder: &Path) -> (TcpListener, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("ca.pem"), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(config))
}

fn accept_tls(
    server: &TcpListener,
    config: &Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    let stream = server.accept().unwrap().0;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)
}

#[test]
fn syslog_over_tls_goes_to_a_server_that_is_known_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (server, config) = tls_server(folder.path());
    let target = format!("syslog+tls://localhost:{}", server.local_addr().unwrap().port());
    let known = folder.path().join("ca.pem");
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            // The first does not know it and leaves.
            let refused = frame(&mut accept_tls(&server, &config));
            (refused, frame(&mut accept_tls(&server, &config)))
        });
        let elsewhere = tempfile::tempdir().unwrap();
        drop(tls_server(elsewhere.path()));
        let stranger = sink(&target, Some(&elsewhere.path().join("ca.pem")), None)
            .send(&[record("for nobody")])
            .unwrap_err();
        assert!(matches!(&stranger, SendError::Later(_)), "{stranger}");
        assert!(stranger.to_string().contains("certificate"), "{stranger}");
        sink(&target, Some(&known), None).send(&[record("one")]).unwrap();
        let (refused, taken) = serving.join().unwrap();
        assert_eq!((refused, taken), (None, Some(format!("{HEAD}one"))));
    });
}

#[test]
fn a_file_of_authorities_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let target: Target = "syslog+tls://localhost".parse().unwrap();
    let observer = Observer { host: "gate.example".to_owned() };
    for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\n?\n")] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let refused = target.sink(&observer, true, Some(&path), None).err().expect("refused");
        assert!(refused.to_string().contains("ca.pem"), "{refused}");
    }
}

/// Takes a request, answers it, and gives its head in small letters and its body.
fn serve(stream: &mut (impl Read + Write), status: u16) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhm");
    stream.write_all(answer.as_bytes()).unwrap();
    stream.flush().unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// A web server that gives these answers, one a connection, and what it was sent.
fn web_server(answers: &'static [u16]) -> (String, mpsc::Receiver<(String, String)>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        for &status in answers {
            let mut stream = server.accept().unwrap().0;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = sender.send(serve(&mut stream, status));
        }
    });
    (address, received)
}

#[test]
fn a_webhook_over_tls_is_one_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (server, config) = tls_server(folder.path());
    let target = format!("https://localhost:{}/in", server.local_addr().unwrap().port());
    let known = folder.path().join("ca.pem");
    let elsewhere = tempfile::tempdir().unwrap();
    drop(tls_server(elsewhere.path()));
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            // The first does not know it and leaves.
            let refused = frame(&mut accept_tls(&server, &config));
            (refused, serve(&mut accept_tls(&server, &config), 200).1)
        });
        let stranger = sink(&target, Some(&elsewhere.path().join("ca.pem")), None);
        let refused = { stranger }.send(&[record("{}")]).unwrap_err();
        assert!(matches!(&refused, SendError::Later(_)), "{refused}");
        sink(&target, Some(&known), None).send(&[record("{}")]).unwrap();
        assert_eq!(serving.join().unwrap(), (None, "{}\n".to_owned()));
    });
}

#[test]
fn a_webhook_gets_lines_and_its_answer_says_what_is_tried_again() {
    let (address, received) = web_server(&[200, 503, 429, 302, 400, 413]);
    let mut sink = sink(&format!("http://{address}/in"), None, Some("secret"));
    sink.send(&[record("{\"n\":1}"), record("{\"n\":2}")]).unwrap();
    let (head, body) = received.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("post /in http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-ndjson\r\n"), "{head}");
    assert!(head.contains("authorization: bearer secret\r\n"), "{head}");
    assert_eq!(body, "{\"n\":1}\n{\"n\":2}\n");
    for status in [503, 429, 302] {
        let refused = sink.send(&[record("{}")]).unwrap_err();
        assert!(matches!(&refused, SendError::Later(_)), "{refused}");
        assert!(refused.to_string().contains(&format!("{status}")), "{refused}");
    }
    for status in [400, 413] {
        let refused = sink.send(&[record("{}")]).unwrap_err();
        assert!(matches!(&refused, SendError::Never(_)), "{refused}");
        assert!(refused.to_string().contains(&format!("{status}")), "{refused}");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}

#[test]
fn a_token_is_not_sent_unencrypted() {
    let observer = Observer { host: "gate.example".to_owned() };
    for (target, expected) in [
        ("http://siem.example/in", false),
        ("otlp+http://192.0.2.7:4318", false),
        ("http://localhost.example:80", false),
        ("https://siem.example/in", true),
        ("http://[::1]:8080/in", true),
        ("http://localhost/in", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        drop(tls_server(folder.path()));
        let (target, ca) = (target.parse::<Target>().unwrap(), folder.path().join("ca.pem"));
        let made = target.sink(&observer, true, Some(&ca), Some("secret")).map(|_| ());
        assert_eq!(made.is_ok(), expected, "{target}: {made:?}");
        assert!(target.sink(&observer, true, Some(&ca), None).is_ok(), "{target}");
    }
}

#[test]
fn otlp_has_one_record_an_event() {
    let (address, received) = web_server(&[200]);
    let mut sink = sink(&format!("otlp+http://{address}"), None, None);
    sink.send(&[record("{\"n\":1}"), record("{\"n\":2}")]).unwrap();
    let (head, body) = received.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("post /v1/logs http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    // Read by the protocol's own definitions.
    let request: ExportLogsServiceRequest = serde_json::from_str(&body).unwrap();
    let [resource] = &request.resource_logs[..] else { panic!("{request:?}") };
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|one| one.value.clone()) {
        Some(any_value::Value::StringValue(text)) => text,
        other => panic!("{other:?}"),
    };
    let named = |key: &str| text(&attributes.iter().find(|one| one.key == key).unwrap().value);
    assert_eq!((named("service.name"), named("host.name")), ("weir".into(), "gate.example".into()));
    let [one, two] = &resource.scope_logs[0].log_records[..] else { panic!("{request:?}") };
    assert_eq!((text(&one.body), text(&two.body)), ("{\"n\":1}".into(), "{\"n\":2}".into()));
    assert_eq!(two.time_unix_nano, 1_795_892_400_250_000_000);
    assert_eq!(two.severity_number(), SeverityNumber::Error);
    assert_eq!(two.event_name, "weir.anomaly");
}

#[test]
fn a_file_that_was_moved_away_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let mut sink = sink(&format!("file://{}", path.display()), None, None);
    sink.send(&[record("one")]).unwrap();
    sink.send(&[record("two"), record("three")]).unwrap();
    let old = folder.path().join("events.1");
    std::fs::rename(&path, &old).unwrap();
    sink.send(&[record("four")]).unwrap();
    assert_eq!(std::fs::read_to_string(&old).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "four\n");
}
