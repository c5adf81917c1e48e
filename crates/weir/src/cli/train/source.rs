//! A table of a dataset as a stream of rows to train on.

use std::{cell::Cell, io::IsTerminal as _, time::Duration};

use ::model::Horizons;
use anyhow::Context as _;
use dataset::{Block, Dataset, Label, ReadCounts, Selection, TableKind};
use indicatif::{ProgressBar, ProgressStyle};
use training::{Mark, RowBlock, RowSource, TrainingError};

/// The horizons of a data set's rows.
pub(in crate::cli) fn horizons(dataset: &Dataset) -> anyhow::Result<Horizons> {
    let window_ns = dataset.window_ns()?.context("the tables have no rows")?;
    Ok(Horizons::of(Duration::from_nanos(window_ns)))
}

/// Reads the table anew for each pass, and shows on a terminal how far it is.
pub(in crate::cli) struct TableRows<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) table: TableKind,
    pub(super) selection: &'a Selection,
    /// Counts of the last whole pass.
    read_counts: Cell<ReadCounts>,
    passes: Cell<u32>,
    bar: ProgressBar,
}

impl<'a> TableRows<'a> {
    pub(in crate::cli) fn new(
        dataset: &'a Dataset,
        table: TableKind,
        selection: &'a Selection,
    ) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(dataset.rows(table))
        } else {
            ProgressBar::hidden()
        };
        let style = "{prefix} {wide_bar} {human_pos}/{human_len} rows, {per_sec}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let (read_counts, passes) = (Cell::new(ReadCounts::default()), Cell::new(0));
        Self { dataset, table, selection, read_counts, passes, bar }
    }

    /// Rows that the selection left out, by cause.
    pub(super) const fn read_counts(&self) -> ReadCounts {
        self.read_counts.get()
    }
}

impl Drop for TableRows<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl RowSource for TableRows<'_> {
    fn read(
        &self,
        visit: &mut dyn FnMut(&RowBlock) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        self.passes.set(self.passes.get() + 1);
        self.bar.reset();
        self.bar.set_prefix(format!("{} rows, pass {}", self.table, self.passes.get()));
        let mut blocks = self.dataset.blocks(self.table, self.selection);
        for block in blocks.by_ref() {
            let block = block.map_err(|error| TrainingError::Source(error.into()))?;
            self.bar.inc(block.len() as u64);
            visit(&row_block(block))?;
        }
        self.read_counts.set(blocks.read_counts());
        Ok(())
    }
}

fn row_block(block: Block) -> RowBlock {
    let marks = (0..block.len()).map(|row| mark(block.label(row))).collect();
    let ends_ns = block
        .time_ns
        .iter()
        .zip(block.window_start_ns.iter().zip(&block.window_end_ns))
        .map(|(time, (start, end))| {
            let length = i64::try_from(end.saturating_sub(*start)).unwrap_or(i64::MAX);
            time.saturating_add(length)
        })
        .collect();
    RowBlock { starts_ns: block.time_ns, ends_ns, peers: block.remote, marks, rows: block.rows }
}

const fn mark(label: &Label) -> Mark {
    match label {
        Label::Unlabelled => Mark::Unlabelled,
        Label::Benign => Mark::Benign,
        Label::Attack { .. } => Mark::Attack,
    }
}
