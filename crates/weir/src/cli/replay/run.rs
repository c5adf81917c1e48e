//! A replay under way.

use std::time::Instant;

use anyhow::Context as _;

use super::{stage::Stage, summary::Summary, tables::Tables};
use crate::cli::bar::{Bar, rounded};
use collector::event::{ActionTaken, Event};
use replay::{Replay, ThreadedReplay};

/// A replay under way.
pub(super) struct Run<'a> {
    pub(super) stage: Stage,
    pub(super) writer: Option<Tables>,
    pub(super) bar: Bar,
    /// Takes each event.
    pub(super) tell: &'a (dyn Fn(&Event) -> anyhow::Result<()> + Sync),
}

impl Run<'_> {
    /// Replays to the end, or to what ends it before; the summary is of what was replayed, and
    /// what was written before is whole, in either case.
    pub(super) fn all(mut self, replay: Replay) -> (Summary, anyhow::Result<()>) {
        let began = Instant::now();
        let mut summary = Summary::default();
        let mut replay = match ThreadedReplay::start(replay).context("cannot start a thread") {
            Ok(replay) => replay,
            Err(error) => return (summary, Err(error)),
        };
        let outcome = self.take_all(&mut replay, &mut summary);
        let replay = replay.finish();
        self.bar.finish();
        let written = self.writer.take().map(Tables::finish).transpose();
        summary.finish(&replay, began.elapsed());
        let written = written.map(|written| written.iter().for_each(|it| summary.note_written(it)));
        (summary, outcome.and(written))
    }

    fn take_all(
        &mut self,
        replay: &mut ThreadedReplay,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let Self { stage, writer, bar, tell } = self;
        let mut next = replay.next_window()?;
        while let Some(window) = next.take() {
            next = replay.next_window()?;
            stage.take(&window, next.is_none(), |event| {
                if let Event::Anomaly(anomaly) = &event {
                    summary.note_anomaly(anomaly.outcome == ActionTaken::WouldBlock);
                }
                let mut told = Ok(());
                bar.aside(|| told = tell(&event));
                told
            })?;
            let observed = stage.observed();
            if let Some(writer) = writer {
                writer.write(&window, observed)?;
            }
            summary.add(&window, observed);
            let frames = summary.frames() as f64;
            bar.advance(|seconds| format!("{} packets/s", rounded(frames / seconds)));
        }
        Ok(())
    }
}
