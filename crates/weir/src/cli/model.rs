//! `weir model`: looking into model files, and exchanging models with other tools.

mod export;
mod inspect;
#[cfg(feature = "research")]
mod pack;
mod versions;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Layers;
#[cfg(not(feature = "research"))]
use super::absent::pack;

#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print what a model file holds, what it was made from, and which error rates it can claim.
    Inspect(inspect::InspectArgs),
    /// Write one of a model's detectors as ONNX, for onnxruntime and other tools.
    Export(export::ExportArgs),
    /// Make a model file of ONNX models made elsewhere, calibrated on benign feature tables.
    #[command(visible_alias = "import")]
    Pack(pack::PackArgs),
    /// List the models that the running node learnt on the way.
    Versions(versions::VersionsArgs),
    /// Have the running node take an earlier model back, and stop learning.
    Rollback(versions::RollBackArgs),
    /// Have the running node stop learning, or go on.
    Learn(versions::LearnArgs),
}

impl ModelArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Inspect(args) => args.run(),
            Verb::Export(args) => args.run(),
            Verb::Pack(args) => args.run(layers),
            Verb::Versions(args) => args.run(layers),
            Verb::Rollback(args) => args.run(layers),
            Verb::Learn(args) => args.run(layers),
        }
    }
}
