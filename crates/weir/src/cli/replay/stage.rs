//! Processing of each window of a replay.

use flows_common::clock::nanos;
use ipnet::IpNet;
use model::{Context, HomeNets, ModelFile, Observed, Window};
use policy::{Policy, ProtectedHosts};

use collector::dry_run::DryRun;
use collector::{config::Config, event::Event, protected::read_allow_files};
use engine::{Detector, Engine, basis};

/// Processing of each window.
pub(super) enum Stage {
    /// It is joined with the past, for its features.
    Observe(Box<Past>),
    /// It is also scored and decided on.
    Score(Box<DryRun>),
}

/// The past, and the records of the last window.
pub(super) struct Past {
    context: Context,
    observed: Observed,
}

/// Stages of replays, each of which begins with an empty past.
pub(super) struct Stages<'a> {
    config: &'a Config,
    /// The model to score with, and who is protected.
    scoring: Option<(ModelFile, ProtectedHosts)>,
}

impl<'a> Stages<'a> {
    /// Scores where the configuration, or a flag, names a model.
    pub(super) fn open(config: &'a Config, home_net: &[IpNet]) -> anyhow::Result<Self> {
        let scoring = match &config.model {
            None => None,
            Some(path) => {
                let home = [HomeNets::new(home_net.iter().copied())];
                let model = crate::cli::load_model_of(path, Some(nanos(config.window)), &home)?;
                // A capture does not tell whose gateway or name server an address was.
                let allowed = read_allow_files(&config.policy.allow_files)?;
                Some((model, ProtectedHosts::default().allowing(&allowed)))
            }
        };
        Ok(Self { config, scoring })
    }

    pub(super) const fn score(&self) -> bool {
        self.scoring.is_some()
    }

    pub(super) fn begin(&self) -> Stage {
        match &self.scoring {
            None => Stage::Observe(Box::new(Past {
                context: Context::of_windows(self.config.window),
                observed: Observed::default(),
            })),
            Some((model, hosts)) => {
                let policy = Policy::new(self.config.policy.clone(), hosts.clone());
                let policy = policy.calibrated(&basis(model));
                let detector = Detector::new(
                    model.clone(),
                    Context::of_windows(self.config.window),
                    self.config.window,
                )
                .with_ipv6_hosts(self.config.policy.ipv6_hosts.length());
                Stage::Score(Box::new(DryRun::new(Engine::new(detector, policy))))
            }
        }
    }
}

impl Stage {
    /// Takes the next window, which may be the last one; `tell` gets what is found in it.
    pub(super) fn take(
        &mut self,
        window: &Window,
        last: bool,
        tell: impl FnMut(Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Observe(past) => {
                past.context.observe_into(window, &mut past.observed);
                if last {
                    past.context.finish_into(&mut past.observed);
                }
                Ok(())
            }
            Self::Score(dry_run) => dry_run.take(window, last, tell),
        }
    }

    /// The records of the last window.
    pub(super) const fn observed(&self) -> &Observed {
        match self {
            Self::Observe(past) => &past.observed,
            Self::Score(dry_run) => dry_run.observed(),
        }
    }
}
