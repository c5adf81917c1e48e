//! The Debian package, made of the programs that this run has built: it comes, it is upgraded over a
//! node that enforces, and it goes.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
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
    let mode = fs::metadata(root.path("var/lib/weir")).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
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
    let attacker = &bench.lab.attackers()[0];
    let source = attacker.addresses()[0].to_string();
    told(&bench.output(&["block", &source, "--for", "10m"]));
    let mut sender = Command::new(ping);
    let host = bench.lab.host().addresses()[0].to_string();
    sender.args(["-n", "-q", "-i", "0.005", "-w", "60", &host]).stdout(Stdio::piped());
    let sender = bench.lab.enter(attacker, move || sender.spawn()).unwrap().expect("it starts");
    let dropped = || blocks(&bench)[0]["dropped_packets"].as_u64().expect("a count");
    let wait_for_more = || {
        let before = dropped();
        let until = Instant::now() + Duration::from_secs(20);
        while dropped() < before + 50 {
            assert!(Instant::now() < until, "nothing is dropped any more");
        }
    };
    wait_for_more();
    told(&root.dpkg(&bench, &["--install", deb]));
    let running = fs::read_link(format!("/proc/{}/exe", node.pid())).expect("a process");
    assert!(running.to_string_lossy().ends_with(" (deleted)"), "{}", running.display());
    wait_for_more();
    // What systemd does upon `try-restart`.
    assert_eq!(node.terminate(), Some(0));
    wait_for_more();
    let mut node = start();
    wait_for_more();
    let pid = Pid::from_raw(i32::try_from(sender.id()).expect("a process id"));
    kill(pid, Signal::SIGINT).expect("it runs");
    let said = sender.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let sent: u64 = said
        .lines()
        .find_map(|line| line.split_once(" packets transmitted, 0 received")?.0.parse().ok())
        .unwrap_or_else(|| panic!("an answer came through: {said}"));
    assert_eq!(dropped(), sent);
    println!("{sent} frames of the blocked source over the upgrade, all dropped");

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
