//! `weir demo`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use lab::Scenario;

use super::{FAILED, Layers};
use ::demo::DemoOptions;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Replay a capture instead of building a lab; also what happens without root or `CAP_BPF`.
    #[arg(long)]
    offline: bool,
    /// The capture for the offline demo, its ground truth beside it as `.truth.json`.
    #[arg(long, value_name = "FILE", default_value = "training-data/demo.pcap.zst")]
    capture: PathBuf,
    /// A built-in scenario or a TOML file.
    #[arg(long, default_value = "tour")]
    scenario: String,
    /// Time of learning.
    #[arg(long, value_name = "DURATION", default_value = "40s")]
    learn: humantime::Duration,
    /// Length of a block.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    ttl: humantime::Duration,
    /// Length of a window.
    #[arg(long, value_name = "DURATION", default_value = "500ms")]
    window: humantime::Duration,
    /// Keep the model and the events in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

impl DemoArgs {
    pub(super) fn run(self, _: &Layers) -> anyhow::Result<ExitCode> {
        let scenario = if self.scenario.contains(['/', '.']) {
            Scenario::load(self.scenario.as_ref())?
        } else {
            Scenario::builtin(&self.scenario)?
        };
        let options = DemoOptions {
            learn: self.learn.into(),
            ttl: self.ttl.into(),
            window: self.window.into(),
            scenario,
            capture: self.capture,
            offline: self.offline,
            keep: self.keep,
        };
        let report = ::demo::run(&options, |line| eprintln!("· {line}"))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            println!("\n{}", report.to_text());
        }
        Ok(if report.closed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}
