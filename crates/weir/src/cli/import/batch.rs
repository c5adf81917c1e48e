//! Lines on their way to the node.

use address_list::{Entry, Line, LineError};
use control::wire::{IMPORT_BATCH, ImportEntry};

use crate::cli::node::seconds;

/// Lines that say something, each with the place of its entry or the reason that it has none.
pub(super) type Lines = Vec<(u64, Result<usize, LineError>)>;

/// Lines and their entries.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) lines: Lines,
    pub(super) entries: Vec<ImportEntry>,
}

impl Batch {
    pub(super) fn push(&mut self, line: Line) {
        let entry = line.entry.map(|entry| {
            self.entries.push(import_entry(&entry));
            self.entries.len() - 1
        });
        self.lines.push((line.number, entry));
    }

    pub(super) const fn is_full(&self) -> bool {
        self.lines.len() >= IMPORT_BATCH
    }
}

fn import_entry(entry: &Entry) -> ImportEntry {
    ImportEntry {
        target: entry.net.into(),
        action: entry.asks.action,
        pps: entry.asks.packets_per_second,
        for_s: entry.asks.lease.map(seconds),
    }
}
