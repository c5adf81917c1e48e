//! One large window, from drained to decided.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use collector::{
    config::RawConfig,
    detector::Detector,
    kernel::{Kernel, KernelOptions, boot_ns},
    policy::Policy,
};
use model::Window;

use super::Effort;
use crate::{
    bpf::missing_privileges,
    cpu,
    crowd::Crowd,
    measurement::{Measurement, Reach, Unit},
    statistics::{Spread, timed},
};

const FLOWS: u32 = 100_000;
/// What the models are taught: the same kind of flows, fewer at once.
const TAUGHT: Crowd = Crowd { flows: 3_000, peers: 300 };
const REACH: Reach = Reach::AtMost(0.25);
const WITH_DRAIN: &str = "the first with its drain from the kernel";
const NOTE: &str = "100,000 flows of three packets; context, features, two forests of 100 trees, \
                    p-values, policy; one thread";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    cpu::on_one(|| {
        let few = Crowd { flows: FLOWS, peers: 2_000 };
        let each = Crowd { flows: FLOWS, peers: FLOWS };
        let mut measured = Vec::new();
        for (what, crowd) in [("2,000 peers", few), ("100,000 peers, each new", each)] {
            let what = format!("window of 100 k flows from {what}");
            let spread = decided(effort, crowd)?;
            measured.push(Measurement::of(what, Unit::Seconds, spread).reach(REACH).note(NOTE));
        }
        measured.push(match missing_privileges() {
            Some(why) => Measurement::skipped(WITH_DRAIN, why),
            None => {
                let note = "wall time, the kernel's grace period included";
                Measurement::of(WITH_DRAIN, Unit::Seconds, drained(effort, few)?).note(note)
            }
        });
        Ok(measured)
    })
}

/// What weighs windows and decides on them, as the pipeline does.
struct Judge {
    detector: Detector,
    policy: Policy,
}

impl Judge {
    fn taught() -> anyhow::Result<Self> {
        let config = RawConfig::default().check()?;
        Ok(Self { detector: TAUGHT.teach()?, policy: Policy::new(config.policy, []) })
    }

    fn decide(&mut self, window: &Window) -> anyhow::Result<()> {
        let assessed = self.detector.assess(window)?;
        let peers = assessed.peers;
        ensure!(peers == window.peers.len(), "{peers} peers assessed of {}", window.peers.len());
        black_box(self.policy.decide(assessed.evidence, window.end_ns, window.is_lossy()));
        Ok(())
    }
}

/// Seconds from a window at hand to its decisions.
fn decided(effort: Effort, crowd: Crowd) -> anyhow::Result<Spread> {
    let mut judge = Judge::taught()?;
    let mut samples = Vec::new();
    for round in 0..=effort.of(9, 3) {
        let window = crowd.window(1_000 + round)?;
        let (seconds, result) = timed(|| judge.decide(&window));
        result?;
        if round > 0 {
            samples.push(seconds);
        }
    }
    Spread::of(&samples).context("no rounds")
}

/// Seconds from the flip of the kernel's buffers to the decisions.
fn drained(effort: Effort, crowd: Crowd) -> anyhow::Result<Spread> {
    let mut judge = Judge::taught()?;
    let cpus = u32::try_from(std::thread::available_parallelism()?.get().max(2))?;
    let options = KernelOptions { flow_capacity: 2 * FLOWS * cpus, ..KernelOptions::default() };
    let mut kernel = Kernel::load(&options)?;
    let mut samples = Vec::new();
    for round in 0..=effort.of(5, 2) {
        crowd.count_in(&mut kernel, 0..crowd.flows, round)?;
        let (seconds, result) = timed(|| {
            let window = kernel.drain(boot_ns())?;
            ensure!(window.flows.len() == FLOWS as usize, "flows were lost");
            judge.decide(&window)
        });
        result?;
        if round > 0 {
            samples.push(seconds);
        }
    }
    Spread::of(&samples).context("no rounds")
}
