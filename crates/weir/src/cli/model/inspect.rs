//! `weir model inspect`.

mod summary;
mod text;

use std::{path::PathBuf, process::ExitCode};

use ::model::ModelFile;
use clap::Args;

use summary::Summary;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// A `.weir` file.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl InspectArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let model = ModelFile::load(&self.file)?;
        let summary = Summary::of(&self.file, &model);
        if self.json {
            println!("{}", serde_json::to_string_pretty(&summary)?);
        } else {
            print!("{}", text::describe(&summary));
        }
        Ok(ExitCode::SUCCESS)
    }
}
