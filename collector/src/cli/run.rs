//! `weir run`: score live, and block as far as the mode allows.

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use flows_common::Direction;
use policy::{Policy, Protected, statistics::Basis};

use super::{Layers, Overrides, show};
use crate::{
    clock::boot_ns,
    config::{Config, Mode},
    detector::Detector,
    event::Event,
    kernel::{Attached, GuardHook},
    live::{Live, own_addresses},
    pipeline::Pipeline,
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
        let mut live = Live::open(&config)?;
        let json = self.json;
        if !json {
            println!("{}", live.describe());
        }
        let hotplug =
            live.follow(
                move |line| {
                    if json { eprintln!("weir: {line}") } else { println!("{line}") }
                },
            )?;

        let policy = Policy::new(config.policy.clone(), Protected::own(own_addresses()?))
            .calibrated(&Basis::of(&model));
        let detector = Detector::new(model, ::model::Context::default());
        let pipeline = Pipeline::score(
            live.drain(),
            config.window,
            detector,
            policy,
            live.act(&config)?,
            sinks,
        )?;
        signals.wait(self.length.map(Into::into), || pipeline.has_failed());
        let drained = pipeline.stop();
        if let Some(hotplug) = hotplug {
            hotplug.stop()?;
        }
        drained?;
        if !json {
            println!("{}", closing_words(&live, &config)?);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What still stands in the kernel when the collector goes.
fn closing_words(live: &Live, config: &Config) -> anyhow::Result<String> {
    if config.policy.mode == Mode::Observe {
        return Ok("stopped; nothing was blocked, for the mode is observe".to_owned());
    }
    let now_ns = boot_ns();
    let blocks =
        live.blocklist().list()?.iter().filter(|one| one.entry.expires_ns > now_ns).count();
    let dropped: u64 = Direction::ALL
        .iter()
        .map(|&way| live.blocklist().ledger(way).map(|ledger| ledger.dropped))
        .sum::<Result<_, _>>()?;
    // Only XDP links are pinned.
    let stays = |attached: &Attached| {
        config.guard.persist
            && matches!(attached.guard, GuardHook::XdpNative | GuardHook::XdpGeneric)
    };
    let (staying, going): (Vec<_>, Vec<_>) = live.attached().into_iter().partition(stays);
    let names = |of: &[Attached]| {
        of.iter().map(|one| one.interface.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut words = format!("stopped; the guard dropped {dropped} frames");
    if !staying.is_empty() {
        let _ = write!(
            words,
            "; {blocks} blocks stay in force on {} until their leases run out (`weir blocks` \
             lists them)",
            names(&staying)
        );
    }
    if !going.is_empty() {
        let _ = write!(words, "; none is in force on {} any more", names(&going));
    }
    Ok(words)
}
