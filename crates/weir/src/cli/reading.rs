//! Reading feature tables as they are scored: a table's own rows, or each window's peers joined
//! with their flows, as live scoring has them.

mod join;
mod windows;

use std::{io::IsTerminal as _, ops::Range, time::Duration};

use ::model::{
    DetectorModel, PeerFacts,
    assess::{Assessment, assess},
};
use arrow_array::RecordBatch;
use clap::ValueEnum;
use dataset::{Block, Columns, Dataset, Label, Selection, TableKind};
use indicatif::{ProgressBar, ProgressStyle};
use std::net::IpAddr;

/// Unit of scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    /// A peer in a window, with its flows: what the policy decides by.
    Decision,
    /// The peer table alone.
    Peer,
    /// The flow table alone.
    Flow,
}

/// Rows that are scored together; every vector but the feature rows has one entry a row.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Start of the window, unix time.
    pub(super) starts_ns: Vec<i64>,
    /// End of the window, exclusive.
    pub(super) ends_ns: Vec<i64>,
    /// The remote address.
    pub(super) remote: Vec<IpAddr>,
    /// Labels.
    pub(super) labels: Vec<Label>,
    /// The features, row after row.
    pub(super) rows: Vec<f32>,
    /// At [`Level::Decision`], the features of the window's flows.
    pub(super) flow_rows: Vec<f32>,
    /// At [`Level::Decision`], which of these are the peer's.
    pub(super) flows_of: Vec<Range<usize>>,
    /// Facts of the peers that a decision uses beside the scores, where every column was selected.
    pub(super) facts: Vec<PeerFacts>,
    /// The rows' columns as they lie in the file, piece by piece.
    pub(super) batches: Vec<RecordBatch>,
}

/// Counts of rows read and left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    /// Rows handed out.
    pub(super) rows: u64,
    /// Rows of windows that lost something.
    pub(super) lossy: u64,
    /// Files without a window table, where the selection asked for one.
    pub(super) files_without_windows: u64,
    /// Flows whose peer has no row in their window.
    pub(super) orphan_flows: u64,
}

impl Level {
    /// The table with a row for each thing scored.
    pub(super) const fn table(self) -> TableKind {
        match self {
            Self::Decision | Self::Peer => TableKind::Peer,
            Self::Flow => TableKind::Flow,
        }
    }

    /// The other table it reads.
    pub(super) const fn second_table(self) -> Option<TableKind> {
        match self {
            Self::Decision => Some(TableKind::Flow),
            Self::Peer | Self::Flow => None,
        }
    }

    /// Name of a row in text.
    pub(super) const fn row(self) -> &'static str {
        match self {
            Self::Decision | Self::Peer => "peer-window",
            Self::Flow => "flow-window",
        }
    }

    /// Name on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Peer => "peer",
            Self::Flow => "flow",
        }
    }
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        self.starts_ns.len()
    }

    /// Scores the rows: at [`Level::Decision`] by both detectors, else by that of the table.
    pub(super) fn assess<'a>(
        &'a self,
        level: Level,
        flow: &'a DetectorModel,
        peer: &'a DetectorModel,
    ) -> Assessment<'a> {
        match level {
            Level::Decision => {
                assess(flow, peer, &self.flow_rows, &self.rows, self.flows_of.iter().cloned())
            }
            Level::Peer => self.alone(peer),
            Level::Flow => self.alone(flow),
        }
    }

    /// Scores the rows by one detector of theirs.
    pub(super) fn alone<'a>(&'a self, detector: &'a DetectorModel) -> Assessment<'a> {
        assess(detector, detector, &[], &self.rows, std::iter::repeat_n(0..0, self.len()))
    }

    fn extend(&mut self, block: &Block, from: usize, to: usize) {
        self.starts_ns.extend(&block.time_ns[from..to]);
        self.ends_ns.extend((from..to).map(|row| end_ns(block, row)));
        self.remote.extend(&block.remote[from..to]);
        self.labels.extend((from..to).map(|row| block.label(row).clone()));
        self.facts.extend(block.facts.get(from..to).unwrap_or_default());
        self.rows.extend(&block.rows[from * block.width..to * block.width]);
        self.batches.push(block.batch.slice(from, to - from));
    }
}

/// The end of a row's window in unix time.
fn end_ns(block: &Block, row: usize) -> i64 {
    let length = block.window_end_ns[row].saturating_sub(block.window_start_ns[row]);
    block.time_ns[row].saturating_add(i64::try_from(length).unwrap_or(i64::MAX))
}

/// Streams the selected rows: a block at a time of a table, a window at a time for decisions.
///
/// Memory: a row group of each table and what is handed out.
pub(super) fn read(
    dataset: &Dataset,
    level: Level,
    selection: &Selection,
    visit: &mut dyn FnMut(&Piece) -> anyhow::Result<()>,
) -> anyhow::Result<Read> {
    dataset.require(level.table())?;
    let bar = progress(dataset.rows(level.table()));
    let mut seen = |rows: &Piece| {
        visit(rows)?;
        bar.inc(rows.len() as u64);
        Ok(())
    };
    let read = match level {
        Level::Decision => join::read(dataset, selection, &mut seen),
        Level::Peer | Level::Flow => table(dataset, level.table(), selection, &mut seen),
    };
    bar.finish_and_clear();
    read
}

fn table(
    dataset: &Dataset,
    table: TableKind,
    selection: &Selection,
    visit: &mut dyn FnMut(&Piece) -> anyhow::Result<()>,
) -> anyhow::Result<Read> {
    let mut blocks = dataset.blocks(table, selection);
    for block in &mut blocks {
        let block = block?;
        let mut rows = Piece::default();
        rows.extend(&block, 0, block.len());
        visit(&rows)?;
    }
    let read_counts = blocks.read_counts();
    Ok(Read {
        rows: read_counts.selected,
        lossy: read_counts.lossy,
        files_without_windows: read_counts.files_without_windows,
        orphan_flows: 0,
    })
}

/// A bar on a terminal, nothing else.
fn progress(rows: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} rows, {eta} left");
    let bar =
        ProgressBar::new(rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// As a selection, with every column.
pub(super) fn with_all_columns(selection: &Selection) -> Selection {
    Selection { columns: Columns::All, ..selection.clone() }
}
