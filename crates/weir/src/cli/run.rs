//! `weir run`: score live, and block as far as the mode allows.

use std::{fmt::Write as _, path::Path, process::ExitCode, sync::Arc, time::Instant};

use anyhow::Context as _;
use clap::Args;
use control::{Client, Server};
use flows_common::{Direction, clock::nanos};
use ipnet::IpNet;
use policy::Policy;
use training::Ongoing;

use super::{Layers, Overrides, show};
use collector::{
    clock::boot_ns,
    config::{Config, Mode},
    enforcer::{FIRST_OF_PEOPLE, GuardView},
    event::Event,
    live::Live,
    log_ins::LogIns,
    node::{Journal, ModelFacts, Node, NodeParts, Reread, RunFacts, Upkeep},
    pipeline::Pipeline,
    protected::{read_allow_files, read_hosts},
    service_manager,
    signals::{SIGHUP, Signals},
    sink::{JsonLines, Sink, SinkError},
    versions::{self, Versions},
};
use datapath::{Attached, GuardHook, TcHook};
use engine::{Detector, basis};

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
        let load = |path: &Path| super::load_model_of(path, Some(nanos(config.window)), &[]);
        let configured = config.model.as_deref().map(load).transpose()?;
        let (facts, model, versions) = versions::in_force(&config, configured)?;
        let allow_files = read_allow_files(&config.policy.allow_files)?;
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(Terminal { json: self.json })];
        if let Some(path) = &config.events.path {
            sinks.push(Box::new(JsonLines::open(path)?));
        }
        let signals = Signals::listen_for_reload()?;
        let mut live = Live::open(&config)?;
        let json = self.json;
        if !json {
            println!("{}", live.describe());
        }
        let tell =
            move |line: &str| if json { eprintln!("weir: {line}") } else { println!("{line}") };
        if let Some(versions) = &versions {
            tell(&versions.describe());
        }
        let hotplug = live.follow(tell)?;

        let policy = Policy::new(config.policy.clone(), read_hosts());
        let (policy, mut detector) = match model {
            Some(model) => {
                let policy = policy.calibrated(&basis(&model));
                let context = ::model::Context::of_windows(config.window);
                let detector = Detector::new(model, context, config.window);
                let mut detector = detector.with_ipv6_hosts(config.policy.ipv6_hosts.length());
                if versions.as_ref().is_some_and(Versions::learns) {
                    detector = detector.learn_on(Ongoing::beside_windows(config.window));
                }
                (policy, Some(detector))
            }
            None => (policy, None),
        };
        if detector.is_none() {
            tell(
                "no model: flows are counted, blocks of people and lists hold, and nothing else is \
                 decided; `weir learn` makes one, --model names it",
            );
        }
        let reread = reread(layers.clone(), self.overrides);
        let models = (facts, versions);
        let node = start_node(&config, reread, policy, allow_files, models, &live)?;
        if let Some(line) = detector.as_mut().and_then(|detector| node.take_up_past(detector)) {
            tell(&line);
        }
        if let Some(line) = detector.as_mut().and_then(|one| node.take_up_gathered(one)) {
            tell(&line);
        }
        let log_ins = config.log_ins.journal.then(|| LogIns::follow(Arc::clone(&node)));
        let log_ins = log_ins.transpose().context(
            "cannot follow the journal with `journalctl`; set `log_ins.journal = false` to do without",
        )?;
        sinks.push(Box::new(control::Node::feed(&*node)));
        let upkeep = Upkeep::start(Arc::clone(&node))?;
        let api = Server::start(&config.api, Arc::clone(&node) as Arc<dyn control::Node>)?;
        let pipeline =
            Pipeline::score(live.drain(), config.window, detector, Arc::clone(&node), sinks)?;
        service_manager::ready(&live.describe());
        let until = self.length.map(|length| Instant::now() + length.into());
        let signal = loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match signals.wait(left, || pipeline.has_failed()) {
                Some(SIGHUP) => reload(&config.api.socket),
                ended => break ended,
            }
        };
        service_manager::stopping();
        if let Some(log_ins) = log_ins {
            log_ins.stop();
        }
        api.stop();
        let drained = pipeline.stop();
        upkeep.stop()?;
        node.stop(signal.unwrap_or("its time was over"));
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

/// Does what `weir reload` does, by the same way.
fn reload(socket: &Path) {
    match Client::unix(socket).and_then(|client| client.reload()) {
        Ok(reloaded) => tracing::info!(?reloaded, "reloaded on SIGHUP"),
        Err(error) => tracing::error!(%error, "not reloaded on SIGHUP: all is as it was"),
    }
}

/// Reads the configuration anew, under the same flags.
fn reread(layers: Layers, overrides: Overrides) -> Reread {
    Box::new(move || layers.resolve(&overrides))
}

/// The node, reconciled with what an earlier run left.
fn start_node(
    config: &Config,
    reread: Reread,
    policy: Policy,
    allow_files: Vec<IpNet>,
    (model, versions): (ModelFacts, Option<Versions>),
    live: &Live,
) -> anyhow::Result<Arc<Node>> {
    let guarded = config.policy.mode != Mode::Observe;
    let guard = guarded.then(|| GuardView::new(live.blocklist().clone()));
    let entries = guard.as_ref().map(GuardView::list).transpose()?.unwrap_or_default();
    let numbers = entries.iter().map(|one| one.entry.reason);
    let taken = numbers.filter(|&number| number < FIRST_OF_PEOPLE);
    let facts = RunFacts {
        config: config.raw.digest(),
        model: model.hash.clone(),
        mode: config.policy.mode.name(),
    };
    let (journal, before) = Journal::open(&config.ledger, &facts, taken.max().unwrap_or(0))?;
    let parts = NodeParts {
        policy,
        enforcer: live.enforcer(config)?,
        journal,
        guard,
        allow_files,
        model,
        versions,
        config: Some((config.clone(), reread)),
        interfaces: live.interfaces(),
    };
    let node = Arc::new(Node::new(parts));
    node.take_over_people()?;
    node.reconcile(&before)?;
    Ok(node)
}

/// Closing message: the blocks and programs that stay in the kernel when the collector exits.
fn closing_words(live: &Live, config: &Config) -> anyhow::Result<String> {
    if config.policy.mode == Mode::Observe {
        return Ok("stopped; nothing was blocked, for the mode is observe".to_owned());
    }
    let now_ns = boot_ns();
    let blocks =
        live.blocklist().list()?.iter().filter(|one| one.entry.expires_ns > now_ns).count();
    let dropped: u64 = Direction::ALL
        .iter()
        .map(|&way| live.blocklist().guard_counters(way).map(|ledger| ledger.dropped))
        .sum::<Result<_, _>>()?;
    // Links are pinned; a clsact filter goes with the process.
    let stays = |attached: &Attached| {
        config.guard.persist
            && match attached.guard {
                GuardHook::XdpNative | GuardHook::XdpGeneric => true,
                GuardHook::TcIngress { .. } => attached.tc == TcHook::Tcx,
                GuardHook::Off => false,
            }
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
