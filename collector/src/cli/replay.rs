//! `weir replay`: a capture through model and policy; what would be blocked.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Layers, Overrides, capture_options, show};
use crate::{
    detector::Detector,
    event::{AnomalyEvent, Deed, Event, WindowEvent},
    pipeline::{Act as _, Observe},
    policy::Policy,
    sink::{JsonLines, Sink},
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
        let mut detector = Detector::new(model, model::Context::default());
        let mut policy = Policy::new(config.policy.clone(), []);
        let mut replay = Replay::open(&self.capture, capture_options(&config, &self.home_net))?;
        let mut file = config.events.path.as_deref().map(JsonLines::open).transpose()?;
        let mut tell = |event: &Event| -> anyhow::Result<()> {
            show(event, self.json);
            file.as_mut().map_or(Ok(()), |sink| sink.take(event))?;
            Ok(())
        };

        let (mut windows, mut anomalies, mut blocks) = (0, 0_u64, 0_u64);
        while let Some(window) = replay.next_window()? {
            windows += 1;
            let mut found = detector.assess(&window)?;
            let evidence = std::mem::take(&mut found.evidence);
            for decision in policy.decide(evidence, window.end_ns, window.is_lossy()) {
                anomalies += 1;
                let deed = Observe.act(&decision, window.end_ns)?;
                blocks += u64::from(deed == Deed::WouldBlock);
                let reasons = found.reasons.remove(&decision.evidence.address).unwrap_or_default();
                let event = AnomalyEvent::of(windows, window.end_ns, &decision, deed, reasons);
                tell(&Event::Anomaly(event))?;
            }
            let summary = WindowEvent { peers: found.peers, ..WindowEvent::of(windows, &window) };
            tell(&Event::Window(summary))?;
        }
        let report = replay.report();
        if !self.json {
            println!(
                "{} frames in {windows} windows; {anomalies} anomalous peer windows, {blocks} \
                 blocks would be made; {} records lost",
                report.capture.frames,
                report.capture.lost()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
