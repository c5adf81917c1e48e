//! Kernels out of Debian's packages: downloaded and unpacked under the cache, installed nowhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::image::{Image, read};
use crate::failure::Failure;
use crate::invoke;
use crate::workspace::Workspace;

/// A kernel that Debian has a package of.
pub(crate) struct Kernel {
    /// Name on the command line and in the cache.
    pub(crate) name: &'static str,
    /// Its place among Debian's kernels.
    pub(crate) about: &'static str,
    suite: &'static str,
    package: &'static str,
}

/// The oldest first.
pub(crate) const KERNELS: [Kernel; 4] = [
    Kernel {
        name: "6.1",
        about: "Debian 12's own",
        suite: "bookworm",
        package: "linux-image-amd64",
    },
    Kernel {
        name: "6.12",
        about: "Debian 13's for clouds",
        suite: "bookworm-backports",
        package: "linux-image-cloud-amd64",
    },
    Kernel {
        name: "6.12-rt",
        about: "the same with PREEMPT_RT",
        suite: "bookworm-backports",
        package: "linux-image-rt-amd64",
    },
    Kernel {
        name: "newest",
        about: "the newest backport",
        suite: "trixie-backports",
        package: "linux-image-cloud-amd64",
    },
];

/// Modules that a guest needs where they are not built in; each comes after those it depends on.
const MODULES: [&str; 21] = [
    "veth",
    "bridge",
    "8021q",
    "sch_ingress",
    "cls_bpf",
    "act_bpf",
    "af_packet",
    "ipv6",
    // Kinds of interfaces.
    "tun",
    "wireguard",
    "ipip",
    "sit",
    "ip_gre",
    "ip6_gre",
    "ip6_tunnel",
    "vxlan",
    "geneve",
    "bonding",
    "macvlan",
    "ipvlan",
    "dummy",
];

const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR: &str = "http://deb.debian.org/debian";

/// Parts of a kernel's packages, by the start of their names.
const PARTS: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// A kernel ready to be booted.
pub(crate) struct Bootable {
    /// The kernel.
    pub(crate) image: PathBuf,
    /// Archive of its modules, `/modules/order` among them.
    pub(crate) modules: PathBuf,
}

/// The cache; a kernel stays in it until its folder is removed.
pub(crate) fn cache() -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    base.map(|base| base.join("weir/kernels"))
        .ok_or_else(|| Failure::new("neither HOME nor XDG_CACHE_HOME is set", "set one of them"))
}

/// The kernel from the cache, or from Debian.
pub(crate) fn fetch(
    workspace: &Workspace,
    cache: &Path,
    kernel: &Kernel,
) -> Result<Bootable, Failure> {
    let folder = cache.join(kernel.name);
    let ready = || Bootable { image: folder.join("vmlinuz"), modules: folder.join("modules.cpio") };
    // Which modules the archive was made of, for a later list may be another.
    let (list, made_of) = (folder.join("modules.list"), MODULES.join(" "));
    if std::fs::read_to_string(&list).is_ok_and(|made| made == made_of) {
        return Ok(ready());
    }
    let apt = Apt::of(workspace, cache, kernel.suite)?;
    let unpacked = apt.unpack(&apt.parts(kernel.package))?;
    let image = files(&unpacked).into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
    });
    let image = image.ok_or_else(|| {
        Failure::new(
            format!("the package {} of {} holds no kernel", kernel.package, kernel.suite),
            "look at what Debian's packages are called now, in xtask/src/kernels/packages.rs",
        )
    })?;
    let modules = modules(workspace, &unpacked)?;
    create(&folder)?;
    write(&ready().image, &read(&image)?)?;
    write(&ready().modules, &modules)?;
    write(&list, made_of.as_bytes())?;
    // The unpacked kernel is 400 MB.
    let _ = std::fs::remove_dir_all(&unpacked);
    Ok(ready())
}

/// A busybox without libraries.
pub(crate) fn busybox(workspace: &Workspace, cache: &Path) -> Result<Vec<u8>, Failure> {
    let kept = cache.join("busybox");
    if !kept.is_file() {
        let apt = Apt::of(workspace, cache, "bookworm")?;
        let unpacked = apt.unpack(&["busybox-static".to_owned()])?;
        let found = files(&unpacked).into_iter().find(|path| path.ends_with("bin/busybox"));
        let found = found.ok_or_else(|| {
            Failure::new("busybox-static holds no busybox", "look at what the package holds now")
        })?;
        write(&kept, &read(&found)?)?;
    }
    read(&kept)
}

/// apt with lists and downloads of its own, for one suite.
struct Apt<'a> {
    workspace: &'a Workspace,
    root: PathBuf,
}

impl<'a> Apt<'a> {
    fn of(workspace: &'a Workspace, cache: &Path, suite: &str) -> Result<Self, Failure> {
        let apt = Self { workspace, root: cache.join("apt").join(suite) };
        for folder in ["lists/partial", "cache/archives/partial", "downloads"] {
            create(&apt.root.join(folder))?;
        }
        let source = format!("deb [signed-by={KEYS}] {MIRROR} {suite} main\n");
        write(&apt.root.join("sources.list"), source.as_bytes())?;
        invoke::or_fail(
            apt.command("apt-get").args(["update", "--quiet", "--quiet"]),
            "Debian's list of packages could not be had",
            "this needs apt, debian-archive-keyring and a way to deb.debian.org",
        )?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.workspace.command(program);
        let at = |name: &str| self.root.join(name).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }

    /// The package, and the parts of a kernel among what it depends on.
    fn parts(&self, package: &str) -> Vec<String> {
        let mut found = vec![package.to_owned()];
        let mut next = 0;
        while let Some(package) = found.get(next) {
            let listed = invoke::captured(self.command("apt-cache").args(["depends", package]));
            for line in listed.unwrap_or_default().lines() {
                let Some(name) = line.trim().strip_prefix("Depends: ") else { continue };
                if PARTS.iter().any(|part| name.starts_with(part))
                    && !found.contains(&name.to_owned())
                {
                    found.push(name.to_owned());
                }
            }
            next += 1;
        }
        found
    }

    /// Downloads packages and unpacks them into one folder.
    fn unpack(&self, packages: &[String]) -> Result<PathBuf, Failure> {
        let downloads = self.root.join("downloads");
        let unpacked = self.root.join("unpacked");
        for folder in [&downloads, &unpacked] {
            let _ = std::fs::remove_dir_all(folder);
            create(folder)?;
        }
        invoke::or_fail(
            self.command("apt-get").arg("download").args(packages).current_dir(&downloads),
            "a package could not be downloaded",
            "remove the folder `apt` of the cache and run this again",
        )?;
        for archive in files(&downloads) {
            invoke::or_fail(
                self.workspace.command("dpkg").arg("-x").arg(&archive).arg(&unpacked),
                "a package could not be unpacked",
                "this needs dpkg and some 500 MB in the cache",
            )?;
            let _ = std::fs::remove_file(archive);
        }
        Ok(unpacked)
    }
}

/// Archive of the modules that a guest needs, with their order.
fn modules(workspace: &Workspace, unpacked: &Path) -> Result<Vec<u8>, Failure> {
    let all: Vec<PathBuf> = files(unpacked);
    let (mut order, mut image) = (Vec::new(), Image::default());
    for name in MODULES {
        add_module(workspace, &all, name, &mut order, &mut image)?;
    }
    image.add("modules/order", order.join("\n").as_bytes());
    Ok(image.finish())
}

/// Adds a module behind those that it depends on; none where the kernel has it built in.
fn add_module(
    workspace: &Workspace,
    all: &[PathBuf],
    name: &str,
    order: &mut Vec<String>,
    image: &mut Image,
) -> Result<(), Failure> {
    let name = name.replace('-', "_");
    let is_it = |path: &&PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
        file.strip_prefix(&name).is_some_and(|rest| rest.starts_with(".ko"))
    };
    let Some(path) = all.iter().find(is_it).filter(|_| !order.contains(&name)) else {
        return Ok(());
    };
    let content = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => decompressed(workspace, "xz", path)?,
        Some("zst") => decompressed(workspace, "zstd", path)?,
        _ => read(path)?,
    };
    for needed in depends(&content) {
        add_module(workspace, all, &needed, order, image)?;
    }
    image.add(&format!("modules/{name}.ko"), &content);
    order.push(name);
    Ok(())
}

fn decompressed(workspace: &Workspace, program: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let output = workspace.command(program).args(["-q", "-d", "-c"]).arg(path).output();
    match output {
        Ok(output) if output.status.success() => Ok(output.stdout),
        _ => Err(Failure::new(
            format!("`{program}` could not unpack {}", path.display()),
            format!("install {program}"),
        )),
    }
}

/// Names of the modules that one depends on, out of its own description.
fn depends(module: &[u8]) -> Vec<String> {
    const FIELD: &[u8] = b"\0depends=";
    let Some(at) = module.windows(FIELD.len()).position(|bytes| bytes == FIELD) else {
        return Vec::new();
    };
    let value = module[at + FIELD.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// All files below a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

pub(crate) fn create(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::new(
            format!("cannot make {}: {error}", folder.display()),
            "make it, or name another cache with XDG_CACHE_HOME",
        )
    })
}

pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, content).map_err(|error| {
        Failure::new(
            format!("cannot write {}: {error}", path.display()),
            "make room, or name another cache with XDG_CACHE_HOME",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_names_those_that_it_depends_on() {
        assert_eq!(depends(b"x\0license=GPL\0depends=llc,stp\0name=bridge\0"), ["llc", "stp"]);
        assert_eq!(depends(b"x\0depends=\0name=llc\0"), [""; 0]);
        assert_eq!(depends(b"x"), [""; 0]);
    }
}
