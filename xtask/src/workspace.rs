//! Location of the repository, and cargo called in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::version;

/// The checkout this program was built from.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    channel: String,
}

impl Workspace {
    /// Finds the checkout, cargo's target folder and the pinned toolchain.
    pub(crate) fn locate() -> Result<Self, Failure> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().unwrap_or(manifest).to_path_buf();
        let pin = root.join("rust-toolchain.toml");
        let text = std::fs::read_to_string(&pin).map_err(|error| {
            Failure::new(
                format!("cannot read {}: {error}", pin.display()),
                "run `cargo xtask` inside the checkout it was built from",
            )
        })?;
        let channel = version::channel(&text).ok_or_else(|| {
            Failure::new(
                format!("{} names no channel", pin.display()),
                "restore it: `git checkout -- rust-toolchain.toml`",
            )
        })?;
        Ok(Self { target: target_folder(&root), root, channel: channel.to_owned() })
    }

    /// The checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder, wherever the configuration has put it.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The toolchain that `rust-toolchain.toml` pins, for example `1.95.0`.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// A command that runs in the checkout, sees what `cargo install` installed, and does not
    /// see what the outer `cargo run` told xtask about itself: a build script that watches
    /// `CARGO_PKG_*` or `CARGO_MANIFEST_*` would otherwise run anew in each of the two worlds.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", path_with_cargo_bin());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// The cargo that runs xtask, which is the pinned one.
    pub(crate) fn cargo(&self) -> Command {
        self.command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
    }
}

/// xtask itself lies in `<target>/<profile>/xtask`, whichever of the environment, the
/// configuration or the default has named the folder.
fn target_folder(root: &Path) -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.to_path_buf()))
        .unwrap_or_else(|| root.join("target"))
}

/// `PATH` with the folder that `cargo install` fills at its end, where it is missing from many
/// root shells and CI jobs.
fn path_with_cargo_bin() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let Some(installed) = folder("CARGO_INSTALL_ROOT")
        .or_else(|| folder("CARGO_HOME"))
        .or_else(|| Some(folder("HOME")?.join(".cargo")))
    else {
        return path;
    };
    let folders = std::env::split_paths(&path).chain([installed.join("bin")]);
    std::env::join_paths(folders).unwrap_or(path)
}
