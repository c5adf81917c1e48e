//! The steps of `cargo xtask test`, `lint` and `docs`.
//!
//! Cheap steps come first, and no step needs an earlier one, so each runs whatever the others
//! found.

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::invoke::{self, Listen};
use crate::python;
use crate::skips::SkipLog;
use crate::tally::{Dialect, Listener, Tally};
use crate::workspace::Workspace;

/// The crates of the host. `weir-flows-ebpf` builds for the BPF target only.
const HOST: [&str; 3] = ["--workspace", "--exclude", "weir-flows-ebpf"];

/// A named part of the whole.
pub(crate) struct Step {
    /// Shown above the output and in the summary.
    pub(crate) name: &'static str,
    work: Work,
}

enum Work {
    /// Counts as one: it holds or not.
    Check(Command),
    /// Counts each test.
    Tests { command: Command, dialect: Dialect, target: std::path::PathBuf },
    /// A check of something that is fetched first; skipped where that cannot be had.
    FetchedCheck { fetch: Command, check: Command, without: &'static str },
    /// Makes its own preparations, and counts what it runs.
    Prepared(Prepared),
    /// Counts as one skipped.
    Skip(String),
}

/// What prepares and counts by itself; takes the step's name.
type Prepared = Box<dyn FnOnce(&str) -> Result<Tally, Failure>>;

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

/// Everything; `quick` leaves out the integration tests, and what runs in Python.
pub(crate) fn all(workspace: &Workspace, quick: bool) -> Vec<Step> {
    let mut steps = lints(workspace);
    steps.extend(docs(workspace));
    steps.push(tests(workspace, quick));
    steps.push(doc_tests(workspace));
    steps.extend(dependencies(workspace));
    if !quick {
        steps.push(python_tests(workspace));
        steps.push(notebooks(workspace, false));
    }
    steps
}

impl Step {
    /// Runs the step to its end, its output in the open.
    pub(crate) fn run(self) -> Result<Tally, Failure> {
        match self.work {
            Work::Check(mut command) => {
                let status = invoke::visibly(&mut command)?;
                Ok(Tally::of_check(self.name, status.success()))
            }
            Work::Tests { command, dialect, target } => {
                run_tests(self.name, command, dialect, &target)
            }
            Work::FetchedCheck { mut fetch, mut check, without } => {
                if !invoke::visibly(&mut fetch)?.success() {
                    return Ok(Tally::of_skip(self.name, without));
                }
                let status = invoke::visibly(&mut check)?;
                Ok(Tally::of_check(self.name, status.success()))
            }
            Work::Prepared(work) => work(self.name),
            Work::Skip(why) => Ok(Tally::of_skip(self.name, &why)),
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
    let has_nextest = invoke::captured(workspace.cargo().args(["nextest", "--version"])).is_some();
    let mut command = workspace.cargo();
    let dialect = if has_nextest {
        command.args(["nextest", "run", "--final-status-level", "skip"]);
        Dialect::Nextest
    } else {
        command.arg("test");
        Dialect::Libtest
    };
    command.args(HOST).arg("--no-fail-fast").args(["--lib", "--bins"]);
    if !quick {
        command.args(["--tests", "--examples"]);
    }
    let target = workspace.target().to_path_buf();
    let name = if quick { "unit tests" } else { "tests" };
    Step { name, work: Work::Tests { command, dialect, target } }
}

fn doc_tests(workspace: &Workspace) -> Step {
    let mut command = workspace.cargo();
    command.arg("test").args(HOST).args(["--doc", "--no-fail-fast"]);
    let target = workspace.target().to_path_buf();
    Step {
        name: "documentation tests",
        work: Work::Tests { command, dialect: Dialect::Libtest, target },
    }
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

fn run_tests(
    name: &str,
    mut command: Command,
    dialect: Dialect,
    target: &Path,
) -> Result<Tally, Failure> {
    let unusable = |error: std::io::Error| {
        Failure::new(
            format!("the log of skipped tests in {} cannot be used: {error}", target.display()),
            "make the folder writable, or name another with CARGO_TARGET_DIR",
        )
    };
    let log = SkipLog::start(target).map_err(unusable)?;
    command.env(requires::SKIP_LOG, log.path());
    let listen = match dialect {
        Dialect::Libtest | Dialect::Pytest => Listen::Stdout,
        Dialect::Nextest => Listen::Stderr,
    };
    let mut listener = Listener::new(dialect);
    let status = invoke::listening(&mut command, listen, |line| listener.hear(line))?;
    let mut tally = listener.into_tally();
    tally.hold_to_status(name, status.success());
    tally.move_to_skipped(log.read().map_err(unusable)?);
    Ok(tally)
}
