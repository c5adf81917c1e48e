//! Outcome of a step: counts, names and reasons.

/// Something that did not run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    /// The test or the step.
    pub(crate) name: String,
    /// The reason, as the test gave it.
    pub(crate) why: String,
}

/// Outcome of a step's tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that ran and passed.
    pub(crate) passed: usize,
    /// Tests that ran and failed.
    pub(crate) failed: usize,
    /// Tests that did not run, or said of themselves that they could not.
    pub(crate) skipped: usize,
    /// The names of the failed ones.
    pub(crate) failures: Vec<String>,
    /// The skipped ones.
    pub(crate) skips: Vec<Skip>,
}

impl Counts {
    /// Outcome of a single check that either held or not: formatting, for example.
    pub(crate) fn of_check(name: &str, held: bool) -> Self {
        if held {
            return Self { passed: 1, ..Self::default() };
        }
        Self { failed: 1, failures: vec![name.to_owned()], ..Self::default() }
    }

    /// Outcome of a step that was left out.
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
    /// or a report was not written, has failed all the same.
    pub(crate) fn hold_to_status(&mut self, name: &str, success: bool) {
        if !success && self.failed == 0 {
            self.failed = 1;
            self.failures.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_skips_itself_moves_from_passed_to_skipped_once() {
        let skip = |name: &str, why: &str| Skip { name: name.to_owned(), why: why.to_owned() };
        let mut counts = Counts { passed: 3, ..Counts::default() };
        let skips = vec![skip("a", "no root"), skip("a", "no tshark"), skip("b", "no root")];
        counts.move_to_skipped(skips);
        assert_eq!((counts.passed, counts.failed, counts.skipped), (1, 0, 2));
        assert_eq!(counts.skips.len(), 3);
    }

    #[test]
    fn a_runner_that_ends_badly_never_counts_no_failure() {
        let cases = [(true, 0, 0), (true, 2, 2), (false, 0, 1), (false, 2, 2)];
        for (success, failed, expected) in cases {
            let mut counts = Counts { failed, ..Counts::default() };
            counts.hold_to_status("tests", success);
            assert_eq!(counts.failed, expected, "success {success}, failed {failed}");
        }
    }
}
