//! `weir model inspect`.

use std::{path::PathBuf, process::ExitCode};

use ::model::DetectorModel;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print what a model file holds and which error rates it can claim.
    Inspect {
        /// A `.weir` file.
        file: PathBuf,
    },
}

impl ModelArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Verb::Inspect { file } = self.verb;
        let model = super::load_model(&file)?;
        let manifest = model.manifest();
        println!("{}: made {} by {}", file.display(), manifest.created, manifest.software);
        for (name, detector) in [("flow", model.flow()), ("peer", model.peer())] {
            println!("\n{name} model, {} ({})", detector.schema().name, detector.schema().hash);
            print!("{}", describe(detector));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(detector: &DetectorModel) -> String {
    let forest = detector.forest();
    let calibration = detector.calibration();
    let mut rows =
        vec![["feature", "least", "1 %", "median", "99 %", "most"].map(str::to_owned).to_vec()];
    for (name, range) in detector.schema().features.iter().zip(detector.ranges()) {
        let mut row = vec![name.clone()];
        row.extend(
            [range.min, range.p01, range.median, range.p99, range.max].map(super::short_number),
        );
        rows.push(row);
    }
    format!(
        "{} trees of up to {} rows, {} features, seed {}\n\
         calibrated on {} held-out rows: scores {:.3} (median) to {:.3} (highest); smallest \
         p-value {:.5} on average, {:.5} for this very calibration\n{}",
        forest.n_trees(),
        forest.max_samples(),
        forest.n_features(),
        forest.seed(),
        calibration.held_out(),
        calibration.median(),
        calibration.max(),
        1.0 / (calibration.held_out() as f64 + 1.0),
        calibration.smallest_p(),
        super::table::table(&rows)
    )
}
