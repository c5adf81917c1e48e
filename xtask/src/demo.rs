//! `cargo xtask demo`: build weir, and become `weir demo`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::failure::Failure;
use crate::invoke;
use crate::privilege::Privilege;
use crate::workspace::Workspace;

/// Builds weir in release and replaces this process by `weir demo`, as root where that
/// asks nothing. Without root weir itself says so and runs the same loop offline.
pub(crate) fn run(workspace: &Workspace, passed_on: &[String]) -> Result<ExitCode, Failure> {
    build_weir(workspace)?;
    let weir = workspace.target().join("release/weir");
    let privilege = Privilege::detect(workspace);
    match privilege {
        Privilege::Root => {}
        Privilege::Sudo => println!("demo: not root; running weir with sudo"),
        Privilege::None => {
            println!("demo: not root, and sudo would ask for a password; running as you");
        }
    }
    let variables = match privilege {
        Privilege::Sudo => forwarded(std::env::vars_os()),
        Privilege::Root | Privilege::None => Vec::new(),
    };
    let mut command = privilege
        .command(workspace, weir.as_os_str(), variables)
        .unwrap_or_else(|| workspace.command(&weir.to_string_lossy()));
    become_program(command.arg("demo").args(passed_on))
}

/// Builds the program in release, into the target folder's `release`.
pub(crate) fn build_weir(workspace: &Workspace) -> Result<(), Failure> {
    invoke::or_fail(
        workspace.cargo().args(["build", "--release", "--package", "weir", "--bin", "weir"]),
        "weir could not be built",
        "read the compiler's first error above; `cargo xtask setup` checks the tools",
    )
}

/// Replaces this process, so that signals and the exit code are the program's own.
pub(crate) fn become_program(command: &mut Command) -> Result<ExitCode, Failure> {
    println!("$ {}", invoke::shown(command));
    let error = command.exec();
    Err(Failure::new(
        format!("cannot run `{}`: {error}", invoke::shown(command)),
        "run it by hand to see why",
    ))
}

/// sudo clears the environment; these variables are weir's own or say how to print.
fn forwarded(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    const KEPT: [&str; 4] = ["RUST_LOG", "RUST_BACKTRACE", "NO_COLOR", "TERM"];
    variables
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("WEIR_") || KEPT.contains(&name.as_ref())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_is_passed_what_configures_weir_and_nothing_else() {
        let cases = [
            ("WEIR__POLICY__MODE", true),
            ("WEIR_SHARED_DATA", true),
            ("RUST_LOG", true),
            ("TERM", true),
            ("HOME", false),
            ("PATH", false),
            ("LD_PRELOAD", false),
            ("WEIRD", false),
        ];
        for (name, expected) in cases {
            let variables = [(OsString::from(name), OsString::from("x"))];
            assert_eq!(!forwarded(variables.into_iter()).is_empty(), expected, "{name}");
        }
    }
}
