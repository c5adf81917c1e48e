//! Captures as a stream of evidence.

use std::{collections::HashMap, net::IpAddr, path::PathBuf};

use model::{Context, ModelFile, Observed};

use super::{inputs::input, truth::TruthFiles};
use engine::detector::{
    window_facts, {Detector, address},
};
use experiment::{
    report::Input,
    stream::{Row, Stream},
};
use replay::{Replay, ReplayOptions, ThreadedReplay};

/// Replays and scores captures, each window once; returns what is to be kept in mind of them.
pub(super) fn read(
    paths: &[PathBuf],
    options: ReplayOptions,
    model: ModelFile,
    truth: &TruthFiles,
    stream: &mut Stream,
    inputs: &mut Vec<Input>,
) -> anyhow::Result<Vec<String>> {
    for path in paths {
        inputs.push(input("capture", path)?);
    }
    let mut detector = Detector::new(model, Context::default());
    let mut replay = ThreadedReplay::start(Replay::open_all(paths, options)?)?;
    while let Some(window) = replay.next_window()? {
        let found = detector.assess(&window);
        let facts = window_facts(&window);
        let first = first_packets(detector.observed(), facts.start_ns);
        let [start_ns, end_ns] =
            [facts.start_ns, facts.end_ns].map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
        let known = truth.at(start_ns, end_ns);
        let rows = found
            .evidence
            .into_iter()
            .map(|evidence| {
                let label = known.of(evidence.address);
                let first_ns = first.get(&evidence.address).copied().unwrap_or(facts.start_ns);
                Row { first_ns, label: stream.label(&label), evidence }
            })
            .collect();
        stream.push(facts, rows)?;
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
