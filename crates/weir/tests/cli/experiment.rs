//! `weir experiment` on the demo's capture, its tables, and a node's record.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{assert_one_line, told};

const HOME: [&str; 2] = ["--home-net=192.0.2.1", "--home-net=2001:db8::1"];
/// A small grid: one setting too eager, one as configured, one that never acts.
///
/// Forty seconds of benign traffic hold too few rows to claim a rate by.
const GRID: &str = "[policy]\nttl = '30s'\nexpert.early_release = 0.0\nunsupported = 'act'\n\
                    [grid.expert]\nact_surprise = [4, 5]\nwindows = [1, 2]\n";

/// A folder with the demo's tables, labelled, and a model trained on their benign rows.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let replay = ["replay", &data("demo.pcap.zst"), "--out=tables", "--window=500ms"];
        desk.done(&[&replay[..], &HOME].concat());
        desk.done(&["label", "tables", "--truth", &data("demo.truth.json")]);
        let train = ["train", "tables", "--trees=30", "--created=2026-01-31T12:00:00Z"];
        desk.done(&[&train[..], &["--out=model.weir"]].concat());
        std::fs::write(desk.0.path().join("grid.toml"), GRID).unwrap();
        desk
    }

    fn weir(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(words).env_remove("WEIR_LOG").current_dir(self.0.path());
        command.output().unwrap()
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        told(&self.weir(words))
    }

    /// An experiment on the capture.
    #[track_caller]
    fn capture(&self, words: &[&str]) -> String {
        let capture = data("demo.pcap.zst");
        let fixed = ["experiment", &capture, "--model=model.weir", "--window=500ms"];
        self.done(&[&fixed[..], &HOME, words].concat())
    }
}

/// A file of the training data.
fn data(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training-data");
    root.join(name).to_str().expect("a path in UTF-8").to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("a report")
}

#[test]
fn a_capture_gives_what_each_setting_stops_and_whom_it_hurts() {
    let desk = Desk::new();
    let truth = data("demo.truth.json");
    let words = ["--truth", &truth, "--grid=grid.toml", "--json", "--html=report.html"];
    let text = desk.capture(&words);
    let report = json(&text);
    assert_eq!(report["schema"], "weir.experiment.v1");
    assert_eq!(report["axes"][0]["key"], "expert.act_surprise");
    let settings = report["settings"].as_array().unwrap();
    let names: Vec<&str> = settings.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "act_surprise=4 windows=1",
            "act_surprise=4 windows=2",
            "act_surprise=5 windows=1",
            "act_surprise=5 windows=2"
        ]
    );
    let best = report["trade_off"]["best"].as_u64().and_then(|number| number.checked_sub(1));
    let best = &settings[usize::try_from(best.unwrap()).unwrap()];
    assert_eq!(best["attack"]["attacks"], 5, "{}", best["attack"]);
    assert!(best["attack"]["attacks_blocked"].as_u64() >= Some(2), "{}", best["attack"]);
    assert!(best["attack"]["stopped_packet_share"].as_f64() > Some(0.2), "{}", best["attack"]);
    assert_eq!(best["benign"]["packets_lost"], 0);
    for setting in settings {
        let (stopped, all) = (&setting["attack"]["stopped"], &report["traffic"]["attack"]);
        assert!(stopped["packets"].as_u64() <= all["packets"].as_u64());
        let refused = setting["refusals"].as_array().unwrap();
        assert!(refused.iter().all(|one| !one["text"].as_str().unwrap().is_empty()));
    }
    let roles: Vec<&str> = report["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["model", "capture", "truth", "grid"]);

    let page = std::fs::read(desk.0.path().join("report.html")).unwrap();
    let again = desk.capture(&[&words[..], &["--threads=1"]].concat());
    assert_eq!(again, text, "the same bytes, whatever the number of threads");
    assert_eq!(std::fs::read(desk.0.path().join("report.html")).unwrap(), page);
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("What is stopped, and at which price") && !page.contains("<script"));
    assert!(
        !page.contains("http://")
            || page.matches("http://").count()
                == page.matches("http://www.w3.org/2000/svg").count()
    );

    let text = desk.capture(&["--truth", &truth, "--grid=grid.toml", "--threads=2"]);
    assert!(text.contains("what would be blocked, and when"), "{text}");
    let without =
        json(&desk.capture(&["--set=expert.act_surprise=5", "--set=unsupported=act", "--json"]));
    let setting = &without["settings"][0];
    assert_eq!(setting["attack"], Value::Null);
    assert!(setting["stopped"]["packets"].as_u64() > Some(0), "{setting}");
    assert_eq!(without["trade_off"], Value::Null);
    assert!(without["absent"][0]["why"].as_str().unwrap().contains("--truth"));
}

#[test]
fn captures_are_read_once_by_the_one_length_of_hosts_that_all_settings_have() {
    let desk = Desk::new();
    let capture = data("demo.pcap.zst");
    let words = ["experiment", &capture, "--model=model.weir", "--window=500ms"];
    let set = ["--set=ipv6_hosts=/56,/48"];
    let output = desk.weir(&[&words[..], &HOME, &set].concat());
    assert_one_line(&output, &["`policy.ipv6_hosts`", "an experiment for each"]);
    let one = json(&desk.capture(&["--set=ipv6_hosts=/56", "--json"]));
    assert_eq!(one["settings"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_allow_file_holds_in_a_replay_as_in_an_experiment() {
    let desk = Desk::new();
    let setting = "[policy]\nunsupported = 'act'\nexpert.windows = 1\nexpert.early_release = 0.0\n";
    let write = |name: &str, text: &str| std::fs::write(desk.0.path().join(name), text).unwrap();
    write("open.toml", setting);
    write("allowing.toml", &format!("{setting}allow_files = ['allow.txt']\n"));
    let replay = |config: &str| -> Vec<Value> {
        let capture = data("demo.pcap.zst");
        let words = ["replay", &capture, "--score=model.weir", "--window=500ms", "--json"];
        let told = desk.done(&[&words[..], &HOME, &["--config", config]].concat());
        let events = told.lines().map(json);
        events.filter(|event| event["event"] == "anomaly").collect()
    };
    let blocked = |events: &[Value]| -> Vec<String> {
        let blocks = events.iter().filter(|event| event["outcome"] == "would-block");
        blocks.map(|event| event["peer"].as_str().expect("an address").to_owned()).collect()
    };
    let attackers = blocked(&replay("open.toml"));
    assert!(!attackers.is_empty());
    write("allow.txt", &format!("# known to us\n{}\n", attackers.join("\n")));
    let spared = replay("allowing.toml");
    assert_eq!(blocked(&spared), [""; 0]);
    assert!(spared.iter().any(|event| event["refusal"] == "allowed"), "{spared:?}");

    let experiment = |config: &str| {
        let words = ["--config", config, "--set=expert.act_surprise=5", "--json"];
        json(&desk.capture(&words))["settings"][0].clone()
    };
    assert!(experiment("open.toml")["stopped"]["packets"].as_u64() > Some(0));
    let spared = experiment("allowing.toml");
    assert_eq!(spared["stopped"]["packets"], 0);
    assert!(spared["refusals"].to_string().contains("allowlist"), "{}", spared["refusals"]);
}

#[test]
fn tables_give_the_report_that_their_capture_gives() {
    let desk = Desk::new();
    let truth = data("demo.truth.json");
    let capture = desk.capture(&["--truth", &truth, "--grid=grid.toml", "--json"]);
    let tables = ["experiment", "tables", "--model=model.weir", "--grid=grid.toml", "--json"];
    let own_labels = desk.done(&tables);
    let same_truth = desk.done(&[&tables[..], &["--truth", &truth]].concat());
    let [mut capture, mut own_labels, mut same_truth] =
        [capture, own_labels, same_truth].map(|text| json(&text));
    assert!(!capture["settings"][0]["block_list"].as_array().unwrap().is_empty());
    assert!(capture["traffic"]["all"]["packets"].as_u64() > Some(0));

    let unreadable = "records of a capture that could not be read";
    for tables in [&mut own_labels, &mut same_truth] {
        assert_eq!(tables["source"], "tables");
        let absent = tables["absent"].as_array_mut().unwrap();
        let before = absent.len();
        absent.retain(|one| one["what"] != unreadable);
        assert_eq!(absent.len() + 1, before, "tables tell less by this alone");
    }
    for report in [&mut capture, &mut own_labels, &mut same_truth] {
        let report = report.as_object_mut().unwrap();
        assert!(report.remove("source").is_some() && report.remove("inputs").is_some());
    }
    assert_eq!(same_truth, capture);
    assert_eq!(own_labels, capture, "by the tables' own labels");
}

#[test]
fn a_nodes_record_gives_the_same_report() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let counts = "\"flows\":1,\"packets\":[9,9],\"frames\":[9,9],\"packets_in_flows\":18,\
        \"losses\":[],\"not_ip\":[],\"evicted\":[0,0],\"imbalance\":0,\"decided_after_us\":9,\"late\":0";
    let record = format!(
        "{{\"event\":\"window\",\"number\":1,\"start_ns\":7442000000000,\"end_ns\":7443000000000,\
        \"peers\":2,{counts}}}\n\
        {{\"event\":\"anomaly\",\"id\":1,\"time\":\"2026-11-28T19:00:00Z\",\"at_ns\":7443010000000,\
        \"window\":1,\"peer\":\"198.51.100.11\",\"p_value\":0.001,\"conditional_p_value\":0.001,\
        \"peer_score\":0.7,\"horizon_ms\":1000,\"tail_score\":12.5,\"surprise\":8.0,\
        \"standing\":\"unproven\",\"flows\":9,\"packets\":9,\"bytes\":540,\"outcome\":\"shadowed\",\
        \"action\":\"shadow\",\"ttl_s\":3,\"offence\":1,\"reasons\":[]}}\n\
        {{\"event\":\"window\",\"number\":2,\"start_ns\":7443000000000,\"end_ns\":7447000000000,\
        \"peers\":1,{counts}}}\n\
        {{\"event\":\"expired\",\"at_ns\":7447000000000,\"peer\":\"198.51.100.11\",\
        \"dropped_packets\":0,\"dropped_bytes\":0,\"passed_packets\":1600,\
        \"would_drop_packets\":1600,\"would_drop_bytes\":96000,\"first_drop_ns\":7443020000000}}\n"
    );
    std::fs::write(desk.0.path().join("events.jsonl"), record).unwrap();
    let truth = data("demo.truth.json");
    let words = ["experiment", "--shadow=events.jsonl", "--truth", &truth, "--html=r.html"];
    let report = json(&desk.done(&[&words[..], &["--json"]].concat()));
    assert_eq!(
        (&report["schema"], &report["source"]),
        (&"weir.experiment.v1".into(), &"node_record".into())
    );
    let setting = &report["settings"][0];
    assert_eq!(setting["attack"]["stopped"]["packets"], 1_600);
    assert_eq!(setting["attacks"][0]["name"], "flood");
    assert_eq!(setting["false_blocks"], 0);
    assert_eq!(setting["attack"]["stopped_packet_share"], Value::Null);
    let text = desk.done(&words);
    assert!(text.contains("not told by this input") && text.contains("1,600"), "{text}");
    assert!(desk.0.path().join("r.html").exists());
}

#[test]
fn what_cannot_be_tried_is_refused_by_name() {
    let desk = Desk::new();
    let capture = data("demo.pcap.zst");
    let refused = |words: &[&str], told: &[&str]| {
        assert_one_line(&desk.weir(&[&["experiment"], words].concat()), told);
    };
    let model = "--model=model.weir";
    refused(&[&capture], &["`model.path` is not set"]);
    let least = "`policy.expert.act_surprise` must be at least";
    refused(&[&capture, model, "--set=expert.act_surprise=1.5"], &[least, "1.5"]);
    let moved = "`policy.act_surprise` is `policy.expert.act_surprise` now";
    refused(&[&capture, model, "--set=policy.act_surprise=5"], &[moved]);
    refused(&[&capture, model, "--set=colour=1"], &["policy.colour", "unknown field"]);
    refused(&[&capture, model, "--grid=absent.toml"], &["absent.toml", "No such file"]);
    std::fs::write(desk.0.path().join("truth.txt"), "noon: a scan").unwrap();
    refused(&[&capture, model, "--truth=truth.txt"], &["truth.txt", ".csv or .toml"]);
    refused(&[&capture, "tables", model], &["cannot be mixed"]);
    let window = "--window=500ms";
    refused(&["absent.pcap", model, window], &["absent.pcap"]);
    refused(&[&capture, model], &["trained on windows of 500ms", "these are of 1s"]);
    refused(&["tables/peer", "tables/flow", model], &["no window table", "weir replay --out"]);
    let again = ["replay", &capture, "--out=twice", "--window=500ms"];
    desk.done(&[&again[..], &HOME].concat());
    refused(&["tables", "twice", model], &["both hold rows of the capture", "demo.pcap.zst"]);
    refused(&["-", model, window], &["standard input", "give a file"]);
    let write = |name: &str, bytes: &[u8]| std::fs::write(desk.0.path().join(name), bytes).unwrap();
    // A capture of no frame: the header alone.
    let header =
        [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
    write("empty.pcap", &header);
    refused(&["empty.pcap", model, window], &["no peer in any window", "--home-net"]);
    write("foreign.parquet", b"PAR1 and no table");
    refused(&["foreign.parquet", model], &["foreign.parquet"]);
    write("events.jsonl", b"no event\n");
    refused(&["--shadow=events.jsonl"], &["line 1 of the record"]);
    write("events.jsonl", b"");
    refused(&["--shadow=events.jsonl"], &["holds no window"]);
    let many: Vec<String> = (1..=1_001).map(|number| number.to_string()).collect();
    let many = format!("--set=expert.min_packets={}", many.join(","));
    refused(&[&capture, model, &many], &["at most 1000 settings, got 1001"]);
    for words in [&["experiment"][..], &["experiment", "--shadow=x", "tables"]] {
        assert_eq!(desk.weir(words).status.code(), Some(2), "{words:?}");
    }
}
