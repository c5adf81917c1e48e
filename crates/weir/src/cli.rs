//! The command line: arguments as typed, then one module a command.
//!
//! Exit codes: 0 done, [`FAILED`] it did not work (or, for `demo`, the loop did not close), 2 the
//! command line is wrong, [`IN_PART`] done with what could be read, [`NOTHING`] there was nothing to
//! do it with.

#[cfg(not(all(feature = "research", feature = "top")))]
mod absent;
#[cfg(feature = "research")]
mod adapt;
mod alerts;
mod allow;
mod bar;
mod blocks;
#[cfg(feature = "research")]
mod capture;
mod captures;
mod config;
#[cfg(feature = "lab")]
mod demo;
mod doctor;
#[cfg(feature = "research")]
mod eval;
mod events;
#[cfg(feature = "research")]
mod experiment;
#[cfg(feature = "research")]
mod explain;
mod import;
#[cfg(feature = "lab")]
mod lab;
#[cfg(feature = "research")]
mod label;
mod learn;
mod maintenance;
mod mode;
mod model;
mod node;
mod page;
mod panic;
#[cfg(feature = "research")]
mod reading;
mod replay;
mod run;
#[cfg(feature = "research")]
mod score;
#[cfg(feature = "research")]
mod selection;
mod setup;
mod status;
mod token;
#[cfg(feature = "top")]
mod top;
#[cfg(feature = "research")]
mod train;
mod why;

use std::{
    io::{IsTerminal, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ::model::{HomeNets, ModelFile, schema};
#[cfg(not(feature = "top"))]
use absent::top;
#[cfg(not(feature = "research"))]
use absent::{adapt, capture, eval, experiment, explain, label, score, train};
#[cfg(not(feature = "lab"))]
use absent::{demo, lab};
use anyhow::Context as _;
use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use flows_common::Action;
use tracing_subscriber::EnvFilter;

use report::text::columns as table;

use ::replay::ReplayOptions;
use collector::{
    config::{Config, Mode, RawConfig, XdpChoice},
    event::Event,
    event_text::describe,
};

/// The exit code of a command that failed.
pub(crate) const FAILED: u8 = 1;
/// The exit code of a command that did what it could with a part of its input: a capture that is
/// cut, one of many that is none, a truth of which a part matches nothing.
pub(crate) const IN_PART: u8 = 3;
/// The exit code of a command that found nothing: no frame, no row, no match.
pub(crate) const NOTHING: u8 = 4;

/// Says on standard error why a command ends with an exit code of its own.
pub(crate) fn end_with(code: u8, why: &str) -> ExitCode {
    eprintln!("weir: {}: {why}", if code == NOTHING { "nothing found" } else { "done in part" });
    ExitCode::from(code)
}

/// Measure a host's network flows in the kernel, score them, and block what is anomalous.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    layers: Layers,
    #[command(subcommand)]
    command: Command,
}

/// The log filter where none is named.
const LOG: &str = "warn";

/// Where the configuration comes from, besides a command's own flags.
#[derive(Clone, Debug, Args)]
struct Layers {
    /// A TOML file; `WEIR__SECTION__KEY` in the environment goes over it, flags over both.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log filter for standard error, in `tracing` syntax: `info`, `debug`, `collector=trace`.
    #[arg(long, global = true, value_name = "FILTER", default_value = LOG, env = "WEIR_LOG")]
    log: String,
}

/// Declares the commands; each has arguments, which run it.
macro_rules! commands {
    ($($(#[$meta:meta])* $command:ident($arguments:ty),)*) => {
        #[derive(Debug, Subcommand)]
        enum Command {
            $($(#[$meta])* $command($arguments),)*
        }

        impl Command {
            fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
                match self {
                    $(Self::$command(args) => args.run(layers),)*
                }
            }
        }
    };
}

commands! {
    /// Show the whole loop in a lab on this machine: learn, attack, detect, block, expire.
    Demo(demo::DemoArgs),
    /// Begin: choose what to watch, write the configuration, start, and say what comes next.
    Setup(setup::SetupArgs),
    /// Score an interface's flows live; block as far as the mode allows.
    Run(run::RunArgs),
    /// Learn what is benign from an interface or a capture, and write a model.
    Learn(learn::LearnArgs),
    /// Run a capture through model and policy and say what would be blocked.
    Replay(replay::ReplayArgs),
    /// Capture live feature windows to Parquet files.
    Capture(capture::CaptureArgs),
    /// Join ground truth to captured feature tables.
    Label(label::LabelArgs),
    /// Train detectors on feature tables and write a model.
    Train(train::TrainArgs),
    /// Calibrate a model from elsewhere for the traffic here, by tables that nobody has labelled.
    Adapt(adapt::AdaptArgs),
    /// Measure how well models tell attacks from benign traffic.
    Eval(eval::EvalArgs),
    /// Score feature tables with a model.
    Score(score::ScoreArgs),
    /// Try settings on captures or tables: what each would block, and whom that would hurt.
    Experiment(experiment::ExperimentArgs),
    /// Say why a model finds rows anomalous.
    Explain(explain::ExplainArgs),
    /// Show the running node at a glance.
    Status(status::StatusArgs),
    /// Watch the running node in this terminal.
    Top(top::TopArgs),
    /// Say where the packets of an address or a flow went: weir's doing, the kernel's, or neither.
    Why(why::WhyArgs),
    /// List anomalous peers, and what was done about them.
    Alerts(alerts::AlertsArgs),
    /// Follow what the running node tells: findings, blocks and their ends, changes, losses.
    Events(events::EventsArgs),
    /// Open the running node's page in a browser of this machine.
    Page(page::PageArgs),
    /// Change the running node's mode.
    Mode(mode::ModeArgs),
    /// Let the running node drop, for good or until it would have to be confirmed.
    Enforce(mode::EnforceArgs),
    /// Confirm an enforcement that would fall back.
    Confirm(mode::ConfirmArgs),
    /// Close the breaker: let blocks drop again.
    Rearm(mode::RearmArgs),
    /// Say that services will fail for a while, so that nobody is blocked for it.
    Maintenance(maintenance::MaintenanceArgs),
    /// Have the running node read allow files, tokens and configuration again.
    Reload(mode::ReloadArgs),
    /// Add, remove and list what is never blocked.
    Allow(allow::AllowArgs),
    /// Make tokens for the HTTP interface.
    Token(token::TokenArgs),
    /// List the blocks that stand in the kernel.
    Blocks(blocks::BlocksArgs),
    /// Have the running node block an address or a prefix.
    Block(blocks::BlockArgs),
    /// Have the running node block every address and prefix of a list: text, CIDR lists, CSV.
    Import(import::ImportArgs),
    /// Take a block back.
    Unblock(blocks::UnblockArgs),
    /// Take everything of weir's out of the kernel at once, whether or not a node runs.
    Panic(panic::PanicArgs),
    /// Remove the pinned guard and every block from the kernel.
    Detach(blocks::DetachArgs),
    /// Check what this machine can do and what was left behind.
    Doctor(doctor::DoctorArgs),
    /// Build, list and remove labs of network namespaces; make up captures.
    Lab(lab::LabArgs),
    /// Look into a model file.
    Model(model::ModelArgs),
    /// Show or check the configuration.
    Config(config::ConfigArgs),
}

impl Arguments {
    /// True for commands that continue when standard output is closed: they have hooks, labs or
    /// files to take down or to finish.
    #[must_use]
    pub(crate) const fn outlives_its_reader(&self) -> bool {
        matches!(
            self.command,
            Command::Demo(_)
                | Command::Run(_)
                | Command::Learn(_)
                | Command::Capture(_)
                | Command::Lab(_)
                | Command::Page(_)
        )
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The failure, with its remedy, in one line.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        // A demo tells of incidents by itself.
        let own = matches!(self.command, Command::Demo(_)) && self.layers.log == LOG;
        self.layers.start_log(if own { "error" } else { &self.layers.log })?;
        self.command.run(&self.layers)
    }
}

impl Layers {
    fn start_log(&self, filter: &str) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| anyhow::anyhow!("--log `{}`: {error}", self.log))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .init();
        Ok(())
    }

    fn raw(&self) -> anyhow::Result<RawConfig> {
        Ok(RawConfig::read(self.config.as_deref())?)
    }

    /// The valid configuration under a command's own flags.
    fn resolve(&self, flags: &Overrides) -> anyhow::Result<Config> {
        let mut raw = self.raw()?;
        flags.apply(&mut raw);
        Ok(raw.check()?)
    }
}

/// Flags that go over configuration keys.
#[derive(Clone, Debug, Default, Args)]
struct Overrides {
    /// An interface to watch, by name or glob; may be given several times.
    #[arg(long, short, value_name = "NAME")]
    interface: Vec<String>,
    /// Length of a window, 100ms to 60s.
    #[arg(long, value_name = "DURATION")]
    window: Option<humantime::Duration>,
    /// The model to score with.
    #[arg(long, short, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Action allowed on an anomaly.
    #[arg(long, value_parser = modes())]
    mode: Option<Mode>,
    /// Length of a first block.
    #[arg(long, value_name = "DURATION")]
    ttl: Option<humantime::Duration>,
    /// Where the guard hooks in.
    #[arg(long, value_enum)]
    xdp: Option<XdpChoice>,
    /// An address or prefix that is never blocked; may be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = address_list::parse_net)]
    allow: Vec<ipnet::IpNet>,
    /// A file that gets one JSON object for each event.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

impl Overrides {
    fn apply(&self, raw: &mut RawConfig) {
        if !self.interface.is_empty() {
            raw.capture.interfaces.clone_from(&self.interface);
        }
        if let Some(window) = self.window {
            raw.capture.window = window.into();
        }
        if let Some(model) = &self.model {
            raw.model.path = Some(model.clone());
        }
        if let Some(mode) = self.mode {
            raw.policy.mode = mode;
        }
        if let Some(ttl) = self.ttl {
            raw.policy.ttl = ttl.into();
        }
        if let Some(xdp) = self.xdp {
            raw.guard.xdp = xdp;
        }
        raw.policy.allow.extend(&self.allow);
        if let Some(events) = &self.events {
            raw.events.path = Some(events.clone());
        }
    }
}

/// Loads a model, and makes sure that it was trained on windows of this length, and with no other home
/// side of the same network.
fn load_model_of(
    path: &Path,
    window_ns: Option<u64>,
    homes: &[HomeNets],
) -> anyhow::Result<ModelFile> {
    let model = load_model(path)?;
    let of_model = || format!("cannot use model `{}`", path.display());
    if let Some(window_ns) = window_ns {
        model.check_window(Duration::from_nanos(window_ns)).with_context(of_model)?;
    }
    homes.iter().try_for_each(|home| model.check_home(home)).with_context(of_model)?;
    Ok(model)
}

/// Loads a model and makes sure that it is of this build's features.
fn load_model(path: &Path) -> anyhow::Result<ModelFile> {
    let model = ModelFile::load(path)?;
    model
        .check_schemas(schema::schema_id)
        .with_context(|| format!("cannot use model `{}`", path.display()))?;
    Ok(model)
}

/// Replay options under this configuration.
fn capture_options(config: &Config) -> ReplayOptions {
    ReplayOptions::default().window(config.window).capacity(config.tables.flows as usize)
}

/// Prints an event: as JSON, or as text, where only events of interest to a person appear.
fn show(event: &Event, json: bool) {
    match event {
        Event::Failure(failure) if !json => {
            eprintln!("weir: {}: {}", failure.what, failure.error);
        }
        event => {
            if let Some(line) = line_of(event, json) {
                println!("{line}");
            }
        }
    }
}

/// An event as a line: as JSON, or as text, where it is of interest to a person.
fn line_of(event: &Event, json: bool) -> Option<String> {
    // The events hold nothing that JSON could not.
    if json { serde_json::to_string(event).ok() } else { describe(event) }
}

/// Writes to standard output; a reader that has seen enough is no error.
fn emit(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output"),
    }
}

/// The modes by name.
fn modes() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(Mode::name))
        .try_map(|name| Mode::from_name(&name).ok_or("no such mode"))
}

/// The actions by name.
fn actions() -> impl TypedValueParser<Value = Action> {
    PossibleValuesParser::new(Action::ALL.map(Action::name))
        .try_map(|name| Action::from_name(&name).ok_or("no such action"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
