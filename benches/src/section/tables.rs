//! Designs of the flow table: the shipped program over three of them.
//!
//! The program is the same in all three, for it finds its table in a map of maps: the loader puts
//! another kind of table there. So nothing but the table differs.

use std::{sync::Barrier, thread};

use anyhow::{Context as _, ensure};

use super::Effort;
use crate::{
    bpf::missing_privileges,
    cpu,
    design::{Design, Loaded},
    measurement::{Measurement, Unit},
    statistics::{Contestant, Spread, Turns},
    traffic::{Family, Segment},
};

/// Flows that each design holds for a window: the default.
const FLOWS: u32 = 65_536;

const KNOWN: &str = "the shipped program over another table, known flow, IPv4, one CPU; the \
                     harness's own time included";
const LOWER_BOUND: &str = "as it stands it loses counts where two CPUs add at once: exact ones \
                           would take atomics or a lock and more time than this";
const CONTENDED: &str = "every CPU counts the same flow at once, mean of all";
const MEMORY: &str = "65,536 flows, two buffers, as the kernel states it; per-CPU values grow \
                      with the CPUs, the other designs do not";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    if let Some(why) = missing_privileges() {
        return Ok(vec![Measurement::skipped("three designs of the flow table", why)]);
    }
    let cpus = cpu::usable().context("cannot read the CPUs this process may use")?;
    cpu::on_one(|| measure_here(effort, &cpus))
}

fn measure_here(effort: Effort, cpus: &[usize]) -> anyhow::Result<Vec<Measurement>> {
    let designs = Design::ALL
        .map(|design| Loaded::load(design, FLOWS).with_context(|| design.name().to_owned()));
    let mut loaded = Vec::new();
    for design in designs {
        loaded.push(design?);
    }
    let frame = Segment::incoming(1, Family::V4).frame();
    let repeat = effort.of(400_000, 40_000);
    let alone = turns(effort, &mut loaded, |one| one.run(&frame, repeat))?;
    let together = turns(effort, &mut loaded, |one| on_each(cpus, || one.run(&frame, repeat)))?;
    let fresh = effort.of(20_000, 4_000);
    let frames: Vec<Vec<u8>> =
        (0..fresh).map(|number| Segment::incoming(1_000 + number, Family::V4).frame()).collect();
    let new = turns(effort, &mut loaded, |one| {
        one.clear()?;
        let mut sum = 0.0;
        for frame in &frames {
            sum += one.run(frame, 1)?;
        }
        Ok(sum / f64::from(fresh))
    })?;

    let mut measured = Vec::new();
    for (what, turns, note) in [
        ("known flow", &alone, KNOWN),
        ("known flow, all CPUs at once", &together, CONTENDED),
        ("new flow, one by one", &new, "as `one by one: new flow` above"),
    ] {
        for (at, design) in Design::ALL.into_iter().enumerate() {
            let note = if design == Design::Shared { LOWER_BOUND } else { note };
            let what = format!("{what}: {}", design.name());
            measured.push(
                Measurement::of(what, Unit::NanosecondsPerPacket, turns.spread(at)).note(note),
            );
        }
    }
    for (design, loaded) in Design::ALL.into_iter().zip(&loaded) {
        let bytes = Spread::once(loaded.bytes()? as f64);
        let what = format!("memory: {}", design.name());
        measured.push(Measurement::of(what, Unit::Bytes, bytes).note(MEMORY));
    }
    Ok(measured)
}

fn turns(
    effort: Effort,
    loaded: &mut [Loaded],
    measure: impl Fn(&mut Loaded) -> anyhow::Result<f64>,
) -> anyhow::Result<Turns> {
    let measure = &measure;
    let mut each: Vec<_> = loaded.iter_mut().map(|one| move || measure(one)).collect();
    let mut contestants: Vec<&mut Contestant<'_>> =
        each.iter_mut().map(|one| one as &mut Contestant<'_>).collect();
    Turns::take(effort.of(9, 3), &mut contestants)
}

/// Has a thread on each CPU do the same at the same time; the mean of what they measured.
fn on_each(cpus: &[usize], work: impl Fn() -> anyhow::Result<f64> + Sync) -> anyhow::Result<f64> {
    let start = Barrier::new(cpus.len());
    let samples = thread::scope(|scope| {
        let workers: Vec<_> = cpus
            .iter()
            .map(|&cpu| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    let stayed = cpu::stay_on(cpu);
                    start.wait();
                    stayed.with_context(|| format!("cannot stay on CPU {cpu}"))?;
                    work()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<anyhow::Result<Vec<f64>>>()
    })?;
    ensure!(!samples.is_empty(), "no usable CPU");
    Ok(samples.iter().sum::<f64>() / samples.len() as f64)
}
