//! Leaves the object of the eBPF programs at `OUT_DIR/flows-ebpf`, without DWARF and with BTF.
//!
//! In the workspace the programs are built. A published package holds the object itself, made
//! from the sources of the same version: whoever depends on it needs neither the BPF linker nor
//! the standard library's source.
//!
//! Cargo is called here rather than through `aya-build`, which has no place for the instruction
//! set, and wants rustup where the running build's own compiler will do.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use object::build::{self, elf};
use object::elf::SHT_STRTAB;

/// The programs' folder, beside this one in the workspace alone.
const SOURCE: &str = "../../flows-ebpf";

/// The programs' package.
const PACKAGE: &str = "weir-flows-ebpf";

/// The package's binary, and the object's file name.
const PROGRAMS: &str = "flows-ebpf";

/// The object that a published package holds; `cargo xtask package` puts it there.
const PACKAGED: &str = "object/weir.bpf.o";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    let made = if Path::new(SOURCE).is_dir() { build() } else { unpack() };
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            for line in problem.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn unpack() -> Result<(), String> {
    println!("cargo::rerun-if-changed={PACKAGED}");
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let object = fs::read(PACKAGED).map_err(|error| format!("`{PACKAGED}`: {error}"))?;
    install(&object, &out_dir.join(PROGRAMS)).map_err(|error| format!("`{PROGRAMS}`: {error}"))
}

fn build() -> Result<(), String> {
    for input in [SOURCE, "../flows-common", "../../Cargo.lock", "../../rust-toolchain.toml"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let target = match variable("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let target_dir = out_dir.join("bpf");
    // Cargo and the compiler are those of the running build, so one pinned toolchain makes both.
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .args(["build", "--package", PACKAGE, "--bins", "--release", "--target", target])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        .current_dir(SOURCE)
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
    let not_built =
        |error: &dyn std::fmt::Display| format!("`{}` was not built: {error}", object.display());
    let stripped = without_dwarf(&fs::read(&object).map_err(|error| not_built(&error))?)?;
    install(&stripped, &out_dir.join(PROGRAMS)).map_err(|error| not_built(&error))
}

/// The object without the sections of DWARF, which are three quarters of it and which no loader
/// reads: types, lines and map definitions are in BTF.
fn without_dwarf(object: &[u8]) -> Result<Vec<u8>, String> {
    let strip = || {
        let mut builder = elf::Builder::read(object)?;
        for section in &mut builder.sections {
            let name = section.name.as_slice();
            section.delete = name.starts_with(b".debug") || name.starts_with(b".rel.debug");
        }
        // LLVM keeps the sections' names among those of the symbols, for which the writer has no
        // form.
        let names = builder.sections.add();
        names.name = b".shstrtab".as_slice().into();
        names.sh_type = SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = elf::SectionData::SectionString;
        builder.delete_orphans();
        let mut stripped = Vec::new();
        builder.write(&mut stripped)?;
        Ok(stripped)
    };
    strip().map_err(|error: build::Error| format!("the object's DWARF stays: {error}"))
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
        // Before Linux 6.7 the only way back in a loop is a jump. LLVM's placement of blocks may
        // lay a loop's last block before its first, and the way back is to fall through.
        "-Clink-arg=--llvm-args=-disable-block-placement",
        // 32-bit registers and jumps (kernel 5.1), compare-exchange (kernel 5.12).
        "-Ctarget-cpu=v3",
    ]
    .join("\x1f")
}

/// Writes only what changed, so that the crate is not built anew for nothing.
fn install(object: &[u8], to: &Path) -> io::Result<()> {
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
