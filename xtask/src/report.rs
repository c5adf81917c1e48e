//! Running steps one after the other, and the summary at their end.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::check::Step;
use crate::counts::Counts;

/// A step that has run.
struct Done {
    name: &'static str,
    took: Duration,
    counts: Counts,
}

/// Runs each step, also after one has failed, and prints the summary, whose last line is
/// `N passed, N failed, N skipped`; `note` stands above the summary.
///
/// Each test counts as one, and so does each step without tests of its own.
pub(crate) fn run_and_sum_up(steps: Vec<Step>, note: Option<&str>) -> ExitCode {
    let done: Vec<Done> = steps.into_iter().map(run).collect();
    let failed = done.iter().any(|step| step.counts.failed > 0);
    if done.iter().any(|step| !step.counts.skips.is_empty()) && !test_support::is_root() {
        println!("\nnot root: CONTRIBUTING.md says how to run the tests that load programs");
    }
    if let Some(note) = note {
        println!("\n{note}");
    }
    print!("{}", summary(&done));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run(step: Step) -> Done {
    let name = step.name;
    println!("\n== {name}");
    let start = Instant::now();
    let counts = step.run().unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        Counts::of_check(name, false)
    });
    Done { name, took: start.elapsed(), counts }
}

fn summary(done: &[Done]) -> String {
    let mut text = String::from("\n== summary\n");
    let mut total = Counts::default();
    let width = done.iter().map(|step| step.name.len()).max().unwrap_or_default();
    for Done { name, took, counts } in done {
        let seconds = took.as_secs_f64();
        let Counts { passed, failed, skipped, .. } = counts;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:width$}  {seconds:7.1} s  {passed:5} passed {failed:4} failed {skipped:4} skipped"
        );
        total.add(counts.clone());
    }
    for name in &total.failures {
        let _ = writeln!(text, "failed: {name}");
    }
    for skip in &total.skips {
        let _ = writeln!(text, "skipped: {}: {}", skip.name, skip.why);
    }
    let Counts { passed, failed, skipped, .. } = total;
    let _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(name: &'static str, seconds: u64, counts: Counts) -> Done {
        Done { name, took: Duration::from_secs(seconds), counts }
    }

    #[test]
    fn the_summary_names_steps_failures_and_skips_and_closes_on_the_counts() {
        let mut tests = Counts { passed: 12, failed: 1, ..Counts::default() };
        tests.failures.push("model tree::depth".to_owned());
        let steps = [
            done("formatting", 1, Counts::of_check("formatting", false)),
            done("tests", 75, tests),
            done("licences", 0, Counts::of_skip("licences", "no cargo-deny")),
        ];
        let expected = "
== summary
formatting      1.0 s      0 passed    1 failed    0 skipped
tests          75.0 s     12 passed    1 failed    0 skipped
licences        0.0 s      0 passed    0 failed    1 skipped
failed: formatting
failed: model tree::depth
skipped: licences: no cargo-deny
12 passed, 2 failed, 1 skipped
";
        assert_eq!(summary(&steps), expected);
    }
}
