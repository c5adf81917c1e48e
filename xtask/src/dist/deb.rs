//! The Debian package: the staged files, what it needs, and the scripts of `packaging/debian`.

use std::path::{Path, PathBuf};

use super::stage::{compress, copy, make_room};
use super::{PROGRAMS, Release, failed};
use crate::failure::Failure;
use crate::invoke;

/// Scripts of the maintainer, which dpkg runs.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

const MAINTAINER: &str = "The weir contributors <no-reply@weir.invalid>";

/// Makes the package of what is staged.
pub(super) fn make(release: &Release<'_>, staged: &Path) -> Result<PathBuf, Failure> {
    let control = staged.join("DEBIAN");
    for script in SCRIPTS {
        let to = control.join(script);
        copy(&release.workspace.root().join("packaging/debian").join(script), &to)?;
    }
    write(&control.join("control"), &fields(release, staged)?)?;
    let changelog = staged.join("usr/share/doc/weir/changelog");
    write(&changelog, &debian_changelog(release))?;
    compress(release, &[changelog])?;
    let architecture = architecture(release.machine);
    let made = release.out.join(format!("weir_{}_{architecture}.deb", release.version));
    let mut command = release.command("dpkg-deb");
    command.args(["--root-owner-group", "--build"]).arg(staged).arg(&made);
    invoke::or_fail(&mut command, "the package could not be made", "install dpkg")?;
    super::remove(&control)?;
    Ok(made)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    make_room(path)?;
    std::fs::write(path, text).map_err(|error| failed(path, &error))
}

/// The control file.
fn fields(release: &Release<'_>, staged: &Path) -> Result<String, Failure> {
    let mut glibc = 0;
    for program in PROGRAMS {
        let path = staged.join("usr/bin").join(program);
        let program = std::fs::read(&path).map_err(|error| failed(&path, &error))?;
        glibc = glibc.max(newest_glibc(&program).unwrap_or(0));
    }
    let kib = size(staged)?.div_ceil(1_024);
    Ok(format!(
        "Package: weir\n\
         Version: {}\n\
         Architecture: {}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {kib}\n\
         Depends: libc6 (>= 2.{glibc}), libgcc-s1, passwd\n\
         Recommends: systemd\n\
         Section: net\n\
         Priority: optional\n\
         Description: network flows scored in the kernel, what is anomalous blocked\n \
         eBPF programs turn a host's packets into features of flows, a model scores\n \
         them, and what is anomalous is blocked in XDP, with a reason, a time limit and\n \
         a way back. It observes until it is told to do more.\n \
         .\n \
         `weir setup` makes the configuration and starts it.\n",
        release.version,
        architecture(release.machine),
    ))
}

/// The newest minor version of glibc 2 that a program asks for by name.
fn newest_glibc(program: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"GLIBC_2.";
    let minor = |at: usize| -> Option<u32> {
        let digits = program[at..].iter().take_while(|byte| byte.is_ascii_digit());
        String::from_utf8(digits.copied().collect()).ok()?.parse().ok()
    };
    let found = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    found.filter_map(|(at, _)| minor(at + NAME.len())).max()
}

/// Bytes of all files below a folder.
fn size(path: &Path) -> Result<u64, Failure> {
    if path.is_dir() {
        return super::stage::entries(path)?.iter().map(|entry| size(entry)).sum();
    }
    Ok(path.metadata().map_err(|error| failed(path, &error))?.len())
}

/// Debian wants one of its own form; what changed stands in `CHANGELOG.md` beside it.
fn debian_changelog(release: &Release<'_>) -> String {
    let printed = invoke::captured(
        release
            .command("date")
            .args(["--utc", "--rfc-email", "--date"])
            .arg(format!("@{}", release.moment)),
    );
    format!(
        "weir ({}) unstable; urgency=medium\n\n  * CHANGELOG.md in this folder has the changes.\n\n \
         -- {MAINTAINER}  {}\n",
        release.version,
        printed.unwrap_or_default().trim()
    )
}

/// A processor as Debian names it.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_is_told_by_number_and_not_by_letters() {
        let program = b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.4\0GLIBC_PRIVATE\0";
        assert_eq!(newest_glibc(program), Some(34));
        assert_eq!(newest_glibc(b"static"), None);
    }
}
