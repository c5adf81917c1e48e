//! Where no node runs, or not as it should.

use std::{io::Write as _, os::unix::net::UnixListener, path::Path, sync::Arc, thread};

use control::fake::FakeNode;

use super::support::{assert_one_line, serve, weir};

#[test]
fn where_no_node_runs_every_command_says_so_and_how_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("weir.sock");
    for words in [
        &["status"][..],
        &["alerts"],
        &["allow", "list"],
        &["mode", "shadow"],
        &["enforce"],
        &["confirm"],
        &["rearm"],
        &["reload"],
        &["top", "--once"],
        &["block", "192.0.2.1"],
        &["import", "-"],
    ] {
        let output = weir(&socket, words).output().unwrap();
        assert_one_line(&output, &["no weir runs here", "weir.sock", "weir run", "--socket"]);
    }
}

#[test]
fn where_no_node_runs_blocks_are_listed_and_ended_on_the_pinned_guard() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("weir.sock");
    for words in [&["blocks"][..], &["unblock", "192.0.2.1"]] {
        let output = weir(&socket, words).output().unwrap();
        assert_one_line(&output, &["weir.bpf"]);
    }
}

#[test]
fn the_flag_goes_over_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(FakeNode::busy());
    let server = serve(folder.path().join("other.sock"), &node);
    let there = server.socket().to_str().unwrap();
    let output = weir(&folder.path().join("weir.sock"), &["status", "--socket", there]).output();
    assert!(output.unwrap().status.success());
}

/// A socket on which each connection is treated like this.
fn listening<T>(act: fn(std::os::unix::net::UnixStream), ask: impl FnOnce(&Path) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("weir.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(act));
    ask(&socket)
}

#[test]
fn a_node_that_hangs_up_is_an_error_and_not_a_silent_end() {
    listening(drop, |socket| {
        // Whether it is noticed while writing or while reading is a matter of chance.
        for _ in 0..20 {
            let output = weir(socket, &["status"]).output().unwrap();
            assert_one_line(&output, &["gave no answer of a weir"]);
        }
    });
}

#[test]
fn what_is_no_weir_is_named() {
    let other = |mut stream: std::os::unix::net::UnixStream| {
        let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
    };
    listening(other, |socket| {
        let output = weir(socket, &["status"]).output().unwrap();
        assert_one_line(&output, &["gave no answer of a weir", "weir.sock"]);
    });
}
