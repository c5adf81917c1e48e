//! Running other programs, in the open: each command line is shown as it could be typed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// Output of a program that is read while it is passed through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    /// libtest reports there.
    Stdout,
    /// nextest reports there.
    Stderr,
}

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

/// Prints and runs the command; passes both outputs through, and each line of the one listened
/// to also to `hear`.
pub(crate) fn listening(
    command: &mut Command,
    listen: Listen,
    mut hear: impl FnMut(&str),
) -> Result<ExitStatus, Failure> {
    announce(command);
    command.stdin(Stdio::null());
    match listen {
        Listen::Stdout => command.stdout(Stdio::piped()),
        Listen::Stderr => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().map_err(|error| not_started(command, &error))?;
    if let Some(stdout) = child.stdout.take() {
        pass_lines(BufReader::new(stdout), std::io::stdout(), &mut hear);
    }
    if let Some(stderr) = child.stderr.take() {
        pass_lines(BufReader::new(stderr), std::io::stderr(), &mut hear);
    }
    child.wait().map_err(|error| not_started(command, &error))
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

/// A test may print bytes that are no UTF-8; they are passed on as they are.
fn pass_lines(mut from: impl BufRead, mut to: impl Write, hear: &mut impl FnMut(&str)) {
    let mut line = Vec::new();
    while matches!(from.read_until(b'\n', &mut line), Ok(read) if read > 0) {
        // A closed terminal must not stop the tests: what is heard still reaches the summary.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        hear(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
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
    fn lines_of_the_chosen_output_are_heard() {
        for (listen, expected) in
            [(Listen::Stdout, vec!["one", "two"]), (Listen::Stderr, vec!["three"])]
        {
            let mut heard = Vec::new();
            let mut command = Command::new("sh");
            command.args(["-c", "echo one; echo three >&2; echo two"]);
            let status = listening(&mut command, listen, |line| heard.push(line.to_owned()))
                .expect("sh runs");
            assert!(status.success());
            assert_eq!(heard, expected, "{listen:?}");
        }
    }

    #[test]
    fn a_missing_program_is_named_with_a_remedy() {
        let failure = visibly(&mut Command::new("no-such-program-of-weir")).expect_err("fails");
        let text = failure.to_string();
        assert!(text.contains("`no-such-program-of-weir`"), "{text}");
        assert!(text.contains("to mend it"), "{text}");
    }
}
