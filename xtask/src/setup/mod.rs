//! Needs of each command, found out and installed without a question.
//!
//! With everything there, this takes a fraction of a second and prints one line.

mod rust;
mod system;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Purpose that the machine is made ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building and running `weir demo`.
    Demo,
    /// Formatting, clippy, rustdoc and the unit tests.
    Lint,
    /// All tests.
    Test,
    /// The benches and what they are compared with.
    Bench,
    /// The notebooks.
    Notebooks,
    /// What people install.
    Dist,
    /// All of these.
    Everything,
}

impl Purpose {
    fn needs_lints(self) -> bool {
        matches!(self, Self::Lint | Self::Test | Self::Everything)
    }
}

/// Installs what is missing for `purpose`.
///
/// A missing compiler part is an error, because nothing could be built. A missing system program
/// is a warning: what needs it skips itself and says so.
pub(crate) fn prepare(workspace: &Workspace, purpose: Purpose) -> Result<(), Failure> {
    let mut present = vec![rust::check_toolchain(workspace)?];
    present.push(rust::ensure_components(workspace, purpose.needs_lints())?);
    present.push(system::check_c_linker(workspace)?);
    present.push(rust::ensure_bpf_linker(workspace)?);
    if purpose.needs_lints() {
        present.push(rust::ensure_nextest(workspace)?);
    }
    present.extend(system::ensure_packages(workspace, purpose));
    println!("setup: {} present", present.join(", "));
    Ok(())
}
