//! `weir replay`: a capture through model and policy; what would be blocked.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Layers, Overrides, capture_options, show};
use crate::{
    detector::Detector,
    event::{Deed, Event},
    policy::Policy,
    rehearse::Rehearsal,
    sink::{JsonLines, Sink as _},
    source::pcap::Replay,
};

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// A pcap or pcapng file.
    capture: PathBuf,
    /// What is local; may be given several times. Private addresses if none is.
    #[arg(long, value_name = "PREFIX", value_parser = super::prefix)]
    home_net: Vec<ipnet::IpNet>,
    /// Print each event as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Overrides,
}

impl ReplayArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let config = layers.resolve(&self.overrides)?;
        let model = super::load_model(config.require_model()?)?;
        let detector = Detector::new(model, ::model::Context::default());
        let policy = Policy::new(config.policy.clone(), []);
        let mut rehearsal = Rehearsal::new(detector, policy);
        let mut replay = Replay::open(&self.capture, capture_options(&config, &self.home_net))?;
        let mut file = config.events.path.as_deref().map(JsonLines::open).transpose()?;
        let (mut anomalies, mut blocks) = (0_u64, 0_u64);
        while let Some(window) = replay.next_window()? {
            rehearsal.take(&window, |event| {
                if let Event::Anomaly(anomaly) = &event {
                    anomalies += 1;
                    blocks += u64::from(anomaly.deed == Deed::WouldBlock);
                }
                show(&event, self.json);
                file.as_mut().map_or(Ok(()), |sink| sink.take(&event))?;
                Ok(())
            })?;
        }
        let report = replay.report();
        if !self.json {
            println!(
                "{} frames in {} windows; {anomalies} anomalous peer windows, {blocks} \
                 blocks would be made; {} records lost",
                report.capture.frames,
                rehearsal.windows(),
                report.capture.lost()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
