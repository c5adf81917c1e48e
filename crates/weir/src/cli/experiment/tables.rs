//! Feature tables as a stream of evidence: the rows and facts of each window, as they were written.

use std::{
    iter::Peekable,
    path::{Path, PathBuf},
    time::Duration,
    vec::IntoIter,
};

use ::model::{ModelFile, Span, WARM_UP};
use anyhow::Context as _;
use dataset::{Block, Columns, Dataset, Label, Selection, TableKind};

use super::{inputs::input, truth::TruthFiles};
use crate::cli::reading::{self, Level, Piece};
use engine::{Arrival, Assessor, WindowRows};
use experiment::{report::Input, stream::Stream};

/// True where the paths are tables: folders and `.parquet` files.
pub(super) fn are_tables(paths: &[PathBuf]) -> anyhow::Result<bool> {
    let is_table =
        |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|end| end == "parquet");
    let tables = paths.iter().filter(|path| is_table(path)).count();
    anyhow::ensure!(
        tables == 0 || tables == paths.len(),
        "captures and feature tables cannot be mixed: an experiment is on one or the other"
    );
    Ok(tables > 0)
}

/// Assesses tables window by window; tells whether their own labels were taken.
pub(super) fn read(
    dataset: &Dataset,
    paths: &[PathBuf],
    model: ModelFile,
    truth: &TruthFiles,
    stream: &mut Stream,
    inputs: &mut Vec<Input>,
) -> anyhow::Result<bool> {
    dataset.require(TableKind::Window)?;
    for table in [TableKind::Peer, TableKind::Window] {
        for file in dataset.files(table) {
            inputs.push(input("table", &file.path).map(|one| named(one, paths, &file.path))?);
        }
    }
    let labelled = !truth.is_given() && dataset.is_labelled(TableKind::Peer);
    let windows = windows(dataset)?;
    let assessor = Assessor::new(model, usual_length(&windows), WARM_UP);
    let windows = windows.into_iter().peekable();
    let mut tables = Tables { windows, before: None, assessor, labelled, truth, stream };
    let selection = Selection { columns: Columns::All, ..Selection::default() };
    reading::read(dataset, Level::Decision, &selection, &mut |piece| tables.take(piece))?;
    tables.skip_to(i64::MAX)?;
    Ok(labelled)
}

/// A file under the name it was found by, not the machine's own.
fn named(mut input: Input, paths: &[PathBuf], file: &Path) -> Input {
    for path in paths {
        let Ok(root) = path.canonicalize() else { continue };
        if let Ok(rest) = file.strip_prefix(&root) {
            let whole = if rest.as_os_str().is_empty() { path.clone() } else { path.join(rest) };
            input.path = whole.display().to_string();
            return input;
        }
    }
    input
}

/// A row of the window table.
#[derive(Clone, Copy)]
struct Row {
    /// When it began, in unix time.
    unix_ns: i64,
    /// The same on the capturing clock, and its end.
    span: Span,
    index: u64,
    is_lossy: bool,
}

impl Row {
    /// A moment of the capturing clock in unix time.
    fn unix(&self, at_ns: u64) -> u64 {
        let start_ns = u64::try_from(self.unix_ns).unwrap_or_default();
        start_ns.saturating_add(at_ns.saturating_sub(self.span.start_ns))
    }
}

/// Every window, also those in which nothing was seen, in the order of time.
fn windows(dataset: &Dataset) -> anyhow::Result<Vec<Row>> {
    let mut windows: Vec<Row> = Vec::new();
    for block in dataset.blocks(TableKind::Window, &Selection::default()) {
        let block = block?;
        windows.extend((0..block.len()).map(|at| row(&block, at)));
    }
    let late = windows.windows(2).find(|pair| pair[1].unix_ns <= pair[0].unix_ns);
    anyhow::ensure!(
        late.is_none(),
        "the tables hold windows of two captures at one time, whose peers have different pasts: \
         experiment on one capture's folder, or on the captures, which are merged by time"
    );
    Ok(windows)
}

fn row(block: &Block, at: usize) -> Row {
    Row {
        unix_ns: block.time_ns[at],
        span: Span { start_ns: block.window_start_ns[at], end_ns: block.window_end_ns[at] },
        index: block.windows[at].index,
        is_lossy: block.windows[at].is_lossy,
    }
}

/// The middle of the windows' lengths, which is the configured one but for a few.
fn usual_length(windows: &[Row]) -> Duration {
    let length = |row: &Row| row.span.end_ns.saturating_sub(row.span.start_ns);
    let mut lengths: Vec<u64> = windows.iter().map(length).collect();
    lengths.sort_unstable();
    Duration::from_nanos(lengths.get(lengths.len() / 2).copied().unwrap_or_default())
}

/// Windows on their way into the stream.
struct Tables<'a> {
    windows: Peekable<IntoIter<Row>>,
    /// Place of the last window since its writer began.
    before: Option<u64>,
    assessor: Assessor,
    labelled: bool,
    truth: &'a TruthFiles,
    stream: &'a mut Stream,
}

impl Tables<'_> {
    /// Takes the next window that has peers, and those before it.
    fn take(&mut self, piece: &Piece) -> anyhow::Result<()> {
        let start_ns = piece.window_start_ns;
        self.skip_to(start_ns)?;
        let row = self.windows.next_if(|row| row.unix_ns == start_ns).with_context(|| {
            format!(
                "no window table tells of the window at {start_ns} ns: give the whole folder \
                 that `weir capture` or `weir replay --out` wrote"
            )
        })?;
        self.assess(&row, piece)
    }

    /// Takes the windows before a moment: nobody was seen in them.
    fn skip_to(&mut self, unix_ns: i64) -> anyhow::Result<()> {
        while let Some(row) = self.windows.next_if(|row| row.unix_ns < unix_ns) {
            self.assess(&row, &Piece::default())?;
        }
        Ok(())
    }

    fn assess(&mut self, row: &Row, piece: &Piece) -> anyhow::Result<()> {
        // A writer that began anew, or midway: a node would have begun with an empty past there.
        if self.before.is_none_or(|before| row.index <= before) {
            self.assessor.restart(row.index);
        }
        self.before = Some(row.index);
        let span =
            Span { start_ns: row.unix(row.span.start_ns), end_ns: row.unix(row.span.end_ns) };
        let peers = piece.peers();
        let rows = WindowRows { span, is_lossy: row.is_lossy, peers: &peers };
        let found = self.assessor.assess(rows, Arrival::default());
        let [start_ns, end_ns] =
            [span.start_ns, span.end_ns].map(|ns| i64::try_from(ns).unwrap_or(i64::MAX));
        let known = self.truth.at(start_ns, end_ns);
        let peers: Vec<(u64, Label)> = peers
            .peers()
            .iter()
            .zip(piece.entities())
            .map(|((address, facts), entity)| {
                let own = || piece.label_in_window(&entity);
                let label = if self.labelled { own() } else { known.of(*address) };
                (row.unix(facts.first_packet_ns), label)
            })
            .collect();
        Ok(self.stream.push_assessed(found, peers)?)
    }
}
