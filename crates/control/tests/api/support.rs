//! A server with a fake node, and a client that can be as rude as it likes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use control::{Client, Limits, Listen, Rate, Server, ServerConfig, fake::FakeNode};

/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a fake node in a folder of its own.
pub(crate) struct Bench {
    pub(crate) node: Arc<FakeNode>,
    pub(crate) server: Server,
    pub(crate) folder: tempfile::TempDir,
}

/// Answer received.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

pub(crate) fn busy() -> Arc<FakeNode> {
    Arc::new(FakeNode::busy())
}

/// No client of a test is too fast unless it means to be.
pub(crate) fn generous() -> Limits {
    Limits { rate: Rate { per_second: 1_000_000, burst: 1_000_000 }, ..Limits::default() }
}

pub(crate) fn loopback(tokens: Option<PathBuf>) -> Listen {
    Listen {
        address: "127.0.0.1:0".parse().unwrap(),
        tokens,
        reads_open: true,
        metrics_open: false,
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(generous())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::listening(limits, Some(loopback(None)))
    }

    pub(crate) fn listening(limits: Limits, listen: Option<Listen>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = busy();
        let socket = folder.path().join("weir.sock");
        let config = ServerConfig { socket, group: None, listen, limits };
        let server = Server::start(&config, node.clone()).expect("it starts");
        Self { node, server, folder }
    }

    pub(crate) fn client(&self) -> Client {
        Client::unix(self.server.socket()).unwrap()
    }

    pub(crate) fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(self.server.socket()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        tcp(self.server.address().expect("it listens on TCP"))
    }
}

pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request with these lines of headers and returns the answer.
pub(crate) fn ask<S: Read + Write>(
    mut stream: S,
    line: &str,
    headers: &[&str],
    body: &str,
) -> Reply {
    let mut lines = vec![format!("{line} HTTP/1.1"), "Host: localhost".into()];
    lines.push("Connection: close".into());
    lines.extend(headers.iter().map(|&header| header.to_owned()));
    if !body.is_empty() {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    let text = lines.join("\r\n");
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(format!("{text}\r\n\r\n{body}").as_bytes());
    reply(stream)
}

/// Reads an answer to the end of the connection.
pub(crate) fn reply(mut stream: impl Read) -> Reply {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

impl Reply {
    /// The answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts a problem of this status whose text holds this.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, word: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(word), "`{word}` is not in: {detail}");
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}
