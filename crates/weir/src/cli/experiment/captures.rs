//! Captures as a stream of evidence.

use std::{collections::HashMap, net::IpAddr, path::PathBuf, time::Duration};

use model::{Context, ModelFile, Observed};

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
        let first = first_packets(detector.observed(), facts.start_ns);
        let [start_ns, end_ns] =
            [facts.start_ns, facts.end_ns].map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
        let known = truth.at(start_ns, end_ns);
        stream.push_assessed(found, |peer| first.get(&peer).copied(), |peer| known.of(peer))?;
    }
    let lost = replay.finish().report().capture.lost();
    let note = format!("{lost} records of the captures could not be read and are in no window.");
    Ok(if lost > 0 { vec![note] } else { Vec::new() })
}

/// When each peer's first packet of the window came, from it or to it.
fn first_packets(observed: &Observed, start_ns: u64) -> HashMap<IpAddr, u64> {
    let mut first: HashMap<IpAddr, u64> = HashMap::with_capacity(observed.peers.len());
    for peer in &observed.peers {
        let flows = &observed.flows[peer.flows.clone()];
        let times = flows
            .iter()
            .flat_map(|flow| &flow.counters.directions)
            .filter(|direction| direction.packets > 0)
            .map(|direction| direction.first_ns.max(start_ns));
        if let Some(first_ns) = times.min() {
            first.insert(address(peer.key.address), first_ns);
        }
    }
    first
}
