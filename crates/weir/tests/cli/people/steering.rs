//! Commands that change a running node.

use control::Who;

use super::support::{Bench, assert_one_line};

#[test]
fn blocks_are_made_and_ended_by_the_node_which_records_who_and_why() {
    let bench = Bench::new();
    let words = ["block", "192.0.2.200", "--for", "90s", "--reason", "probes the mail server"];
    assert_eq!(bench.told(&words), "192.0.2.200 is blocked for 1m 30s\n");
    let words = ["block", "2001:db8::/32", "--action", "rate-limit", "--pps", "25", "--for", "1m"];
    assert_eq!(bench.told(&words), "2001:db8::/32 is limited to 25 packets a second for 1m\n");
    let blocks = bench.json(&["blocks", "--json"]);
    let made = &blocks.as_array().unwrap().iter().find(|b| b["target"] == "192.0.2.200").unwrap();
    assert_eq!(made["reason"], "probes the mail server");
    assert_eq!(bench.told(&["unblock", "192.0.2.200"]), "192.0.2.200 is no longer blocked\n");
    assert_one_line(&bench.output(&["unblock", "192.0.2.200"]), &["is not blocked", "weir blocks"]);
    assert_eq!(bench.acts(), ["block 192.0.2.200", "block 2001:db8::/32", "unblock 192.0.2.200"]);
    let acts = bench.node.acts();
    let Who::Local { uid, pid, .. } = acts[0].0 else { panic!("{acts:?}") };
    assert_eq!(uid, nix::unistd::getuid().as_raw());
    assert!(pid.is_some_and(|pid| u32::try_from(pid) != Ok(std::process::id())), "{pid:?}");
}

#[test]
fn a_list_goes_to_the_node_and_each_line_that_makes_no_block_is_told_in_its_place() {
    let bench = Bench::new();
    bench.told(&["allow", "add", "203.0.113.0/24"]);
    let list = bench.folder.path().join("list.txt");
    let lines = "192.0.2.201\nrubbish\n203.0.113.9\n2001:db8:9::/48\n192.0.2.1/24\n";
    std::fs::write(&list, lines).unwrap();
    let list = list.to_str().unwrap();
    let output = bench.output(&["import", "--json", "--for", "90s", list]);
    assert_eq!(output.status.code(), Some(1), "two lines are bad");
    let told = String::from_utf8(output.stderr).unwrap();
    for (line, expect) in told.lines().zip([
        ("2: `rubbish` is neither"),
        ("3: `203.0.113.9` is on the allowlist"),
        ("5: `192.0.2.1/24` has host bits set"),
    ]) {
        assert!(line.starts_with(&format!("{list}:{expect}")), "{line}");
    }
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!([&summary["lines"], &summary["new"], &summary["bad"]], [5, 2, 2]);
    assert_eq!(summary["refused"]["allowed"], 1);
    let blocks = bench.json(&["blocks", "--json"]);
    let made = blocks.as_array().unwrap().iter().find(|one| one["target"] == "2001:db8:9::/48");
    assert_eq!(made.unwrap()["origin"], "import");
    assert_eq!(bench.acts(), ["allow 203.0.113.0/24", "import 0", "import 3", "import 0"]);
}

#[test]
fn what_cannot_hold_is_refused_before_the_node_is_asked() {
    let bench = Bench::new();
    assert_one_line(&bench.output(&["block", "::/0"]), &["too wide"]);
    assert_one_line(&bench.output(&["block", "192.0.2.1", "--for", "0s"]), &["--for must be"]);
    assert_one_line(&bench.output(&["block", "192.0.2.1", "--pps", "5"]), &["--action rate-limit"]);
    let output = bench.output(&["enforce", "--confirm-within", "1s"]);
    assert_one_line(&output, &["--confirm-within must be between 10s and 1day, got 1s"]);
    assert_eq!(bench.output(&["mode", "block"]).status.code(), Some(2));
    assert_eq!(bench.acts(), [""; 0]);
}

#[test]
fn an_enforcement_is_confirmed_or_falls_back() {
    let bench = Bench::new();
    let text = bench.told(&["enforce", "--confirm-within", "5m"]);
    assert_eq!(
        text,
        "the mode is enforce; it falls back to shadow in 5m unless confirmed: `weir confirm`\n"
    );
    assert_eq!(bench.told(&["confirm"]), "confirmed: the mode stays enforce\n");
    assert_one_line(&bench.output(&["confirm"]), &["nothing to confirm"]);
    assert_eq!(bench.told(&["mode", "shadow"]), "the mode is shadow\n");
    let state = bench.json(&["mode", "observe", "--json"]);
    assert_eq!(state["mode"], "observe");
    assert_eq!(bench.acts(), ["mode enforce", "confirm", "mode shadow", "mode observe"]);
}

#[test]
fn the_breaker_is_closed_again_and_a_closed_one_is_said_to_be() {
    let bench = Bench::new();
    bench.node.trip("61 blocks in a minute");
    assert_eq!(bench.told(&["rearm"]), "the breaker is closed; the mode is enforce\n");
    assert_one_line(&bench.output(&["rearm"]), &["closed already"]);
}

#[test]
fn a_maintenance_is_said_of_a_service_or_of_all_and_ended() {
    let bench = Bench::new();
    let text = bench.told(&["maintenance", "443", "--for", "10m"]);
    assert!(text.starts_with("tcp/443 under maintenance for ") && text.contains(", by "), "{text}");
    let json = bench.json(&["maintenance", "--for", "90s", "--json"]);
    let services = json["services"].as_array().unwrap();
    let told: Vec<_> = services
        .iter()
        .map(|one| {
            let at = |key: &str| one[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            (one["service"]["port"].as_u64(), at("until").duration_since(at("since")).as_secs())
        })
        .collect();
    assert_eq!(told, [(Some(443), 600), (None, 90)]);
    let status = bench.told(&["status"]);
    assert!(status.contains("all services under maintenance for "), "{status}");
    let text = bench.told(&["maintenance", "--end", "tcp/443"]);
    assert!(text.starts_with("all services under maintenance") && text.lines().count() == 1);
    assert_eq!(bench.told(&["maintenance", "--end"]), "no service is under maintenance\n");
    let acts = bench.acts();
    assert!(acts.len() == 4 && acts.iter().all(|act| act == "maintenance"), "{acts:?}");
}

#[test]
fn a_maintenance_without_an_end_or_a_service_is_refused() {
    let bench = Bench::new();
    for words in [&["443"][..], &["443", "--for", "1m", "--end"], &["icmp/8", "--for", "1m"]] {
        let output = bench.output(&[&["maintenance"], words].concat());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
    let output = bench.output(&["maintenance", "--for", "0s"]);
    assert_one_line(&output, &["--for must be at least 1s", "`--end`"]);
    let output = bench.output(&["maintenance", "--for", "2days"]);
    assert_one_line(&output, &["at most 86400 (a day), got 172800"]);
    assert_eq!(bench.acts(), [""; 0]);
}

#[test]
fn what_is_allowed_is_added_listed_and_taken_back() {
    let bench = Bench::new();
    let text = bench.told(&["allow", "add", "198.51.100.0/24", "--for", "1h", "--note", "office"]);
    assert_eq!(text, "198.51.100.0/24 is never blocked for 1h\n");
    let listed = bench.told(&["allow", "list"]);
    assert!(listed.contains("198.51.100.0/24  person") && listed.contains("office"), "{listed}");
    assert_eq!(bench.json(&["allow", "list", "--json"])[0]["note"], "office");
    assert_eq!(bench.told(&["reload"]), "1 prefix allowed\n");
    let text = bench.told(&["allow", "remove", "198.51.100.0/24"]);
    assert_eq!(text, "198.51.100.0/24 may be blocked again\n");
    let again = bench.output(&["allow", "remove", "198.51.100.0/24"]);
    assert_one_line(&again, &["nobody allowed `198.51.100.0/24`"]);
}
