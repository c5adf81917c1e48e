//! `cargo xtask package`: the packages that others may depend on, as a registry would take them.
//!
//! Nothing is uploaded. The object of the eBPF programs is put into the package that carries it,
//! so that whoever depends on that needs neither the BPF linker nor the programs' source; the
//! repository holds no binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;

/// The package that carries the object.
const CARRIER: &str = "weir-datapath";

/// The object, as the carrier's build script leaves it in its `OUT_DIR`.
const OBJECT: &str = "flows-ebpf";

/// Path of the object in the carrier's package; git ignores it.
const PACKAGED: &str = "crates/datapath/object/weir.bpf.o";

/// Makes the packages and builds each from what it holds, and from what the others would be on
/// the registry.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    carry_object(workspace)?;
    forget_earlier();
    invoke::or_fail(
        &mut dry_run(workspace),
        "a package is not fit to be published",
        "read the first error above",
    )
}

/// Makes the packages without building them: what a manifest lacks shows in seconds.
pub(crate) fn manifests(workspace: &Workspace) -> Command {
    let mut command = dry_run(workspace);
    command.arg("--no-verify");
    command
}

/// All packages of the workspace that say `publish = true`, and no upload.
fn dry_run(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    // The object is no file of the repository's.
    command.args(["publish", "--workspace", "--dry-run", "--allow-dirty"]);
    command
}

/// Removes what an earlier dry run left in cargo's cache. Cargo takes a package of the same version
/// from there, whatever it holds by now; the registry of a dry run is a folder, so that its caches
/// are named without a host.
fn forget_earlier() {
    let home = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let Some(home) = home("CARGO_HOME").or_else(|| Some(home("HOME")?.join(".cargo"))) else {
        return;
    };
    for kind in ["src", "cache"] {
        for registry in entries(&home.join("registry").join(kind), "-") {
            for package in entries(&registry, "weir-") {
                // A package that stays makes the dry run fail by name, at worst.
                let _ = if package.is_dir() {
                    std::fs::remove_dir_all(package)
                } else {
                    std::fs::remove_file(package)
                };
            }
        }
    }
}

/// The entries of a folder whose names begin like this; none where it cannot be read.
fn entries(folder: &Path, beginning: &str) -> Vec<PathBuf> {
    let begins = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(begins).collect()
}

fn carry_object(workspace: &Workspace) -> Result<(), Failure> {
    let mut build = workspace.cargo();
    build.args(["build", "--package", CARRIER, "--message-format", "json-render-diagnostics"]);
    let failed = |what: String| Failure::new(what, format!("try `cargo build -p {CARRIER}`"));
    let messages = invoke::captured(&mut build)
        .ok_or_else(|| failed("the eBPF programs do not build".to_owned()))?;
    let made = out_folder(&messages)
        .ok_or_else(|| failed(format!("{CARRIER} has no build script")))?
        .join(OBJECT);
    let packaged = workspace.root().join(PACKAGED);
    let copied = match packaged.parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    };
    copied.and_then(|()| std::fs::copy(&made, &packaged)).map(drop).map_err(|error| {
        failed(format!("cannot copy {} to {}: {error}", made.display(), packaged.display()))
    })
}

/// The `OUT_DIR` of the carrier's build script, in cargo's messages, one JSON object a line.
fn out_folder(messages: &str) -> Option<PathBuf> {
    let mut lines = messages.lines().filter(|line| {
        line.contains(r#""reason":"build-script-executed""#)
            && line.contains(&format!("{CARRIER}@"))
    });
    let (_, rest) = lines.next()?.split_once(r#""out_dir":""#)?;
    Some(PathBuf::from(rest.split_once('"')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_the_carrier_is_found_among_those_of_others() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w#weir-datapath@0.1.0"}"#,
            "\n",
            r#"{"reason":"build-script-executed","package_id":"registry+u#libc@0.2.1","out_dir":"/t/l"}"#,
            "\n",
            r#"{"reason":"build-script-executed","package_id":"path+file:///w#weir-datapath@0.1.0","#,
            r#""cfgs":[],"out_dir":"/t/weir-datapath-1/out"}"#,
            "\n",
        );
        assert_eq!(out_folder(messages), Some(PathBuf::from("/t/weir-datapath-1/out")));
        assert_eq!(out_folder(""), None);
    }
}
