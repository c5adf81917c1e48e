//! Python: the pinned environment under the target folder, and what runs in it.
//!
//! A single environment serves the package's tests, the notebooks and the benches. It is made anew
//! when a requirements file changes. The package `weir` is built from the checkout into it before
//! each use, by pip, as a user would.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::counts::Counts;
use crate::demo::{Build, build_weir};
use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;

/// Requirements of the environment, pinned so that two runs use the same.
const REQUIREMENTS: [&str; 2] = ["python/requirements.txt", "notebooks/requirements.txt"];

/// Versions of what those need in their turn.
const CONSTRAINTS: &str = "python/constraints.txt";

/// The copy of all of these in an environment that is complete.
const STAMP: &str = "weir-requirements.txt";

const BY_HAND: &str = "install Debian's python3-venv and check the network, then run this again";

/// The environment, complete.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The environment under the target folder, made when it is missing or of another time.
    pub(crate) fn ensure(workspace: &Workspace) -> Result<Self, Failure> {
        let environment = Self { folder: workspace.target().join("python-venv") };
        let wanted = wanted(workspace.root())?;
        let stamp = environment.folder.join(STAMP);
        let is_complete = std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted)
            && environment.interpreter().exists();
        if !is_complete {
            println!("python: making {}", environment.folder.display());
            environment.make(workspace)?;
            std::fs::write(&stamp, wanted).map_err(|error| {
                Failure::new(
                    format!("cannot write {}: {error}", stamp.display()),
                    "make the folder writable, or name another with CARGO_TARGET_DIR",
                )
            })?;
        }
        Ok(environment)
    }

    /// Its interpreter.
    pub(crate) fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Builds the package `weir` with a cargo profile and installs it.
    pub(crate) fn install_weir(&self, workspace: &Workspace, profile: &str) -> Result<(), Failure> {
        let mut command = self.command(workspace);
        // maturin is among the requirements, in one version; an isolated build would fetch one.
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        command.args(["--no-build-isolation", "--no-deps", "--force-reinstall", "./python"]);
        command.env("MATURIN_PEP517_ARGS", format!("--profile {profile}"));
        invoke::or_fail(
            &mut command,
            "the Python package could not be built",
            "read the first error above; `pip install ./python` shows it alone",
        )
    }

    /// Builds the wheel that people install into a folder, optimised and stripped. Returns its path.
    ///
    /// maturin looks up which machines it may say that it runs on (`manylinux`).
    pub(crate) fn build_wheel(
        &self,
        workspace: &Workspace,
        folder: &Path,
    ) -> Result<PathBuf, Failure> {
        let mut command = self.command(workspace);
        command.args(["-m", "maturin", "build", "--release", "--locked", "--strip"]);
        command.args(["--manifest-path", "python/Cargo.toml", "--out"]).arg(folder);
        let remedy = "read the first error above";
        invoke::or_fail(&mut command, "the wheel could not be built", remedy)?;
        let wheels = in_order(folder, "whl")?;
        wheels.last().map(|name| folder.join(name)).ok_or_else(|| {
            Failure::new(format!("maturin left no wheel in {}", folder.display()), remedy)
        })
    }

    /// Installs what one comparison needs and nothing else does; whether that worked.
    pub(crate) fn install(&self, workspace: &Workspace, package: &str) -> Result<bool, Failure> {
        let mut command = self.command(workspace);
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        command.args(["--constraint", CONSTRAINTS, package]);
        Ok(invoke::visibly(&mut command)?.success())
    }

    /// Its interpreter in the checkout, with its programs and cargo's in `PATH`.
    fn command(&self, workspace: &Workspace) -> Command {
        let mut command = workspace.command(&self.interpreter().to_string_lossy());
        command.env("CARGO_TARGET_DIR", workspace.target());
        prepend_path(&mut command, &[self.folder.join("bin")]);
        command
    }

    /// Installs the package and builds the program, both in the profile of the tests, whose
    /// dependencies are compiled already. Returns the program.
    fn build_for_tests(&self, workspace: &Workspace) -> Result<PathBuf, Failure> {
        self.install_weir(workspace, "dev")?;
        build_weir(workspace, Build::Tests)
    }

    /// A command of the environment that finds the program `weir`.
    fn command_with(&self, workspace: &Workspace, weir: &Path) -> Command {
        let mut command = self.command(workspace);
        prepend_path(&mut command, &[weir.with_file_name("")]);
        command
    }

    fn make(&self, workspace: &Workspace) -> Result<(), Failure> {
        invoke::or_fail(
            workspace.command("python3").args(["-m", "venv", "--clear"]).arg(&self.folder),
            "the Python environment could not be made",
            BY_HAND,
        )?;
        let mut install = self.command(workspace);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.args(["--constraint", CONSTRAINTS]);
        for file in REQUIREMENTS {
            install.args(["--requirement", file]);
        }
        invoke::or_fail(&mut install, "its packages could not be installed", BY_HAND)
    }
}

/// Builds the package and runs `python/tests`. Where the environment cannot be made, that is one
/// skipped test.
pub(crate) fn test(workspace: &Workspace, step: &str) -> Result<Counts, Failure> {
    let environment = match Environment::ensure(workspace) {
        Ok(environment) => environment,
        Err(why) => return Ok(Counts::of_skip(step, &why.to_string())),
    };
    let weir = environment.build_for_tests(workspace)?;
    let mut command = environment.command_with(workspace, &weir);
    let report = workspace.target().join("xtask/pytest.xml");
    command.args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "--color=no", "-rfEs"]);
    command.arg("--junitxml").arg(&report).arg("python");
    // Its own folder must not come before the installed package, which has the compiled part.
    command.env("PYTHONSAFEPATH", "1");
    invoke::reported(step, &mut command, &report)
}

/// Runs every notebook with `weir` and the package; `write` keeps the outputs.
/// Each notebook counts as one test.
pub(crate) fn notebooks(workspace: &Workspace, write: bool, step: &str) -> Result<Counts, Failure> {
    let environment = match Environment::ensure(workspace) {
        Ok(environment) => environment,
        Err(why) => return Ok(Counts::of_skip(step, &why.to_string())),
    };
    let mut counts = Counts::default();
    let weir = environment.build_for_tests(workspace)?;
    for notebook in in_order(&workspace.root().join("notebooks"), "ipynb")? {
        let mut command = environment.command_with(workspace, &weir);
        command.arg("notebooks/run.py").args(write.then_some("--write")).arg(&notebook);
        let status = invoke::visibly(&mut command)?;
        counts.add(Counts::of_check(&notebook, status.success()));
    }
    Ok(counts)
}

/// The names of a folder's files of a kind.
fn in_order(folder: &Path, kind: &str) -> Result<Vec<String>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Failure::new(
            format!("cannot list {}: {error}", folder.display()),
            "make it readable; `git checkout -- notebooks` restores the notebooks",
        )
    })?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == kind))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// The text of all files that say what the environment holds.
fn wanted(root: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    for file in REQUIREMENTS.iter().chain(&[CONSTRAINTS]) {
        let part = std::fs::read_to_string(root.join(file)).map_err(|error| {
            Failure::new(
                format!("cannot read {file}: {error}"),
                format!("restore it: `git checkout -- {file}`"),
            )
        })?;
        text.push_str(&part);
    }
    Ok(text)
}

/// Puts folders at the beginning of the command's own `PATH`.
fn prepend_path(command: &mut Command, folders: &[PathBuf]) {
    let path: OsString = command
        .get_envs()
        .find_map(|(name, value)| if name == "PATH" { value.map(Into::into) } else { None })
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_default();
    let all = folders.iter().cloned().chain(std::env::split_paths(&path));
    // Only a folder with a colon in its name cannot be joined; then the programs are not found,
    // which says itself.
    if let Ok(joined) = std::env::join_paths(all) {
        command.env("PATH", joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_those_that_the_command_had() {
        let mut command = Command::new("true");
        command.env("PATH", "/usr/bin:/bin");
        prepend_path(&mut command, &[PathBuf::from("/a"), PathBuf::from("/b")]);
        let path =
            command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
        assert_eq!(path, Some("/a:/b:/usr/bin:/bin".as_ref()));
    }

    #[test]
    fn a_missing_requirements_file_is_named() {
        let error = wanted(Path::new("/nowhere")).expect_err("no such folder").to_string();
        assert!(error.contains("python/requirements.txt"), "{error}");
    }
}
