//! `weir model export`.

use std::{path::PathBuf, process::ExitCode};

use ::model::{Channel, ModelFile, file::write_atomically};
use anyhow::Context as _;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// A `.weir` file.
    file: PathBuf,
    /// Rows that the detector measures, by kind and horizon: `peer-10s`; peers over the window if
    /// not given.
    #[arg(long, value_name = "ROWS")]
    rows: Option<Channel>,
    /// The ONNX file to write.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

impl ExportArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let model = ModelFile::load(&self.file)?;
        let rows = self.rows.unwrap_or_else(|| model.peers());
        let detector = model.detector(rows).with_context(|| {
            let known: Vec<String> = model.detectors().keys().map(Channel::to_string).collect();
            format!(
                "model `{}` has no detector of {}: it has {}",
                self.file.display(),
                rows.rows(),
                known.join(", ")
            )
        })?;
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
