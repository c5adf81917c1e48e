//! Accounting one packet, by `bpf_prog_test_run` of the shipped programs.

use std::cell::RefCell;

use anyhow::{Context as _, ensure};
use datapath::{Kernel, KernelOptions, SkbContext, Verified, boot_ns, verify};
use flows_common::Direction;

use super::Effort;
use crate::{
    bpf::{Hook, Nothing, missing_privileges},
    cpu,
    measurement::{Measurement, Reach, Unit},
    statistics::{Spread, Turns},
    traffic::{Family, Segment},
};

/// DESIGN: with the harness's own time included.
const REACH: Reach = Reach::AtMost(90.0);
/// `BPF_COMPLEXITY_LIMIT_INSNS`.
const VERIFIER_LIMIT: Reach = Reach::AtMost(1_000_000.0);
const KNOWN_V4: &str = "known flow, IPv4";
const HARNESS: &str = "bpf_prog_test_run of the shipped program on a 60-byte TCP frame (74 bytes \
                       of IPv6), the harness's own time included; the tables as configured by \
                       default, without the guard at egress";
const NEW: &str = "20,000 different flows, one test run each: caches are cold and the clock is \
                   read twice a packet; the known flow is run the same way beside it";

const VERIFIED: &str = "instructions that the verifier looked at to accept the program, of the \
                        million that it is willing to; the same on each run, another number on \
                        another kernel";

pub(super) fn measure(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    if let Some(why) = missing_privileges() {
        return Ok(vec![Measurement::skipped(KNOWN_V4, why).reach(REACH)]);
    }
    cpu::on_one(|| measure_here(effort))
}

fn measure_here(effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    // The guard has a section of its own.
    let options = KernelOptions { guard_at_egress: false, ..KernelOptions::default() };
    let kernel = RefCell::new(Kernel::load(&options)?);
    let nothing = Nothing::load(Hook::Tc).context("the empty program does not load")?;
    let run = |direction, frame: &[u8], repeat| -> anyhow::Result<f64> {
        let context = SkbContext::default();
        let run = kernel.borrow_mut().test_run_tc(direction, frame, &context, repeat)?;
        Ok(f64::from(run.duration_ns))
    };

    let [v4, v6] = [Family::V4, Family::V6].map(|family| Segment::incoming(1, family).frame());
    let answer = Segment::incoming(1, Family::V4).answered().frame();
    let repeat = effort.of(400_000, 40_000);
    let mut floor = || Ok(nothing.run(&v4, repeat)?);
    let mut known_v4 = || run(Direction::Ingress, &v4, repeat);
    let mut known_v6 = || run(Direction::Ingress, &v6, repeat);
    let mut known_out = || run(Direction::Egress, &answer, repeat);
    let warm = Turns::take(
        effort.of(15, 5),
        &mut [&mut floor, &mut known_v4, &mut known_v6, &mut known_out],
    )?;

    let fresh = effort.of(20_000, 4_000);
    let frames: Vec<Vec<u8>> =
        (0..fresh).map(|number| Segment::incoming(1_000 + number, Family::V4).frame()).collect();
    let mean = |one: &dyn Fn(&[u8]) -> anyhow::Result<f64>| -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for frame in &frames {
            sum += one(frame)?;
        }
        Ok(sum / f64::from(fresh))
    };
    let mut cold_floor = || mean(&|frame| Ok(nothing.run(frame, 1)?));
    let mut cold_known = || mean(&|_| run(Direction::Ingress, &v4, 1));
    let mut new = || {
        kernel.borrow_mut().drain(boot_ns())?;
        let ns = mean(&|frame| run(Direction::Ingress, frame, 1))?;
        let window = kernel.borrow_mut().drain(boot_ns())?;
        ensure!(window.flows.len() == frames.len(), "a new flow was not counted as one");
        Ok(ns)
    };
    let cold = Turns::take(effort.of(7, 3), &mut [&mut cold_floor, &mut cold_known, &mut new])?;

    let per_packet = |what: &str, turns: &Turns, contestant: usize, note: &str| {
        Measurement::of(what, Unit::NanosecondsPerPacket, turns.spread(contestant)).note(note)
    };
    let mut rows = vec![
        per_packet("of it the harness (an empty program)", &warm, 0, HARNESS),
        per_packet(KNOWN_V4, &warm, 1, HARNESS).reach(REACH),
        per_packet("known flow, IPv6", &warm, 2, HARNESS).reach(REACH),
        per_packet("known flow, IPv4, egress", &warm, 3, HARNESS).reach(REACH),
        per_packet("one by one: the harness", &cold, 0, NEW),
        per_packet("one by one: known flow, IPv4", &cold, 1, NEW),
        per_packet("one by one: new flow and peer, IPv4", &cold, 2, NEW),
    ];
    for Verified { program, instructions } in verify()? {
        let instructions = instructions?.context("the kernel does not tell")?;
        let spread = Spread::once(f64::from(instructions));
        let row = Measurement::of(format!("verified: {program}"), Unit::Instructions, spread);
        rows.push(row.reach(VERIFIER_LIMIT).note(VERIFIED));
    }
    Ok(rows)
}
