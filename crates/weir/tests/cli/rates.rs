//! `weir config check` with a model: whether its calibration supports the error rates.

use std::process::{Command, Output, Stdio};

use model::{Kind, schema};
use serde_json::Value;

use crate::support::model_of;

/// A folder with a model of a hundred held-out rows.
struct Shelf(tempfile::TempDir);

impl Shelf {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let model = model_of(schema::schema_id(Kind::Peer));
        model.save(folder.path().join("model.weir")).expect("a file");
        Self(folder)
    }

    fn check(&self, keys: &[(&str, &str)], more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["config", "check"]).args(more).current_dir(self.0.path());
        command.stdin(Stdio::null()).env_remove("WEIR_LOG");
        for (key, value) in keys {
            command.env(format!("WEIR__POLICY__{key}"), value);
        }
        command.output().expect("it starts")
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

const MODEL: [&str; 4] = ["--model", "model.weir", "--peers", "10"];

#[test]
fn a_calibration_too_small_for_the_rates_is_told_with_what_it_takes() {
    let shelf = Shelf::new();
    let output = shelf.check(&[("FALSE_ALARMS", "1 a day")], &MODEL);
    assert_eq!(output.status.code(), Some(0), "only enforcing is in vain");
    let text = text(&output);
    for words in [
        "the configuration is valid",
        "held-out rows: 100 of peers over a window",
        "10.0 ordinary peers in a window of 1s",
        "wrong blocks, 1 in 10: not supported; one anomalous peer has to reach 1.00e-2",
        "needs 920 held-out rows: learn for 4m at this traffic",
        "false alarms, 1 a day: not supported; one anomalous peer has to reach 1.16e-6",
        "more than the 1048576 that a model keeps",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
}

#[test]
fn enforcing_rates_that_nothing_supports_ends_with_one_unless_told_to_act() {
    let shelf = Shelf::new();
    let enforce = ("MODE", "enforce");
    let output = shelf.check(&[enforce], &MODEL);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("nothing would be blocked"), "{}", text(&output));
    for keys in [[enforce, ("UNSUPPORTED", "act")], [enforce, ("WRONG_BLOCKS", "0.99")]] {
        // Two peers at 0.99: half is enough.
        let output = shelf.check(&keys, &["--model", "model.weir", "--peers", "2"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
}

#[test]
fn the_answers_are_there_for_machines_and_no_model_is_needed_to_check_the_file() {
    let shelf = Shelf::new();
    let output = shelf.check(&[], &[&MODEL[..], &["--json"]].concat());
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&found["valid"], &found["supported"]), (&true.into(), &false.into()));
    assert_eq!(found["rates"]["wrong_blocks"]["needed"], 920);
    assert_eq!(found["rates"]["p_values"], "conditional");
    let alone = shelf.check(&[], &["--json"]);
    let found: Value = serde_json::from_slice(&alone.stdout).expect("JSON");
    assert_eq!((&found["valid"], &found["rates"]), (&true.into(), &Value::Null));
    let said = text(&shelf.check(&[], &[]));
    assert!(said.contains("- it tells what is unusual, and blocks nobody by itself\n"), "{said}");
}

#[test]
fn a_rate_that_is_none_is_refused_with_the_forms_that_are() {
    let shelf = Shelf::new();
    for (key, value, forms) in [
        ("WRONG_BLOCKS", "often", "\"1 in 100\", \"1 %\" or 0.01, got `often`"),
        ("WRONG_BLOCKS", "2", "got `2`"),
        ("FALSE_ALARMS", "daily", "\"1 a day\", \"2 per week\", \"3 an hour\""),
    ] {
        let output = shelf.check(&[(key, value)], &[]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(forms), "{error}");
    }
}

#[test]
fn a_variable_that_names_a_key_by_its_place_before_is_refused_with_the_new_one() {
    let output = Shelf::new().check(&[("FLOOD_BASELINE", "2m")], &[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    let told = "`WEIR__POLICY__FLOOD_BASELINE` is `WEIR__POLICY__EXPERT__FLOOD_BASELINE` now";
    assert!(error.contains(told), "{error}");
}
