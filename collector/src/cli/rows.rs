//! Feature tables on disk as rows to train on.

use dataset::{Block, Dataset, Label, Selection, TableKind};
use training::{Mark, RowBlock, RowSource, SourceError, TrainingError};

/// A table's selected rows, read anew as often as training passes over them.
#[derive(Debug)]
pub(super) struct TableRows<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) table: TableKind,
    pub(super) selection: &'a Selection,
}

impl RowSource for TableRows<'_> {
    fn read(
        &self,
        visit: &mut dyn FnMut(&RowBlock) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        for block in self.dataset.blocks(self.table, self.selection) {
            let block = block.map_err(|error| TrainingError::Source(SourceError::from(error)))?;
            visit(&rows_of(block))?;
        }
        Ok(())
    }
}

fn rows_of(block: Block) -> RowBlock {
    let marks = (0..block.len())
        .map(|row| match block.label(row) {
            Label::Unlabelled => Mark::Unlabelled,
            Label::Benign => Mark::Benign,
            Label::Attack { .. } => Mark::Attack,
        })
        .collect();
    let lengths = block
        .window_start_ns
        .iter()
        .zip(&block.window_end_ns)
        .map(|(start, end)| i64::try_from(end.saturating_sub(*start)).unwrap_or(i64::MAX));
    let ends_ns =
        block.time_ns.iter().zip(lengths).map(|(time, length)| time.saturating_add(length));
    RowBlock {
        ends_ns: ends_ns.collect(),
        starts_ns: block.time_ns,
        peers: block.remote,
        marks,
        rows: block.rows,
    }
}
