//! `weir replay`: captures to windows, which are counted, written as a data set, or scored.

mod stage;
mod summary;
mod tables;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Context as _;
use clap::Args;

use self::{stage::Stage, summary::Summary, tables::Tables};
use super::{
    Layers, Overrides,
    bar::{Bar, rounded},
    capture_options, emit, show,
};
use collector::{
    event::{ActionTaken, Event},
    sink::{JsonLines, Sink as _},
};
use replay::{Replay, ThreadedReplay};

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Files of pcap or pcapng, also compressed by gzip or zstd, or `-` for standard input; the
    /// frames of several are merged by time.
    #[arg(required = true)]
    capture: Vec<PathBuf>,
    /// Local prefix; may be given several times. Private addresses without it.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    home_net: Vec<ipnet::IpNet>,
    /// Write the windows' features to this folder, as `weir capture` does live; what is there
    /// already stays.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Score the windows and say what the policy would block; the same as `--model`.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    score: Option<PathBuf>,
    /// Print each event, and at the end the summary, as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Overrides,
}

impl ReplayArgs {
    pub(super) fn run(mut self, layers: &Layers) -> anyhow::Result<ExitCode> {
        if let Some(model) = self.score.take() {
            self.overrides.model = Some(model);
        }
        let config = layers.resolve(&self.overrides)?;
        let stage = Stage::open(&config)?;
        let options = capture_options(&config, &self.home_net);
        let replay = Replay::open_all(&self.capture, options)?;
        // Behind everything that could be refused: a folder is made.
        let writer = self.out.as_deref().map(Tables::create).transpose()?;
        let events = config.events.path.as_deref().map(JsonLines::open).transpose()?;
        Run {
            bar: Bar::start(replay.captures().progress()),
            stage,
            writer,
            events,
            json: self.json,
        }
        .all(replay)
    }
}

/// A replay under way.
struct Run {
    stage: Stage,
    writer: Option<Tables>,
    events: Option<JsonLines>,
    bar: Bar,
    json: bool,
}

impl Run {
    /// Replays to the end, or to what ends it before; the summary is of what was replayed, and
    /// what was written before is whole, in either case.
    fn all(mut self, replay: Replay) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let mut summary = Summary::default();
        let mut replay = ThreadedReplay::start(replay).context("cannot start a thread")?;
        let outcome = self.take_all(&mut replay, &mut summary);
        let replay = replay.finish();
        self.bar.finish();
        let written = self.writer.take().map(Tables::finish).transpose();
        summary.finish(&replay, began.elapsed());
        if let Ok(Some(files)) = &written {
            summary.note_written(files);
        }
        emit(&if self.json { summary.to_json() } else { summary.to_text(self.stage.scores()) })?;
        outcome?;
        written?;
        Ok(ExitCode::SUCCESS)
    }

    fn take_all(
        &mut self,
        replay: &mut ThreadedReplay,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let Self { stage, writer, events, bar, json } = self;
        while let Some(window) = replay.next_window()? {
            stage.take(&window, |event| {
                if let Event::Anomaly(anomaly) = &event {
                    summary.note_anomaly(anomaly.outcome == ActionTaken::WouldBlock);
                }
                bar.aside(|| show(&event, *json));
                events.as_mut().map_or(Ok(()), |sink| sink.take(&event))?;
                Ok(())
            })?;
            let observed = stage.observed();
            if let Some(writer) = writer {
                writer.write(&window, observed)?;
            }
            summary.add(&window, observed);
            let frames = summary.frames() as f64;
            bar.advance(|seconds| format!("{} packets/s", rounded(frames / seconds)));
        }
        if let Some(events) = events {
            events.flush()?;
        }
        Ok(())
    }
}
