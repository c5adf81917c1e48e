//! The steps of `cargo xtask test`, `lint` and `docs`.
//!
//! Cheap steps come first, and no step needs an earlier one, so each runs whatever the others
//! found.

use std::num::NonZero;
use std::process::Command;
use std::thread;

use crate::counts::Counts;
use crate::failure::Failure;
use crate::invoke;
use crate::package;
use crate::python;
use crate::skips::SkipLog;
use crate::workspace::Workspace;

/// The crates of the host. `weir-flows-ebpf` builds for the BPF target only.
const HOST: [&str; 3] = ["--workspace", "--exclude", "weir-flows-ebpf"];

/// Path of the default profile's report, as `.config/nextest.toml` has it.
pub(crate) const NEXTEST_REPORT: &str = "target/nextest/default/junit.xml";

/// A named part of the whole.
pub(crate) struct Step {
    /// Shown above the output and in the summary.
    pub(crate) name: &'static str,
    work: Work,
}

enum Work {
    /// Counts as one: it holds or not.
    Check(Command),
    /// Counts each test of nextest's report.
    Tests { command: Command, workspace: Workspace },
    /// A check of something that is fetched first; skipped where that cannot be had.
    FetchedCheck { fetch: Command, check: Command, without: &'static str },
    /// Makes its own preparations, and counts what it runs.
    Prepared(Prepared),
    /// Counts as one skipped.
    Skip(String),
}

/// Step that prepares and counts by itself; takes the step's name.
type Prepared = Box<dyn FnOnce(&str) -> Result<Counts, Failure>>;

/// Formatting and clippy.
pub(crate) fn lints(workspace: &Workspace) -> Vec<Step> {
    vec![formatting(workspace), clippy(workspace), clippy_of_ebpf(workspace)]
}

/// Rustdoc.
pub(crate) fn docs(workspace: &Workspace) -> Vec<Step> {
    let mut command = workspace.cargo();
    command.env("RUSTDOCFLAGS", "-D warnings").arg("doc").args(HOST).arg("--no-deps");
    vec![Step { name: "docs", work: Work::Check(command) }]
}

/// The packages that others may depend on, made and not built: `cargo xtask package` does both.
fn packages(workspace: &Workspace) -> Step {
    let mut fetch = workspace.cargo();
    fetch.args(["update", "--workspace", "--dry-run"]);
    let check = package::manifests(workspace);
    let without = "the registry's index cannot be fetched";
    Step { name: "packages", work: Work::FetchedCheck { fetch, check, without } }
}

/// Everything; `quick` leaves out the integration tests, and what runs in Python.
pub(crate) fn all(workspace: &Workspace, quick: bool) -> Vec<Step> {
    let mut steps = lints(workspace);
    steps.extend(docs(workspace));
    steps.push(tests(workspace, quick));
    steps.push(doc_tests(workspace));
    steps.extend(dependencies(workspace));
    steps.push(packages(workspace));
    if !quick {
        steps.push(python_tests(workspace));
        steps.push(notebooks(workspace, false));
    }
    steps
}

impl Step {
    /// Runs the step to its end, its output in the open.
    pub(crate) fn run(self) -> Result<Counts, Failure> {
        match self.work {
            Work::Check(mut command) => {
                let status = invoke::visibly(&mut command)?;
                Ok(Counts::of_check(self.name, status.success()))
            }
            Work::Tests { command, workspace } => run_tests(self.name, command, &workspace),
            Work::FetchedCheck { mut fetch, mut check, without } => {
                if !invoke::visibly(&mut fetch)?.success() {
                    return Ok(Counts::of_skip(self.name, without));
                }
                let status = invoke::visibly(&mut check)?;
                Ok(Counts::of_check(self.name, status.success()))
            }
            Work::Prepared(work) => work(self.name),
            Work::Skip(why) => Ok(Counts::of_skip(self.name, &why)),
        }
    }
}

fn formatting(workspace: &Workspace) -> Step {
    let mut command = workspace.cargo();
    command.args(["fmt", "--all", "--check"]);
    Step { name: "formatting", work: Work::Check(command) }
}

fn clippy(workspace: &Workspace) -> Step {
    let mut command = workspace.cargo();
    command.arg("clippy").args(HOST).args(["--all-targets", "--", "-D", "warnings"]);
    Step { name: "clippy", work: Work::Check(command) }
}

/// The programs are linted for the target they are built for, core included, which the stable
/// compiler does for `RUSTC_BOOTSTRAP=1`. A target folder of its own keeps that variable from
/// making the host's crates anew.
fn clippy_of_ebpf(workspace: &Workspace) -> Step {
    let mut command = workspace.cargo();
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", workspace.target().join("xtask/ebpf"))
        .args(["clippy", "--package", "weir-flows-ebpf", "--target", "bpfel-unknown-none"])
        .args(["-Z", "build-std=core", "--", "-D", "warnings"]);
    Step { name: "clippy of the eBPF programs", work: Work::Check(command) }
}

fn tests(workspace: &Workspace, quick: bool) -> Step {
    let mut command = workspace.cargo();
    command.args(["nextest", "run"]).args(HOST).args(["--no-fail-fast", "--lib", "--bins"]);
    // Labs wait as often as they compute: one test more than there are processors.
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    command.args(["--test-threads", &(processors + 1).to_string()]);
    if !quick {
        command.args(["--tests", "--examples"]);
    }
    let name = if quick { "unit tests" } else { "tests" };
    Step { name, work: Work::Tests { command, workspace: workspace.clone() } }
}

/// nextest does not run these, and libtest reports them in no form for programs: they count as
/// one check.
fn doc_tests(workspace: &Workspace) -> Step {
    let mut command = workspace.cargo();
    command.arg("test").args(HOST).args(["--doc", "--no-fail-fast"]);
    Step { name: "documentation tests", work: Work::Check(command) }
}

/// cargo-deny takes minutes to compile, so it is used where it is and never installed.
fn dependencies(workspace: &Workspace) -> [Step; 2] {
    let deny = |arguments: &[&str]| {
        let mut command = workspace.cargo();
        command.arg("deny").args(arguments);
        command
    };
    let is_installed = invoke::captured(&mut deny(&["--version"])).is_some();
    let where_installed = |work: Work| {
        let why = "cargo-deny is not installed (`cargo install cargo-deny --locked`)";
        if is_installed { work } else { Work::Skip(why.to_owned()) }
    };
    [
        Step {
            name: "licences, duplicates, sources",
            work: where_installed(Work::Check(deny(&["check", "licenses", "bans", "sources"]))),
        },
        Step {
            name: "advisories",
            work: where_installed(Work::FetchedCheck {
                fetch: deny(&["fetch", "db"]),
                check: deny(&["check", "advisories"]),
                without: "the advisory database cannot be fetched",
            }),
        },
    ]
}

/// The package `weir` for Python, installed as a user would, and its own tests.
fn python_tests(workspace: &Workspace) -> Step {
    let workspace = workspace.clone();
    let work = move |name: &str| python::test(&workspace, name);
    Step { name: "Python package", work: Work::Prepared(Box::new(work)) }
}

/// The notebooks, each as one test; `write` keeps their outputs.
pub(crate) fn notebooks(workspace: &Workspace, write: bool) -> Step {
    let workspace = workspace.clone();
    let work = move |name: &str| python::notebooks(&workspace, write, name);
    Step { name: "notebooks", work: Work::Prepared(Box::new(work)) }
}

/// Runs nextest, and counts its report and the tests that skipped themselves.
pub(crate) fn run_tests(
    name: &str,
    mut command: Command,
    workspace: &Workspace,
) -> Result<Counts, Failure> {
    let target = workspace.target();
    let unusable = |error: std::io::Error| {
        Failure::new(
            format!("the log of skipped tests in {} cannot be used: {error}", target.display()),
            "make the folder writable, or name another with CARGO_TARGET_DIR",
        )
    };
    let log = SkipLog::start(target).map_err(unusable)?;
    command.env(test_support::SKIP_LOG, log.path());
    let report = workspace.root().join(NEXTEST_REPORT);
    let mut counts = invoke::reported(name, &mut command, &report)?;
    counts.move_to_skipped(log.read().map_err(unusable)?);
    Ok(counts)
}
