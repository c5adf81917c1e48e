//! The direction of dependencies between weir's crates, as ARCHITECTURE.md draws it.
//!
//! `cargo tree` is asked for one package at a time, so that what one crate enables for itself
//! does not show up in another's tree.

#![forbid(unsafe_code)]

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The crates of this workspace from the lowest up, and those of it that each depends on itself.
const ALLOWED: [(&str, &[&str]); 32] = [
    ("flows-common", &[]),
    ("events", &["flows-common"]),
    ("flows-ebpf", &["flows-common"]),
    ("address-list", &["flows-common"]),
    ("onnx", &[]),
    ("reference", &[]),
    ("report", &[]),
    ("test-support", &[]),
    ("ledger", &["events"]),
    ("control", &["events"]),
    ("lab", &["flows-common"]),
    ("evaluation", &["report"]),
    ("conformal", &[]),
    ("forest", &["conformal", "onnx"]),
    ("tail", &["conformal"]),
    ("features", &["flows-common"]),
    ("model", &["conformal", "events", "features", "forest", "onnx", "tail"]),
    ("policy", &["conformal", "events", "flows-common"]),
    ("dataset", &["features", "flows-common"]),
    ("training", &["conformal", "events", "features", "forest", "model", "onnx"]),
    ("replay", &["flows-common"]),
    ("datapath", &["flows-common"]),
    ("why", &["control", "datapath", "events", "flows-common", "report"]),
    ("engine", &["evaluation", "events", "flows-common", "model", "policy", "training"]),
    ("experiment", &["dataset", "engine", "events", "flows-common", "policy", "report"]),
    (
        "collector",
        &[
            "address-list",
            "control",
            "datapath",
            "engine",
            "events",
            "flows-common",
            "ledger",
            "model",
            "policy",
            "report",
            "training",
        ],
    ),
    ("forward", &["collector", "control", "events", "reference"]),
    (
        "demo",
        &[
            "collector",
            "datapath",
            "engine",
            "events",
            "flows-common",
            "lab",
            "model",
            "policy",
            "replay",
            "report",
            "training",
        ],
    ),
    (
        "weir",
        &[
            "address-list",
            "collector",
            "control",
            "datapath",
            "dataset",
            "demo",
            "engine",
            "evaluation",
            "events",
            "experiment",
            "flows-common",
            "lab",
            "model",
            "policy",
            "reference",
            "replay",
            "report",
            "training",
            "why",
        ],
    ),
    ("python", &["address-list", "dataset", "features", "forest", "model", "onnx", "replay"]),
    (
        "benches",
        &[
            "address-list",
            "collector",
            "control",
            "datapath",
            "engine",
            "features",
            "flows-common",
            "forest",
            "lab",
            "model",
            "policy",
            "replay",
            "report",
            "training",
        ],
    ),
    ("xtask", &["test-support"]),
];

/// Crates that load programs, wait for sockets or run tasks.
const AYA: [&str; 2] = ["aya", "aya-obj"];
const SERVICE: [&str; 4] = ["tokio", "mio", "socket2", "hyper"];

#[test]
fn a_crate_depends_only_on_those_below_it() {
    let mut below = BTreeSet::new();
    for (name, allowed) in ALLOWED {
        let expected: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let direct = tree(name, "normal", &["--depth", "1", "--all-features"]);
        let found: BTreeSet<String> =
            direct.into_iter().filter(|one| one != name && is_member(one)).collect();
        assert_eq!(found, expected, "{name}: ARCHITECTURE.md has other edges");
        assert!(expected.is_subset(&below), "{name} depends on a crate above it");
        below.insert(name.to_owned());
    }
}

#[test]
fn every_member_of_the_workspace_has_its_place() {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--workspace", "--depth", "0", "--prefix", "none", "--format", "{p}"])
        .output()
        .expect("cargo runs");
    let listed = String::from_utf8_lossy(&output.stdout);
    let listed: BTreeSet<&str> =
        listed.lines().filter_map(|line| line.split_whitespace().next()).map(short).collect();
    assert_eq!(listed, ALLOWED.iter().map(|(name, _)| *name).collect());
}

fn is_member(name: &str) -> bool {
    ALLOWED.iter().any(|(member, _)| *member == name)
}

#[test]
fn the_contract_depends_on_nothing_and_on_aya_only_for_user_space() {
    let alone = BTreeSet::from(["flows-common".to_owned()]);
    assert_eq!(tree("flows-common", "normal,build", &[]), alone);
    let direct = tree("flows-common", "normal", &["--features", "user", "--depth", "1"]);
    assert_eq!(direct, BTreeSet::from(["aya", "flows-common", "libc"].map(str::to_owned)));
}

#[test]
fn the_model_neither_loads_programs_nor_waits_for_anything() {
    assert_absent("model", &AYA);
    assert_absent("model", &SERVICE);
}

#[test]
fn a_node_links_no_attacks_no_plots_no_tables_and_no_engine_for_networks() {
    let forms: [(&[&str], &[&str]); 2] = [
        (&[], &["lab", "ratatui", "crossterm"]),
        (&["--features", "lab"], &["ratatui", "crossterm"]),
    ];
    for (features, forbidden) in forms {
        let asked = [&["--no-default-features"], features].concat();
        let tree = tree("weir", "normal", &asked);
        let never =
            ["parquet", "plotters", "dataset", "experiment", "clap_complete", "clap_mangen"];
        for name in never.iter().chain(forbidden) {
            assert!(!tree.contains(*name), "{name} has come into weir {asked:?}");
        }
        let engine =
            tree.iter().find(|name| name.starts_with("tract") || name.starts_with("arrow"));
        assert_eq!(engine, None, "weir {asked:?}");
    }
    assert!(
        tree("weir", "normal", &["--no-default-features", "--features", "lab"]).contains("lab")
    );
    let everything = tree("weir", "normal", &[]);
    for name in ["lab", "parquet", "plotters", "ratatui", "tract-onnx"] {
        assert!(everything.contains(name), "packages ship {name}");
    }
}

#[test]
fn the_lab_loads_no_programs() {
    assert_absent("lab", &AYA);
}

#[test]
fn the_interface_and_the_record_know_nothing_of_what_they_talk_about() {
    for name in ["events", "control", "ledger"] {
        assert_absent(name, &AYA);
        assert_absent(name, &["arrow-array", "linfa", "tract-onnx", "clap"]);
    }
    assert_absent("events", &SERVICE);
    assert_absent("ledger", &SERVICE);
}

#[test]
fn only_the_programs_are_written_with_aya_ebpf() {
    assert!(tree("flows-ebpf", "normal", &[]).contains("aya-ebpf"));
    for (name, _) in ALLOWED.iter().filter(|(name, _)| *name != "flows-ebpf") {
        assert_absent(name, &["aya-ebpf"]);
    }
}

#[test]
fn arrow_and_aya_stand_once_in_the_lock_file() {
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for package in locked() {
        versions.entry(package.name).or_default().insert(package.version);
    }
    let shared = |name: &str| name.starts_with("arrow") || name == "parquet" || name == "aya";
    for (name, versions) in versions.iter().filter(|(name, _)| shared(name)) {
        assert_eq!(versions.len(), 1, "{name} is locked at {versions:?}");
    }
}

#[test]
fn every_dependency_comes_from_the_registry() {
    for package in locked() {
        let Some(source) = package.source else {
            continue;
        };
        assert!(source.starts_with("registry+"), "{} comes from {source}", package.name);
    }
}

#[test]
fn xtask_compiles_at_once_because_it_depends_on_nothing_from_outside() {
    let expected = ["test-support", "xtask"].map(str::to_owned);
    assert_eq!(tree("xtask", "normal,build", &[]), BTreeSet::from(expected));
}

fn assert_absent(package: &str, forbidden: &[&str]) {
    let tree = tree(package, "normal", &[]);
    for name in forbidden {
        assert!(!tree.contains(*name), "{name} has come into the dependencies of {package}");
    }
}

/// A package without the prefix that it is published with.
fn short(package: &str) -> &str {
    package.strip_prefix("weir-").unwrap_or(package)
}

/// The names in a package's own tree over these edges, itself included, each as [`short`] has it.
fn tree(package: &str, edges: &str, more: &[&str]) -> BTreeSet<String> {
    let members = locked().into_iter().filter(|one| one.source.is_none()).map(|one| one.name);
    let name = members.into_iter().find(|name| short(name) == package);
    let name = name.unwrap_or_else(|| panic!("{package} is no member"));
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--package", &name, "--edges", edges, "--prefix", "none"])
        .args(["--format", "{p}"])
        .args(more)
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree --package {package} failed: {errors}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| short(name).to_owned())
        .collect()
}

struct Locked {
    name: String,
    version: String,
    source: Option<String>,
}

/// The packages of `Cargo.lock`; cargo writes one field to a line.
fn locked() -> Vec<Locked> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    lock.split("[[package]]")
        .skip(1)
        .map(|package| {
            let field = |name: &str| {
                package
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
                    .map(|value| value.trim_matches('"').to_owned())
            };
            Locked {
                name: field("name").expect("a name"),
                version: field("version").expect("a version"),
                source: field("source"),
            }
        })
        .collect()
}

fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
