//! `cargo xtask oracle`: the comparison with tshark over every capture, and when it last ran.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::check;
use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;

/// The ignored test that compares all captures.
const TEST: &str = "test(every_capture_counts_what_tshark_counts)";

/// Runs the comparison, and notes its outcome for [`last`].
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode, Failure> {
    let mut command = workspace.cargo();
    command.args([
        "nextest",
        "run",
        "--package",
        "weir-datapath",
        "--tests",
        "--run-ignored",
        "only",
    ]);
    command.args(["--no-capture", "--filterset", TEST]);
    let counts = check::run_tests("oracle", command, workspace)?;
    let outcome = match (counts.failed, counts.passed) {
        (0, 0) => "was skipped",
        (0, _) => "passed",
        _ => "failed",
    };
    let printed = |program: &str, arguments: &[&str]| {
        invoke::captured(workspace.command(program).args(arguments)).unwrap_or_default()
    };
    let when = printed("date", &["-u", "+%F %R UTC"]);
    let commit = printed("git", &["describe", "--always", "--dirty"]);
    let note = format!("oracle: {outcome} on {} at commit {}", when.trim(), commit.trim());
    println!("{note}");
    let stamp = stamp(workspace);
    std::fs::write(&stamp, note).map_err(|error| {
        Failure::new(
            format!("cannot write {}: {error}", stamp.display()),
            "make the folder writable, or name another with CARGO_TARGET_DIR",
        )
    })?;
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Time and result of the last comparison with this target folder.
pub(crate) fn last(workspace: &Workspace) -> String {
    std::fs::read_to_string(stamp(workspace))
        .unwrap_or("oracle: never ran here; `cargo xtask oracle` takes four minutes".to_owned())
}

fn stamp(workspace: &Workspace) -> PathBuf {
    workspace.target().join("xtask/oracle.txt")
}
