//! Test reports in the XML of `JUnit`, as nextest and pytest write them.
//!
//! Both escape `<` in text and attributes, so that each `<` of a report begins a tag.

use std::path::Path;

use crate::counts::{Counts, Skip};

/// Counts of a report; empty where its runner ended before it wrote one.
pub(crate) fn read(report: &Path) -> Counts {
    count(&std::fs::read_to_string(report).unwrap_or_default())
}

fn count(report: &str) -> Counts {
    let mut cases: Vec<(String, Outcome)> = Vec::new();
    for tag in report.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let kind = tag.split([' ', '\n', '/']).next().unwrap_or_default();
        match (kind, cases.last_mut()) {
            ("testcase", _) => {
                let [class, name] = ["classname", "name"].map(|key| attribute(tag, key));
                cases.push((format!("{class} {name}").trim_start().to_owned(), Outcome::Passed));
            }
            ("failure" | "error", Some((_, outcome))) => *outcome = Outcome::Failed,
            ("skipped", Some((_, outcome))) => {
                let why = attribute(tag, "message");
                // nextest has no place for the reason that `#[ignore]` gives.
                let ignored = why.ends_with("does not match the run-ignored option");
                *outcome = Outcome::Skipped(if ignored { "ignored".to_owned() } else { why });
            }
            _ => {}
        }
    }
    let mut counts = Counts::default();
    for (name, outcome) in cases {
        match outcome {
            Outcome::Passed => counts.passed += 1,
            Outcome::Failed => counts.add(Counts::of_check(&name, false)),
            Outcome::Skipped(why) => {
                counts.skipped += 1;
                counts.skips.push(Skip { name, why });
            }
        }
    }
    counts
}

enum Outcome {
    Passed,
    Failed,
    Skipped(String),
}

/// The attribute's value, or nothing.
fn attribute(tag: &str, name: &str) -> String {
    let after = tag.split_once(&format!(" {name}=\"")).map_or("", |(_, after)| after);
    let value = after.split('"').next().unwrap_or_default();
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(value.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXTEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="4" skipped="1" failures="2" errors="0" time="0.116">
    <testsuite name="nx::e2e" tests="1" skipped="0" errors="0" failures="1">
        <testcase name="aborts" classname="nx::e2e" time="0.005">
            <failure message="process aborted with signal 6 (SIGABRT)" type="test abort"></failure>
            <system-out>
running 1 test
&lt;testcase name=&quot;not one&quot;/&gt;
</system-out>
        </testcase>
    </testsuite>
    <testsuite name="nx" tests="3" skipped="1" errors="0" failures="1">
        <testcase name="is_long" classname="nx" time="0.000">
            <skipped message="Skipped: test does not match the run-ignored option"/>
        </testcase>
        <testcase name="tree::passes" classname="nx" time="0.013"/>
        <testcase name="tree::fails" classname="nx" time="0.115">
            <failure message="panicked at src/lib.rs:6:50" type="test failure with exit code 101">
assertion `left == right` failed</failure>
        </testcase>
    </testsuite>
</testsuites>"#;

    const PYTEST: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites name=\"pytest tests\">\
        <testsuite name=\"pytest\" errors=\"1\" failures=\"1\" skipped=\"1\" tests=\"4\">\
        <testcase classname=\"test_a\" name=\"test_good\" time=\"0.001\" />\
        <testcase classname=\"test_a\" name=\"test_bad[1 &lt; 2]\" time=\"0.001\">\
        <failure message=\"assert 1 == 2\">E assert 1 == 2</failure></testcase>\
        <testcase classname=\"test_a\" name=\"test_model\" time=\"0.000\"><skipped type=\"pytest.skip\" \
        message=\"no &quot;model&quot; here\">test_a.py:12: no model</skipped></testcase>\
        <testcase classname=\"\" name=\"test_b\" time=\"0.000\"><error message=\"collection failure\">\
        ImportError</error></testcase></testsuite></testsuites>";

    fn skip(name: &str, why: &str) -> Skip {
        Skip { name: name.to_owned(), why: why.to_owned() }
    }

    #[test]
    fn nextests_report_is_counted() {
        let counts = count(NEXTEST);
        assert_eq!((counts.passed, counts.failed, counts.skipped), (1, 2, 1));
        assert_eq!(counts.failures, ["nx::e2e aborts", "nx tree::fails"]);
        assert_eq!(counts.skips, [skip("nx is_long", "ignored")]);
    }

    #[test]
    fn pytests_report_is_counted() {
        let counts = count(PYTEST);
        assert_eq!((counts.passed, counts.failed, counts.skipped), (1, 2, 1));
        assert_eq!(counts.failures, ["test_a test_bad[1 < 2]", "test_b"]);
        assert_eq!(counts.skips, [skip("test_a test_model", "no \"model\" here")]);
    }

    #[test]
    fn a_report_that_was_never_written_holds_nothing() {
        assert_eq!(read(Path::new("/nowhere/junit.xml")), Counts::default());
    }
}
