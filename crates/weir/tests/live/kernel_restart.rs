//! Restarts and upgrades of the real `weir` under a flood from a blocked source: each frame that
//! is sent is one that the guard dropped, whichever program was in the link, and none reached the
//! host.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use crate::kernel_support::{LOCAL, NEAR, Wire, host, udp_v4};
use aya::{
    maps::{Map, MapData, PerCpuArray},
    programs::links::{FdLink, PinnedLink},
};
use datapath::{Block, BlockAction, Blocklist, Target, boot_ns, leftovers, mount_bpffs, unpin_all};
use flows_common::{BlockEntry, GuardCounters, Scope};
use linfa::ParamGuard as _;
use model::{DetectorModel, IsolationForest, Kind, ModelFile, SchemaId, schema};
use nix::{sys::signal::Signal, unistd::Pid};

const PATIENCE: Duration = Duration::from_mins(1);
const HOUR_NS: u64 = 3_600_000_000_000;
/// Frames of the flood that go by in each state, at least.
const STRETCH: u64 = 200;
/// Bytes of the guard's ledger in the layout before this one.
const OLD_LEDGER_BYTES: &str = "72";

#[test]
fn no_frame_passes_the_xdp_guard_over_restarts_and_upgrades() {
    flood_through("auto", "xdp_native");
}

#[test]
fn no_frame_passes_the_tcx_guard_over_restarts_and_upgrades() {
    flood_through("off", "tcx_guard");
}

fn flood_through(xdp: &str, link: &str) {
    if !test_support::root() || test_support::program("bpftool").is_none() {
        return;
    }
    let site = Site::new();
    Wire::new().run(|wire| {
        let first = Weir::start(wire, &site.config(xdp, 1_024, 64));
        let entry = site.block();
        let frame = to_the_host(host(1));
        // The counter that is to stand still later does move.
        let before = received();
        wire.network_end().send_times(&to_the_host(host(2)), 3);
        wait_for("frames of another source", || received() == before + 3);

        let (sent, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let network = wire.network_end();
        std::thread::scope(|scope| {
            let _ends = Ends(&stop);
            let flood = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    network.send_times(&frame, 5);
                    sent.fetch_add(5, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let stretch = || {
                let goal = sent.load(Ordering::Relaxed) + STRETCH;
                wait_for("more of the flood", || sent.load(Ordering::Relaxed) >= goal);
            };
            let before = received();
            let ledgers = [Site::ledger(&site.own())];
            let attached = site.link(link);
            stretch();
            // Asked to end, and started anew.
            first.end(Signal::SIGTERM);
            stretch();
            let second = Weir::start(wire, &site.config(xdp, 1_024, 64));
            stretch();
            let taken_over = site.link(link);
            assert_eq!(taken_over.id, attached.id, "the link was not the same");
            assert_ne!(taken_over.program, attached.program, "the program was the old one");
            // Killed, and started with tables of another size.
            second.end(Signal::SIGKILL);
            stretch();
            let third = Weir::start(wire, &site.config(xdp, 4_096, 32));
            stretch();
            assert_eq!(site.entry(), Some(entry));
            // Replaced by a newer version: what is pinned is of an older layout now.
            third.end(Signal::SIGTERM);
            site.make_older();
            stretch();
            let fourth = Weir::start(wire, &site.config(xdp, 4_096, 32));
            stretch();
            let upgraded = site.link(link);
            assert_eq!(upgraded.id, attached.id, "the link was not the same");
            assert_eq!(site.entry(), Some(entry));
            assert!(!site.older().exists(), "the older layout is still there");

            stop.store(true, Ordering::Relaxed);
            flood.join().expect("the flood");
            let ledgers =
                ledgers.into_iter().chain([Site::ledger(&site.own())]).collect::<Vec<_>>();
            let sum = |of: fn(&GuardCounters) -> u64| -> u64 {
                ledgers.iter().map(|ledger| of(&ledger.read())).sum()
            };
            // Those before the flood are in the ledger of the older layout.
            let others = 3;
            let total = || sent.load(Ordering::Relaxed);
            wait_for("each frame in a ledger", || sum(|one| one.frames) >= total() + others);
            let dropped = sum(|one| one.dropped);
            println!(
                "{xdp}: sent {}, dropped {dropped}, received {}",
                total(),
                received() - before
            );
            assert_eq!(dropped, total());
            assert_eq!(sum(|one| one.frames), total() + others);
            assert_eq!(received(), before, "frames reached the host");
            let new = ledgers[1].read();
            assert!(new.dropped >= STRETCH, "the new program drops: {new:?}");

            fourth.end(Signal::SIGTERM);
            let left = leftovers(&site.bpffs).expect("a list");
            assert_eq!(left.guarded_interfaces().len(), 1, "the guard stays");
            unpin_all(&site.bpffs).expect("detached");
            passes_again(wire, &frame);
        });
    });
}

/// With the pins gone, the source is free; a moment later, for the kernel takes a link apart when
/// it finds the time.
fn passes_again(wire: &Wire, frame: &[u8]) {
    let (before, network) = (received(), wire.network_end());
    wait_for("frame once the guard is detached", || {
        network.send(frame);
        received() > before
    });
}

/// Ends the flood, on a panic as well.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A frame that the host's IP layer would take.
fn to_the_host(source: [u8; 4]) -> Vec<u8> {
    let mut frame = udp_v4(source, LOCAL, [1_000, 53]);
    frame[..6].fill(0xff);
    frame
}

/// Datagrams that the IP layer of the calling thread's network namespace was handed.
fn received() -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/snmp").expect("procfs");
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let column = names.split(' ').position(|name| name == "InReceives").expect("a column");
    values.split(' ').nth(column).and_then(|value| value.parse().ok()).expect("a count")
}

#[track_caller]
fn wait_for(what: &str, come_about: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !come_about() {
        assert!(Instant::now() < until, "no {what} within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A BPF filesystem, a model, and what is pinned.
struct Site {
    bpffs: PathBuf,
    folder: tempfile::TempDir,
}

/// A link, by the kernel's numbers.
struct Link {
    id: u32,
    program: u32,
}

/// A pinned ledger, which stays readable when its pin is gone.
struct GuardCountersMap(PerCpuArray<MapData, GuardCounters>);

impl GuardCountersMap {
    fn read(&self) -> GuardCounters {
        let mut sum = GuardCounters::default();
        self.0.get(&0, 0).expect("a ledger").iter().for_each(|one| sum.add(one));
        sum
    }
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bpffs = folder.path().join("bpf");
        fs::create_dir(&bpffs).expect("a folder");
        assert!(mount_bpffs(&bpffs).expect("a BPF filesystem"));
        let channel = "peer-10s".parse().expect("rows of peers");
        let peers = detector(schema::schema_id(Kind::Peer));
        let model = ModelFile::new([(channel, peers)], "2026-01-31T12:00:00Z");
        model.expect("a model").save(folder.path().join("model.weir")).expect("a file");
        Self { bpffs, folder }
    }

    fn config(&self, xdp: &str, blocks: u32, slots: u32) -> PathBuf {
        let path = self.folder.path().join("weir.toml");
        let text = format!(
            "[capture]\ninterfaces = [{NEAR:?}]\nwindow = \"10s\"\n[tables]\nflows = 4096\n\
             peers = 1024\nblocks = {blocks}\nstats_slots = {slots}\n[model]\npath = \"{}\"\n\
             [policy]\nmode = \"enforce\"\n[guard]\nxdp = {xdp:?}\nbpffs = \"{}\"\n\
             [ledger]\npath = \"{}\"\n[api]\nsocket = \"{}\"\n",
            self.folder.path().join("model.weir").display(),
            self.bpffs.display(),
            self.folder.path().join("ledger.db").display(),
            self.folder.path().join("weir.sock").display(),
        );
        fs::write(&path, text).expect("a configuration");
        path
    }

    fn blocked() -> Target {
        Target::from(IpAddr::from(host(1)))
    }

    /// Blocks the flood's source by hand.
    fn block(&self) -> BlockEntry {
        let block = Block {
            action: BlockAction::Drop,
            scope: Scope::All,
            expires_ns: boot_ns() + HOUR_NS,
            reason: u32::MAX,
        };
        let blocklist = Blocklist::pinned(&self.bpffs).expect("pinned");
        let entry = blocklist.insert(Self::blocked(), &block, boot_ns()).expect("a block");
        // The slot of a change by hand is a high one, which fewer slots no longer have.
        BlockEntry { slot: 0, ..entry }
    }

    /// The entry, as the pinned guard has it now; with the slot that all share.
    fn entry(&self) -> Option<BlockEntry> {
        Blocklist::pinned(&self.bpffs).expect("pinned").get(&Self::blocked()).expect("a look")
    }

    /// The pins of the present layout, which has a folder for each network namespace.
    fn own(&self) -> PathBuf {
        let mut folders = fs::read_dir(self.bpffs.join("weir/v4")).expect("the layout");
        folders.next().expect("a namespace").expect("a folder").path()
    }

    fn older(&self) -> PathBuf {
        self.bpffs.join("weir/v1")
    }

    fn ledger(folder: &Path) -> GuardCountersMap {
        let map = MapData::from_pin(folder.join("GUARD")).expect("a pinned ledger");
        GuardCountersMap(PerCpuArray::try_from(Map::PerCpuArray(map)).expect("a ledger"))
    }

    fn link(&self, kind: &str) -> Link {
        let is_it = |path: &Path| {
            path.file_name()
                .is_some_and(|name| name.to_str().is_some_and(|name| name.starts_with(kind)))
        };
        let pins = leftovers(&self.bpffs).expect("a list").pins;
        let mut links = pins.iter().filter(|path| is_it(path));
        let path = links.next().unwrap_or_else(|| panic!("no {kind} in {pins:?}"));
        assert_eq!(links.count(), 0, "{pins:?}");
        let link = FdLink::from(PinnedLink::from_pin(path).expect("a link"));
        let info = link.info().expect("its facts");
        Link { id: info.id(), program: info.program_id() }
    }

    /// Makes what is pinned look as an earlier version left it: a smaller ledger, no limits of
    /// services, no known peers. The program in the link is the present one.
    fn make_older(&self) {
        let older = self.older();
        fs::rename(self.own(), &older).expect("another name");
        for newer in ["GUARD", "SERVICE_LIMIT", "KNOWN"] {
            fs::remove_file(older.join(newer)).expect("a pin");
        }
        let made = Command::new("bpftool")
            .args(["map", "create"])
            .arg(older.join("GUARD"))
            .args(["type", "percpu_array", "key", "4", "value", OLD_LEDGER_BYTES])
            .args(["entries", "2", "name", "GUARD"])
            .output()
            .expect("bpftool runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = unpin_all(&self.bpffs);
        let _ = nix::mount::umount2(&self.bpffs, nix::mount::MntFlags::MNT_DETACH);
    }
}

/// A detector that finds nothing, for nothing is to be found.
fn detector(schema: SchemaId) -> DetectorModel {
    let width = u16::try_from(schema.features.len()).expect("some features");
    let rows: Vec<f32> = (0..200 * width).map(|i| f32::from(i % 101)).collect();
    let (train, held_out) = rows.split_at(rows.len() / 2);
    let params = IsolationForest::params().n_trees(3).max_samples(16).check().expect("valid");
    DetectorModel::fit(schema, train, held_out, &params).expect("a detector")
}

/// `weir run` in the near namespace; killed when dropped.
struct Weir {
    process: Child,
    lines: Receiver<String>,
}

impl Weir {
    /// Returns once it is attached.
    fn start(wire: &Wire, config: &Path) -> Self {
        let mut process = Command::new("ip")
            .args(["netns", "exec", wire.near()])
            .arg(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "--config"])
            .arg(config)
            .env_remove("WEIR_LOG")
            .stdout(Stdio::piped())
            .spawn()
            .expect("weir starts");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let (tell, lines) = mpsc::channel();
        // It ends with the process, whose output it reads.
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        let weir = Self { process, lines };
        loop {
            let line = weir.lines.recv_timeout(PATIENCE).expect("it attaches");
            if line.starts_with("tables: ") {
                return weir;
            }
        }
    }

    /// Sends a signal and waits for the end.
    fn end(mut self, signal: Signal) {
        // `ip netns exec` becomes the command: it is the same process.
        let pid = Pid::from_raw(self.process.id().cast_signed());
        nix::sys::signal::kill(pid, signal).expect("it runs");
        let status = self.process.wait().expect("its end");
        assert_eq!(status.success(), signal == Signal::SIGTERM, "{status}");
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
