//! `weir adapt`: a model from elsewhere, calibrated for the traffic here.

use std::{path::PathBuf, process::ExitCode};

use ::model::{Detectors, ModelFile};
use anyhow::Context as _;
use clap::Args;
use dataset::{Dataset, Selection};
use training::adapt;

use super::{
    Layers, load_model,
    train::source::{TableRows, horizons},
};
use ::model::WARM_UP;

#[derive(Debug, Args)]
pub(super) struct AdaptArgs {
    /// The model from elsewhere.
    model: PathBuf,
    /// Feature tables of this place, of which nobody needs to know what is benign: files and folders
    /// as `weir capture` and `weir replay` write them.
    #[arg(required = true, value_name = "TABLES")]
    tables: Vec<PathBuf>,
    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

impl AdaptArgs {
    pub(super) fn run(&self, _: &Layers) -> anyhow::Result<ExitCode> {
        let model = load_model(&self.model)?;
        let dataset = Dataset::open(&self.tables)?;
        let window = horizons(&dataset)?.window();
        model.check_window(std::time::Duration::from_nanos(window.ns()))?;
        let homes = dataset.homes()?;
        homes.iter().try_for_each(|home| model.check_home(home))?;
        let mut detectors = Detectors::new();
        for (&channel, detector) in model.detectors() {
            let selection = Selection {
                horizon: Some(channel.horizon),
                skip_lossy: true,
                skip_first_windows: WARM_UP,
                ..Selection::default()
            };
            let rows = TableRows::new(&dataset, channel.kind.into(), &selection);
            match adapt(detector, &rows) {
                Ok((adapted, told)) => {
                    println!("{}: {told}", channel.rows());
                    detectors.insert(channel, adapted);
                }
                Err(error) if channel != model.peers() => {
                    println!("{}: not measured, {error}", channel.rows());
                }
                Err(error) => return Err(error).with_context(|| channel.rows()),
            }
        }
        let model = ModelFile::new(detectors, &jiff::Timestamp::now().to_string())?;
        let model = model.of_home(&homes)?;
        model.save(&self.out)?;
        println!("wrote {}; `weir eval` measures it", self.out.display());
        Ok(ExitCode::SUCCESS)
    }
}
