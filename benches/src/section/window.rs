//! A large window, from drained to decided.

use std::hint::black_box;

use anyhow::{Context as _, ensure};
use collector::config::RawConfig;
use datapath::{Kernel, KernelOptions, boot_ns};
use engine::{Arrival, Detector, judge};
use features::Window;
use policy::{Policy, ProtectedHosts};

use super::Effort;
use crate::{
    bpf::missing_privileges,
    cpu,
    crowd::Crowd,
    measurement::{Measurement, Reach, Unit},
    statistics::{Spread, timed},
};

const FLOWS: u32 = 100_000;
/// Training traffic of the models: the same kind of flows, fewer at once.
const TAUGHT: Crowd = Crowd { flows: 3_000, peers: 300 };
const REACH: Reach = Reach::AtMost(0.25);
const WITH_DRAIN: &str = "the first with its drain from the kernel";
const NOTE: &str = "100,000 flows of three packets; context, features, a forest of 100 trees and \
                    tails, p-values, policy; CPU time of the one thread that does it";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    cpu::on_one(|| {
        let few = Crowd { flows: FLOWS, peers: 2_000 };
        let each = Crowd { flows: FLOWS, peers: FLOWS };
        let mut measured = Vec::new();
        for (what, crowd) in [("2,000 peers", few), ("100,000 peers, each new", each)] {
            let what = format!("100 k flows from {what}");
            let [whole, assessing] = decided(effort, crowd)?;
            let row = Measurement::of(what, Unit::Seconds, whole).reach(REACH);
            measured.push(row.note(NOTE));
            measured.push(Measurement::of("of it until scored", Unit::Seconds, assessing));
        }
        let row = if let Some(why) = missing_privileges() {
            Measurement::skipped(WITH_DRAIN, why)
        } else {
            let note = "wall time, the kernel's grace period included";
            Measurement::of(WITH_DRAIN, Unit::Seconds, drained(effort, few)?).note(note)
        };
        measured.push(row);
        Ok(measured)
    })
}

/// Detector and policy, as the pipeline runs them.
struct Judge {
    detector: Detector,
    policy: Policy,
}

impl Judge {
    fn taught() -> anyhow::Result<Self> {
        let config = RawConfig::default().check()?;
        Ok(Self {
            detector: TAUGHT.teach()?,
            policy: Policy::new(config.policy, ProtectedHosts::default()),
        })
    }

    /// Decides on a window; returns the CPU seconds that took, and those until it was scored.
    fn decide(&mut self, window: &Window) -> anyhow::Result<[f64; 2]> {
        let start = cpu::thread_seconds()?;
        let assessed = self.detector.assess(window, Arrival::default());
        let scored = cpu::thread_seconds()?;
        ensure!(assessed.evidence.len() >= window.peers.len(), "not every peer was assessed");
        black_box(judge(&mut self.policy, assessed));
        Ok([cpu::thread_seconds()? - start, scored - start])
    }
}

/// CPU seconds from a window at hand to its decisions, and to its scores.
fn decided(effort: Effort, crowd: Crowd) -> anyhow::Result<[Spread; 2]> {
    let mut judge = Judge::taught()?;
    let (mut whole, mut assessing) = (Vec::new(), Vec::new());
    for round in 0..=effort.of(9, 3) {
        let window = crowd.window(1_000 + round)?;
        let [decided, scored] = judge.decide(&window)?;
        if round > 0 {
            whole.push(decided);
            assessing.push(scored);
        }
    }
    let spread = |samples: &[f64]| Spread::of(samples).context("no rounds");
    Ok([spread(&whole)?, spread(&assessing)?])
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
