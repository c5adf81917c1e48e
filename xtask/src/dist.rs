//! `cargo xtask dist`: what people install, made in one step: a tarball, a Debian package, an OCI
//! image, the Python wheel, an SBOM, their checksums, and a table of sizes.
//!
//! [`stage`] lays the files out as they lie on a machine; the tarball and the package are that folder,
//! [`image`] is the programs of it. Man pages and completions are what the programs tell of themselves
//! (`weir reference FOLDER`), so that whatever built them can be packaged.

mod deb;
mod image;
mod sbom;
mod stage;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::demo::Build;
use crate::failure::Failure;
use crate::invoke;
use crate::python::Environment;
use crate::workspace::Workspace;

/// What can be made, in the order of making.
pub(crate) const PARTS: [&str; 5] = ["tarball", "deb", "image", "wheel", "sbom"];

/// The programs that people install.
const PROGRAMS: [&str; 2] = ["weir", "weir-forward"];

/// Name of the list of checksums.
const CHECKSUMS: &str = "SHA256SUMS";

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The folder that gets it; `dist` under cargo's target folder without one.
    pub(crate) out: Option<PathBuf>,
    /// The folder of programs that are built already; a release is built without one.
    pub(crate) programs: Option<PathBuf>,
    /// Parts; all of them where none is given.
    pub(crate) parts: Vec<String>,
}

impl Options {
    /// True where this part is to be made.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }
}

/// A release in the making.
struct Release<'a> {
    workspace: &'a Workspace,
    /// The version in the root manifest.
    version: String,
    /// The processor, as Rust names it.
    machine: &'static str,
    /// Time that the files carry, in seconds since 1970: that of the commit.
    moment: String,
    /// Folder of what is being made, and removed again.
    scratch: PathBuf,
    /// Folder of what was made.
    out: PathBuf,
}

/// Makes what is asked for.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let release = Release::begin(workspace, options)?;
    let programs = match &options.programs {
        Some(folder) => std::path::absolute(folder).map_err(|error| failed(folder, &error))?,
        None => build(workspace)?,
    };
    let mut made = Vec::new();
    let staged = release.scratch.join("root");
    if ["tarball", "deb", "image"].iter().any(|part| options.wants(part)) {
        stage::lay_out(&release, &programs, &staged)?;
    }
    if options.wants("tarball") {
        made.push(tarball(&release, &staged)?);
    }
    if options.wants("deb") {
        made.push(deb::make(&release, &staged)?);
    }
    if options.wants("image") {
        made.push(image::make(&release, &staged)?);
    }
    if options.wants("wheel") {
        let built = Environment::ensure(workspace)?.build_wheel(workspace, &release.scratch)?;
        let wheel = release.out.join(built.file_name().unwrap_or_default());
        stage::copy(&built, &wheel)?;
        made.push(wheel);
    }
    if options.wants("sbom") {
        made.push(sbom::make(&release)?);
    }
    remove(&release.scratch)?;
    sum_up(&release, &made)
}

impl<'a> Release<'a> {
    /// Makes its folders.
    fn begin(workspace: &'a Workspace, options: &Options) -> Result<Self, Failure> {
        let out = options.out.clone().unwrap_or_else(|| workspace.target().join("dist"));
        let out = std::path::absolute(&out).map_err(|error| failed(&out, &error))?;
        let scratch = out.join("scratch");
        remove(&scratch)?;
        std::fs::create_dir_all(&scratch).map_err(|error| failed(&scratch, &error))?;
        let manifest = workspace.root().join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).map_err(|error| failed(&manifest, &error))?;
        let version = text.lines().find_map(|line| line.strip_prefix("version = ")).map(unquoted);
        let moment = invoke::captured(workspace.command("git").args(["log", "-1", "--format=%ct"]));
        Ok(Self {
            workspace,
            version: version.unwrap_or_default(),
            machine: std::env::consts::ARCH,
            moment: moment.map_or_else(|| "0".to_owned(), |printed| printed.trim().to_owned()),
            scratch,
            out,
        })
    }

    /// A command that gives files the release's time.
    fn command(&self, program: &str) -> Command {
        let mut command = self.workspace.command(program);
        command.env("SOURCE_DATE_EPOCH", &self.moment);
        command
    }
}

fn unquoted(word: &str) -> String {
    word.trim().trim_matches('"').to_owned()
}

/// Builds the programs as they are shipped. Returns their folder.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let mut command = workspace.cargo();
    command.args(["build", "--release"]);
    for program in PROGRAMS {
        command.args(["--package", program, "--bin", program]);
    }
    let remedy = "read the compiler's first error above; `cargo xtask setup` checks the tools";
    invoke::or_fail(&mut command, "the programs could not be built", remedy)?;
    Ok(Build::Everything.program(workspace.target()).with_file_name(""))
}

fn tarball(release: &Release<'_>, staged: &Path) -> Result<PathBuf, Failure> {
    let name = format!("weir-{}-{}-linux-gnu", release.version, release.machine);
    let made = release.out.join(format!("{name}.tar.xz"));
    let mut command = release.command("tar");
    command.arg("--create").arg("--xz").arg("--file").arg(&made).arg("--directory").arg(staged);
    command.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]);
    command.arg(format!("--mtime=@{}", release.moment));
    command.arg(format!("--transform=s,^\\.,{name},")).arg(".");
    invoke::or_fail(&mut command, "the tarball could not be made", "install tar and xz-utils")?;
    Ok(made)
}

/// Writes the checksums and prints the sizes.
fn sum_up(release: &Release<'_>, made: &[PathBuf]) -> Result<(), Failure> {
    let mut command = release.command("sha256sum");
    command.current_dir(&release.out);
    command.args(made.iter().filter_map(|path| path.file_name()));
    let path = release.out.join(CHECKSUMS);
    let sums = invoke::captured(&mut command).ok_or_else(|| {
        Failure::new("the checksums could not be made", "install coreutils' `sha256sum`")
    })?;
    std::fs::write(&path, sums).map_err(|error| failed(&path, &error))?;
    println!("\n{:>8}  {}", "MB", release.out.display());
    for path in made {
        let bytes = path.metadata().map_err(|error| failed(path, &error))?.len();
        let name = path.file_name().unwrap_or_default();
        println!("{:>8.1}  {}", bytes as f64 / 1e6, name.display());
    }
    Ok(())
}

/// Removes a folder that may not be there.
fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(folder, &error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{}: {error}", path.display()),
        "make it readable and its folder writable, or name another folder with --out",
    )
}
