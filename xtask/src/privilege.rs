//! Rights of root, and the way this program gets them.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::invoke;
use crate::workspace::Workspace;

/// Way in which a command gets root's rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// This program is root already.
    Root,
    /// `sudo` works without asking.
    Sudo,
    /// There is no way to root that asks nothing.
    None,
}

impl Privilege {
    /// Finds out without asking anything.
    pub(crate) fn detect(workspace: &Workspace) -> Self {
        if test_support::is_root() {
            return Self::Root;
        }
        match invoke::captured(workspace.command("sudo").args(["-n", "true"])) {
            Some(_) => Self::Sudo,
            None => Self::None,
        }
    }

    /// `program` run with root's rights and these variables, or `None` where that is impossible.
    pub(crate) fn command(
        self,
        workspace: &Workspace,
        program: &OsStr,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Option<Command> {
        match self {
            Self::Root => {
                let mut command = workspace.command(&program.to_string_lossy());
                command.envs(variables);
                Some(command)
            }
            Self::Sudo => {
                // `sudo -E` needs a right of its own; `env` behind sudo does not.
                let mut command = workspace.command("sudo");
                command.args(["-n", "env"]);
                for (mut assignment, value) in variables {
                    assignment.push("=");
                    assignment.push(value);
                    command.arg(assignment);
                }
                command.arg(program);
                Some(command)
            }
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_is_given_variables_through_env() {
        let workspace = Workspace::locate().expect("the checkout");
        let variables = || [(OsString::from("RUST_LOG"), OsString::from("debug"))];
        let shown = |privilege: Privilege| {
            privilege
                .command(&workspace, OsStr::new("weir"), variables())
                .map(|command| invoke::shown(&command))
        };
        assert_eq!(shown(Privilege::Sudo).as_deref(), Some("sudo -n env RUST_LOG=debug weir"));
        assert_eq!(shown(Privilege::Root).as_deref(), Some("RUST_LOG=debug weir"));
        assert_eq!(shown(Privilege::None), None);
    }
}
