//! The OCI image, from scratch: the programs, glibc's shared objects, and two users.
//!
//! A program that links glibc statically would still want the machine's own for names of users, groups and
//! hosts, and musl's target is not part of the pinned toolchain; so what `ldd` names comes along.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::{copy, make_room};
use super::{PROGRAMS, Release, failed};
use crate::failure::Failure;
use crate::invoke;

const USERS: &str = "root:x:0:0:root:/:\nweir:x:999:999:weir:/var/lib/weir:\n";
const GROUPS: &str = "root:x:0:\nweir:x:999:\n";

/// Makes the image of what is staged.
pub(super) fn make(release: &Release<'_>, staged: &Path) -> Result<PathBuf, Failure> {
    let root = release.scratch.join("image");
    let mut objects = BTreeSet::new();
    for program in PROGRAMS {
        let path = staged.join("usr/bin").join(program);
        copy(&path, &root.join("usr/bin").join(program))?;
        let printed = invoke::captured(release.command("ldd").arg(&path));
        objects.extend(shared_objects(&printed.unwrap_or_default()));
    }
    for object in &objects {
        copy(object, &root.join(object.strip_prefix("/").unwrap_or(object)))?;
    }
    for (name, text) in [("etc/passwd", USERS), ("etc/group", GROUPS)] {
        let path = root.join(name);
        make_room(&path)?;
        std::fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    let made = release.out.join(format!("weir-{}-{}.oci.tar", release.version, release.machine));
    // It need not be there; an archive is not written over.
    let _ = std::fs::remove_file(&made);
    let tag = format!("weir:{}", release.version);
    let mut build = buildah(release);
    build.args(["build", "--quiet", "--isolation", "chroot", "--timestamp", &release.moment]);
    build.args(["--tag", &tag, "--file", "packaging/Containerfile"]).arg(&root);
    let mut push = buildah(release);
    push.args(["push", "--quiet", &tag]).arg(format!("oci-archive:{}:{tag}", made.display()));
    for mut command in [build, push] {
        let remedy = "install buildah, and run this as root";
        invoke::or_fail(&mut command, "the image could not be made", remedy)?;
    }
    Ok(made)
}

/// buildah with a storage of its own, which goes with the scratch folder.
fn buildah(release: &Release<'_>) -> Command {
    let mut command = release.command("buildah");
    command.args(["--storage-driver", "vfs", "--root"]).arg(release.scratch.join("storage"));
    command.arg("--runroot").arg(release.scratch.join("run"));
    command
}

/// The files in what ldd prints, the loader among them.
fn shared_objects(printed: &str) -> BTreeSet<PathBuf> {
    let words = printed.lines().filter_map(|line| {
        line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ldd_prints_is_read() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                       \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f3)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f4)\n";
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(shared_objects(printed), expected.map(PathBuf::from).into());
    }
}
