//! Throughput of writing and reading, in rows a second: `cargo run --release -p dataset --example
//! throughput`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use dataset::{Columns, DatasetWriter, Selection, TableKind, WriterOptions};
use support::{Traffic, open};

/// Flows of a window, and windows.
const FLOWS: usize = 20_000;
const WINDOWS: usize = 30;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let windows = Traffic::windows(1, FLOWS, WINDOWS);
    for row_group_rows in [65_536, 131_072] {
        let root = folder.path().join(row_group_rows.to_string());
        let options = WriterOptions { row_group_rows, ..WriterOptions::default() };
        let start = Instant::now();
        let mut writer = DatasetWriter::create(&root, options).expect("a folder");
        for one in &windows {
            writer.write(&one.window, one.time_ns, &one.observed).expect("room");
        }
        let written = writer.finish().expect("room");
        let flows = written.rows[0];
        let bytes: u64 = open(&root).files(TableKind::Flow).map(|file| file.bytes).sum();
        println!(
            "row groups of {row_group_rows}: {flows} flow rows written at {:.0} rows/s, {:.1} bytes a row",
            flows as f64 / start.elapsed().as_secs_f64(),
            bytes as f64 / flows as f64
        );
        for columns in [Columns::Features, Columns::Identity, Columns::All] {
            let start = Instant::now();
            let selection = Selection { columns, ..Selection::default() };
            let rows: usize = open(&root)
                .blocks(TableKind::Flow, &selection)
                .map(|block| block.expect("whole").len())
                .sum();
            println!(
                "  {columns:?} read at {:.0} rows/s",
                rows as f64 / start.elapsed().as_secs_f64()
            );
        }
    }
}
