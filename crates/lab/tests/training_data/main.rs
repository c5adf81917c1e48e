//! `training-data/`: what lies there is what its table, its scenarios and its card say.
//!
//! With `WEIR_UPDATE_TRAINING_DATA` set the table (`captures.toml`) is written instead of compared:
//! `cargo xtask training-data` does that after recording.

mod capture;
mod public;
mod table;

use std::path::{Path, PathBuf};

use lab::{GroundTruth, Scenario};

use capture::Contents;
use table::{CaptureRow, Table};

/// Set to write the table anew.
const UPDATE: &str = "WEIR_UPDATE_TRAINING_DATA";

/// Bytes of all captures together, at most, so that a clone stays small.
const MOST_BYTES: u64 = 6_500_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../training-data")
}

/// The captures that lie there, by name without any extension.
fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("training-data/ is there")
        .filter_map(|entry| {
            let name = entry.expect("readable").file_name().into_string().expect("plain names");
            name.strip_suffix(table::EXTENSION).map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

fn truth(name: &str) -> GroundTruth {
    GroundTruth::read(&folder().join(format!("{name}.truth.json"))).expect("a ground truth")
}

fn scenario(name: &str) -> Scenario {
    Scenario::load(&folder().join(format!("{name}.toml"))).expect("a valid scenario")
}

#[test]
fn each_capture_is_what_the_table_says() {
    let found: Vec<CaptureRow> = names()
        .iter()
        .map(|name| {
            let path = folder().join(format!("{name}{}", table::EXTENSION));
            CaptureRow::of(name, &path, &Contents::read(&path, &truth(name)))
        })
        .collect();
    let path = folder().join("captures.toml");
    if std::env::var_os(UPDATE).is_some() {
        Table { capture: found }.write(&path);
        return;
    }
    let table = Table::read(&path);
    assert_eq!(found, table.capture, "`cargo xtask training-data` records anew");
    let bytes: u64 = found.iter().map(|row| row.bytes).sum();
    assert!(bytes <= MOST_BYTES, "{bytes} bytes");
}

#[test]
fn each_capture_has_the_ground_truth_of_its_scenario() {
    for name in names() {
        let (truth, scenario) = (truth(&name), scenario(&name));
        assert_eq!((&truth.scenario, truth.seed), (&scenario.name, scenario.seed), "{name}");
        let planned: Vec<_> = {
            let mut attacks: Vec<_> = scenario.attacks.iter().collect();
            attacks.sort_by_key(|attack| attack.start);
            attacks.into_iter().map(|attack| (&attack.name, attack.does.class())).collect()
        };
        let went: Vec<_> =
            truth.attacks.iter().map(|attack| (&attack.name, attack.class)).collect();
        assert_eq!(went, planned, "{name}");
    }
}

#[test]
fn the_mixed_capture_holds_every_class_that_a_lab_plays() {
    let truth = truth("mixed");
    // Recorded before a lab played it.
    let recorded = |class: &lab::AttackClass| *class != lab::AttackClass::OutboundScan;
    for class in lab::AttackPlan::CLASSES.into_iter().filter(recorded) {
        assert!(truth.attacks.iter().any(|attack| attack.class == class), "{}", class.name());
    }
}

#[test]
fn benign_captures_hold_no_attack_and_share_no_client() {
    let [train, test] = ["benign-train", "benign-test"].map(|name| {
        let contents =
            Contents::read(&folder().join(format!("{name}{}", table::EXTENSION)), &truth(name));
        assert!(truth(name).attacks.is_empty(), "{name}");
        contents.remotes
    });
    let shared: Vec<_> = train.intersection(&test).collect();
    assert!(shared.is_empty(), "{shared:?}");
}

#[test]
fn nobodys_traffic_is_in_them() {
    for name in names() {
        let path = folder().join(format!("{name}{}", table::EXTENSION));
        for address in Contents::read(&path, &truth(&name)).remotes {
            assert!(lab::is_documentation(address), "{name}: {address}");
        }
    }
}

#[test]
fn the_card_names_every_capture() {
    let card = std::fs::read_to_string(folder().join("README.md")).expect("a data card");
    for name in names() {
        assert!(card.contains(&format!("`{name}{}`", table::EXTENSION)), "{name}");
    }
}
