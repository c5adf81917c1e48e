//! Programs of the operating system: from apt on Debian and its kin, named elsewhere.

use std::ffi::{OsStr, OsString};

use super::Purpose;
use crate::failure::Failure;
use crate::invoke;
use crate::privilege::Privilege;
use crate::version;
use crate::workspace::Workspace;

/// A Debian package that some command needs.
struct Package {
    name: &'static str,
    used_for: &'static str,
    needed_by: &'static [Purpose],
    is_present: fn(&Workspace) -> bool,
}

const PACKAGES: [Package; 8] = [
    Package {
        name: "tshark",
        used_for: "the independent packet counts in the tests",
        needed_by: &[Purpose::Test],
        is_present: |_| test_support::find_program("tshark").is_some(),
    },
    Package {
        name: "iproute2",
        used_for: "the namespaces of the tests",
        needed_by: &[Purpose::Test],
        is_present: |_| test_support::find_program("ip").is_some(),
    },
    Package {
        name: "ethtool",
        used_for: "what the tests read of offloads",
        needed_by: &[Purpose::Test],
        is_present: |_| test_support::find_program("ethtool").is_some(),
    },
    Package {
        name: "bpftool",
        used_for: "what the tests look for in the kernel after a failure",
        needed_by: &[Purpose::Test],
        is_present: |_| test_support::find_program("bpftool").is_some(),
    },
    Package {
        name: "xdp-tools",
        used_for: "what the tests share the XDP hook with, and the benches compare the guard with",
        needed_by: &[Purpose::Test, Purpose::Bench],
        is_present: |_| test_support::find_program("xdp-filter").is_some(),
    },
    Package {
        name: "iputils-ping",
        used_for: "the traffic of the tests on blocks by hand",
        needed_by: &[Purpose::Test],
        is_present: |_| test_support::find_program("ping").is_some(),
    },
    Package {
        name: "buildah",
        used_for: "the image",
        needed_by: &[Purpose::Dist],
        is_present: |_| test_support::find_program("buildah").is_some(),
    },
    Package {
        name: "python3-venv",
        used_for: "the Python package and its tests, the notebooks and what the benches compare with",
        needed_by: &[Purpose::Test, Purpose::Bench, Purpose::Notebooks, Purpose::Dist],
        is_present: |workspace| {
            let probe = ["-c", "import ensurepip, venv"];
            invoke::captured(workspace.command("python3").args(probe)).is_some()
        },
    },
];

/// Makes sure that something links: rustc calls `cc`.
pub(super) fn check_c_linker(workspace: &Workspace) -> Result<String, Failure> {
    match invoke::captured(workspace.command("cc").arg("--version")) {
        Some(_) => Ok("cc".to_owned()),
        None => Err(Failure::new(
            "there is no C compiler called `cc`, and rustc links with it",
            "run `apt-get install build-essential`, or your system's like",
        )),
    }
}

/// Installs the packages that `purpose` needs, as far as that is possible without a question.
/// Returns the names of those that are there in the end.
pub(super) fn ensure_packages(workspace: &Workspace, purpose: Purpose) -> Vec<String> {
    let needed = || {
        PACKAGES.iter().filter(move |package| {
            purpose == Purpose::Everything || package.needed_by.contains(&purpose)
        })
    };
    let missing: Vec<&Package> =
        needed().filter(|package| !(package.is_present)(workspace)).collect();
    if !missing.is_empty() {
        install(workspace, &missing);
    }
    needed()
        .filter(|package| (package.is_present)(workspace))
        .map(|package| package.name.to_owned())
        .collect()
}

/// Never fails: what cannot be installed is said, with the command to run by hand.
fn install(workspace: &Workspace, missing: &[&Package]) {
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    for package in missing {
        println!("setup: {} is missing; it serves {}", package.name, package.used_for);
    }
    let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !version::is_debian_like(&os_release) {
        println!("setup: not Debian or Ubuntu; install your system's like of {}", names.join(", "));
        return;
    }
    let privilege = Privilege::detect(workspace);
    match privilege {
        Privilege::Root => println!("setup: installing {} with apt-get", names.join(", ")),
        Privilege::Sudo => println!("setup: not root; installing {} with sudo", names.join(", ")),
        Privilege::None => {}
    }
    if let Err(why) = apt_install(workspace, privilege, &names) {
        println!(
            "setup: {why}; going on without. By hand: `sudo apt-get install {}`",
            names.join(" ")
        );
    }
}

fn apt_install(workspace: &Workspace, privilege: Privilege, names: &[&str]) -> Result<(), String> {
    let update = ["update", "--quiet"];
    let install = [["install", "--yes", "--quiet", "--no-install-recommends"].as_slice(), names];
    for arguments in [update.as_slice(), &install.concat()] {
        // tshark's package would ask who may capture.
        let quiet = [(OsString::from("DEBIAN_FRONTEND"), OsString::from("noninteractive"))];
        let mut command = privilege
            .command(workspace, OsStr::new("apt-get"), quiet)
            .ok_or("not root, and sudo would ask for a password")?;
        let status = invoke::visibly(command.args(arguments)).map_err(|why| why.to_string())?;
        if !status.success() {
            return Err(format!("apt-get ended with {status}"));
        }
    }
    Ok(())
}
