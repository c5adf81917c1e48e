//! One run of the checks: in a guest under qemu, or on this machine.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::SHARING;
use super::image::{Image, read};
use super::outcome::Outcome;
use super::packages::{self, Bootable, create, write};
use crate::demo::{Build, build_weir};
use crate::failure::Failure;
use crate::invoke;
use crate::privilege::Privilege;
use crate::workspace::Workspace;

const INIT: &str = include_str!("init.sh");
const CHECK: &str = include_str!("check.sh");

/// Time in which a guest must have come to its end, in seconds: the oldest takes a third of it on two busy
/// cores.
const LIMIT: &str = "1800";

/// Programs of this machine that the tests call, with their packages.
const PROGRAMS: [(&str, &str); 4] = [
    ("ip", "iproute2"),
    ("wg", "wireguard-tools"),
    ("xdp-filter", "xdp-tools"),
    ("xdp-loader", "xdp-tools"),
];
/// What the last two of them load.
const LIBXDP: &str = "/usr/lib/x86_64-linux-gnu/bpf";

/// What is checked, made once.
pub(crate) struct Payload {
    weir: PathBuf,
    tests: PathBuf,
    model: PathBuf,
    capture: PathBuf,
    folder: PathBuf,
}

impl Payload {
    /// Builds the program and the kernel tests as `cargo xtask test` has built them, and a model.
    pub(crate) fn build(workspace: &Workspace) -> Result<Self, Failure> {
        let folder = workspace.target().join("xtask/kernels");
        create(&folder)?;
        let weir = stripped(workspace, &build_weir(workspace, Build::Tests)?, &folder, "weir")?;
        let tests = stripped(workspace, &kernel_tests(workspace)?, &folder, "kernel-tests")?;
        let data = workspace.root().join("training-data");
        let model = folder.join("model.weir");
        let learnt = data.join("benign-test.pcap.zst");
        let mut learn = workspace.command(&weir.to_string_lossy());
        learn.arg("learn").arg("--pcap").arg(learnt).args(["--home-net", "192.0.2.0/24"]);
        learn.args(["--home-net", "2001:db8::/64", "-o"]).arg(&model);
        invoke::or_fail(&mut learn, "no model could be learnt", "read weir's error above")?;
        Ok(Self { weir, tests, model, capture: data.join("demo.pcap.zst"), folder })
    }

    /// The file system of every guest, without the modules of its kernel.
    pub(crate) fn image(&self, workspace: &Workspace, cache: &Path) -> Result<PathBuf, Failure> {
        let mut image = Image::default();
        for folder in ["proc", "sys", "dev", "run", "tmp", "etc", "var/lib"] {
            image.add_folder(folder);
        }
        image.add_busybox(&packages::busybox(workspace, cache)?);
        image.add_program(workspace, "weir", &self.weir)?;
        image.add_program(workspace, "kernel-tests", &self.tests)?;
        for (name, package) in PROGRAMS {
            let path = test_support::find_program(name).ok_or_else(|| missing(name, package))?;
            image.add_program(workspace, name, &path)?;
        }
        for object in packages::files(Path::new(LIBXDP)) {
            image.add(&object.to_string_lossy()[1..], &read(&object)?);
        }
        image.add("data/model.weir", &read(&self.model)?);
        image.add("data/demo.pcap.zst", &read(&self.capture)?);
        image.add("init", INIT.as_bytes());
        image.add("check.sh", CHECK.as_bytes());
        let path = self.folder.join("base.cpio");
        write(&path, &image.finish())?;
        Ok(path)
    }

    /// Boots a kernel with a kind of CPU and reads what the checks say; the console is kept in
    /// `<name>.log`.
    pub(crate) fn boot(
        &self,
        workspace: &Workspace,
        base: &Path,
        kernel: &Bootable,
        name: &str,
        cpu: &str,
        checks: &str,
    ) -> Result<Outcome, Failure> {
        let initrd = self.folder.join("initrd.cpio");
        write(&initrd, &[read(base)?, read(&kernel.modules)?].concat())?;
        let qemu = test_support::find_program("qemu-system-x86_64")
            .ok_or_else(|| missing("qemu-system-x86_64", "qemu-system-x86"))?;
        let mut command = workspace.command("timeout");
        command.arg(LIMIT).arg(qemu);
        // Not KVM, where there is one: within another guest it may hang, and so it is the same
        // everywhere.
        // One CPU after the other where programs call each other: a guest of Linux 6.12 died in a call
        // that the kernel redirected while both ran.
        let accel = if checks == SHARING { "tcg,thread=single" } else { "tcg,thread=multi" };
        command.args(["-machine", "q35", "-accel", accel]);
        // Without CMPXCHG16B, which Debian 12's qemu (7.2) returns from with flags that are none: a
        // guest of Linux 6.12 died of it.
        let cpu = format!("{cpu},-cx16");
        command.args(["-cpu", &cpu, "-smp", "2", "-m", "2048", "-net", "none"]);
        command.args(["-nographic", "-no-reboot", "-kernel"]).arg(&kernel.image);
        command.arg("-initrd").arg(&initrd).arg("-append").arg(format!(
            "console=ttyS0 quiet panic=-1 loglevel=4 checks={}",
            checks.replace(' ', ",")
        ));
        self.outcome(name, &mut command)
    }

    /// The checks on this machine, as root.
    pub(crate) fn here(
        &self,
        workspace: &Workspace,
        name: &str,
        checks: &str,
    ) -> Result<Outcome, Failure> {
        let script = self.folder.join("check.sh");
        write(&script, CHECK.as_bytes())?;
        let out = self.folder.join("here");
        let _ = std::fs::remove_dir_all(&out);
        create(&out)?;
        let data = self.folder.join("data");
        create(&data)?;
        write(&data.join("model.weir"), &read(&self.model)?)?;
        write(&data.join("demo.pcap.zst"), &read(&self.capture)?)?;
        let variables = [
            ("OUT", out.as_os_str()),
            ("WEIR", self.weir.as_os_str()),
            ("TESTS", self.tests.as_os_str()),
            ("DATA", data.as_os_str()),
            ("CHECKS", checks.as_ref()),
        ]
        .map(|(name, value)| (OsString::from(name), value.to_owned()));
        let mut command = Privilege::detect(workspace)
            .command(workspace, "sh".as_ref(), variables)
            .ok_or_else(|| {
                Failure::new(
                    "loading programs on this machine takes root",
                    "run this as root, or let sudo work without a password",
                )
            })?;
        self.outcome(name, command.arg(script))
    }

    fn outcome(&self, name: &str, command: &mut Command) -> Result<Outcome, Failure> {
        let log = self.folder.join(format!("{name}.log"));
        let ran = File::create(&log).and_then(|console| {
            let errors = console.try_clone()?;
            command.stdin(Stdio::null()).stdout(console).stderr(errors).status()
        });
        if let Err(error) = ran {
            return Err(Failure::new(
                format!("cannot run `{}`: {error}", invoke::shown(command)),
                "check that it is installed and in PATH",
            ));
        }
        Ok(Outcome::read(&String::from_utf8_lossy(&read(&log)?)))
    }

    /// Where the consoles are kept.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn missing(program: &str, package: &str) -> Failure {
    Failure::new(format!("there is no `{program}`"), format!("run `apt-get install {package}`"))
}

/// The program without symbols: an image is unpacked by a guest in its own memory.
fn stripped(
    workspace: &Workspace,
    program: &Path,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, Failure> {
    let to = folder.join(name);
    invoke::or_fail(
        workspace.command("strip").arg("-o").arg(&to).arg(program),
        "a program could not be stripped",
        "run `apt-get install binutils`",
    )?;
    Ok(to)
}

/// The tests of `weir-datapath` that load programs, built.
fn kernel_tests(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let mut command = workspace.cargo();
    command.args(["test", "--package", "weir-datapath", "--test", "kernel", "--no-run"]);
    let not_built = || {
        Failure::new(
            "the kernel tests could not be built",
            "read the compiler's first error: `cargo test -p weir-datapath --no-run`",
        )
    };
    println!("$ {}", invoke::shown(&command));
    let messages = invoke::captured(command.arg("--message-format=json")).ok_or_else(not_built)?;
    executable(&messages).map(PathBuf::from).ok_or_else(not_built)
}

/// The program in cargo's messages.
fn executable(messages: &str) -> Option<&str> {
    const FIELD: &str = "\"executable\":\"";
    let (_, rest) = messages.rsplit_once(FIELD)?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_program_is_the_last_that_cargo_names() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"executable\":\"/target/debug/deps/kernel-1f\",\"fresh\":true}\n";
        assert_eq!(executable(messages), Some("/target/debug/deps/kernel-1f"));
        assert_eq!(executable("{}"), None);
    }
}
