//! Output of commands that query a running node.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use control::wire::LiveClaim;
use events::ActionTaken;
use model::{Kind, schema};

use super::support::{Bench, serve};
use crate::support::model_of;

#[test]
fn the_status_says_what_is_wrong_and_what_to_do() {
    let bench = Bench::new();
    bench.node.trip("blocks would hit more than policy.expert.max_share_of_peers");
    insta::assert_snapshot!(bench.told(&["status"]));
    let status = bench.json(&["status", "--json"]);
    assert_eq!(status["mode"], "enforce");
    assert_eq!(status["breaker"]["open"], true);
    assert_eq!(status["drift"]["moved"][0]["feature"], "distinct_local_ports");
}

#[test]
fn a_check_of_the_configuration_is_about_the_peers_that_the_running_node_sees() {
    let bench = Bench::new();
    let model = bench.folder.path().join("model.weir");
    model_of(schema::schema_id(Kind::Peer)).save(&model).unwrap();
    let check = ["config", "check", "--model", model.to_str().unwrap()];
    let of_late = "so the running node sees it of late";
    assert!(!bench.told(&check).contains(of_late), "it tells of no traffic yet");
    bench.node.claim(LiveClaim {
        peers_per_window: 13.0,
        trained_at: Some(4.0),
        needed: 1_196,
        held_out: 100,
        supported: false,
        advice: "as the node says it".to_owned(),
    });
    let text = bench.told(&check);
    for words in [
        "traffic: 13.0 ordinary peers in a window of 1s",
        &format!(
            "{of_late}: at 13.0 ordinary peers a window: wrong blocks, 1 in 10: not supported"
        ),
        "needs 1196 held-out rows: learn for ",
        "or a larger `policy.wrong_blocks`, or `policy.unsupported = \"act\"`",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    let json = bench.json(&[&check[..], &["--json"]].concat());
    assert_eq!(
        (&json["supported"], &json["rates"]["peers_per_window"]),
        (&false.into(), &13.0.into())
    );
    let text = bench.told(&[&check[..], &["--peers", "2"]].concat());
    assert!(text.contains("traffic: 2.0 ordinary peers") && !text.contains(of_late), "{text}");
}

#[test]
fn the_blocks_of_a_node_say_who_made_them_and_why() {
    let bench = Bench::new();
    let text = bench.told(&["blocks"]);
    assert!(text.contains("model (p 0.0008)"), "{text}");
    assert!(text.contains("ada: seen in the mail log"), "{text}");
    let blocks = bench.json(&["blocks", "--json"]);
    assert_eq!(blocks.as_array().unwrap().len(), 4);
    assert_eq!(blocks[0]["target"], "192.0.2.7");
    assert_eq!(blocks[0]["dropped_packets"], 184_223);
    assert_eq!((&blocks[0]["by_hand"], &blocks[1]["by_hand"]), (&false.into(), &true.into()));
    assert_eq!(blocks[1]["reason"], "seen in the mail log");
}

#[test]
fn the_latest_alerts_are_listed_the_newest_last() {
    let bench = Bench::new();
    insta::assert_snapshot!(bench.told(&["alerts"]));
    let one = bench.json(&["alerts", "--json", "--limit", "1"]);
    assert_eq!(one[0]["peer"], "198.51.100.77");
    assert_eq!(one[0]["refusal"], "allowed");
    let text = bench.told(&["alerts", "--peer", "192.0.2.7"]);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(bench.told(&["alerts", "--since", "2026-11-28T20:00:00Z"]), "no alert fits\n");
    assert_eq!(bench.output(&["alerts", "--since", "yesterday"]).status.code(), Some(2));
}

#[test]
fn a_flooded_service_and_an_infected_host_are_alerts_and_on_the_screen() {
    let bench = Bench::new();
    let incident = |id: u64| {
        serde_json::json!({
            "id": id, "change": "opened", "opened": "2026-11-28T19:00:40Z", "windows": 1,
            "packets": 20_000, "bytes": 0, "blocks": 1
        })
    };
    let time = "2026-11-28T19:00:40Z";
    for event in [
        serde_json::json!({
            "event": "service", "id": 8, "time": time, "window": 7, "at_ns": 7, "incident": incident(8),
            "service": { "protocol": 6, "port": 443 }, "sources": 83_545, "packets": 90_000,
            "packets_per_second": 500, "expires_ns": 9, "renewed": false, "action": "rate-limit",
            "outcome": "rate-limited"
        }),
        serde_json::json!({
            "event": "site", "id": 9, "time": time, "window": 7, "at_ns": 7, "incident": incident(9),
            "site": { "host": "192.0.2.1" }, "surprise": 12.5, "horizon_ms": 10_000, "reasons": []
        }),
    ] {
        bench.node.tell(serde_json::from_value(event).expect("news"));
    }
    let text = bench.told(&["alerts"]);
    let flood = "incident 8 opened tcp/443 under a flood of 83545 unproven sources";
    let host = "incident 9 opened this host's 192.0.2.1 is unusual over 10s";
    for line in [flood, host] {
        assert_eq!(text.lines().filter(|one| one.contains(line)).count(), 1, "{text}");
    }
    let json = bench.json(&["alerts", "--json", "--limit", "2"]);
    assert_eq!((&json[0]["event"], &json[1]["event"]), (&"service".into(), &"site".into()));
    let of_host = bench.told(&["alerts", "--peer", "192.0.2.1"]);
    assert!(of_host.lines().count() == 1 && of_host.contains(host), "{of_host}");
    let screen = bench.told(&["top", "--once"]);
    assert!(
        screen.contains("service tcp/443") && screen.contains("this host's 192.0.2.1"),
        "{screen}"
    );
}

#[test]
fn more_alerts_than_a_page_holds_are_all_listed() {
    let bench = Bench::new();
    for _ in 0..1_200 {
        bench.node.alert("192.0.2.9", ActionTaken::Blocked);
    }
    let alerts = bench.json(&["alerts", "--json", "--limit", "1100"]);
    let ids: Vec<u64> =
        alerts.as_array().unwrap().iter().filter_map(|a| a["id"].as_u64()).collect();
    assert_eq!(ids, (104..=1_203).collect::<Vec<u64>>());
}

#[test]
fn alerts_are_followed_over_a_restart_of_the_node() {
    let bench = Bench::new();
    let mut command = bench.weir(&["alerts", "--follow", "--json", "--limit", "0"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
    // It asks for the newest first, so wait until it has: this alert may come before or after.
    let seen = |line: Option<Result<String, std::io::Error>>| {
        let line = line.expect("a line").expect("text");
        serde_json::from_str::<serde_json::Value>(&line).expect("JSON")["peer"].clone()
    };
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                bench.node.alert("192.0.2.41", ActionTaken::Blocked);
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        assert_eq!(seen(lines.next()), "192.0.2.41");
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let socket = bench.server.socket().to_owned();
    let Bench { node, server, folder } = bench;
    server.stop();
    let gone = errors.next().expect("a line").expect("text");
    assert!(gone.contains("no weir runs here") && gone.contains("looking for it"), "{gone}");
    node.alert("192.0.2.42", ActionTaken::Blocked);
    let server = serve(socket, &node);
    while seen(lines.next()) != "192.0.2.42" {}
    child.kill().unwrap();
    child.wait().unwrap();
    drop((server, folder));
}
