//! Blocks by hand, and what becomes of them when the node that made them is gone.

use std::process::Command;

use ipnet::IpNet;
use serde_json::Value;

use crate::support::{Bench, assert_one_line, told};

pub(crate) fn blocks(bench: &Bench) -> Vec<Value> {
    serde_json::from_str(&told(&bench.output(&["blocks", "--json"]))).expect("a JSON array")
}

#[test]
fn where_nothing_is_pinned_each_command_says_how_to_pin() {
    let Some(bench) = Bench::new() else { return };
    for words in [&["blocks"][..], &["unblock", "192.0.2.77"], &["detach"]] {
        let output = bench.output(words);
        bench.assert_refuses(&output, &["no pinned guard under", "weir run --mode enforce"]);
    }
}

#[test]
fn a_block_by_hand_is_listed_counts_and_goes() {
    let Some(bench) = Bench::new() else { return };
    let mut node = bench.enforcing(&[]);
    assert_eq!(told(&bench.output(&["blocks"])), "nothing is blocked\n");
    let client = bench.lab.clients()[0].addresses()[0];
    let text = client.to_string();
    let words = ["block", &text, "--for", "90s"];
    assert_eq!(told(&bench.output(&words)), format!("{client} is blocked for 1m 30s\n"));

    assert_eq!(node.terminate(), Some(0));

    // Three echo requests that the pinned guard drops, though no weir runs.
    let host = bench.lab.host().addresses()[0].to_string();
    let mut ping = Command::new("ping");
    ping.args(["-n", "-c", "3", "-i", "0.2", "-W", "1", &host]);
    if test_support::find_program("ping").is_some() {
        let output =
            bench.lab.enter(&bench.lab.clients()[0], move || ping.output()).unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1), "an answer came through");
        let listed = blocks(&bench);
        assert!(listed[0]["dropped_packets"].as_u64() >= Some(3), "{listed:?}");
        assert!(listed[0]["last_drop_ago_ms"].is_u64(), "{listed:?}");
    }
    let listed = blocks(&bench);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["target"], text.as_str());
    assert_eq!(listed[0]["action"], "drop");
    assert_eq!(listed[0]["by_hand"], true);
    assert!(listed[0]["remaining_ms"].as_u64() <= Some(90_000));

    told(&bench.output(&["unblock", &text]));
    let output = bench.output(&["unblock", &text]);
    assert_one_line(&output, &["is not blocked", "weir blocks"]);
    let text = told(&bench.output(&["detach"]));
    assert!(text.contains("the guard is off eth0 and 0 blocks are gone"), "{text}");
    bench.assert_nothing_is_left();
}

#[test]
fn prefixes_and_rates_are_read_back_as_they_were_asked_for() {
    let Some(bench) = Bench::new() else { return };
    let mut node = bench.enforcing(&[]);
    let words =
        ["block", "2001:db8:7::/48", "--for", "1m", "--action", "rate-limit", "--pps", "25"];
    assert_eq!(
        told(&bench.output(&words)),
        "2001:db8:7::/48 is limited to 25 packets a second for 1m\n"
    );
    told(&bench.output(&["block", "203.0.113.128/25", "--action", "shadow"]));
    assert_one_line(&bench.output(&["unblock", "--expired"]), &["a weir runs"]);
    assert_eq!(node.terminate(), Some(0));
    assert_one_line(&bench.output(&["block", "203.0.113.1"]), &["no weir runs", "weir run"]);
    bench.block_behind_its_back("203.0.113.1", 1);
    let listed = blocks(&bench);
    let targets: Vec<_> = listed.iter().filter_map(|one| one["target"].as_str()).collect();
    assert_eq!(targets, ["203.0.113.1", "203.0.113.128/25", "2001:db8:7::/48"]);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert!(told(&bench.output(&["blocks"])).contains("expired"));
    assert_eq!(told(&bench.output(&["unblock", "--expired"])), "1 expired entries removed\n");
    assert_eq!(blocks(&bench).len(), 2);
    told(&bench.output(&["unblock", "203.0.113.128/25"]));
    assert_eq!(blocks(&bench).len(), 1);
}

#[test]
fn what_would_shut_the_host_off_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let _node = bench.enforcing(&[]);
    let own = bench.lab.host().addresses()[0];
    let net = IpNet::new(own, 24).expect("IPv4").trunc().to_string();
    let own = own.to_string();
    assert_one_line(&bench.output(&["block", &own]), &["this host's own address", "force"]);
    assert_one_line(&bench.output(&["block", &net]), &["own address", "force"]);
    assert_one_line(&bench.output(&["block", "224.0.0.251"]), &["no host's address", "force"]);
    let forced = told(&bench.output(&["block", &own, "--force"]));
    assert!(forced.contains("is on the allowlist, which wins"), "{forced}");
    for wide in ["198.0.0.0/7", "::/0"] {
        assert_one_line(&bench.output(&["block", wide, "--force"]), &["too wide", wide]);
    }
    assert_one_line(&bench.output(&["block", "192.0.2.77", "--for", "0s"]), &["--for must be"]);
    for wrong in ["192.0.2.777", "192.0.2.7/24"] {
        assert_eq!(bench.output(&["block", wrong]).status.code(), Some(2), "{wrong}");
    }
}
