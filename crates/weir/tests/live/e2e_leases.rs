//! Leases outlive the collector: the real `weir`, its guard pinned, is killed and restarted under
//! a flood, and what reaches a socket of the host tells whether the block holds.

use std::{
    io::{BufRead as _, BufReader},
    net::{IpAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::support::{
    interface_frames, lab_or_skip, learn, open_or_skip, scenario, wait_for, watching,
};
use collector::{clock::boot_ns, config::Mode};
use datapath::mount_bpffs;
use lab::{Family, Lab, RunningAttack, RunningBenign, Scenario, Stop};
use serde_json::Value;

const WINDOW: Duration = Duration::from_millis(250);
const LEARN: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_mins(1);
/// The port that the flood goes to, and a socket of the host listens on.
const PORT: u16 = 7_777;
/// Frames that come in while a socket gets nothing: the block holds.
const WITHOUT_ONE: u64 = 100;

const SCENARIO: &str = r#"
name = "leases"
duration = "3m"
topology = { clients = 4, attackers = 1 }
benign = [
    { does = { kind = "web", port = 80, pause = "150ms" } },
    { does = { kind = "dns", pause = "200ms" } },
    { does = { kind = "interactive", pause = "300ms" }, clients = [0, 1] },
]
attack = [
    { name = "flood", does = { kind = "udp_flood", port = 7777, payload = 64, rate = 500 }, duration = "2m" },
]
"#;

#[test]
fn a_killed_collector_leaves_a_block_that_ends_with_its_lease() {
    let Some(stage) = Stage::set() else { return };
    let ttl = Duration::from_secs(6);
    let weir = stage.weir("enforce");
    let flood = stage.flood();
    let asked_ns = stage.block(&weir, "drop", ttl);
    stage.nothing_passes();
    weir.kill();
    let passed = stage.passed();
    stage.nothing_passes();
    let lease_ends_ns = asked_ns + u64::try_from(ttl.as_nanos()).expect("seconds");
    wait_for("packet after the lease", ttl + PATIENCE, || (stage.passed() > passed).then_some(()));
    let early_ns = lease_ends_ns.saturating_sub(boot_ns());
    assert_eq!(early_ns, 0, "the lease ended {} ms early", early_ns / 1_000_000);
    flood.finish().expect("the flood's truth");
    stage.strike();
}

#[test]
fn a_restart_keeps_the_blocks_without_a_gap() {
    let Some(stage) = Stage::set() else { return };
    let ttl = Duration::from_secs(20);
    let first = stage.weir("enforce");
    let flood = stage.flood();
    let asked_ns = stage.block(&first, "drop", ttl);
    stage.nothing_passes();
    let passed = stage.passed();
    // Asked to end, it does, and its block stays...
    first.terminate();
    stage.nothing_passes();
    // ...as it does when the next one takes it over, and when that one is killed.
    let second = stage.weir("enforce");
    second.window();
    stage.nothing_passes();
    second.kill();
    let third = stage.weir("enforce");
    third.window();
    stage.nothing_passes();
    let held_ns = boot_ns() - asked_ns;
    assert!(held_ns < 20_000_000_000, "this machine is too slow for the lease");
    assert_eq!(stage.passed(), passed, "packets got through during a restart");

    // The last one clears the entry that the first one made, when its lease is over.
    let ended = third.event(|event| {
        event["event"] == "expired" && event["peer"] == stage.attacker().to_string()
    });
    assert!(ended["dropped_packets"].as_u64() > Some(3 * WITHOUT_ONE), "{ended}");
    flood.finish().expect("the flood's truth");
    third.terminate();
    stage.strike();
}

#[test]
fn in_shadow_the_kernel_counts_and_everything_passes() {
    let Some(stage) = Stage::set() else { return };
    let weir = stage.weir("shadow");
    let flood = stage.flood();
    stage.block(&weir, "shadow", Duration::from_secs(2));
    let (before, frames) = (stage.passed(), stage.frames());
    let ended = weir.event(|event| {
        event["event"] == "expired" && event["peer"] == stage.attacker().to_string()
    });
    assert_eq!(ended["dropped_packets"], 0, "{ended}");
    assert!(ended["passed_packets"].as_u64() > Some(0), "{ended}");
    flood.finish().expect("the flood's truth");
    let came_in = stage.frames() - frames;
    let passed = stage.passed() - before;
    assert!(passed > came_in / 4, "{passed} datagrams got through of {came_in} frames");
    weir.terminate();
    stage.strike();
}

/// A lab with benign clients, a model of them, a BPF filesystem, and a socket on the host.
struct Stage {
    lab: Lab,
    scenario: Scenario,
    benign: RunningBenign,
    bpffs: BpfFs,
    model: PathBuf,
    passed: Arc<AtomicU64>,
    stop: Stop,
    socket: JoinHandle<Result<(), lab::LabError>>,
    /// Removed last.
    folder: tempfile::TempDir,
}

impl Stage {
    #[track_caller]
    fn set() -> Option<Self> {
        let scenario = scenario(SCENARIO);
        let lab = lab_or_skip(&scenario)?;
        let config = watching(&["eth0"], Mode::Enforce).check().expect("a valid configuration");
        let live = open_or_skip(&lab, &config)?;
        let folder = tempfile::tempdir().expect("a folder");
        let bpffs = BpfFs::mount(&folder.path().join("bpf"));
        let benign = lab.start_benign(&scenario).expect("clients");
        let (model, _) = learn(&live, WINDOW, LEARN);
        drop(live);
        let path = folder.path().join("model.weir");
        model.save(&path).expect("a model file");
        let passed = Arc::new(AtomicU64::new(0));
        let stop = Stop::new();
        let socket = listen(&lab, &passed, &stop);
        Some(Self { lab, scenario, benign, bpffs, model: path, passed, stop, socket, folder })
    }

    fn attacker(&self) -> IpAddr {
        self.lab.attackers()[0].address(Family::V4)
    }

    fn flood(&self) -> RunningAttack {
        let flood = self.scenario.attack("flood").expect("it is there");
        self.lab.start_attack(flood).expect("a flood")
    }

    /// Starts `weir run` in the lab's host.
    fn weir(&self, mode: &str) -> Weir {
        let config = format!(
            "[capture]\ninterfaces = [\"eth0\"]\nwindow = \"{}ms\"\n[tables]\nblocks = 4096\n\
             [model]\npath = \"{}\"\n[policy]\nmode = {mode:?}\n\
             [guard]\nbpffs = \"{}\"\n[ledger]\npath = \"{}\"\n[api]\nsocket = \"{}\"\n",
            WINDOW.as_millis(),
            self.model.display(),
            self.bpffs.0.display(),
            self.folder.path().join("ledger.db").display(),
            self.api().display(),
        );
        let path = self.folder.path().join("weir.toml");
        std::fs::write(&path, config).expect("a configuration");
        let spawned = self.lab.enter(self.lab.host(), || Weir::spawn(&path));
        spawned.expect("the host's namespace")
    }

    fn api(&self) -> PathBuf {
        self.folder.path().join("weir.sock")
    }

    /// An entry of the attacker's address by hand, once the node is up: what a model finds odd is
    /// another test's subject. Returns a time before which it was not made.
    #[track_caller]
    fn block(&self, weir: &Weir, action: &str, ttl: Duration) -> u64 {
        weir.window();
        let asked_ns = boot_ns();
        let made = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["block", &self.attacker().to_string(), "--action", action])
            .args(["--for", &format!("{}s", ttl.as_secs())])
            .arg("--socket")
            .arg(self.api())
            .output()
            .expect("weir starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        asked_ns
    }

    /// Datagrams of the flood that reached the socket.
    fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// Frames that the host's interface received.
    fn frames(&self) -> u64 {
        interface_frames(&self.lab, self.lab.host(), "eth0")[0]
    }

    /// Waits until [`WITHOUT_ONE`] frames came in and none of the flood reached the socket. (A
    /// datagram that was let in before the block may still be on its way at first.)
    #[track_caller]
    fn nothing_passes(&self) {
        wait_for("stretch of frames with none that passes", PATIENCE, || {
            let (passed, frames) = (self.passed(), self.frames());
            wait_for("more frames", PATIENCE, || {
                (self.frames() >= frames + WITHOUT_ONE).then_some(())
            });
            (self.passed() == passed).then_some(())
        });
    }

    /// Ends everything, in order, and asserts that no benign client was hurt.
    fn strike(self) {
        self.stop.stop();
        self.socket.join().expect("the socket's thread").expect("the host's namespace");
        for client in self.benign.finish().expect("clients") {
            assert_eq!(client.total.failed, 0, "requests of {}", client.client);
        }
        self.lab.remove().expect("the lab is gone");
    }
}

/// Counts the datagrams that reach a socket of the host.
fn listen(
    lab: &Lab,
    passed: &Arc<AtomicU64>,
    stop: &Stop,
) -> JoinHandle<Result<(), lab::LabError>> {
    let (passed, stop) = (Arc::clone(passed), stop.clone());
    lab.spawn(lab.host(), "victim", move || {
        let socket = UdpSocket::bind(("0.0.0.0", PORT)).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        while !stop.is_stopped() {
            if socket.recv(&mut [0; 2_048]).is_ok() {
                passed.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .expect("a thread")
}

/// `weir run --json`; killed when dropped.
struct Weir {
    process: Child,
    events: Receiver<Value>,
}

impl Weir {
    /// Starts it in the calling thread's namespace.
    fn spawn(config: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--json", "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .spawn()
            .expect("weir starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let (tell, events) = mpsc::channel();
        // It ends with the process, whose output it reads.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("an event");
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        Self { process, events }
    }

    /// Waits for an event.
    #[track_caller]
    fn event(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for("such an event", PATIENCE, || {
            self.events.try_iter().inspect(refuse_benign).find(&wanted)
        })
    }

    /// Waits for the end of a window.
    #[track_caller]
    fn window(&self) {
        self.event(|event| event["event"] == "window");
    }

    /// As `kill -9`.
    fn kill(mut self) {
        self.process.kill().expect("a process to kill");
        self.process.wait().expect("it is gone");
    }

    /// As `kill`: it drains its last window and ends with success.
    fn terminate(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a signal");
        let status =
            wait_for("end of weir", PATIENCE, || self.process.try_wait().expect("its end"));
        assert!(status.success(), "{status}");
        self.events.iter().for_each(|event| refuse_benign(&event));
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Fails where an entry is made for one of the lab's clients.
fn refuse_benign(event: &Value) {
    let entry =
        ["blocked", "rate-limited", "shadowed"].iter().any(|entry| event["outcome"] == *entry);
    let peer: Option<IpAddr> = event["peer"].as_str().and_then(|text| text.parse().ok());
    let client = peer.is_some_and(|peer| match peer {
        IpAddr::V4(peer) => peer.octets()[..3] == [192, 0, 2],
        IpAddr::V6(peer) => peer.segments()[2] == 0,
    });
    assert!(!(entry && client), "a benign client got an entry: {event}");
}

/// A BPF filesystem of the test's own.
struct BpfFs(PathBuf);

impl BpfFs {
    fn mount(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        assert!(mount_bpffs(path).expect("a BPF filesystem"));
        Self(path.to_owned())
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}
