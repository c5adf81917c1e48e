//! A map that takes no writes, a hook that is taken away, an interface that goes.

use std::{net::UdpSocket, path::PathBuf};

use datapath::leftovers;
use lab::Family;

use super::{blocked, json, ready, wait_for, window};
use crate::support::{Bench, assert_one_line, told};

/// A pin of the guard's, by the start of its name.
fn pin(bench: &Bench, name: &str) -> String {
    let pins = leftovers(&PathBuf::from(bench.path("bpf"))).expect("a list").pins;
    let is_it = |path: &PathBuf| {
        path.file_name().is_some_and(|one| one.to_string_lossy().starts_with(name))
    };
    let path = pins.into_iter().find(is_it).expect("a pin");
    path.into_os_string().into_string().expect("a path in UTF-8")
}

#[test]
fn a_map_that_takes_no_writes_is_told_and_what_stands_in_it_goes_on() {
    let Some(bench) = Bench::new() else { return };
    let mut weir = bench.enforcing(&[("WEIR__CAPTURE__WINDOW", "200ms")]);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    told(
        &bench
            .run(bench.command("bpftool", &["map", "freeze", "pinned", &pin(&bench, "BLOCK_V4")])),
    );
    for words in [&["block", "203.0.113.10"][..], &["unblock", "203.0.113.9"]] {
        assert_one_line(&bench.output(words), &["Operation not permitted"]);
    }
    assert_eq!(blocked(&bench), ["203.0.113.9"]);
    told(&bench.output(&["block", "2001:db8::9", "--for", "10m"]));
    told(&bench.output(&["block", "203.0.113.128/25", "--for", "10m"]));
    let before = window(&bench);
    wait_for("windows", || window(&bench) > before + 3);
    assert_eq!(weir.terminate(), Some(0));
    // The next start takes it over as it is, and the emergency stop needs to write nothing.
    let mut weir = bench.enforcing(&[]);
    assert_eq!(blocked(&bench).len(), 3);
    assert_eq!(weir.terminate(), Some(0));
    told(&bench.output(&["panic"]));
    bench.assert_nothing_is_left();
}

#[test]
fn a_guard_whose_hook_is_taken_is_told_as_soon_as_a_frame_comes_in() {
    let Some(bench) = Bench::new() else { return };
    let events = bench.path("events.jsonl");
    let mut weir =
        bench.enforcing(&[("WEIR__EVENTS__PATH", &events), ("WEIR__CAPTURE__WINDOW", "200ms")]);
    let host = bench.lab.host().address(Family::V4);
    let send = || {
        let sent = bench.lab.enter(&bench.lab.clients()[0], || {
            UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", (host, 9))
        });
        sent.expect("the client's namespace").expect("a frame");
    };
    wait_for("readiness", || ready(&bench).0 == 200);
    let before = window(&bench);
    wait_for("windows", || {
        send();
        window(&bench) > before + 5
    });
    assert_eq!(ready(&bench).0, 200);
    let link = pin(&bench, "xdp_native");
    told(&bench.run(bench.command("bpftool", &["link", "detach", "pinned", &link])));
    wait_for("word of it", || {
        send();
        ready(&bench).0 == 503
    });
    let (_, text) = ready(&bench);
    assert!(text.contains("past the guard") && text.contains("start weir anew"), "{text}");
    assert_eq!(json(&bench, &["status"])["guard_passed_by"], true);
    assert!(std::fs::read_to_string(&events).expect("events").contains("past the guard"));
    assert_eq!(weir.terminate(), Some(0));
    // As it says: the next start puts the guard back.
    let mut weir = bench.enforcing(&[("WEIR__CAPTURE__WINDOW", "200ms")]);
    wait_for("readiness", || ready(&bench).0 == 200);
    let before = window(&bench);
    wait_for("windows", || {
        send();
        window(&bench) > before + 5
    });
    assert_eq!(ready(&bench).0, 200);
    assert_eq!(weir.terminate(), Some(0));
}

#[test]
fn an_interface_that_goes_is_told_by_readiness_and_guarded_again_when_it_comes_back() {
    let Some(bench) = Bench::new() else { return };
    let ip = |words: &[&str]| told(&bench.run(bench.command("ip", words)));
    let mut weir = bench.enforcing(&[("WEIR__CAPTURE__WINDOW", "200ms")]);
    told(&bench.output(&["block", "203.0.113.9", "--for", "10m"]));
    wait_for("readiness", || ready(&bench).0 == 200);
    ip(&["link", "del", "eth0"]);
    weir.line("eth0: gone; waiting for it to come back");
    let (status, text) = ready(&bench);
    assert!(status == 503 && text.contains("`eth0` is not watched"), "{text}");
    let before = window(&bench);
    wait_for("windows", || window(&bench) > before + 3);
    assert_eq!(json(&bench, &["status"])["losses"]["unaccounted"], serde_json::Value::Null);
    assert_eq!(blocked(&bench), ["203.0.113.9"]);
    ip(&["link", "add", "eth0", "type", "veth", "peer", "name", "other0"]);
    weir.line("eth0: enforce, flows at TCX, guard at XDP (native");
    wait_for("readiness", || ready(&bench).0 == 200);

    // Under another name it is not the one that was named.
    ip(&["link", "set", "eth0", "name", "net0"]);
    weir.line("eth0: gone; waiting for it to come back");
    let (status, text) = ready(&bench);
    assert!(status == 503 && text.contains("`eth0` is not watched"), "{text}");
    assert!(!json(&bench, &["status"])["interfaces"].to_string().contains("net0"));
    let shown = told(&bench.run(bench.command("ip", &["-details", "link", "show", "net0"])));
    assert!(!shown.contains("xdp"), "{shown}");
    ip(&["link", "set", "net0", "name", "eth0"]);
    weir.line("eth0: enforce, flows at TCX, guard at XDP (native");
    wait_for("readiness", || ready(&bench).0 == 200);
    assert_eq!(blocked(&bench), ["203.0.113.9"]);
    assert_eq!(weir.terminate(), Some(0));
}
