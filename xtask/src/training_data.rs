//! `cargo xtask training-data`: record the captures of `training-data/` anew.

use crate::demo::{Build, build_weir};
use crate::failure::Failure;
use crate::invoke;
use crate::privilege::Privilege;
use crate::workspace::Workspace;

/// The captures, each recorded from the scenario of its name.
pub(crate) const CAPTURES: [&str; 4] = ["benign-train", "benign-test", "mixed", "demo"];

/// Bytes kept of each frame: the headers, of which all features are made.
const SNAP_LENGTH: &str = "96";

/// Builds weir, records each capture in a lab, as root where that asks nothing, and has the
/// table of checksums and counts written anew.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<(), Failure> {
    let weir = build_weir(workspace, Build::Demo)?;
    let privilege = Privilege::detect(workspace);
    for name in CAPTURES.iter().filter(|name| names.is_empty() || names.iter().any(|n| n == *name))
    {
        let mut command = privilege.command(workspace, weir.as_os_str(), []).ok_or_else(|| {
            Failure::new(
                "recording builds network namespaces, which takes root".to_owned(),
                "run this as root, or let sudo work without a password",
            )
        })?;
        command.args(["lab", "record", "--snap-length", SNAP_LENGTH]);
        command.arg(format!("training-data/{name}.toml"));
        command.args(["--out".to_owned(), format!("training-data/{name}.pcap.zst")]);
        invoke::or_fail(
            &mut command,
            "a capture could not be recorded",
            "`weir lab clean` removes what a killed lab left behind",
        )?;
    }
    invoke::or_fail(
        workspace
            .cargo()
            .args(["test", "--package", "lab", "--test", "training_data"])
            .env("WEIR_UPDATE_TRAINING_DATA", "1"),
        "the captures are not what their scenarios say",
        "read the first failure above",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capture_has_a_scenario() {
        let workspace = Workspace::locate().expect("the checkout");
        for name in CAPTURES {
            let path = workspace.root().join(format!("training-data/{name}.toml"));
            assert!(path.is_file(), "{}", path.display());
        }
    }
}
