//! A fake node on a socket, and the command that asks it.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use control::{Limits, Rate, Server, ServerConfig, fake::FakeNode};

/// A fake node on a socket in a folder of its own.
pub(crate) struct Bench {
    pub(crate) node: Arc<FakeNode>,
    pub(crate) server: Server,
    /// Holds the socket.
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Arc::new(FakeNode::busy());
        let server = serve(folder.path().join("weir.sock"), &node);
        Self { node, server, folder }
    }

    /// The command, which finds the socket by its configuration.
    pub(crate) fn weir(&self, words: &[&str]) -> Command {
        weir(self.server.socket(), words)
    }

    pub(crate) fn output(&self, words: &[&str]) -> Output {
        self.weir(words).output().expect("it starts")
    }

    /// Standard output of a command that must succeed.
    #[track_caller]
    pub(crate) fn told(&self, words: &[&str]) -> String {
        let output = self.output(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let text = self.told(words);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Acts done, in order.
    pub(crate) fn acts(&self) -> Vec<String> {
        self.node.acts().into_iter().map(|(_, act)| act).collect()
    }
}

/// Serves a fake node on this socket.
pub(crate) fn serve(socket: PathBuf, node: &Arc<FakeNode>) -> Server {
    let rate = Rate { per_second: 10_000, burst: 10_000 };
    let limits = Limits { rate, ..Limits::default() };
    let config = ServerConfig { socket, group: None, listen: None, limits };
    Server::start(&config, Arc::clone(node) as _).expect("it starts")
}

pub(crate) fn weir(socket: &std::path::Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(words).stdin(Stdio::null()).env_remove("WEIR_LOG");
    command.env("WEIR__API__SOCKET", socket);
    // No pinned guard is there that a command could fall back on.
    command.env("WEIR__GUARD__BPFFS", socket.with_extension("bpf"));
    command
}

/// Asserts that a command failed with one line that holds all of these.
#[track_caller]
pub(crate) fn assert_one_line(output: &Output, words: &[&str]) {
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{:?} {line}", output.status);
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.starts_with("weir: "), "{line}");
    for word in words {
        assert!(line.contains(word), "`{word}` is not in: {line}");
    }
}
