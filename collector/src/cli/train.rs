//! `weir train`.

use std::process::ExitCode;

use clap::Args;

use super::Layers;

#[derive(Debug, Args)]
pub(super) struct TrainArgs {}

impl TrainArgs {
    pub(super) fn run(self, _layers: &Layers) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not built yet")
    }
}
