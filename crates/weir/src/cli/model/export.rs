//! `weir model export`.

use std::{path::PathBuf, process::ExitCode};

use ::model::{ModelFile, file::write_atomically};
use anyhow::Context as _;
use clap::Args;

use super::Table;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A `.weir` file.
    file: PathBuf,
    /// Which of its detectors.
    #[arg(long, value_enum)]
    table: Table,
    /// The ONNX file to write.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

impl ExportArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let model = ModelFile::load(&self.file)?;
        let detector = match self.table {
            Table::Flow => model.flow(),
            Table::Peer => model.peer(),
        };
        let bytes =
            detector.to_onnx().with_context(|| format!("model `{}`", self.file.display()))?;
        write_atomically(&self.out, &bytes)
            .with_context(|| format!("cannot write `{}`", self.out.display()))?;
        println!(
            "wrote {}: {} of {} features ({}); its scores are {}",
            self.out.display(),
            detector.scorer().kind(),
            detector.inputs().len(),
            detector.inputs().names().join(", "),
            if detector.forest().is_some() {
                "those of weir, to 1e-6"
            } else {
                "the raw ones, before weir brings them into [0, 1]"
            }
        );
        Ok(ExitCode::SUCCESS)
    }
}
