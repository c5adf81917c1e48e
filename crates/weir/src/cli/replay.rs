//! `weir replay`: captures to windows, which are counted, written as a data set, or scored.

mod each;
mod run;
mod stage;
mod summary;
mod tables;

use std::{
    num::NonZero,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use clap::Args;

use self::{run::Run, stage::Stages, summary::State, tables::Tables};
use super::{
    IN_PART, Layers, NOTHING, Overrides,
    bar::Bar,
    capture_options,
    captures::{Looked, expand, guessed},
    emit, end_with, show,
};
use collector::{
    config::Config,
    event::Event,
    sink::{JsonLines, Sink as _},
};

/// What to do with captures that are of no one time.
const APART: &str = "take each by itself with --each, or all as one with --merge";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct ReplayArgs {
    /// Captures of pcap or pcapng, also compressed by gzip or zstd: files, folders for all below
    /// them, patterns such as `'day-*.pcap'`, or `-` for standard input. The frames of several are
    /// merged by time.
    #[arg(required = true)]
    capture: Vec<PathBuf>,
    /// Local prefix; may be given several times. Private addresses without it, where these tell the
    /// side of nearly all packets.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    home_net: Vec<ipnet::IpNet>,
    /// Write the windows' features to this folder, as `weir capture` does live, and the whole flows
    /// beside them; rows that were made of the same frames before are replaced, others stay.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Score the windows and say what the policy would block; the same as `--model`.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    score: Option<PathBuf>,
    /// Replay each capture by itself, with nothing of the others in its past.
    #[arg(long)]
    each: bool,
    /// Captures that are replayed at once with --each; as many as there are processors if not given.
    #[arg(long, value_name = "NUMBER", requires = "each")]
    jobs: Option<NonZero<usize>>,
    /// Go on after a capture that cannot be replayed, with --each.
    #[arg(long, requires = "each")]
    skip_bad: bool,
    /// Merge captures by time even where there are days between them.
    #[arg(long, conflicts_with = "each")]
    merge: bool,
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
        let stages = Stages::open(&config, &self.home_net)?;
        let paths = expand(&self.capture)?;
        if self.each {
            return each::run(&self, &config, &stages, &paths);
        }
        let looked = self.look(paths, &stages)?;
        if !self.merge {
            looked.require_one_time(APART)?;
        }
        let events = config.events.path.as_deref().map(JsonLines::open).transpose()?;
        let events = Mutex::new(events);
        let tell = |event: &Event| {
            show(event, self.json);
            let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
            events.as_mut().map_or(Ok(()), |sink| sink.take(event))?;
            Ok(())
        };
        let replay = looked.open(capture_options(&config))?;
        let run = Run {
            // Behind everything that could be refused: a folder is made.
            writer: self.tables(&looked, &config)?,
            bar: Bar::start(replay.captures().progress()),
            stage: stages.begin(),
            tell: &tell,
        };
        let (mut summary, outcome) = run.all(replay);
        summary.note_home(guessed(&looked.home_side()).filter(|_| self.home_net.is_empty()));
        emit(&if self.json { summary.to_json() } else { summary.to_text(stages.score()) })?;
        outcome?;
        if let Some(events) = events.into_inner().unwrap_or_else(PoisonError::into_inner).as_mut() {
            events.flush()?;
        }
        Ok(match summary.state() {
            State::Done => ExitCode::SUCCESS,
            State::InPart => end_with(IN_PART, &summary.lost_records()),
            State::Nothing => end_with(NOTHING, "there is no frame in the captures"),
        })
    }

    /// Looks through captures, whose home side must be told where rows or verdicts are made of it.
    fn look(&self, paths: Vec<PathBuf>, stages: &Stages<'_>) -> anyhow::Result<Looked> {
        let looked = Looked::at(paths, &self.home_net, self.out.is_some())?;
        if self.out.is_some() {
            looked.require_files()?;
        }
        if self.out.is_some() || stages.score() {
            looked.require_home()?;
        }
        Ok(looked)
    }

    /// The tables that are written of captures, where any are.
    fn tables(&self, looked: &Looked, config: &Config) -> anyhow::Result<Option<Tables>> {
        let create = |folder: &PathBuf| Tables::create(folder, looked, config.window);
        self.out.as_ref().map(create).transpose()
    }
}
