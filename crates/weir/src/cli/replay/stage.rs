//! Processing of each window of a replay.

use model::{Context, Observed, Window};
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
#[derive(Default)]
pub(super) struct Past {
    context: Context,
    observed: Observed,
}

impl Stage {
    /// Scores where the configuration, or a flag, names a model.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(match &config.model {
            None => Self::Observe(Box::default()),
            Some(path) => {
                let model = super::super::load_model(path)?;
                // A capture does not tell whose gateway or name server an address was.
                let allowed = read_allow_files(&config.policy.allow_files)?;
                let hosts = ProtectedHosts::default().allowing(&allowed);
                let policy = Policy::new(config.policy.clone(), hosts).calibrated(&basis(&model));
                let detector = Detector::new(model, Context::default(), config.window);
                Self::Score(Box::new(DryRun::new(Engine::new(detector, policy))))
            }
        })
    }

    pub(super) const fn scores(&self) -> bool {
        matches!(self, Self::Score(_))
    }

    /// Takes the next window; `tell` gets what is found in it.
    pub(super) fn take(
        &mut self,
        window: &Window,
        tell: impl FnMut(Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Observe(past) => {
                past.context.observe_into(window, &mut past.observed);
                Ok(())
            }
            Self::Score(dry_run) => dry_run.take(window, tell),
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
