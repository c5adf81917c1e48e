//! Lists of blocks, which the running node takes.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use crate::{
    by_hand::blocks,
    support::{Bench, assert_one_line, told},
};

/// Addresses that providers share (RFC 6598), which are never sent to.
const SHARED: u32 = 0x6440_0000;
const MANY: u32 = 200_000;

/// Addresses in no order.
fn shared(numbers: std::ops::Range<u32>) -> impl Iterator<Item = Ipv4Addr> {
    numbers.map(|number| (SHARED | (number.wrapping_mul(0x9e37_79b1) & 0x003f_ffff)).into())
}

fn list<T: ToString>(targets: impl IntoIterator<Item = T>) -> String {
    targets.into_iter().map(|target| target.to_string() + "\n").collect()
}

fn write(bench: &Bench, name: &str, list: &str) -> String {
    let path = bench.path(name);
    fs::write(&path, list).expect("room");
    path
}

/// The summary of a load that worked.
#[track_caller]
fn import(bench: &Bench, words: &[&str]) -> Value {
    summary(&told(&bench.output(&[&["import", "--json"], words].concat())))
}

fn summary(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn exported(bench: &Bench) -> BTreeSet<String> {
    told(&bench.output(&["blocks", "--format", "text"])).lines().map(str::to_owned).collect()
}

/// Asserts that two sets are the same, and shows one element where they are not.
#[track_caller]
fn assert_same(found: &BTreeSet<String>, wanted: &BTreeSet<String>) {
    assert_eq!(found.symmetric_difference(wanted).next(), None);
}

/// Without a lab, and without rights.
fn weir(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(words).stdin(Stdio::null()).env_remove("WEIR_LOG");
    command.env("WEIR__API__SOCKET", "/nowhere/weir.sock");
    command.env("WEIR__GUARD__BPFFS", "/nowhere").output().expect("it starts")
}

#[test]
fn a_list_of_200_000_is_in_force_and_each_bad_line_is_told_by_its_number() {
    let Some(bench) = Bench::new() else { return };
    let mut node = bench.enforcing(&[]);
    let client = bench.lab.clients()[0].addresses()[0];
    let own = bench.lab.host().addresses()[0];
    let mut wanted: BTreeSet<String> = shared(0..MANY).map(|one| one.to_string()).collect();
    wanted.extend((0..1_000).map(|number| format!("2001:db8:{number:x}::/48")));
    wanted.extend((1..=1_000).map(|number| format!("2001:db8:ffff::{number:x}")));
    // The lab's own network is in 2001:db8:0::/48, and its host in that.
    wanted.remove("2001:db8:0::/48");
    wanted.insert(client.to_string());
    let mut text = format!("192.0.2.1/24\nrubbish\n{own}\n0.0.0.0/0\n2001:db8::/48\n{client}\n");
    text.push_str(&list(&wanted));
    let path = write(&bench, "feed.txt", &text);
    let errors = bench.path("errors.txt");

    let output = bench.output(&["import", "--json", "--for", "10m", "--errors", &errors, &path]);
    assert_eq!(output.status.code(), Some(1), "two lines are bad");
    let told_of = summary(&String::from_utf8(output.stdout).expect("text"));
    let count = |key: &str| told_of[key].as_u64();
    assert_eq!(count("lines"), Some(wanted.len() as u64 + 6));
    assert_eq!((count("bad"), count("repeated"), count("kept")), (Some(2), Some(1), Some(0)));
    assert_eq!(count("new"), Some(wanted.len() as u64));
    assert_eq!(count("read_back"), count("new"));
    assert_eq!(
        (told_of["refused"]["own"].as_u64(), told_of["refused"]["too_wide"].as_u64()),
        (Some(2), Some(1))
    );
    let errors = fs::read_to_string(errors).expect("the file of bad lines");
    let shown = String::from_utf8(output.stderr).expect("text");
    assert_eq!(errors, shown);
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 5, "{errors}");
    for (line, (number, word)) in
        lines.iter().zip([(1, "192.0.2.0/24"), (2, "rubbish"), (3, "own"), (4, "wide"), (5, "own")])
    {
        assert!(line.starts_with(&format!("{path}:{number}: ")) && line.contains(word), "{line}");
    }

    assert_eq!(node.terminate(), Some(0));
    assert_same(&exported(&bench), &wanted);
    let targets: BTreeSet<String> = blocks(&bench)
        .iter()
        .filter_map(|block| block["target"].as_str().map(str::to_owned))
        .collect();
    assert_same(&targets, &wanted);
    the_client_is_dropped(&bench);

    // What was written out makes the same set on an empty guard.
    let csv = told(&bench.output(&["blocks", "--format", "csv"]));
    told(&bench.output(&["detach"]));
    let mut node = bench.enforcing(&[]);
    let path = write(&bench, "exported.csv", &csv);
    assert_eq!(import(&bench, &[&path])["new"].as_u64(), Some(wanted.len() as u64));
    assert_eq!(node.terminate(), Some(0));
    assert_same(&exported(&bench), &wanted);
    the_client_is_dropped(&bench);
}

/// A real packet from a blocked client, which the pinned guard drops.
#[track_caller]
fn the_client_is_dropped(bench: &Bench) {
    if test_support::find_program("ping").is_none() {
        test_support::skip("`ping` is not installed: no packet was sent");
        return;
    }
    let host = bench.lab.host().addresses()[0].to_string();
    let mut ping = Command::new("ping");
    ping.args(["-n", "-c", "1", "-W", "1", &host]);
    let output = bench.lab.enter(&bench.lab.clients()[0], move || ping.output()).unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1), "an answer came through");
}

#[test]
fn what_stands_longer_or_is_stricter_stays_and_counters_go_on() {
    let Some(bench) = Bench::new() else { return };
    let mut running = bench.enforcing(&[]);
    for (target, length, action) in
        [("192.0.2.77", "1h", "drop"), ("192.0.2.78", "1h", "shadow"), ("192.0.2.79", "1m", "drop")]
    {
        told(&bench.output(&["block", target, "--for", length, "--action", action]));
    }
    let path = write(&bench, "three.txt", "192.0.2.77\n192.0.2.78\n192.0.2.79\n192.0.2.80\n");
    let first = import(&bench, &["--for", "10m", &path]);
    assert_eq!([&first["kept"], &first["replaced"], &first["new"]], [1, 2, 1]);
    let listed = blocks(&bench);
    let of = |target: &str| {
        listed.iter().find(|block| block["target"] == target).expect("it is blocked").clone()
    };
    assert!(of("192.0.2.77")["remaining_ms"].as_u64() > Some(3_000_000));
    assert_eq!(of("192.0.2.78")["action"], "drop");
    for target in ["192.0.2.78", "192.0.2.79"] {
        let left = of(target)["remaining_ms"].as_u64();
        assert!(left > Some(500_000) && left <= Some(600_000), "{target}: {left:?}");
    }
    let again = import(&bench, &["--for", "10m", &path]);
    assert_eq!([&again["kept"], &again["replaced"], &again["new"]], [1, 3, 0]);

    // Blocks of one's own have counters of their own; those of a list share one slot, of which the
    // table alone tells.
    assert_eq!(running.terminate(), Some(0));
    let listed = blocks(&bench);
    for (target, counts) in
        [("192.0.2.77", true), ("192.0.2.78", true), ("192.0.2.79", true), ("192.0.2.80", false)]
    {
        let found = listed.iter().find(|block| block["target"] == target).expect("it is blocked");
        assert_eq!(found["dropped_packets"].is_u64(), counts, "{target}");
    }
}

#[test]
fn a_full_table_stops_the_load_and_says_how_far_it_came() {
    let Some(bench) = Bench::new() else { return };
    let _node = bench.enforcing(&[("WEIR__TABLES__BLOCKS", "1000")]);
    let path = write(&bench, "first.txt", &list(shared(0..600)));
    assert_eq!(import(&bench, &["--for", "1s", &path])["new"], 600);
    let until = Instant::now() + Duration::from_secs(20);
    while !exported(&bench).is_empty() {
        assert!(Instant::now() < until, "the leases do not run out");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What has run out makes room.
    let path = write(&bench, "next.txt", &list(shared(1_000..3_000)));
    let output = bench.output(&["import", "--json", "--for", "10m", &path]);
    let stopped = summary(&String::from_utf8_lossy(&output.stdout));
    assert_one_line(
        &output,
        &["next.txt", "line 751: ", "250 more are kept free", "tables.blocks"],
    );
    assert_eq!([&stopped["new"], &stopped["read_back"]], [750, 750]);
    assert!(stopped["stopped"].as_str().is_some_and(|why| why.contains("line 751")));
    let wanted = shared(1_000..1_750).map(|one| one.to_string()).collect();
    assert_same(&exported(&bench), &wanted);

    // A prefix is never cut to an address to make it fit.
    let prefixes = (0..16_385_u32)
        .map(|number| format!("2001:db8:{:x}:{:x}::/64", 1 + number / 65_536, number % 65_536));
    let path = write(&bench, "prefixes.txt", &list(prefixes));
    let output = bench.output(&["import", "--json", "--for", "10m", &path]);
    assert_one_line(
        &output,
        &["line 16135: ", "16134 entries", "250 more are kept free", "tables.prefixes"],
    );
    let stopped = summary(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(stopped["blocked"]["prefixes"], 16_134);
    assert_eq!(exported(&bench).len(), 750 + 16_134);
}

#[test]
fn a_list_has_a_name_by_which_it_is_counted_listed_and_ended() {
    let Some(bench) = Bench::new() else { return };
    let mut node = bench.enforcing(&[("WEIR__TABLES__PREFIXES", "2")]);
    let feeds = write(&bench, "feeds.txt", &list(shared(0..5_000)));
    let tor = write(&bench, "tor.txt", &list(shared(4_000..4_010)));
    import(&bench, &["--for", "10m", "--list", "feeds", &feeds]);
    let kept = import(&bench, &["--for", "5m", "--list", "tor", &tor]);
    assert_eq!(kept["kept"], 10, "they stand already, on the other list");
    told(&bench.output(&["block", "192.0.2.77", "--list", "tor", "--action", "shadow"]));
    told(&bench.output(&["block", "192.0.2.78"]));
    let status: Value =
        serde_json::from_str(&told(&bench.output(&["status", "--json"]))).expect("JSON");
    let held = |origin: &str, list: &str| {
        let held = status["held"].as_array().expect("counts").iter();
        let one = held.clone().find(|one| {
            one["origin"] == origin && one["list"].as_str().unwrap_or_default() == list
        });
        one.map(|one| [&one["drop"], &one["shadow"]].map(|count| count.as_u64().unwrap()))
    };
    assert_eq!(held("import", "feeds"), Some([5_000, 0]), "{status}");
    assert_eq!(held("import", "tor"), Some([0, 1]), "{status}");
    assert_eq!(held("person", ""), Some([1, 0]), "{status}");
    let text = told(&bench.output(&["status"]));
    assert!(text.contains("list feeds 5,000 drop"), "{text}");
    let (_, metrics) = bench.get("/metrics");
    for (labels, count) in [
        ("origin=\"import\",list=\"feeds\",action=\"drop\"", 5_000),
        ("origin=\"import\",list=\"tor\",action=\"shadow\"", 1),
        ("origin=\"person\",list=\"\",action=\"drop\"", 1),
    ] {
        let line = format!("weir_held_blocks{{{labels}}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }

    let count = |words: &[&str]| {
        let text = told(&bench.output(&[&["blocks", "--json"], words].concat()));
        serde_json::from_str::<Vec<Value>>(&text).expect("an array").len()
    };
    assert_eq!((count(&["--list", "feeds"]), count(&["--list", "tor"])), (5_000, 1));
    assert_eq!(count(&[]), 5_002, "every page of them");
    assert_one_line(&bench.output(&["blocks", "--list", "none"]), &["no list `none`"]);
    let two = write(&bench, "two.txt", "203.0.113.0/25\n203.0.113.128/26\n203.0.113.192/26\n");
    let full = bench.output(&["import", "--list", "feeds", &two]);
    assert_one_line(&full, &["line 3: ", "2 entries", "tables.prefixes"]);

    // By the node, and by the names beside the ledger where none runs.
    assert_eq!(told(&bench.output(&["unblock", "--list", "feeds"])), "5002 blocks ended\n");
    assert_eq!((count(&["--list", "feeds"]), count(&[])), (0, 2));
    assert_eq!(node.terminate(), Some(0));
    assert_eq!((count(&["--list", "tor"]), count(&[])), (1, 2));
    assert_eq!(told(&bench.output(&["unblock", "--list", "tor"])), "1 blocks ended\n");
    assert_eq!(told(&bench.output(&["unblock", "--all"])), "1 blocks ended\n");
    assert_eq!(told(&bench.output(&["blocks"])), "nothing is blocked\n");
}

#[test]
fn a_dry_run_needs_no_guard_and_reads_what_a_list_may_be_wrapped_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"203.0.113.1\n203.0.113.128/25\n").expect("memory");
    fs::write(path("a.gz"), packed.finish().expect("memory")).expect("room");
    fs::write(path("b.csv"), "seen,source.ip\nmon,203.0.113.1\ntue,203.0.113.9\n").expect("room");
    let output = weir(&["import", "--dry-run", "--json", &path("a.gz"), &path("b.csv")]);
    let told_of = summary(&told(&output));
    assert_eq!([&told_of["lines"], &told_of["new"], &told_of["repeated"]], [4, 3, 1]);
    assert_eq!(told_of["blocked"]["prefixes"], 1);
    let text = told(&weir(&["import", "--dry-run", &path("b.csv")]));
    assert!(text.starts_with("would block 2 addresses and 0 prefixes for "), "{text}");
}

#[test]
fn bad_lines_are_shown_up_to_a_bound_and_tolerated_up_to_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.txt");
    fs::write(&path, "nonsense\n".repeat(30) + "203.0.113.1\n").expect("room");
    let path = path.to_str().expect("text");
    let run = |most: &[&str]| weir(&[&["import", "--dry-run", path], most].concat());
    let code = |output: &Output| output.status.code();
    assert_eq!(code(&run(&[])), Some(1));
    assert_eq!(code(&run(&["--max-errors", "30"])), Some(0));
    let all = run(&["--max-errors", "30"]);
    let shown = String::from_utf8_lossy(&all.stderr);
    assert_eq!(shown.lines().count(), 21, "{shown}");
    assert!(shown.ends_with("and 10 more lines; `--errors FILE` writes all\n"), "{shown}");
    let stopped = run(&["--max-errors", "2"]);
    assert_eq!(code(&stopped), Some(1));
    let shown = String::from_utf8_lossy(&stopped.stderr);
    assert!(shown.contains("line 3 is one bad line too many (--max-errors)"), "{shown}");
}

#[test]
fn what_cannot_be_loaded_says_why_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    fs::write(path("list.txt"), "192.0.2.1\n").expect("room");
    fs::write(path("cut.gz"), [0x1f, 0x8b, 8, 0, 0]).expect("room");
    fs::write(path("odd.csv"), "a,b\n1,2\n").expect("room");
    let check = |words: &[&str], expected: &[&str]| {
        assert_one_line(&weir(&[&["import"], words].concat()), expected);
    };
    check(&[&path("list.txt")], &["no weir runs here", "weir run"]);
    check(&["--dry-run", &path("none.txt")], &["cannot open", "none.txt"]);
    check(&["--dry-run", &path("cut.gz")], &["cut.gz", "ends after line 0", "cut short"]);
    check(&["--dry-run", &path("odd.csv")], &["odd.csv", "no column of addresses", "--column"]);
    check(&["--dry-run", "--for", "0s", &path("list.txt")], &["--for must be between 1s"]);
    check(&["--dry-run", "--pps", "5", &path("list.txt")], &["--action rate-limit"]);
    let own: IpAddr = [127, 0, 0, 1].into();
    // Bogons, which lists of others hold, and what the host's own allow file speaks for.
    let bogons = "0.0.0.0/8\n169.254.0.0/16\n224.0.0.0/8\n255.255.255.255\n::\nfea0::/19\n";
    fs::write(path("own.txt"), list([own]) + bogons + "203.0.113.0/24\n").expect("room");
    fs::write(path("allow.txt"), "203.0.113.7 # the office\n").expect("room");
    let allow = format!("[policy]\nallow_files = ['{}']\n", path("allow.txt"));
    fs::write(path("weir.toml"), allow).expect("room");
    let output = weir(&["import", "--dry-run", "--config", &path("weir.toml"), &path("own.txt")]);
    let told_of = told(&output);
    assert!(told_of.contains("8 lines refused: 1 own, 6 no host, 1 allowlist"), "{told_of}");
}
