//! A reader that has seen enough: the command ends, and says nothing of it.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
};

use model::{Kind, schema};
use nix::sys::signal::Signal;

use crate::support::model_of;

#[test]
fn a_command_whose_reader_has_gone_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.weir");
    model_of(schema::schema_id(Kind::Peer)).save(&path).unwrap();
    let path = path.to_str().unwrap();
    for words in [&["model", "inspect", path][..], &["model", "inspect", path, "--json"]] {
        let (gone, pipe) = std::io::pipe().unwrap();
        drop(gone);
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(pipe)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told, "", "{words:?}");
        assert_eq!(output.status.signal(), Some(Signal::SIGPIPE as i32), "{words:?}");
    }
}
