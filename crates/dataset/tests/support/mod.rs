//! Windows as a capture would hand them over, and data sets made of them.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part")]

use std::path::Path;

use dataset::{Block, Dataset, DatasetWriter, Selection, TableKind, WriterOptions, Written};
use features::{Context, Observed, Window};
use flows_common::{FlowCounters, FlowKey, map_v4};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// 2026-11-22T21:59:50Z: ten seconds before an hour's end.
pub(crate) const UNIX_START: i64 = 1_795_384_790_000_000_000;

/// Flows of up to 200 peers in one-second windows; the boot clock starts at 100 s.
pub(crate) struct Traffic {
    random: StdRng,
    context: Context,
    number: u64,
    flows: usize,
}

/// A window with when it was and what it held.
pub(crate) struct Captured {
    pub(crate) window: Window,
    pub(crate) time_ns: i64,
    pub(crate) observed: Observed,
}

impl Traffic {
    pub(crate) fn new(seed: u64, flows: usize) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { random, context: Context::default(), number: 0, flows }
    }

    pub(crate) fn windows(seed: u64, flows: usize, windows: usize) -> Vec<Captured> {
        Self::new(seed, flows).take(windows).collect()
    }
}

impl Iterator for Traffic {
    type Item = Captured;

    fn next(&mut self) -> Option<Captured> {
        let start_ns = (100 + self.number) * SECOND;
        let mut window = Window { start_ns, end_ns: start_ns + SECOND, ..Window::default() };
        for port in 0..self.flows {
            let key = FlowKey {
                local: map_v4([192, 0, 2, 1]),
                remote: map_v4([203, 0, 113, self.random.random_range(0..200)]),
                ifindex: 2,
                local_port: [22, 53, 80, 443][self.random.random_range(0..4)],
                remote_port: 1_024 + u16::try_from(port % 60_000).expect("below"),
                protocol: if self.random.random_bool(0.2) { 17 } else { 6 },
                ..FlowKey::default()
            };
            let mut counters = FlowCounters::default();
            for direction in &mut counters.directions {
                direction.packets = self.random.random_range(1..100);
                direction.bytes = direction.packets * self.random.random_range(60..1_500);
                direction.payload_bytes = direction.bytes / 2;
                direction.length_min = 60;
                direction.length_max = 1_500;
                direction.first_ns = start_ns + self.random.random_range(0..SECOND / 2);
                direction.last_ns = start_ns + self.random.random_range(SECOND / 2..SECOND);
                direction.ttl_min = 64;
                direction.ttl_max = 64;
            }
            for (way, direction) in counters.directions.iter().enumerate() {
                window.packet_counters.segments[way] += direction.packets;
                window.packet_counters.frames[way] += direction.packets;
                window.packet_counters.frame_bytes[way] += direction.bytes;
            }
            window.flows.push((key, counters));
        }
        // Every seventh window evicts a flow.
        if self.number % 7 == 6 {
            window.evicted_flows = 1;
            window.evicted_packets = 2;
            window.packet_counters.segments[0] += 2;
        }
        let observed = self.context.observe(&window);
        let time_ns = UNIX_START + i64::try_from(self.number * SECOND).expect("small");
        self.number += 1;
        Some(Captured { window, time_ns, observed })
    }
}

/// Row groups small enough for a test to have several.
pub(crate) fn small_groups() -> WriterOptions {
    WriterOptions { row_group_rows: 64, ..WriterOptions::default() }
}

pub(crate) fn write(root: &Path, options: WriterOptions, windows: &[Captured]) -> Written {
    let mut writer = DatasetWriter::create(root, options).expect("a folder");
    for one in windows {
        writer.write(&one.window, one.time_ns, &one.observed).expect("room");
    }
    writer.finish().expect("room")
}

pub(crate) fn open(root: &Path) -> Dataset {
    Dataset::open(&[root]).expect("a data set")
}

/// All wanted blocks.
pub(crate) fn blocks(dataset: &Dataset, table: TableKind, selection: &Selection) -> Vec<Block> {
    dataset.blocks(table, selection).collect::<Result<_, _>>().expect("whole files")
}

/// All files below a folder, hidden ones too.
pub(crate) fn files(root: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}
