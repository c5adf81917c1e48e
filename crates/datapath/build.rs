//! Builds the eBPF programs and leaves the object at `OUT_DIR/flows-ebpf`.
//!
//! Cargo is called here rather than through `aya-build`, which has no place for the instruction
//! set, and wants rustup where the running build's own compiler will do.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The package, its binary, and the object's file name.
const PROGRAMS: &str = "flows-ebpf";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    for input in
        ["../../flows-ebpf", "../flows-common", "../../Cargo.lock", "../../rust-toolchain.toml"]
    {
        println!("cargo::rerun-if-changed={input}");
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            for line in problem.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let target = match variable("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let target_dir = out_dir.join("bpf");
    // Cargo and the compiler are those of the running build, so one pinned toolchain makes both.
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .args(["build", "--package", PROGRAMS, "--bins", "--release", "--target", target])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        .current_dir("../../flows-ebpf")
        // A stable compiler builds `core` for the BPF target with its unstable flags unlocked.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&variable("CARGO_CFG_TARGET_ARCH")?))
        // The BPF linker takes over where the linker would optimise across crates.
        .env("CARGO_PROFILE_RELEASE_LTO", "false")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTFLAGS");
    let output = cargo.output().map_err(|error| format!("`{cargo:?}` did not start: {error}"))?;
    if !output.status.success() {
        return Err(explain(&String::from_utf8_lossy(&output.stderr)));
    }
    let object = target_dir.join(target).join("release").join(PROGRAMS);
    install(&object, &out_dir.join(PROGRAMS))
        .map_err(|error| format!("`{}` was not built: {error}", object.display()))
}

fn rust_flags(arch: &str) -> String {
    // aya-ebpf names 64-bit RISC-V without the extensions that the compiler lists.
    let arch = if arch.starts_with("riscv64") { "riscv64" } else { arch };
    let bpf_target_arch = format!("--cfg=bpf_target_arch=\"{arch}\"");
    [
        bpf_target_arch.as_str(),
        // The map definitions are read from BTF, which the linker makes from debug information.
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        // 32-bit registers and jumps (kernel 5.1), compare-exchange (kernel 5.12).
        "-Ctarget-cpu=v3",
    ]
    .join("\x1f")
}

/// Copies only what changed, so that the crate is not built anew for nothing.
fn install(from: &Path, to: &Path) -> io::Result<()> {
    let object = fs::read(from)?;
    if fs::read(to).is_ok_and(|installed| installed == object) {
        return Ok(());
    }
    fs::write(to, object)
}

/// The compiler's own words, after the remedy where the cause is a missing tool.
fn explain(stderr: &str) -> String {
    let remedy = if stderr.contains("linker `bpf-linker` not found") {
        "`bpf-linker` is missing: `cargo install bpf-linker --version 0.10.1 --locked`\n"
    } else if stderr.contains("rust-src") {
        "the standard library's source is missing: `rustup component add rust-src`\n"
    } else {
        ""
    };
    format!("{remedy}the eBPF programs did not build:\n{stderr}")
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("`{name}` of the build: {error}"))
}
