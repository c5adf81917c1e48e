//! `weir lab synthesize`: made-up captures are read, labelled and refused like any other.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::assert_one_line;

/// A folder to make captures in, and the command.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn output(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(words.split_whitespace()).current_dir(self.0.path()).env_remove("WEIR_LOG");
        command.output().unwrap()
    }

    #[track_caller]
    fn told(&self, words: &str) -> String {
        let output = self.output(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap()
    }
}

#[test]
fn a_synthetic_attack_is_found_in_its_rows_by_its_truth() {
    let desk = Desk::new();
    let made = "lab synthesize --attack horizontal_scan --seed 3 --duration 1m";
    let told = desk.told(&format!("{made} --out a.pcap.zst"));
    assert!(told.starts_with("a.pcap.zst: ") && told.contains("a.truth.json"), "{told}");
    desk.told(&format!("{made} --out b.pcap"));
    assert_eq!(desk.bytes("a.truth.json"), desk.bytes("b.truth.json"));
    assert_eq!(zstd::decode_all(&desk.bytes("a.pcap.zst")[..]).unwrap(), desk.bytes("b.pcap"));

    desk.told("replay a.pcap.zst --home-net 192.0.2.0/24 --home-net 2001:db8::/64 --out tables");
    let told = desk.told("label tables --truth a.truth.json --json");
    let labelled: Value = serde_json::from_str(&told).expect("a summary");
    assert_eq!(labelled["unmatched"], Value::Array(Vec::new()), "{told}");
    let rows = |class: &Value| -> u64 {
        let rows = labelled["rows"].as_array().expect("rows").iter();
        rows.filter(|row| row["class"] == *class).filter_map(|row| row["rows"].as_u64()).sum()
    };
    assert!(rows(&"horizontal_scan".into()) > 5, "{told}");
    assert!(rows(&"benign".into()) > 50, "{told}");
    let of_peers = labelled["rows"].as_array().expect("rows").iter();
    let unknown = of_peers.filter(|row| row["table"] == "peer" && row["class"] == Value::Null);
    assert_eq!(unknown.count(), 0, "{told}");
}

#[test]
fn many_captures_are_of_many_networks_and_take_turns_in_their_attacks() {
    let desk = Desk::new();
    let words = "--attack udp_scan,beaconing --count 3 --duration 30s --frames 50000 --out made";
    let told = desk.told(&format!("lab synthesize {words}"));
    assert!(told.starts_with("3 captures in made: "), "{told}");
    let [first, second, third] = ["udp_scan-42", "beaconing-43", "udp_scan-44"]
        .map(|name| desk.bytes(&format!("made/{name}.pcap.zst")));
    assert!(first != second && first != third);
    let alone = "--attack udp_scan --seed 44 --duration 30s --frames 50000 --out alone.pcap.zst";
    desk.told(&format!("lab synthesize {alone}"));
    assert_eq!(desk.bytes("alone.pcap.zst"), third);
    assert_eq!(fs::read_dir(desk.0.path().join("made")).unwrap().count(), 6);
}

#[test]
fn what_cannot_be_made_is_refused_in_a_line_and_leaves_nothing() {
    let desk = Desk::new();
    let cases = [
        ("--duration 2h --out a.pcap", "must be 10s to 1h, got 2h"),
        ("--out a.pcap.gz", "captures are compressed by zstd; name it a.pcap.zst"),
        ("--attack all --out a.pcap", "22 classes of attacks need a capture each; say how many"),
        ("--attack syn_scan --frames 9 --out a.pcap", "`syn_scan` begins; allow more"),
        ("--out none/a.pcap", "cannot write none/a.pcap"),
    ];
    for (words, said) in cases {
        assert_one_line(&desk.output(&format!("lab synthesize {words}")), &[said]);
    }
    let output = desk.output("lab synthesize --attack scan --out a.pcap");
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no class of attacks is called `scan`; there are syn_scan"), "{told}");
    assert_eq!(fs::read_dir(desk.0.path()).unwrap().count(), 0);
}

const HOME: &str = "--home-net 192.0.2.0/24 --home-net 2001:db8::/64";

#[test]
fn who_sets_a_bound_is_named_and_left_out_by_the_flag_that_is_named() {
    let desk = Desk::new();
    desk.told("lab synthesize --attack syn_scan --seed 3 --duration 3m --out a.pcap.zst");
    let truth: Value = serde_json::from_slice(&desk.bytes("a.truth.json")).expect("a truth");
    let scanner = truth["attacks"][0]["sources"]["address"].as_str().expect("an address");
    desk.told(&format!("replay a.pcap.zst {HOME} --out tables"));
    for learn in [&format!("learn --pcap a.pcap.zst {HOME}"), "train tables"] {
        let told = desk.told(&format!("{learn} --out with.weir"));
        let named: Vec<&str> = told.lines().filter(|line| line.contains(scanner)).collect();
        println!("{told}");
        assert!(named.len() == 2 && named[1].contains(&format!("`--exclude {scanner}`")), "{told}");
        let told = desk.told(&format!("{learn} --out without.weir --exclude {scanner}"));
        assert!(!told.contains(&format!("{scanner}, ")), "{told}");
        let most = |model: &str| {
            let told = desk.told(&format!("replay a.pcap.zst {HOME} --score {model} --json"));
            let events = told.lines().map(|line| serde_json::from_str(line).expect("an event"));
            let its = events.filter(|event: &Value| event["peer"] == *scanner);
            its.filter_map(|event| event["surprise"].as_f64()).fold(0.0, f64::max)
        };
        let [with, without] = ["with.weir", "without.weir"].map(most);
        println!("{learn}: {with} {without}");
        assert!(without > with + 2.0, "{with} {without}");
        let refused = desk.output(&format!("{learn} --out no.weir --exclude 198.18.0.1"));
        assert_one_line(&refused, &["--exclude", "198.18.0.1"]);
        assert!(!desk.0.path().join("no.weir").exists());
    }
}
