//! Running other programs, in the open: each command line is shown as it could be typed.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::counts::Counts;
use crate::failure::Failure;
use crate::junit;

/// The command as a person would type it, set variables first.
pub(crate) fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter(|(name, _)| *name != "PATH")
        .filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(value?))));
    // Cargo tells xtask its own path, which is long and says nothing.
    let program = match Path::new(command.get_program()).file_name() {
        Some(cargo) if cargo == "cargo" => cargo,
        _ => command.get_program(),
    };
    let words = std::iter::once(program).chain(command.get_args());
    variables.chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Prints the command, runs it with this program's own outputs, and returns how it ended.
pub(crate) fn visibly(command: &mut Command) -> Result<ExitStatus, Failure> {
    announce(command);
    command.stdin(Stdio::null()).status().map_err(|error| not_started(command, &error))
}

/// Like [`visibly`], and an exit code other than 0 is a failure with `remedy`.
pub(crate) fn or_fail(command: &mut Command, what: &str, remedy: &str) -> Result<(), Failure> {
    let status = visibly(command)?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{what}: `{}` ended with {status}", shown(command)), remedy))
}

/// Standard output of a command, or `None` where it cannot run or fails.
pub(crate) fn captured(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the tests of a runner that leaves a `report`, and counts what that holds.
pub(crate) fn reported(
    name: &str,
    command: &mut Command,
    report: &Path,
) -> Result<Counts, Failure> {
    // A report of an earlier run would be counted where this one does not come to its end.
    let _ = std::fs::remove_file(report);
    let status = visibly(command)?;
    let mut counts = junit::read(report);
    counts.hold_to_status(name, status.success());
    Ok(counts)
}

fn announce(command: &Command) {
    println!("$ {}", shown(command));
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cannot run `{}`: {error}", shown(command)),
        format!("check that `{}` is installed and in PATH", command.get_program().display()),
    )
}

fn quoted(word: &std::ffi::OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_could_be_typed() {
        let mut command = Command::new("cargo");
        command.args(["test", "--", "a b", "it's", ""]).env("RUSTDOCFLAGS", "-D warnings");
        command.env("PATH", "/not/shown").env_remove("NOT_SHOWN");
        assert_eq!(shown(&command), r"RUSTDOCFLAGS='-D warnings' cargo test -- 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_missing_program_is_named_with_a_remedy() {
        let failure = visibly(&mut Command::new("no-such-program-of-weir")).expect_err("fails");
        let text = failure.to_string();
        assert!(text.contains("`no-such-program-of-weir`"), "{text}");
        assert!(text.contains("to mend it"), "{text}");
    }
}
