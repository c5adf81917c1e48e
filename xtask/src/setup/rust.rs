//! The pinned toolchain, its components, and the linker of eBPF programs.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::invoke;
use crate::version;
use crate::workspace::Workspace;

/// Links with LLVM 22, which is that of rustc 1.95; 0.11 and later want LLVM 23.
const BPF_LINKER: &str = "0.10.1";

/// The version that `.config/nextest.toml` needs at least.
const NEXTEST: &str = "0.9.143";

/// A component of the toolchain and the file that shows that it is there, from the sysroot.
struct Component {
    name: &'static str,
    evidence: &'static str,
}

/// core is built from source for the BPF target.
const TO_BUILD: [Component; 1] =
    [Component { name: "rust-src", evidence: "lib/rustlib/src/rust/library/core/src/lib.rs" }];

const TO_LINT: [Component; 2] = [
    Component { name: "rustfmt", evidence: "bin/cargo-fmt" },
    Component { name: "clippy", evidence: "bin/cargo-clippy" },
];

/// Makes sure that the compiler is the pinned one. Returns what to call it.
pub(super) fn check_toolchain(workspace: &Workspace) -> Result<String, Failure> {
    let pinned = workspace.channel();
    let install = format!("run `rustup toolchain install {pinned} --profile minimal`");
    let printed = invoke::captured(workspace.command("rustc").arg("--version"))
        .ok_or_else(|| Failure::new("`rustc --version` fails", install))?;
    let found = version::printed(&printed).unwrap_or_default();
    if found == pinned {
        return Ok(format!("rustc {found}"));
    }
    Err(Failure::new(
        format!("rustc is {found}, and weir builds with {pinned} only"),
        format!("unset RUSTUP_TOOLCHAIN, or run `cargo +{pinned} xtask …` with rustup's cargo"),
    ))
}

/// Adds the components that are missing. Returns the names of all that are needed.
pub(super) fn ensure_components(workspace: &Workspace, lints: bool) -> Result<String, Failure> {
    let sysroot = invoke::captured(workspace.command("rustc").args(["--print", "sysroot"]))
        .map(|printed| PathBuf::from(printed.trim()))
        .ok_or_else(|| {
            Failure::new("`rustc --print sysroot` fails", "reinstall the toolchain with rustup")
        })?;
    let needed: Vec<&Component> = TO_BUILD.iter().chain(TO_LINT.iter().filter(|_| lints)).collect();
    let missing: Vec<&str> = missing_components(&needed, &sysroot);
    if !missing.is_empty() {
        add_components(workspace, &missing)?;
        let still_missing = missing_components(&needed, &sysroot);
        if !still_missing.is_empty() {
            return Err(Failure::new(
                format!(
                    "{} not in {} after installing",
                    still_missing.join(", "),
                    sysroot.display()
                ),
                format!("run `rustup component list --toolchain {}`", workspace.channel()),
            ));
        }
    }
    Ok(needed.iter().map(|component| component.name).collect::<Vec<_>>().join(", "))
}

/// Installs bpf-linker where it is missing or of another version. Returns what to call it.
pub(super) fn ensure_bpf_linker(workspace: &Workspace) -> Result<String, Failure> {
    let by_hand = format!("run `cargo install bpf-linker --version {BPF_LINKER} --locked`");
    let found = bpf_linker_version(workspace);
    if found.as_deref() == Some(BPF_LINKER) {
        return Ok(format!("bpf-linker {BPF_LINKER}"));
    }
    match &found {
        None => println!("setup: bpf-linker is missing; installing {BPF_LINKER} (a few minutes)"),
        Some(other) => println!(
            "setup: bpf-linker is {other}, and the pinned rustc's LLVM needs {BPF_LINKER}; \
             replacing it (a few minutes)"
        ),
    }
    invoke::or_fail(
        workspace.cargo().args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked"]),
        "bpf-linker could not be installed",
        &format!("check the network, then {by_hand}"),
    )?;
    match bpf_linker_version(workspace) {
        Some(version) if version == BPF_LINKER => Ok(format!("bpf-linker {BPF_LINKER}")),
        Some(other) => Err(Failure::new(
            format!("another bpf-linker ({other}) comes first in PATH"),
            "put cargo's bin folder (by default ~/.cargo/bin) first in PATH",
        )),
        None => Err(Failure::new("bpf-linker was installed but does not run", by_hand)),
    }
}

/// Installs cargo-nextest where it is missing. Returns what to call it.
pub(super) fn ensure_nextest(workspace: &Workspace) -> Result<String, Failure> {
    let found = || {
        let printed = invoke::captured(workspace.cargo().args(["nextest", "--version"]))?;
        Some(format!("cargo-nextest {}", version::printed(&printed)?))
    };
    if let Some(found) = found() {
        return Ok(found);
    }
    println!("setup: cargo-nextest is missing; installing {NEXTEST} (a few minutes)");
    // Waits for tests, and so needs no optimising; does not update itself either.
    let options = ["--locked", "--profile", "dev", "--no-default-features"];
    let by_hand = format!("run `cargo install cargo-nextest --version {NEXTEST} --locked`");
    invoke::or_fail(
        workspace
            .cargo()
            .args(["install", "cargo-nextest", "--version", NEXTEST])
            .args(options)
            .args(["--features", "default-no-update"]),
        "cargo-nextest could not be installed",
        &format!("check the network, then {by_hand}"),
    )?;
    found().ok_or_else(|| Failure::new("cargo-nextest was installed but does not run", by_hand))
}

fn missing_components(needed: &[&Component], sysroot: &Path) -> Vec<&'static str> {
    needed
        .iter()
        .filter(|component| !sysroot.join(component.evidence).exists())
        .map(|component| component.name)
        .collect()
}

fn add_components(workspace: &Workspace, missing: &[&str]) -> Result<(), Failure> {
    println!("setup: {} missing from the toolchain; adding with rustup", missing.join(", "));
    let mut command = workspace.command("rustup");
    command.args(["component", "add"]).args(missing);
    command.args(["--toolchain", workspace.channel()]);
    invoke::or_fail(
        &mut command,
        "a component of the toolchain could not be added",
        &format!(
            "check the network, then run `rustup component add {} --toolchain {}`",
            missing.join(" "),
            workspace.channel()
        ),
    )
}

fn bpf_linker_version(workspace: &Workspace) -> Option<String> {
    let printed = invoke::captured(workspace.command("bpf-linker").arg("--version"))?;
    Some(version::printed(&printed)?.to_owned())
}
