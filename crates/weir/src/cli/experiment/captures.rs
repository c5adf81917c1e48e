//! Captures as a stream of evidence.

use dataset::Label;

use super::{inputs::input, truth::TruthFiles};
use crate::cli::captures::Looked;
use engine::{Arrival, Detector};
use experiment::{report::Input, stream::Stream};
use replay::{ReplayOptions, ThreadedReplay};

/// What to do with captures that are of no one time.
const APART: &str = "experiment on those of one time";

/// Replays captures and scores them by a detector, each window once; returns the number of records
/// that could not be read.
pub(super) fn read(
    looked: &Looked,
    options: ReplayOptions,
    mut detector: Detector,
    truth: &TruthFiles,
    stream: &mut Stream,
    inputs: &mut Vec<Input>,
) -> anyhow::Result<u64> {
    for path in looked.paths() {
        inputs.push(input("capture", path)?);
    }
    looked.require_one_time(APART)?;
    looked.require_home()?;
    let mut replay = ThreadedReplay::start(looked.open(options)?)?;
    let mut next = replay.next_window()?;
    while let Some(window) = next.take() {
        next = replay.next_window()?;
        let last = next.is_none();
        let mut found = detector.assess(&window, Arrival { last, ..Arrival::default() });
        // Tables have no column of it, and an experiment on them is to give the same report.
        for one in &mut found.evidence {
            one.log_ins_alike = 0;
        }
        let facts = found.facts;
        let [start_ns, end_ns] =
            [facts.start_ns, facts.end_ns].map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
        let known = truth.at(start_ns, end_ns);
        let peers = detector.peers().iter();
        let peers: Vec<(u64, Label)> =
            peers.map(|(address, facts)| (facts.first_packet_ns, known.of(*address))).collect();
        stream.push_assessed(found, peers)?;
    }
    Ok(replay.finish().report().lost())
}
