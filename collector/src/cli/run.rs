//! `weir run`: score live, and block as far as the mode allows.

use std::process::ExitCode;

use clap::Args;
use flows_common::Direction;

use super::{Layers, Overrides, show};
use crate::{
    detector::Detector,
    event::Event,
    live::{Live, own_addresses},
    pipeline::Pipeline,
    policy::Policy,
    signals::Signals,
    sink::{JsonLines, Sink, SinkError},
};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Print each event as a JSON object.
    #[arg(long)]
    json: bool,
    /// Stop after this long; without it, run until a signal.
    #[arg(long = "for", value_name = "DURATION")]
    length: Option<humantime::Duration>,
    #[command(flatten)]
    overrides: Overrides,
}

/// Events on standard output.
struct Terminal {
    json: bool,
}

impl Sink for Terminal {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        show(event, self.json);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl RunArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.resolve(&self.overrides)?;
        let model = super::load_model(config.require_model()?)?;
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(Terminal { json: self.json })];
        if let Some(path) = &config.events.path {
            sinks.push(Box::new(JsonLines::open(path)?));
        }
        let signals = Signals::listen()?;
        let live = Live::open(&config)?;
        if !self.json {
            println!("{}", live.describe());
        }

        let detector = Detector::new(model, ::model::Context::default());
        let policy = Policy::new(config.policy.clone(), own_addresses()?);
        let pipeline = Pipeline::score(
            live.drain(),
            config.window,
            detector,
            policy,
            live.act(&config)?,
            sinks,
        )?;
        signals.wait(self.length.map(Into::into), || pipeline.has_failed());
        pipeline.stop()?;
        if !self.json {
            println!("{}", closing_words(&live)?);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What still stands in the kernel when the collector goes.
fn closing_words(live: &Live) -> anyhow::Result<String> {
    let entries = live.blocklist().list()?.len();
    let dropped: u64 = Direction::ALL
        .iter()
        .map(|&way| live.blocklist().ledger(way).map(|ledger| ledger.dropped))
        .sum::<Result<_, _>>()?;
    Ok(format!(
        "stopped; the guard dropped {dropped} frames, and {entries} entries stand until their leases run \
         out"
    ))
}
