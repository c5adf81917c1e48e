//! `weir explain`: why a model finds rows anomalous.

mod alerts;
mod global;

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::Args;
use dataset::Dataset;

use super::{
    Layers, emit,
    selection::{SelectionArgs, instant},
};
use alerts::Wanted;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Feature tables: files and folders as `weir capture` and `weir replay --out` write them.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// The model.
    #[arg(long, short, value_name = "FILE")]
    model: PathBuf,
    /// Explain so many peer-windows, the most anomalous first.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    top: u32,
    /// Only those of this remote address.
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<IpAddr>,
    /// Only those of the window at this time.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<i64>,
    /// Say instead what each detector looks at: the mean contribution of each feature over all
    /// rows, or over a sample of very many.
    #[arg(long, conflicts_with_all = ["peer", "at"])]
    global: bool,
    /// Rows explained at most for --global.
    #[arg(long, value_name = "ROWS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    sample: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: SelectionArgs,
}

impl ExplainArgs {
    pub(super) fn run(self, _layers: &Layers) -> anyhow::Result<ExitCode> {
        let selection = self.selection.resolve()?;
        let dataset = Dataset::open(&self.data)?;
        let model = super::load_model_of(&self.model, dataset.window_ns()?, &dataset.homes()?)?;
        if self.global {
            let told = global::explain(&dataset, &model, &selection, self.sample)?;
            emit(&if self.json { global::to_json(&told)? } else { global::to_text(&told) })?;
            return Ok(ExitCode::SUCCESS);
        }
        let wanted = Wanted { top: self.top as usize, peer: self.peer, at_ns: self.at };
        let alerts = alerts::explain(&dataset, &model, &selection, &wanted)?;
        emit(&if self.json { alerts::to_json(&alerts)? } else { alerts::to_text(&alerts) })?;
        Ok(ExitCode::SUCCESS)
    }
}
