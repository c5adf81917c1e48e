//! The Debian package, made of the programs that this run has built: it comes, it is upgraded over a
//! node that enforces, and it goes.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    by_hand::blocks,
    support::{Bench, told},
};

/// The folder of the programs.
fn built() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_weir")).with_file_name("")
}

/// Makes the package by `cargo xtask dist`; none where this machine cannot, which is told.
#[track_caller]
fn package(folder: &Path) -> Option<PathBuf> {
    for program in ["dpkg-deb", "strip", "useradd", "deb-systemd-helper"] {
        test_support::program(program)?;
    }
    for program in ["xtask", "weir-forward"] {
        if !built().join(program).exists() {
            test_support::skip(&format!("`{program}` is not built; the whole workspace is tested"));
            return None;
        }
    }
    let mut dist = Command::new(built().join("xtask"));
    dist.args(["dist", "deb", "tarball", "sbom", "--programs"]).arg(built());
    // Seconds instead of a minute; a release is packed as well as it can be.
    dist.envs([("DPKG_DEB_COMPRESSOR_TYPE", "none"), ("XZ_OPT", "-0")]);
    let output = dist.arg("--out").arg(folder).output().expect("it starts");
    told(&output);
    let name = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "deb");
    Some(files(folder).into_iter().find(name).expect("a package"))
}

/// The files and links below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

/// A root that dpkg installs into, without a shell of its own.
struct Root(PathBuf);

impl Root {
    fn new(path: PathBuf) -> Self {
        for folder in ["etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "run"] {
            fs::create_dir_all(path.join(folder)).expect("a folder");
        }
        for file in ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "var/lib/dpkg/status"]
        {
            fs::write(path.join(file), "").expect("a file");
        }
        Self(path)
    }

    /// Runs dpkg on it in the protected host.
    fn dpkg(&self, bench: &Bench, words: &[&str]) -> Output {
        let root = self.0.display();
        let (root, log) = (format!("--root={root}"), format!("--log={root}/log"));
        let own = [&*root, &*log, "--force-script-chrootless", "--force-depends"];
        bench.run(bench.command("dpkg", &[&own, words].concat()))
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    fn text(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).expect(below)
    }
}

/// The attacker, who asks the protected host for echoes and gets none.
struct Sender(Child);

impl Sender {
    fn start(bench: &Bench, ping: &Path) -> Self {
        let mut ping = Command::new(ping);
        let host = bench.lab.host().addresses()[0].to_string();
        ping.args(["-n", "-q", "-i", "0.005", "-w", "120", &host]).stdout(Stdio::piped());
        let attacker = &bench.lab.attackers()[0];
        Self(bench.lab.enter(attacker, move || ping.spawn()).unwrap().expect("it starts"))
    }

    /// Frames that it sent.
    #[track_caller]
    fn end(self) -> u64 {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a process id"));
        kill(pid, Signal::SIGINT).expect("it runs");
        let said = self.0.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let sent = said
            .lines()
            .find_map(|line| line.split_once(" packets transmitted, 0 received")?.0.parse().ok());
        sent.unwrap_or_else(|| panic!("an answer came through: {said}"))
    }
}

/// Waits until more frames are dropped than were.
#[track_caller]
fn wait_for_more(dropped: impl Fn() -> u64) {
    let before = dropped();
    wait_for("frame that is dropped", || dropped() >= before + 50);
}

#[track_caller]
fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "no {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_package_comes_is_upgraded_without_a_gap_and_goes() {
    let Some(bench) = Bench::with_attackers(1) else { return };
    let Some(ping) = test_support::program("ping") else { return };
    let made = bench.folder.path().join("dist");
    let Some(package) = package(&made) else { return };
    let deb = package.to_str().expect("a path in UTF-8");
    let is_made =
        |name: &str| files(&made).iter().any(|path| path.to_string_lossy().ends_with(name));
    for name in ["-linux-gnu.tar.xz", ".cdx.json", "SHA256SUMS"] {
        assert!(is_made(name), "{name}: {:?}", files(&made));
    }
    let root = Root::new(bench.folder.path().join("root"));

    // It comes: enabled, not started, and nobody else's.
    told(&root.dpkg(&bench, &["--install", deb]));
    assert!(root.text("etc/passwd").starts_with("weir:"));
    let rights = fs::metadata(root.path("var/lib/weir")).expect("a folder").permissions().mode();
    assert_eq!(rights & 0o777, 0o700);
    assert!(root.path("etc/systemd/system/multi-user.target.wants/weir.service").is_symlink());
    assert!(!root.path("etc/weir/weir.toml").exists(), "`weir setup` writes it");
    for file in [
        "usr/bin/weir-forward",
        "usr/lib/systemd/system/weir-bpf.service",
        "usr/share/man/man1/weir-run.1.gz",
        "usr/share/man/man1/weir-forward.1.gz",
        "usr/share/bash-completion/completions/weir",
        "usr/share/zsh/vendor-completions/_weir",
        "usr/share/fish/vendor_completions.d/weir.fish",
        "usr/share/doc/weir/copyright",
        "usr/share/doc/weir/LICENSE-MIT",
        "usr/share/doc/weir/examples/weir.toml",
    ] {
        assert!(root.path(file).exists(), "{file}");
    }
    bench.assert_nothing_is_left();

    // It is upgraded while a blocked source sends.
    let weir = root.path("usr/bin/weir");
    let start = || {
        let words = ["run", "-i", "eth0", "--mode", "enforce"];
        let node = bench.spawn(bench.command(weir.to_str().expect("a path in UTF-8"), &words));
        bench.wait_for_answers();
        node
    };
    let mut node = start();
    let dropped = || blocks(&bench)[0]["dropped_packets"].as_u64().expect("a count");
    let source = bench.lab.attackers()[0].addresses()[0].to_string();
    told(&bench.output(&["block", &source, "--for", "10m"]));
    let sender = Sender::start(&bench, &ping);
    wait_for_more(dropped);
    told(&root.dpkg(&bench, &["--install", deb]));
    let running = fs::read_link(format!("/proc/{}/exe", node.pid())).expect("a process");
    assert!(running.to_string_lossy().ends_with(" (deleted)"), "{}", running.display());
    wait_for_more(dropped);
    // What systemd does upon `try-restart`.
    assert_eq!(node.terminate(), Some(0));
    wait_for_more(dropped);
    let mut node = start();
    wait_for_more(dropped);
    assert_eq!(sender.end(), dropped());

    // It goes, and takes all of it along.
    assert_eq!(node.terminate(), Some(0));
    assert!(!bench.attached().is_empty(), "the guard is pinned");
    told(&root.dpkg(&bench, &["--purge", "weir"]));
    bench.assert_nothing_is_left();
    let of_weir = |path: &PathBuf| path.to_string_lossy().contains("weir");
    let relative =
        files(&root.0).into_iter().map(|path| path.strip_prefix(&root.0).unwrap().into());
    let left: Vec<PathBuf> = relative.filter(of_weir).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
    assert_eq!(root.text("etc/passwd"), "");
}

/// A machine of its own in the protected host's network, with systemd as its first process.
struct Machine<'a> {
    bench: &'a Bench,
    nspawn: Child,
    root: PathBuf,
}

impl<'a> Machine<'a> {
    /// Installs the smallest Debian with the package, and boots it; none where this machine cannot.
    #[track_caller]
    fn boot(bench: &'a Bench, deb: &str) -> Option<Self> {
        for program in ["mmdebstrap", "systemd-nspawn", "nsenter"] {
            test_support::program(program)?;
        }
        let root = bench.folder.path().join("machine");
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let copy = format!("--customize-hook=cp '{deb}' \"$1/weir.deb\"");
        let install = "--customize-hook=chroot \"$1\" dpkg --install /weir.deb";
        let mut made = Command::new("mmdebstrap");
        made.args(["--quiet", "--variant=minbase", "--include=systemd,iproute2", &copy, install]);
        made.arg(codename.unwrap_or("stable")).arg(&root);
        let made = made.output().expect("it starts");
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr).into_owned();
            test_support::skip(&format!("mmdebstrap: {}", why.lines().last().unwrap_or_default()));
            return None;
        }
        let folder = format!("--directory={}", root.display());
        let words = [
            "--quiet",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--link-journal=no",
            "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN",
            "--system-call-filter=bpf perf_event_open",
            &folder,
        ];
        let mut nspawn = Command::new("systemd-nspawn");
        nspawn.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        let nspawn = bench.lab.enter(bench.lab.host(), move || nspawn.spawn()).unwrap();
        let machine = Self { bench, nspawn: nspawn.expect("it starts"), root };
        wait_for("systemd", || {
            let said = machine.run(&["systemctl", "is-system-running"]);
            matches!(String::from_utf8_lossy(&said.stdout).trim(), "running" | "degraded")
        });
        Some(machine)
    }

    /// Runs a command in it.
    fn run(&self, words: &[&str]) -> Output {
        let pid = self.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let first = children.unwrap_or_default().trim().to_owned();
        let own = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--target", &first];
        let mut command = Command::new("nsenter");
        command.args(own).args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        self.bench.run(command)
    }

    #[track_caller]
    fn told(&self, words: &[&str]) -> String {
        told(&self.run(words))
    }

    /// A property of the service.
    #[track_caller]
    fn property(&self, name: &str) -> String {
        self.told(&["systemctl", "show", "--value", "--property", name, "weir"]).trim().to_owned()
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // It and all in it end with its first process.
        let _ = self.nspawn.kill();
        let _ = self.nspawn.wait();
    }
}

#[test]
fn the_package_runs_under_systemd() {
    let Some(bench) = Bench::with_attackers(1) else { return };
    let Some(ping) = test_support::program("ping") else { return };
    let Some(package) = package(&bench.folder.path().join("dist")) else { return };
    let deb = package.to_str().expect("a path in UTF-8");
    let Some(machine) = Machine::boot(&bench, deb) else { return };
    assert_eq!(machine.property("ActiveState"), "inactive", "nobody asked for it");

    // From nothing to a node that observes, by one command.
    let said = machine.told(&["weir", "setup", "--interface", "eth0"]);
    assert!(said.contains("mode observe") && said.contains("weir learn --config"), "{said}");
    assert_eq!(machine.property("ActiveState"), "active");
    assert!(machine.property("StatusText").starts_with("eth0: observe, flows at "));

    // The next package is installed while a blocked source sends.
    let file = machine.root.join("etc/weir/weir.toml");
    let text = fs::read_to_string(&file).expect("a file");
    fs::write(&file, text.replace("mode = \"observe\"", "mode = \"enforce\"")).expect("a file");
    machine.told(&["systemctl", "restart", "weir"]);
    let source = bench.lab.attackers()[0].addresses()[0].to_string();
    machine.told(&["weir", "block", &source, "--for", "10m"]);
    let dropped = || -> u64 {
        let listed = machine.told(&["weir", "blocks", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        listed[0]["dropped_packets"].as_u64().expect("a count")
    };
    let sender = Sender::start(&bench, &ping);
    wait_for_more(dropped);
    let before = machine.property("MainPID");
    machine.told(&["dpkg", "--install", "/weir.deb"]);
    assert_ne!(machine.property("MainPID"), before, "it was started anew");
    wait_for_more(dropped);
    machine.told(&["systemctl", "reload", "weir"]);
    assert_eq!(sender.end(), dropped());

    // One that stands still is started anew.
    let own = machine.root.join("etc/systemd/system/weir.service.d");
    fs::create_dir_all(&own).expect("a folder");
    fs::write(own.join("watchdog.conf"), "[Service]\nWatchdogSec=3\n").expect("a file");
    machine.told(&["systemctl", "daemon-reload"]);
    machine.told(&["systemctl", "restart", "weir"]);
    machine.told(&["sh", "-c", &format!("kill -STOP {}", machine.property("MainPID"))]);
    wait_for("watchdog", || machine.property("NRestarts") == "1");
    wait_for("new start", || machine.property("ActiveState") == "active");

    machine.told(&["systemctl", "stop", "weir"]);
    assert!(!bench.attached().is_empty(), "the guard is pinned");
    machine.told(&["dpkg", "--purge", "weir"]);
    assert_eq!(bench.attached(), Vec::<String>::new());
    let passwd = fs::read_to_string(machine.root.join("etc/passwd")).expect("a file");
    assert!(!passwd.contains("weir"), "{passwd}");
    for left in ["etc/weir", "var/lib/weir"] {
        assert!(!machine.root.join(left).exists(), "{left}");
    }
}
