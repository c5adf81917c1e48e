//! Captures as a stream of evidence.

use std::{path::PathBuf, time::Duration};

use dataset::Label;
use model::{Context, ModelFile};

use super::{inputs::input, truth::TruthFiles};
use engine::{Arrival, Detector, detector::address};
use experiment::{report::Input, stream::Stream};
use replay::{Replay, ReplayOptions, ThreadedReplay};

/// Replays and scores captures, each window once; returns what is to be kept in mind of them.
pub(super) fn read(
    paths: &[PathBuf],
    options: ReplayOptions,
    window: Duration,
    model: ModelFile,
    truth: &TruthFiles,
    stream: &mut Stream,
    inputs: &mut Vec<Input>,
) -> anyhow::Result<Vec<String>> {
    for path in paths {
        inputs.push(input("capture", path)?);
    }
    let mut detector = Detector::new(model, Context::default(), window);
    let mut replay = ThreadedReplay::start(Replay::open_all(paths, options)?)?;
    while let Some(window) = replay.next_window()? {
        let found = detector.assess(&window, Arrival::default());
        let facts = found.facts;
        let [start_ns, end_ns] =
            [facts.start_ns, facts.end_ns].map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
        let known = truth.at(start_ns, end_ns);
        let peers = detector.observed().peers.iter();
        let peers: Vec<(u64, Label)> = peers
            .map(|peer| (peer.facts.first_packet_ns, known.of(address(peer.key.address))))
            .collect();
        stream.push_assessed(found, peers)?;
    }
    let lost = replay.finish().report().capture.lost();
    let note = format!("{lost} records of the captures could not be read and are in no window.");
    Ok(if lost > 0 { vec![note] } else { Vec::new() })
}
