//! Reading feature tables as they are scored: a table's own rows, or each window's peers with the
//! rows of all horizons that came with it, as live scoring has them.

mod windows;

use std::{collections::BTreeMap, io::IsTerminal as _, net::IpAddr, time::Duration};

use ::model::{Channel, Horizon, Kind, LocalService, PeerFacts, Span, assess::HorizonRows};
use arrow_array::RecordBatch;
use clap::ValueEnum;
use dataset::{Block, Columns, Dataset, Label, ReadCounts, Selection, TableKind};
use engine::{PeerRow, PeerRows};
use indicatif::{ProgressBar, ProgressStyle};
use policy::Standing;

use windows::Windows;

/// Unit of scoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    /// A peer in a window, by the rows of all horizons that came with it: what the policy decides
    /// by.
    Decision,
    /// Each row of the peer table.
    Peer,
    /// Each row of the host table.
    Host,
    /// Each row of the service table.
    Service,
    /// Each row of the net table.
    Net,
}

/// Rows that are scored together, of one window at [`Level::Decision`]; every vector but the
/// feature rows has one entry a row, or none where the table does not tell.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Start of the time that is covered, unix time.
    pub(super) starts_ns: Vec<i64>,
    /// Its end, exclusive.
    pub(super) ends_ns: Vec<i64>,
    /// The address, of peers and hosts.
    pub(super) remote: Vec<IpAddr>,
    /// The service, of services.
    services: Vec<LocalService>,
    /// Labels.
    pub(super) labels: Vec<Label>,
    /// The features, row after row.
    pub(super) rows: Vec<f32>,
    /// The time that each is meant to cover.
    pub(super) horizons: Vec<Horizon>,
    /// Facts of the peers that a decision uses beside the scores, at [`Level::Decision`] or where
    /// every column was selected.
    pub(super) facts: Vec<PeerFacts>,
    /// The rows' columns as they lie in the file, piece by piece.
    pub(super) batches: Vec<RecordBatch>,
    /// Start in unix time of the window that they came with.
    pub(super) window_start_ns: i64,
    /// That window, and the time that each covers, on the capturing clock.
    window: Span,
    covers: Vec<Span>,
    is_lossy: Vec<bool>,
    width: usize,
}

/// A peer in a window.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    /// The row that stands for it: its own of the window, else its first.
    pub(super) row: usize,
    /// Its label: the attack's of any row, else that of the row that stands for it.
    pub(super) label: Label,
}

impl Level {
    /// What its rows are about.
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Decision | Self::Peer => Kind::Peer,
            Self::Host => Kind::Host,
            Self::Service => Kind::Service,
            Self::Net => Kind::Net,
        }
    }

    /// The table with its rows.
    pub(super) fn table(self) -> TableKind {
        self.kind().into()
    }

    /// Name of a row in text.
    pub(super) fn row(self) -> String {
        match self {
            Self::Decision => "peer-window".to_owned(),
            _ => format!("{}-row", self.kind().name()),
        }
    }

    /// Name on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Peer | Self::Host | Self::Service | Self::Net => self.kind().name(),
        }
    }
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        self.starts_ns.len()
    }

    /// The window that the rows came with, in unix time.
    pub(super) fn window_span_ns(&self) -> (i64, i64) {
        let length = self.window.end_ns.saturating_sub(self.window.start_ns);
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        (self.window_start_ns, self.window_start_ns.saturating_add(length))
    }

    /// A row's features.
    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.rows[index * self.width..][..self.width]
    }

    /// What a row is about.
    pub(super) fn about(&self, index: usize) -> evaluation::Entity {
        match (self.remote.get(index), self.services.get(index)) {
            (Some(address), _) => (*address).into(),
            (None, Some(&LocalService { protocol, port })) => {
                evaluation::Entity::Service { protocol, port }
            }
            (None, None) => evaluation::Entity::Net,
        }
    }

    /// A row's channel.
    pub(super) fn channel(&self, level: Level, index: usize) -> Channel {
        Channel::new(level.kind(), self.horizons[index])
    }

    /// The window's rows by peer, as live scoring has them.
    pub(super) fn peers(&self) -> PeerRows {
        let row = |index| PeerRow {
            address: self.remote[index],
            horizon: self.horizons[index],
            covers: self.covers[index],
            is_lossy: self.is_lossy[index],
            facts: self.facts[index],
            row: self.row(index),
        };
        PeerRows::of(self.window, (0..self.len()).map(row))
    }

    /// The peers of [`Self::peers`], in their order.
    pub(super) fn entities(&self) -> Vec<Entity> {
        let mut entities = BTreeMap::<(IpAddr, Standing), Entity>::new();
        let is_own = |row: usize| self.covers[row] == self.window;
        for row in (0..self.len()).filter(|&row| is_own(row) || !self.is_lossy[row]) {
            let label = &self.labels[row];
            let entity = entities
                .entry((self.remote[row], self.facts[row].standing))
                .or_insert_with(|| Entity { row, label: label.clone() });
            if is_own(row) && !is_own(entity.row) {
                entity.row = row;
            }
            if label.is_attack() && !entity.label.is_attack() {
                entity.label = label.clone();
            }
        }
        entities.into_values().collect()
    }

    /// An entity's label in the window: that of the row that stands for it, but for an attack that
    /// only a longer row tells of, and that may be over.
    pub(super) fn label_in_window(&self, entity: &Entity) -> Label {
        let label = &self.labels[entity.row];
        let is_over = label.is_attack() && self.covers[entity.row] != self.window;
        if is_over { Label::Unlabelled } else { label.clone() }
    }

    /// The rows by horizon, each its own entity.
    pub(super) fn each(&self) -> Vec<HorizonRows> {
        let mut blocks = Vec::new();
        for (index, &horizon) in self.horizons.iter().enumerate() {
            HorizonRows::add(&mut blocks, horizon, self.row(index), index);
        }
        blocks
    }

    fn extend(&mut self, block: &Block, from: usize, to: usize) {
        let bounds = (from..to).map(|row| unix(block, row));
        let (starts, ends): (Vec<i64>, Vec<i64>) = bounds.unzip();
        self.starts_ns.extend(starts);
        self.ends_ns.extend(ends);
        self.remote.extend(block.remote.get(from..to).unwrap_or_default());
        self.services.extend(block.services.get(from..to).unwrap_or_default());
        self.labels.extend((from..to).map(|row| block.label(row).clone()));
        self.facts.extend(block.facts.get(from..to).unwrap_or_default());
        self.horizons.extend(&block.horizon[from..to]);
        self.covers.extend(&block.covers[from..to]);
        self.is_lossy.extend(&block.is_lossy[from..to]);
        self.rows.extend(&block.rows[from * block.width..to * block.width]);
        self.batches.push(block.batch.slice(from, to - from));
        self.width = block.width;
        self.window_start_ns = block.time_ns[from];
        let (start_ns, end_ns) = (block.window_start_ns[from], block.window_end_ns[from]);
        self.window = Span { start_ns, end_ns };
    }
}

/// The time that a row covers, in unix time.
fn unix(block: &Block, row: usize) -> (i64, i64) {
    let at = |ns: u64| {
        let since = i128::from(ns) - i128::from(block.window_start_ns[row]);
        let time = i128::from(block.time_ns[row]) + since;
        i64::try_from(time).unwrap_or(block.time_ns[row])
    };
    (at(block.covers[row].start_ns), at(block.covers[row].end_ns))
}

/// Streams the selected rows: a block at a time of a table, a window at a time for decisions.
///
/// Memory: a row group of each table and what is handed out.
pub(super) fn read(
    dataset: &Dataset,
    level: Level,
    selection: &Selection,
    visit: &mut dyn FnMut(&Piece) -> anyhow::Result<()>,
) -> anyhow::Result<ReadCounts> {
    dataset.require(level.table())?;
    let bar = progress(dataset.rows(level.table()));
    let mut seen = |rows: &Piece| {
        visit(rows)?;
        bar.inc(rows.len() as u64);
        Ok(())
    };
    let read = match level {
        Level::Decision => by_window(dataset, selection, &mut seen),
        Level::Peer | Level::Host | Level::Service | Level::Net => {
            table(dataset, level.table(), selection, &mut seen)
        }
    };
    bar.finish_and_clear();
    read
}

fn table(
    dataset: &Dataset,
    table: TableKind,
    selection: &Selection,
    visit: &mut dyn FnMut(&Piece) -> anyhow::Result<()>,
) -> anyhow::Result<ReadCounts> {
    let mut blocks = dataset.blocks(table, selection);
    for block in &mut blocks {
        let block = block?;
        let mut rows = Piece::default();
        rows.extend(&block, 0, block.len());
        visit(&rows)?;
    }
    Ok(blocks.read_counts())
}

/// Streams the windows of each peer file.
fn by_window(
    dataset: &Dataset,
    selection: &Selection,
    visit: &mut dyn FnMut(&Piece) -> anyhow::Result<()>,
) -> anyhow::Result<ReadCounts> {
    let mut read = ReadCounts::default();
    let selection = with_all_columns(selection);
    for file in dataset.files(TableKind::Peer) {
        let file = Dataset::open(&[&file.path])?;
        let mut windows = Windows::new(file.blocks(TableKind::Peer, &selection));
        let mut before = None;
        while let Some(key) = windows.peek()? {
            if before.is_some_and(|before| before >= key) {
                anyhow::bail!(
                    "a peer table is not in the order of time (the window at {} ns comes late): \
                     use the file as weir wrote it",
                    key.0
                );
            }
            before = Some(key);
            visit(&windows.take()?)?;
        }
        let own = windows.blocks().read_counts();
        read.selected += own.selected;
        read.lossy += own.lossy;
        read.files_without_windows += own.files_without_windows;
    }
    Ok(read)
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

#[cfg(test)]
mod tests {
    use Standing::{Proven, Unproven};

    use super::*;

    #[test]
    fn a_peer_stands_for_its_rows_and_bears_the_label_of_any_attack() {
        let window = Span { start_ns: 9, end_ns: 10 };
        let longer = Span { start_ns: 0, end_ns: 10 };
        let attack = Label::of(Some("scan"), None);
        let facts = |standing| PeerFacts { standing, ..PeerFacts::default() };
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let piece = Piece {
            starts_ns: vec![0; 5],
            remote: [2, 1, 2, 3, 1].map(address).to_vec(),
            labels: [&attack, &Label::Benign, &Label::Benign, &attack, &attack]
                .map(Clone::clone)
                .to_vec(),
            covers: vec![longer, window, window, longer, window],
            is_lossy: vec![false, true, false, true, false],
            facts: [Proven, Proven, Proven, Proven, Unproven].map(facts).to_vec(),
            window,
            ..Piece::default()
        };
        let found: Vec<(usize, Label)> =
            piece.entities().into_iter().map(|one| (one.row, one.label)).collect();
        assert_eq!(found, [(1, Label::Benign), (4, attack.clone()), (2, attack)]);
    }
}
