//! `cargo xtask bench`: make ready what weir is compared with, and become `weir-bench`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::demo::become_program;
use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;

/// What the scoring and training benches are compared with, pinned so that two runs compare with
/// the same.
const COMPARED_WITH: [&str; 1] = ["scikit-learn==1.7.2"];

/// Names the Python interpreter that can import [`COMPARED_WITH`]; unset where there is none, and
/// the comparison is then shown as skipped.
const VARIABLE: &str = "WEIR_BENCH_PYTHON";

/// Builds the benches in release and replaces this process by them.
pub(crate) fn run(workspace: &Workspace, passed_on: &[String]) -> Result<ExitCode, Failure> {
    let python = ensure_python(workspace);
    let mut command = workspace.cargo();
    command.args(["run", "--release", "--package", "benches", "--bin", "weir-bench", "--"]);
    match python {
        Some(python) => command.env(VARIABLE, python),
        None => command.env_remove(VARIABLE),
    };
    become_program(command.args(passed_on))
}

/// The interpreter of a virtual environment under the target folder, made when it is missing.
fn ensure_python(workspace: &Workspace) -> Option<PathBuf> {
    let folder = workspace.target().join("bench-venv");
    let python = folder.join("bin/python");
    if is_complete(workspace, &python) {
        return Some(python);
    }
    println!("bench: making {} with {}", folder.display(), COMPARED_WITH.join(", "));
    match make(workspace, &folder, &python) {
        Ok(()) => Some(python),
        Err(failure) => {
            println!("skipped: comparison with scikit-learn: {failure}");
            None
        }
    }
}

fn make(workspace: &Workspace, folder: &Path, python: &Path) -> Result<(), Failure> {
    let by_hand = "install Debian's python3-venv and check the network, then run this again";
    invoke::or_fail(
        workspace.command("python3").args(["-m", "venv", "--clear"]).arg(folder),
        "the virtual environment could not be made",
        by_hand,
    )?;
    invoke::or_fail(
        workspace
            .command(&python.to_string_lossy())
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(COMPARED_WITH),
        "its packages could not be installed",
        by_hand,
    )
}

/// Whether the environment holds exactly the versions asked for.
fn is_complete(workspace: &Workspace, python: &Path) -> bool {
    if !python.exists() {
        return false;
    }
    let mut command = workspace.command(&python.to_string_lossy());
    command.args(["-m", "pip", "freeze", "--disable-pip-version-check"]);
    let installed = invoke::captured(&mut command).unwrap_or_default();
    COMPARED_WITH.iter().all(|wanted| installed.lines().any(|line| line == *wanted))
}
