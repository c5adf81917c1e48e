//! `weir capture`.

use std::process::ExitCode;

use clap::Args;

use super::Layers;

#[derive(Debug, Args)]
pub(super) struct CaptureArgs {}

impl CaptureArgs {
    pub(super) fn run(self, _layers: &Layers) -> anyhow::Result<ExitCode> {
        anyhow::bail!("not built yet")
    }
}
