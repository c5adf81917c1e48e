//! `weir train`: from tables that `weir replay` wrote to a model file.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use model::ModelFile;
use serde_json::Value;

/// A folder with the tables of the demo's capture: benign traffic, then five attacks.
struct Desk(tempfile::TempDir);

const CREATED: &str = "--created=2026-01-31T12:00:00Z";

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let capture = data("demo.pcap.zst");
        let home = ["--home-net=192.0.2.1", "--home-net=2001:db8::1", "--window=500ms"];
        desk.done(&[&["replay", &capture, "--out=tables"], &home[..]].concat());
        desk
    }

    fn weir(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(words).current_dir(self.0.path()).env_remove("WEIR_LOG");
        command.env_remove("SOURCE_DATE_EPOCH");
        command
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        let output = self.weir(words).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Trains with these words and gives the report.
    #[track_caller]
    fn trained(&self, words: &[&str]) -> Value {
        let told = self.done(&[&["train", "tables", "--json", CREATED], words].concat());
        serde_json::from_str(&told).expect("a report")
    }

    #[track_caller]
    fn refused(&self, mut command: Command, said: &str) {
        let Output { status, stderr, .. } = command.output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{command:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(said), "{said}: {told}");
        assert!(!self.path("model.weir").exists());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// A file of the training data.
fn data(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training-data");
    root.join(name).to_str().expect("a path in UTF-8").to_owned()
}

fn count(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer}"))
}

#[test]
fn the_same_tables_seed_and_time_give_the_same_file_to_the_byte() {
    let desk = Desk::new();
    let trained = |out: &str, words: &[&str]| {
        desk.trained(&[&["--out", out, "--trees=20"], words].concat());
        desk.bytes(out)
    };
    let first = trained("a.weir", &[]);
    assert_eq!(trained("b.weir", &[]), first);
    assert_ne!(trained("c.weir", &["--seed=7"]), first);

    // The time of making may come from the environment instead.
    let mut command = desk.weir(&["train", "tables", "--out=d.weir", "--trees=20"]);
    let output = command.env("SOURCE_DATE_EPOCH", "1769860800").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(desk.bytes("d.weir"), first);
}

#[test]
fn every_row_of_every_kind_of_rows_is_accounted_for_whatever_scores_them() {
    let desk = Desk::new();
    for kind in ["hbos", "ecod", "extended", "autoencoder"] {
        let report = desk.trained(&["--detector", kind, "--gap=4"]);
        let rows = report["detectors"].as_object().expect("by the rows that they measure");
        assert!(rows.contains_key("peer-500ms") && rows.len() > 1, "{report:#}");
        for rows in rows.keys() {
            let count = |name: &str| count(&report, &format!("/detectors/{rows}/report/{name}"));
            let dropped: u64 = ["lossy", "attack", "warm_up", "gap", "trimmed"]
                .map(|cause| count(&format!("dropped/{cause}")))
                .iter()
                .sum();
            let used = count("rows/trained") + count("rows/held_out");
            assert_eq!(used + dropped, count("rows/read"), "{report:#}");
            // Rows over ten seconds may leave a gap of two where it is, and those of a longer time
            // fall into it: for them the prior stands in, in a forest.
            assert!(used > 0 || kind == "extended" && rows != "peer-500ms", "{report:#}");
            assert!(rows != "peer-500ms" || count("dropped/gap") > 0, "{report:#}");
        }
        let model = ModelFile::load(desk.path("model.weir")).unwrap();
        let row = vec![0.0; model.peer().schema().features.len()];
        assert!((0.0..=1.0).contains(&model.peer().score_row(&row)));
    }
}

#[test]
fn rows_labelled_as_attacks_are_trained_on_only_where_that_is_asked_for() {
    let desk = Desk::new();
    desk.done(&["label", "tables", "--truth", &data("demo.truth.json"), "--rest=benign"]);
    let report = desk.trained(&[]);
    let left_out = count(&report, "/detectors/peer-500ms/report/dropped/attack");
    assert!(left_out > 0, "{report:#}");
    let facts = &ModelFile::load(desk.path("model.weir")).unwrap().peer().training().facts.clone();
    assert_eq!(facts.excluded_labels, ["every attack"]);

    let kept = desk.trained(&["--keep-attacks"]);
    assert_eq!(count(&kept, "/detectors/peer-500ms/report/dropped/attack"), 0);
    let used = |report: &Value| {
        count(report, "/detectors/peer-500ms/report/rows/trained")
            + count(report, "/detectors/peer-500ms/report/rows/held_out")
    };
    assert_eq!(used(&kept), used(&report) + left_out);
}

#[test]
fn a_choice_of_features_and_remotes_is_kept_in_the_model_file() {
    let desk = Desk::new();
    let all = desk.trained(&[]);
    let some = desk.trained(&["--without=repetition,regularity", "--exclude=203.0.113.0/24"]);
    let features = |report: &Value| {
        report["detectors"]["peer-500ms"]["report"]["features"].as_array().unwrap().len()
    };
    assert_eq!(features(&some), features(&all) - 2);
    assert!(count(&some, "/detectors/peer-500ms/read/unwanted_remote") > 0);
    let model = ModelFile::load(desk.path("model.weir")).unwrap();
    assert!(!model.peer().inputs().names().contains(&"regularity".to_owned()));
    let selection = &model.peer().training().facts.selection;
    assert!(selection.contains(&"no rows of 203.0.113.0/24".to_owned()), "{selection:?}");
}

#[test]
fn a_request_that_cannot_be_met_is_refused_with_what_to_do_and_writes_nothing() {
    let desk = Desk::new();
    let train = |words: &[&str]| desk.weir(&[&["train", "tables"], words].concat());
    desk.refused(train(&["--without=warp_factor"]), "no rows have a scored feature `warp_factor`");
    desk.refused(train(&["--split=1.5"]), "`split` must be above 0 and below 1, got 1.5");
    desk.refused(train(&["--contamination=0.9"]), "at most 0.5, got 0.9");
    desk.refused(train(&["--from=2100-01-01T00:00:00Z"]), "no rows are left to train on");
    desk.refused(train(&["--trees=0"]), "`n_trees` must be between 1 and 1000, got 0");
    desk.refused(desk.weir(&["train", "nowhere"]), "nowhere");
    let mut command = train(&[]);
    command.env("SOURCE_DATE_EPOCH", "yesterday");
    desk.refused(command, "must be seconds since 1970, got `yesterday`");
}
