//! What is shipped for Prometheus and Grafana speaks of metrics that there are.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use control::metrics::{Metric, table};

fn read(path: &str) -> String {
    let file = root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The words of a text that are named as metrics are.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_' || one == ':'));
    words.filter(|word| word.starts_with("weir_") || word.starts_with("weir:")).collect()
}

fn values<'a>(rules: &'a str, key: &str) -> BTreeSet<&'a str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- ")?.strip_prefix(key)).collect()
}

const RULES: &str = "packaging/monitoring/rules.yml";

#[test]
fn the_documented_table_is_that_of_the_code() {
    let documented = read("docs/metrics.md");
    assert!(
        documented.contains(&table()),
        "docs/metrics.md is of other metrics: put there what \
         `cargo run -p control --example metrics` prints"
    );
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let rules = read(RULES);
    let scraped: BTreeSet<String> = Metric::ALL.iter().map(|one| one.name()).collect();
    let recorded = values(&rules, "record: ");
    for file in [RULES, "packaging/monitoring/grafana/weir.json", "docs/runbooks.md"] {
        let text = read(file);
        let asked = names(&text);
        assert!(asked.len() >= 3, "{file}: {asked:?}");
        for name in asked {
            assert!(scraped.contains(name) || recorded.contains(name), "{file}: {name}");
        }
    }
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let (rules, runbooks) = (read(RULES), read("docs/runbooks.md"));
    let alerts = values(&rules, "alert: ");
    let pages: BTreeSet<&str> =
        runbooks.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(alerts, pages);
    for alert in alerts {
        let link = format!("runbook: docs/runbooks.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert}: {link}");
    }
}

#[test]
fn each_alert_comes_where_its_cause_is_and_stays_away_where_it_is_not() {
    let Some(promtool) = test_support::program("promtool") else { return };
    let folder = root().join("packaging/monitoring");
    for arguments in
        [&["check", "config", "prometheus.yml"][..], &["test", "rules", "rules.test.yml"]]
    {
        let ran = Command::new(&promtool).args(arguments).current_dir(&folder).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "promtool {arguments:?}: {said}");
    }
    let (rules, tests) = (read(RULES), read("packaging/monitoring/rules.test.yml"));
    for alert in values(&rules, "alert: ") {
        for outcome in ["comes", "stays away"] {
            assert!(tests.contains(&format!("name: {alert} {outcome}\n")), "{alert} {outcome}");
        }
    }
}
