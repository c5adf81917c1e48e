//! A lab whose host is watched by weir's programs while what passes it is captured.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use collector::{
    clock::boot_ns, config::Mode, live::Live, pipeline::Pipeline, protected::own_addresses,
};
use lab::{Capture, CaptureBounds, Lab, Scenario, Tap};
use model::Window;
use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use replay::{HomeNet, Replay, ReplayOptions};

use crate::support::{interface_frames, lab_or_skip, open_or_skip, scenario, wait_for, watching};

/// Without a frame for so long, what was sent has arrived and been answered.
const REST: Duration = Duration::from_millis(400);
/// Time after its opening at which the outcome of a flow is told, and some room.
const OUTCOMES: Duration = Duration::from_millis(3_200);
/// Room for every flow on each side, so that neither evicts.
const FLOWS: u32 = 1 << 16;

/// A lab under watch.
pub(crate) struct Watched {
    lab: Lab,
    live: Live,
    scenario: Scenario,
    capture: Capture,
    folder: tempfile::TempDir,
    begun_ns: u64,
}

/// A capture, and the offset of its clock from that of the live windows.
pub(crate) struct Captured {
    lab: Lab,
    path: PathBuf,
    _folder: tempfile::TempDir,
    home: HomeNet,
    unix_less_boot_ns: u64,
}

impl Watched {
    /// None where the machine cannot hold one; the test is then counted as skipped.
    #[track_caller]
    pub(crate) fn start(text: &str) -> Option<Self> {
        if !test_support::root() {
            return None;
        }
        // Each CPU has tables of its own and follows the sequence numbers it sees: with all of the
        // lab on one CPU, a flow is whole in one table, as in a replay.
        let mut cpu = CpuSet::new();
        cpu.set(0).expect("there is a first CPU");
        sched_setaffinity(Pid::from_raw(0), &cpu).expect("a thread may choose its CPU");
        let scenario = scenario(text);
        let lab = lab_or_skip(&scenario)?;
        let mut raw = watching(&["eth0"], Mode::Observe);
        raw.tables.flows = FLOWS;
        let live = open_or_skip(&lab, &raw.check().expect("a valid configuration"))?;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("watched.pcap");
        let capture =
            lab.capture(&path, Tap::Host, 0, CaptureBounds::default()).expect("a capture");
        let mut watched = Self { lab, live, scenario, capture, folder, begun_ns: 0 };
        watched.rest();
        watched.begun_ns = watched.drain().end_ns;
        Some(watched)
    }

    /// When the watch began, in ns of the boot clock: nothing passed then.
    pub(crate) const fn begun_ns(&self) -> u64 {
        self.begun_ns
    }

    /// Ends a window.
    pub(crate) fn drain(&self) -> Window {
        self.live.drain_once().expect("a window")
    }

    /// Ends windows in turn, each of which goes to `take`.
    pub(crate) fn feed(
        &self,
        window: Duration,
        mut take: impl FnMut(Window) + Send + 'static,
    ) -> Pipeline {
        Pipeline::feed(self.live.drain(), window, move |next| {
            take(next.window);
            Ok(())
        })
        .expect("threads")
    }

    /// Clients and attackers at work together.
    pub(crate) fn run_traffic(&self, length: Duration) {
        let benign = self.lab.start_benign(&self.scenario).expect("clients");
        let attacks: Vec<_> = self
            .scenario
            .attacks
            .iter()
            .map(|attack| self.lab.start_attack(attack).expect("an attack"))
            .collect();
        thread::sleep(length);
        for attack in attacks {
            assert!(attack.finish().expect("an attack's truth").sent.frames > 0);
        }
        benign.finish().expect("clients");
    }

    /// Waits until nothing passes.
    pub(crate) fn rest(&self) {
        let count = || interface_frames(&self.lab, self.lab.host(), "eth0");
        let (mut frames, mut since) = (count(), Instant::now());
        wait_for("rest", Duration::from_mins(1), || {
            let now = count();
            if now != frames {
                (frames, since) = (now, Instant::now());
            }
            (since.elapsed() >= REST).then_some(())
        });
    }

    /// So many windows of so much traffic each, which end while nothing passes and when the
    /// outcomes of all flows are told: as they were drained, and as the capture replays them.
    pub(crate) fn live_and_replayed(
        self,
        count: usize,
        traffic: Duration,
    ) -> (Vec<Window>, Vec<Window>, Captured) {
        let drain = |_| {
            self.run_traffic(traffic);
            std::thread::sleep(OUTCOMES);
            self.rest();
            self.drain()
        };
        let live: Vec<Window> = (0..count).map(drain).collect();
        let moments = [self.begun_ns].into_iter().chain(live.iter().map(|window| window.end_ns));
        let moments: Vec<u64> = moments.collect();
        let capture = self.finish();
        let ends: Vec<u64> = moments.iter().map(|&boot_ns| capture.unix_ns(boot_ns)).collect();
        let options = capture.options().windows_ending_at(ends.iter().copied());
        let replayed: Vec<Window> = Replay::open(capture.path(), options)
            .expect("a capture")
            .map(|window| window.expect("whole"))
            .filter(|window| ends.windows(2).any(|pair| pair[0] == window.start_ns))
            .collect();
        assert_eq!(replayed.len(), count, "each window is replayed");
        (live, replayed, capture)
    }

    /// Ends the watch and the capture, of which nothing may be missing.
    pub(crate) fn finish(self) -> Captured {
        let Self { lab, live, capture, folder, .. } = self;
        let home = lab.enter(lab.host(), own_addresses).expect("the host").expect("addresses");
        let path = capture.path().to_owned();
        let report = capture.finish().expect("a capture");
        println!("{report:?}");
        assert_eq!((report.dropped, report.beyond_bound, report.truncated), (0, 0, 0));
        drop(live);
        Captured {
            lab,
            path,
            _folder: folder,
            home: HomeNet::new(home.into_iter().map(Into::into)),
            unix_less_boot_ns: unix_less_boot_ns(),
        }
    }
}

impl Captured {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// As the live side counts: the host's addresses are local, and there is room for all.
    pub(crate) fn options(&self) -> ReplayOptions {
        ReplayOptions::default().home(self.home.clone()).capacity(FLOWS as usize)
    }

    /// A moment of the boot clock by the capture's.
    pub(crate) const fn unix_ns(&self, boot_ns: u64) -> u64 {
        boot_ns + self.unix_less_boot_ns
    }
}

/// Renumbers the interface of a live window: a capture counts its own from 1.
pub(crate) fn renumber(window: &mut Window) {
    for (key, _) in &mut window.flows {
        key.ifindex = 1;
    }
    window.flows.sort_unstable_by_key(|(key, _)| *key);
}

/// Removes the lab, which a test that fails leaves to the next one.
pub(crate) fn remove(captured: Captured) {
    captured.lab.remove().expect("the lab is gone");
}

/// Lead of the captures' clock over that of the live windows, in ns: the closest of many readings.
fn unix_less_boot_ns() -> u64 {
    let unix_ns = || {
        let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("Linux has a real-time clock");
        u64::try_from(Duration::from(now).as_nanos()).expect("before the year 2554")
    };
    let look = |_| {
        let (before, unix, after) = (boot_ns(), unix_ns(), boot_ns());
        (after - before, unix - before.midpoint(after))
    };
    (0..1_000).map(look).min().expect("looks").1
}
