//! The files of a release, laid out as they lie on a machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{PROGRAMS, Release, failed};
use crate::failure::Failure;
use crate::invoke;

/// Files and folders of the checkout, and where they go.
const COPIED: [(&str, &str); 11] = [
    ("packaging/systemd/weir.service", "usr/lib/systemd/system/weir.service"),
    ("packaging/systemd/weir-bpf.service", "usr/lib/systemd/system/weir-bpf.service"),
    ("packaging/systemd/weir-forward.service", "usr/lib/systemd/system/weir-forward.service"),
    ("packaging/weir.toml", "usr/share/doc/weir/examples/weir.toml"),
    ("packaging/monitoring", "usr/share/doc/weir/examples/monitoring"),
    ("packaging/debian/copyright", "usr/share/doc/weir/copyright"),
    ("LICENSE-MIT", "usr/share/doc/weir/LICENSE-MIT"),
    ("LICENSE-APACHE", "usr/share/doc/weir/LICENSE-APACHE"),
    ("README.md", "usr/share/doc/weir/README.md"),
    ("CHANGELOG.md", "usr/share/doc/weir/CHANGELOG.md"),
    ("docs", "usr/share/doc/weir/docs"),
];

/// Lays all files of the release out below `root`, the programs stripped.
pub(super) fn lay_out(release: &Release<'_>, programs: &Path, root: &Path) -> Result<(), Failure> {
    let told = release.scratch.join("reference");
    for program in PROGRAMS {
        let (from, to) = (programs.join(program), root.join("usr/bin").join(program));
        make_room(&to)?;
        invoke::or_fail(
            release.command("strip").arg("-o").arg(&to).arg(&from),
            "a program could not be stripped",
            "install binutils; `--programs` names the folder that has `weir` and `weir-forward`",
        )?;
        invoke::or_fail(
            release.command(&to.to_string_lossy()).arg("reference").arg(&told),
            "a program did not tell its reference",
            "build it with its default features",
        )?;
        for (from, to) in [
            (format!("{program}.bash"), format!("bash-completion/completions/{program}")),
            (format!("_{program}"), format!("zsh/vendor-completions/_{program}")),
            (format!("{program}.fish"), format!("fish/vendor_completions.d/{program}.fish")),
        ] {
            copy(&told.join("completions").join(from), &root.join("usr/share").join(to))?;
        }
    }
    for (from, to) in COPIED {
        copy(&release.workspace.root().join(from), &root.join(to))?;
    }
    let pages = root.join("usr/share/man/man1");
    copy(&told.join("man"), &pages)?;
    compress(release, &entries(&pages)?)?;
    make_readable(root)
}

/// Compresses files in place, as man pages are.
pub(super) fn compress(release: &Release<'_>, files: &[PathBuf]) -> Result<(), Failure> {
    let mut command = release.command("gzip");
    command.args(["--best", "--no-name", "--force"]).args(files);
    match invoke::captured(&mut command) {
        Some(_) => Ok(()),
        None => Err(Failure::new("`gzip` failed", "install gzip")),
    }
}

/// Copies a file, or a folder with all below it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    if from.is_dir() {
        return entries(from)?
            .iter()
            .try_for_each(|entry| copy(entry, &to.join(entry.file_name().unwrap_or_default())));
    }
    make_room(to)?;
    std::fs::copy(from, to).map(drop).map_err(|error| failed(from, &error))
}

/// Makes the folder of a file.
pub(super) fn make_room(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))
}

/// Gives everything below a folder the modes that a package has, whatever the umask was.
fn make_readable(path: &Path) -> Result<(), Failure> {
    let is_folder = path.is_dir();
    let runs = is_folder || path.parent().is_some_and(|folder| folder.ends_with("bin"));
    let mode = std::fs::Permissions::from_mode(if runs { 0o755 } else { 0o644 });
    std::fs::set_permissions(path, mode).map_err(|error| failed(path, &error))?;
    if is_folder {
        return entries(path)?.iter().try_for_each(|entry| make_readable(entry));
    }
    Ok(())
}

/// What a folder holds, by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = || -> std::io::Result<Vec<_>> {
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut entries = read().map_err(|error| failed(folder, &error))?;
    entries.sort_unstable();
    Ok(entries)
}
