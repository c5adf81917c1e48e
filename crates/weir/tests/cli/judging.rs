//! `weir eval`, `weir score` and `weir explain` on tables that the tests write.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use dataset::{Dataset, DatasetWriter, LabelOptions, Rest, Truth, WriterOptions};
use engine::{Arrival, Detector};
use flows_common::{FlowCounters, FlowKey, map_v4};
use linfa::ParamGuard as _;
use model::{Context, Feature as _, IsolationForest, ModelFile, PeerFeature, Window};
use serde_json::Value;
use training::Learner;

use crate::traffic::{self, SECOND, UNIX_START};

const ATTACKER: [u8; 4] = [198, 51, 100, 9];
/// Windows of the attack.
const ATTACK: std::ops::Range<u64> = 30..36;
/// Columns of a truth.
const HEAD: &str = "from,to,remote,class,name";

/// A folder with a model, benign tables that it was trained on, and later ones with an attack.
struct Desk {
    folder: tempfile::TempDir,
    /// The later windows, in their order.
    windows: Vec<Window>,
}

impl Desk {
    fn new() -> Self {
        Self::learnt_over(60)
    }

    fn learnt_over(windows: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let benign = traffic::Traffic::windows(3, 80, windows);
        let options = WriterOptions { row_group_rows: 500, ..WriterOptions::default() };
        traffic::write(&folder.path().join("train"), options, &benign);
        let mut learner = Learner::default();
        for one in &benign {
            learner.take(&one.window);
        }
        let params = IsolationForest::params().n_trees(30).check().unwrap();
        let (model, _) = learner.finish(&params, "2026-01-31T12:00:00Z").unwrap();
        model.save(folder.path().join("model.weir")).unwrap();

        let mut windows: Vec<Window> =
            traffic::Traffic::windows(4, 80, 50).into_iter().map(|one| one.window).collect();
        for number in ATTACK {
            scan(&mut windows[usize::try_from(number).unwrap()]);
        }
        let desk = Self { folder, windows };
        let mut context = Context::default();
        let mut writer = DatasetWriter::create(&desk.path("test"), options).unwrap();
        for (number, window) in (0..).zip(&desk.windows) {
            let observed = context.observe(window);
            writer.write(window, UNIX_START + number * 1_000_000_000, &observed).unwrap();
        }
        writer.finish().unwrap();
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Joins the truth to the later tables.
    fn label(&self) {
        let at = |window: u64| UNIX_START / 1_000_000_000 + i64::try_from(window).unwrap();
        let last = at(ATTACK.end - 1);
        let lines = format!("{HEAD}\n{},{last},198.51.100.9,syn_scan,noon\n", at(ATTACK.start));
        let mut truth = Truth::from_csv(Path::new("t.csv"), &lines).unwrap();
        truth.rest = Rest::Benign;
        let dataset = Dataset::open(&[self.path("test")]).unwrap();
        dataset::label(&dataset, &truth, &LabelOptions::default()).unwrap();
    }

    fn weir(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(words).env_remove("WEIR_LOG").current_dir(self.folder.path());
        command.output().unwrap()
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        crate::support::told(&self.weir(words))
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.done(words)).unwrap()
    }
}

/// Adds a scan of forty ports that nobody answers.
fn scan(window: &mut Window) {
    for port in 0..40 {
        let key = FlowKey {
            local: map_v4([192, 0, 2, 1]),
            remote: map_v4(ATTACKER),
            ifindex: 2,
            local_port: 2_000 + port,
            remote_port: 40_000,
            protocol: 6,
            ..FlowKey::default()
        };
        let mut counters = FlowCounters {
            syn_ns: [window.start_ns + 5, 0],
            openings: [1, 0],
            ..FlowCounters::default()
        };
        let ingress = &mut counters.directions[0];
        (ingress.packets, ingress.bytes) = (1, 60);
        (ingress.first_ns, ingress.last_ns) = (window.start_ns + 5, window.start_ns + 5);
        (ingress.length_min, ingress.length_max) = (60, 60);
        ingress.flags[flows_common::TcpFlag::Syn.index()] = 1;
        window.packet_counters.segments[0] += 1;
        window.packet_counters.frames[0] += 1;
        window.packet_counters.frame_bytes[0] += 60;
        window.flows.push((key, counters));
    }
}

#[test]
fn an_evaluation_finds_the_attack_and_says_at_what_price() {
    let desk = Desk::new();
    desk.label();
    let words = ["eval", "--model", "model.weir", "test", "--html", "report.html"];
    let text = desk.done(&words);
    assert!(text.contains("At one false alarm in 1,000 benign peer-windows"), "{text}");
    let report = desk.json(&[&words[..], &["--json"]].concat());
    let evaluation = &report["evaluations"][0];
    assert_eq!(report["row"], "peer-window");
    assert_eq!(evaluation["counts"]["attack"], 6);
    assert_eq!(evaluation["counts"]["windows"], 50);
    assert!(evaluation["rows"]["auroc"].as_f64().unwrap() > 0.99, "{}", evaluation["rows"]);
    let finest = &evaluation["rows"]["at_rates"][2];
    assert_eq!((&finest["needs_benign"], &finest["measured"]), (&10_000.into(), &Value::Null));
    let [attack] = &evaluation["attacks"].as_array().unwrap()[..] else { panic!("one attack") };
    assert_eq!((&attack["class"], &attack["name"]), (&"syn_scan".into(), &"noon".into()));
    assert_eq!(attack["detections"][0]["delay_s"], 1.0, "at the end of its first window");
    assert_eq!(evaluation["drift"].as_array().unwrap().len(), PeerFeature::scored().count());
    let notes = report["notes"].to_string();
    assert!(notes.contains("7 of 50 windows lost flows, they are in"), "{notes}");
    let page = std::fs::read_to_string(desk.path("report.html")).unwrap();
    assert!(page.len() < 2_000_000 && page.contains("syn_scan") && !page.contains("<script"));
    assert_eq!(page.matches("class=\"lead\"").count(), 1);
}

#[test]
fn the_same_evaluation_gives_the_same_bytes() {
    let desk = Desk::new();
    desk.label();
    let words = ["eval", "--model", "model.weir", "test", "--json"];
    assert_eq!(desk.done(&words), desk.done(&words));
}

#[test]
fn one_table_is_evaluated_by_one_measure() {
    let desk = Desk::learnt_over(400);
    desk.label();
    let words = ["eval", "--model", "model.weir", "test", "--json", "--table"];
    let hosts = desk.json(&[&words[..], &["host"]].concat());
    assert_eq!(hosts["row"], "host-row");
    let tail = desk.json(&[&words[..], &["peer", "--by", "tail"]].concat());
    let score = desk.json(&[&words[..], &["peer"]].concat());
    assert_ne!(tail["evaluations"][0]["histogram"], score["evaluations"][0]["histogram"]);
    // Entities are what rows are about: services by protocol and port, hosts by address, one net.
    let entities = |table: &str| {
        let report = desk.json(&[&words[..], &[table]].concat());
        report["evaluations"][0]["counts"]["peers"].as_u64().unwrap()
    };
    assert!(entities("service") > 1, "{} services", entities("service"));
    assert_eq!(entities("net"), 1);
    // A score is a surprise, whatever it is of: no forest's score exceeds 1.
    let budget = &score["evaluations"][0]["budgets"][0];
    assert!(budget["threshold"].as_f64().unwrap() > 1.0, "{budget}");
}

#[test]
fn drift_is_measured_from_the_training_tables_where_they_are_given() {
    let desk = Desk::new();
    desk.label();
    let words = ["eval", "--model", "model.weir", "test", "--json", "--table", "peer"];
    let from_tables = desk.json(&[&words[..], &["--train", "train"]].concat());
    let from_model = desk.json(&words);
    let rows = |report: &Value| report["evaluations"][0]["drift"][0]["train_rows"].as_u64();
    // The model's histograms are of the rows it was fitted to, six in ten.
    assert!(rows(&from_tables) > rows(&from_model), "{from_tables}");
}

#[test]
fn all_detectors_are_compared_on_the_same_split_beside_each_single_feature() {
    let desk = Desk::new();
    desk.label();
    let compare = ["eval", "--compare", "--train", "train", "test", "--model", "model.weir"];
    let report = desk.json(&[&compare[..], &["--json"]].concat());
    let evaluations = report["evaluations"].as_array().unwrap();
    let names: Vec<&str> =
        evaluations.iter().map(|one| one["detector"]["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "model",
            "tails",
            "isolation forest",
            "extended isolation forest",
            "autoencoder",
            "HBOS",
            "ECOD"
        ]
    );
    // One attack, whose source no benign peer comes near to.
    let found = |one: &Value| one["attacks_found"]["count"].clone();
    assert_eq!(found(&evaluations[1]["budgets"][0]), 1);
    let features = report["features"].as_array().unwrap();
    assert_eq!(features.len(), PeerFeature::scored().count());
    assert!(features.iter().any(|one| found(&one["alone"][0]) == 1), "one feature tells it");
    assert!(features.iter().all(|one| found(&one["without"][0]) == 1), "no one is needed");
    // The prior stands in for longer rows in a model, and in nothing that is fitted here.
    let notes = report["notes"].to_string();
    let left_out = "Rows of peers over 10s are left out: no detector of them in tails, isolation";
    assert!(notes.contains(left_out), "{notes}");
    for one in evaluations {
        assert_eq!(one["counts"], evaluations[0]["counts"]);
        assert!(one["rows"]["auroc"].as_f64().unwrap() > 0.9, "{}", one["detector"]["name"]);
    }
    let trained = |one: &Value| one["detector"]["trained"].clone();
    assert!(evaluations[2..].iter().all(|one| trained(one) == trained(&evaluations[1])));
}

#[test]
fn tables_without_labels_are_refused_with_the_remedy() {
    let desk = Desk::new();
    let output = desk.weir(&["eval", "--model", "model.weir", "test"]);
    crate::support::assert_one_line(&output, &["no labels", "weir label --truth FILE test"]);
}

#[test]
fn decisions_are_scored_as_they_are_live() {
    let desk = Desk::new();
    let lines = desk.done(&["score", "--model", "model.weir", "test", "--json"]);
    let mut stored: HashMap<(u64, IpAddr), (f64, f64)> = HashMap::new();
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let key = (
            row["window_start"].as_u64().unwrap(),
            row["remote_address"].as_str().unwrap().parse().unwrap(),
        );
        stored.insert(key, (row["p_value"].as_f64().unwrap(), row["surprise"].as_f64().unwrap()));
    }
    let model = ModelFile::load(desk.path("model.weir")).unwrap();
    let mut live = Detector::new(model, Context::default(), Duration::from_secs(1));
    let mut seen = 0;
    for window in &desk.windows {
        for evidence in live.assess(window, Arrival::default()).evidence {
            let (p_value, surprise) = stored[&(window.start_ns, evidence.address)];
            assert!((p_value - evidence.p_value).abs() < 1e-12, "{evidence:?}");
            assert!((surprise - evidence.surprise).abs() < 1e-12, "{evidence:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, stored.len());
    assert_eq!(window_length(&desk), SECOND);
}

fn window_length(desk: &Desk) -> u64 {
    desk.windows[0].end_ns - desk.windows[0].start_ns
}

#[test]
fn scores_come_in_the_form_that_the_name_says() {
    let desk = Desk::new();
    let score = ["score", "--model", "model.weir", "test"];
    let csv = desk.done(&score);
    let rows = csv.lines().count() - 1;
    assert!(csv.starts_with(
        "time,window_start,window_end,horizon,covers_start,covers_end,remote_address,source,label,\
         attack,rows,surprise_horizon,"
    ));
    assert!(csv.lines().next().unwrap().ends_with(",score,tail_score,p_value,surprise"));

    desk.done(&[&score[..], &["--out", "scores.parquet"]].concat());
    desk.done(&[&score[..], &["--out", "folder/"]].concat());
    let one = std::fs::read(desk.path("scores.parquet")).unwrap();
    assert_eq!(one, std::fs::read(desk.path("folder/scores-decision.parquet")).unwrap());
    let file = std::fs::File::open(desk.path("scores.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let read: usize = reader.unwrap().build().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(read, rows);

    desk.done(&[&score[..], &["--table", "service", "--out", "services.csv"]].concat());
    let services = std::fs::read_to_string(desk.path("services.csv")).unwrap();
    assert!(services.lines().next().unwrap().contains(",protocol,local_port,"));
    let left: Vec<_> = std::fs::read_dir(desk.folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_explanation_names_features_with_units_and_what_is_usual() {
    let desk = Desk::new();
    let explain = ["explain", "--model", "model.weir", "test"];
    let alerts = desk.json(&[&explain[..], &["--top", "3", "--json"]].concat());
    let alerts = alerts.as_array().unwrap();
    assert_eq!(alerts.len(), 3);
    for alert in alerts {
        assert_eq!(alert["peer"], "198.51.100.9");
        let reasons = alert["reasons"].as_array().unwrap();
        assert!(!reasons.is_empty());
        for reason in reasons {
            assert!(!reason["unit"].as_str().unwrap().is_empty());
            assert!(reason["benign_low"].as_f64() <= reason["benign_high"].as_f64());
            assert!((0.0..=1.0).contains(&reason["share"].as_f64().unwrap()));
        }
    }
    let surprise = |alert: &Value| alert["surprise"].as_f64().unwrap();
    assert!(
        surprise(&alerts[0]) >= surprise(&alerts[1])
            && surprise(&alerts[1]) >= surprise(&alerts[2])
    );
    let text = desk.done(&[&explain[..], &["--top", "1"]].concat());
    assert!(text.contains("198.51.100.9: surprise ") && text.contains("benign 1 %"), "{text}");
}

#[test]
fn an_explanation_can_be_of_one_peer_or_one_window() {
    let desk = Desk::new();
    let explain = ["explain", "--model", "model.weir", "test", "--json", "--top", "1000"];
    let of_peer = desk.json(&[&explain[..], &["--peer", "198.51.100.9"]].concat());
    assert_eq!(of_peer.as_array().unwrap().len(), 6, "a row in each window of the attack");
    // UNIX_START is 21:59:50; the attack's first window is the 31st.
    let of_window = desk.json(&[&explain[..], &["--at", "2026-11-22T22:00:20.5Z"]].concat());
    let of_window = of_window.as_array().unwrap();
    assert!(of_window.len() > 1);
    assert_eq!(of_window[0]["peer"], "198.51.100.9", "the most anomalous first");
    assert!(of_window.iter().all(|alert| alert["window_start"] == "2026-11-22T22:00:20Z"));
    let nobody = desk.weir(&[&explain[..], &["--peer", "192.0.2.77"]].concat());
    crate::support::assert_one_line(&nobody, &["no peer-window of 192.0.2.77", "check"]);
}

#[test]
fn global_importance_is_a_share_for_each_input() {
    let desk = Desk::new();
    let explain = ["explain", "--model", "model.weir", "test", "--global", "--sample", "200"];
    let told = desk.json(&[&explain[..], &["--json"]].concat());
    for table in told.as_array().unwrap() {
        let features = table["features"].as_array().unwrap();
        let sum: f64 = features.iter().map(|one| one["mean_share"].as_f64().unwrap()).sum();
        assert!(sum > 0.9 && sum < 1.0 + 1e-9, "{sum}");
        assert!(table["rows"].as_u64().unwrap() <= 200);
    }
    let text = desk.done(&explain);
    assert!(text.contains("peer-1s, isolation forest: mean contribution over"), "{text}");
}

#[test]
fn what_cannot_be_judged_is_refused_by_name() {
    let desk = Desk::new();
    desk.label();
    let refused = |words: &[&str], said: &[&str]| {
        crate::support::assert_one_line(&desk.weir(words), said);
    };
    let model = ["--model", "model.weir"];
    let with = |command: &'static str, rest: &[&'static str]| -> Vec<&'static str> {
        [&[command][..], &model, rest].concat()
    };
    refused(&with("eval", &["absent"]), &["absent", "No such file"]);
    refused(&with("eval", &["test", "--by", "score"]), &["--table peer"]);
    refused(&with("score", &["test", "--out", "scores.txt"]), &["scores.txt", "--format"]);
    let never = ["test", "--from", "2030-01-01"];
    refused(&with("eval", &never), &["no rows", "time range"]);
    let backwards = ["test", "--from", "2026-01-02", "--to", "2026-01-01"];
    refused(&with("explain", &backwards), &["--from must be before --to"]);
    refused(&["score", "--model", "absent.weir", "test"], &["absent.weir"]);
    for words in [&["eval", "test"][..], &["eval", "--compare", "test"], &["score", "test"]] {
        assert_eq!(desk.weir(words).status.code(), Some(2), "{words:?}");
    }
}
