//! `weir score`: feature tables with what a model says of each row.

mod columns;
mod sink;

use std::{path::PathBuf, process::ExitCode};

use ::model::assess::assess;
use clap::Args;
use dataset::{Dataset, take_rows};

use super::{
    Layers, NOTHING, end_with,
    reading::{Level, read, with_all_columns},
    selection::SelectionArgs,
};
use columns::Scored;
use sink::{Format, Sink, Target};

#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    /// Feature tables: files and folders as `weir capture` and `weir replay --out` write them.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// The model.
    #[arg(long, short, value_name = "FILE")]
    model: PathBuf,
    /// Where the scores go: a file (`.parquet`, `.csv`, `.jsonl`), a folder, or `-` for standard
    /// output.
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    out: PathBuf,
    /// In what form, where the name does not tell: CSV on standard output, Parquet in a folder.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Print JSON lines: short for `--format jsonl`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Table to score: a decision has one row a peer in a window, from its rows of all horizons.
    #[arg(long, value_enum, default_value = "decision")]
    table: Level,
    #[command(flatten)]
    selection: SelectionArgs,
}

impl ScoreArgs {
    pub(super) fn run(self, _layers: &Layers) -> anyhow::Result<ExitCode> {
        let level = self.table;
        let format = if self.json { Some(Format::Jsonl) } else { self.format };
        let target = Target::of(&self.out, format, level.name())?;
        let selection = with_all_columns(&self.selection.resolve()?);
        let dataset = Dataset::open(&self.data)?;
        let model = super::load_model_of(&self.model, dataset.window_ns()?, &dataset.homes()?)?;
        let scored = Scored::new(level);
        let mut sink = Sink::open(&target, scored.schema())?;
        let read = read(&dataset, level, &selection, &mut |rows| {
            if level == Level::Decision {
                let peers = rows.peers();
                let count = peers.peers().len();
                let assessment = assess(model.detectors(), level.kind(), peers.rows(), count);
                let mut came = vec![0; count];
                let of = peers.rows().iter().flat_map(|block| &block.of);
                of.for_each(|&entity| came[entity] += 1);
                let own: Vec<usize> = rows.entities().iter().map(|entity| entity.row).collect();
                let table = take_rows(&rows.batches, &own);
                sink.write(&scored.batch(&table, &assessment, &came)?)
            } else {
                let each = rows.each();
                let assessment = assess(model.detectors(), level.kind(), &each, rows.len());
                let all: Vec<usize> = (0..rows.len()).collect();
                sink.write(&scored.batch(&take_rows(&rows.batches, &all), &assessment, &[])?)
            }
        })?;
        sink.finish()?;
        if let Target::File { path, .. } = &target {
            eprintln!("weir: scored {} rows into {}", read.selected, path.display());
        }
        if read.selected == 0 {
            let why = "no row of the tables is of those asked for";
            return Ok(end_with(NOTHING, why));
        }
        Ok(ExitCode::SUCCESS)
    }
}
