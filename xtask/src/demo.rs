//! `cargo xtask demo`: build weir, and become `weir demo`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::failure::Failure;
use crate::invoke;
use crate::privilege::Privilege;
use crate::workspace::Workspace;

/// A form of the program `weir`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The node and what talks to it.
    Node,
    /// Only the parts that the demo needs, in the profile that compiles soonest.
    Demo,
    /// Everything, as packages ship it.
    Everything,
    /// Everything, as the tests have built it.
    Tests,
}

impl Build {
    /// Command that builds it.
    pub(crate) fn command(self, workspace: &Workspace) -> Command {
        let mut command = workspace.cargo();
        command.args(["build", "--package", "weir", "--bin", "weir", "--profile"]);
        command.arg(if self == Self::Tests { "dev" } else { self.folder() });
        match self {
            Self::Node => command.arg("--no-default-features"),
            Self::Demo => command.args(["--no-default-features", "--features", "lab"]),
            Self::Everything | Self::Tests => &mut command,
        };
        command
    }

    /// Path of the program then, under cargo's target folder.
    pub(crate) fn program(self, target: &Path) -> PathBuf {
        target.join(self.folder()).join("weir")
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Node | Self::Everything => "release",
            Self::Tests => "debug",
        }
    }
}

/// Builds the program in the demo's form and replaces this process by `weir demo`, as root where that
/// asks nothing. Without root weir itself says so and runs the same loop offline.
pub(crate) fn run(workspace: &Workspace, passed_on: &[String]) -> Result<ExitCode, Failure> {
    let weir = build_weir(workspace, Build::Demo)?;
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

/// Builds the program. Returns where it is.
pub(crate) fn build_weir(workspace: &Workspace, build: Build) -> Result<PathBuf, Failure> {
    invoke::or_fail(
        &mut build.command(workspace),
        "weir could not be built",
        "read the compiler's first error above; `cargo xtask setup` checks the tools",
    )?;
    Ok(build.program(workspace.target()))
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
