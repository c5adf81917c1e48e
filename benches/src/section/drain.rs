//! Draining the kernel's tables into a window.

use anyhow::{Context as _, ensure};
use datapath::{Kernel, KernelOptions, boot_ns};

use super::Effort;
use crate::{
    bpf::missing_privileges,
    cpu,
    crowd::Crowd,
    measurement::{Measurement, Reach, Unit},
    statistics::{Spread, timed},
};

const REACH: Reach = Reach::AtLeast(1e6);
const RATE: &str = "drain, decode and merge, per second of CPU time";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    if let Some(why) = missing_privileges() {
        return Ok(vec![Measurement::skipped(RATE, why).reach(REACH)]);
    }
    let cpus = cpu::usable().context("cannot read the CPUs this process may use")?;
    cpu::on_one(|| measure_here(effort, &cpus))
}

fn measure_here(effort: Effort, cpus: &[usize]) -> anyhow::Result<Vec<Measurement>> {
    let crowd = Crowd { flows: effort.of(100_000, 20_000), peers: 2_000 };
    // With room, for nothing is to be evicted.
    let flow_capacity = 2 * crowd.flows * u32::try_from(cpus.len())?;
    let options = KernelOptions { flow_capacity, ..KernelOptions::default() };
    let mut kernel = Kernel::load(&options)?;
    // A quarter of the flows is on a second CPU too, so that there is something to merge.
    let (home, other) = (cpus.last().copied(), cpus.first().copied());
    let also = if cpus.len() > 1 { crowd.flows / 4 } else { 0 };
    let (mut rates, mut walls) = (Vec::new(), Vec::new());
    for round in 0..=effort.of(7, 3) {
        cpu::stay_on(other.context("no usable CPU")?)?;
        crowd.count_in(&mut kernel, 0..also, round)?;
        cpu::stay_on(home.context("no usable CPU")?)?;
        crowd.count_in(&mut kernel, 0..crowd.flows, round)?;

        let before = cpu::thread_seconds()?;
        let (wall, window) = timed(|| kernel.drain(boot_ns()));
        let busy = cpu::thread_seconds()? - before;
        let window = window?;
        ensure!(
            window.flows.len() == crowd.flows as usize && !window.is_lossy(),
            "{} of {} flows were drained",
            window.flows.len(),
            crowd.flows
        );
        if round > 0 {
            rates.push(f64::from(crowd.flows) / busy);
            walls.push(wall);
        }
    }
    let spread = |samples: &[f64]| Spread::of(samples).context("no rounds");
    let note = format!(
        "{} flows, {also} of them on two CPUs; from the flip to a sorted window, whose typed \
         entries need no further decoding",
        crowd.flows
    );
    Ok(vec![
        Measurement::of(RATE, Unit::FlowsPerSecond, spread(&rates)?)
            .reach(REACH)
            .note(note.clone()),
        Measurement::of("time of one such drain, grace period included", Unit::Seconds, {
            spread(&walls)?
        })
        .note(note),
    ])
}
