//! Counting tests from what their runners print.

/// Something that did not run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    /// The test or the step.
    pub(crate) name: String,
    /// The reason, as the test gave it.
    pub(crate) why: String,
}

/// Outcomes of a step's tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that ran and passed.
    pub(crate) passed: usize,
    /// Tests that ran and failed.
    pub(crate) failed: usize,
    /// Tests that did not run, or said of themselves that they could not.
    pub(crate) skipped: usize,
    /// The names of the failed ones, as far as the runner told them.
    pub(crate) failures: Vec<String>,
    /// The skipped ones.
    pub(crate) skips: Vec<Skip>,
}

/// Program whose output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `cargo test`: one `test result:` line for each binary.
    Libtest,
    /// `cargo nextest run --final-status-level skip`: one `Summary [` line, then names.
    Nextest,
    /// `pytest -rfEs`: a line for each test that failed or was skipped, then the counts.
    Pytest,
}

/// Reads a runner's output line by line.
#[derive(Debug)]
pub(crate) struct Listener {
    dialect: Dialect,
    tally: Tally,
    /// nextest repeats the output of failed tests before its summary; names come after it.
    summary_seen: bool,
}

impl Tally {
    /// A check that either held or not: formatting, for example.
    pub(crate) fn of_check(name: &str, held: bool) -> Self {
        if held {
            return Self { passed: 1, ..Self::default() };
        }
        Self { failed: 1, failures: vec![name.to_owned()], ..Self::default() }
    }

    /// A step that was left out.
    pub(crate) fn of_skip(name: &str, why: &str) -> Self {
        let skip = Skip { name: name.to_owned(), why: why.to_owned() };
        Self { skipped: 1, skips: vec![skip], ..Self::default() }
    }

    /// Adds another step's tests to these.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }

    /// Counts tests as skipped that passed for their runner, because they returned early, and
    /// have said so in the skip log.
    pub(crate) fn move_to_skipped(&mut self, skips: Vec<Skip>) {
        let mut names: Vec<&str> = skips.iter().map(|skip| skip.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let moved = names.len().min(self.passed);
        self.passed -= moved;
        self.skipped += moved;
        self.skips.extend(skips);
    }

    /// A runner that ended badly without naming a failed test, because a crate did not compile
    /// or a test aborted, has failed all the same.
    pub(crate) fn hold_to_status(&mut self, name: &str, success: bool) {
        if !success && self.failed == 0 {
            self.failed = 1;
            self.failures.push(name.to_owned());
        }
    }
}

impl Listener {
    /// Has heard nothing yet.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, tally: Tally::default(), summary_seen: false }
    }

    /// Takes one line without its end.
    pub(crate) fn hear(&mut self, line: &str) {
        match self.dialect {
            Dialect::Libtest => self.hear_libtest(line),
            Dialect::Nextest => self.hear_nextest(line.trim_start()),
            Dialect::Pytest => self.hear_pytest(line),
        }
    }

    /// Counts so far.
    pub(crate) fn into_tally(self) -> Tally {
        self.tally
    }

    fn hear_libtest(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.tally.passed += counted(result, "passed");
            self.tally.failed += counted(result, "failed");
            self.tally.skipped += counted(result, "ignored");
        } else if let Some((name, outcome)) =
            line.strip_prefix("test ").and_then(|test| test.rsplit_once(" ... "))
        {
            if outcome == "FAILED" {
                self.tally.failures.push(name.to_owned());
            } else if let Some(rest) = outcome.strip_prefix("ignored") {
                self.skip(name, rest.trim_start_matches(", "));
            }
        }
    }

    fn hear_nextest(&mut self, line: &str) {
        if let Some(summary) = line.strip_prefix("Summary [") {
            self.summary_seen = true;
            self.tally.passed += counted(summary, "passed");
            self.tally.skipped += counted(summary, "skipped");
            for how in ["failed", "timed out", "exec failed"] {
                self.tally.failed += counted(summary, how);
            }
        } else if self.summary_seen
            && let Some((status, rest)) = line.split_once(" [")
            && let Some((_, name)) = rest.split_once(") ")
        {
            match status {
                "SKIP" => self.skip(name, ""),
                "SLOW" | "FLAKY" | "LEAK" | "PASS" => {}
                _ => self.tally.failures.push(name.to_owned()),
            }
        }
    }

    /// `--quiet` leaves the counts without the rule around them.
    fn hear_pytest(&mut self, line: &str) {
        let line = line.trim_matches(['=', ' ']);
        if let Some((counts, _)) = line.rsplit_once(" in ").filter(|(_, took)| is_seconds(took)) {
            self.tally.passed += counted(counts, "passed") + counted(counts, "xfailed");
            self.tally.skipped += counted(counts, "skipped");
            for how in ["failed", "xpassed", "error", "errors"] {
                self.tally.failed += counted(counts, how);
            }
        } else if let Some(("FAILED" | "ERROR", rest)) = line.split_once(' ') {
            let name = rest.split_once(" - ").map_or(rest, |(name, _)| name);
            self.tally.failures.push(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("SKIPPED [")
            && let Some((_, rest)) = rest.split_once("] ")
            && let Some((place, why)) = rest.split_once(": ")
        {
            self.skip(place, why);
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        let why = if why.is_empty() { "ignored" } else { why };
        self.tally.skips.push(Skip { name: name.to_owned(), why: why.to_owned() });
    }
}

/// True for a time as pytest prints it: `2.31s`, or `75.02s (0:01:15)`.
fn is_seconds(took: &str) -> bool {
    let number = took.split_whitespace().next().and_then(|first| first.strip_suffix('s'));
    number.is_some_and(|number| number.parse::<f64>().is_ok())
}

/// The number right before `what`, where it stands for itself: `2 failed` in
/// `1 passed, 2 failed`, but not in `2 exec failed`.
fn counted(line: &str, what: &str) -> usize {
    line.split([',', ';', ':', '.'])
        .filter_map(|part| part.trim().split_once(' '))
        .find_map(|(number, label)| {
            let label = label.split(" (").next().unwrap_or(label);
            (label == what).then(|| number.parse().ok())?
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(dialect: Dialect, output: &str) -> Tally {
        let mut listener = Listener::new(dialect);
        output.lines().for_each(|line| listener.hear(line));
        listener.into_tally()
    }

    fn skip(name: &str, why: &str) -> Skip {
        Skip { name: name.to_owned(), why: why.to_owned() }
    }

    #[test]
    fn libtest_binaries_add_up() {
        let output = "\
running 4 tests
test ign ... ignored, why not
test ign2 ... ignored
test ok ... ok
test nested::bad ... FAILED
test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 7 filtered out; finished in 0.1s
running 2 tests
test src/lib.rs - (line 4) ... ignored
test src/lib.rs - (line 1) ... ok
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s";
        let tally = heard(Dialect::Libtest, output);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (13, 1, 3));
        assert_eq!(tally.failures, ["nested::bad"]);
        let ignored = |name| skip(name, "ignored");
        let expected = [skip("ign", "why not"), ignored("ign2"), ignored("src/lib.rs - (line 4)")];
        assert_eq!(tally.skips, expected);
    }

    #[test]
    fn nextest_is_counted_from_its_summary_alone() {
        let output = "
        FAIL [   0.118s] (3/3) nx bad
  stdout ───
    running 1 test
    test bad ... FAILED
    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.11s
────────────
     Summary [   0.119s] 3 tests run: 1 passed, 2 failed, 2 skipped
        SKIP [         ] (───) nx ign
        SLOW [  60.000s] (1/3) nx slow::one
     SIGABRT [   0.007s] (1/3) nx::e2e abort
        FAIL [   0.118s] (3/3) nx bad
error: test run failed";
        let tally = heard(Dialect::Nextest, output);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 2, 2));
        assert_eq!(tally.failures, ["nx::e2e abort", "nx bad"]);
        assert_eq!(tally.skips, [skip("nx ign", "ignored")]);
    }

    #[test]
    fn every_form_of_a_summary_line_is_read() {
        let cases = [
            ("Summary [   0.003s] 0 tests run: 0 passed, 0 skipped", (0, 0, 0)),
            ("Summary [   0.003s] 1 test run: 1 passed, 0 skipped", (1, 0, 0)),
            (
                "Summary [   9.1s] 5 tests run: 4 passed (1 slow, 1 flaky), 1 failed, 3 skipped",
                (4, 1, 3),
            ),
            (
                "Summary [   9.1s] 5 tests run: 2 passed, 1 failed, 1 exec failed, 1 timed out",
                (2, 3, 0),
            ),
            (
                "Summary [   9.1s] 3/9 tests run: 2 passed, 1 failed (1 due to being leaky), 4 skipped",
                (2, 1, 4),
            ),
        ];
        for (line, expected) in cases {
            let tally = heard(Dialect::Nextest, line);
            assert_eq!((tally.passed, tally.failed, tally.skipped), expected, "{line}");
        }
    }

    #[test]
    fn pytests_counts_are_read_with_and_without_their_rule() {
        let output = "\
..F.s                                                                     [100%]
FAILED python/tests/test_a.py::test_x[1 in 2s] - assert 1 == 2
ERROR python/tests/test_b.py
SKIPPED [1] python/tests/test_a.py:12: no model here
1 failed, 7 passed, 1 skipped, 2 warnings, 1 error in 75.02s (0:01:15)";
        let tally = heard(Dialect::Pytest, output);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (7, 2, 1));
        assert_eq!(
            tally.failures,
            ["python/tests/test_a.py::test_x[1 in 2s]", "python/tests/test_b.py"]
        );
        assert_eq!(tally.skips, [skip("python/tests/test_a.py:12", "no model here")]);
        let tally = heard(Dialect::Pytest, "==== 3 passed, 1 xfailed, 1 xpassed in 0.10s ====");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (4, 1, 0));
    }

    #[test]
    fn a_test_that_skips_itself_moves_from_passed_to_skipped_once() {
        let mut tally = Tally { passed: 3, ..Tally::default() };
        tally.move_to_skipped(vec![
            skip("a", "no root"),
            skip("a", "no tshark"),
            skip("b", "no root"),
        ]);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (1, 0, 2));
        assert_eq!(tally.skips.len(), 3);
    }

    #[test]
    fn a_runner_that_ends_badly_never_counts_no_failure() {
        let cases = [(true, 0, 0), (true, 2, 2), (false, 0, 1), (false, 2, 2)];
        for (success, failed, expected) in cases {
            let mut tally = Tally { failed, ..Tally::default() };
            tally.hold_to_status("tests", success);
            assert_eq!(tally.failed, expected, "success {success}, failed {failed}");
        }
    }
}
