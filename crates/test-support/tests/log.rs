//! Lines that a skip leaves in the log. Skips are made in a process of their own, so that they
//! are not counted as this test's.

#![forbid(unsafe_code)]

use std::process::Command;

/// Names the test that makes a skip when this program runs itself.
const INNER: &str = "WEIR_TEST_MAKES_A_SKIP";

#[test]
fn a_skip_is_one_line_with_the_name_and_the_reason() {
    if std::env::var_os(INNER).is_some() {
        test_support::skip("no root: really");
        return;
    }
    let log = std::env::temp_dir().join(format!("weir-test-support-{}.log", std::process::id()));
    std::fs::write(&log, "before: it\n").expect("a writable temporary folder");
    let output = Command::new(std::env::current_exe().expect("the path of this test"))
        .args(["--exact", "a_skip_is_one_line_with_the_name_and_the_reason", "--nocapture"])
        .env(INNER, "1")
        .env(test_support::SKIP_LOG, &log)
        .output()
        .expect("this test runs itself");
    let written = std::fs::read_to_string(&log).expect("the log");
    std::fs::remove_file(&log).expect("removable");
    assert!(output.status.success());
    let line =
        concat!(file!(), "::a_skip_is_one_line_with_the_name_and_the_reason: no root: really\n");
    assert_eq!(written, format!("before: it\n{line}"));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("skipped: {line}")));
}
