//! What is done with each window of a replay.

use model::{Context, Observed, Window};

use crate::{
    config::Config, detector::Detector, event::Event, policy::Policy, rehearse::Rehearsal,
};

/// What is done with each window.
pub(super) enum Stage {
    /// It is joined with the past, for its features.
    Observe { context: Context, observed: Observed },
    /// It is also scored and decided on.
    Score(Box<Rehearsal>),
}

impl Stage {
    /// Scores where the configuration, or a flag, names a model.
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let context = Context::default();
        Ok(match &config.model {
            None => Self::Observe { context, observed: Observed::default() },
            Some(path) => {
                let detector = Detector::new(super::super::load_model(path)?, context);
                let policy = Policy::new(config.policy.clone(), []);
                Self::Score(Box::new(Rehearsal::new(detector, policy)))
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
            Self::Observe { context, observed } => {
                context.observe_into(window, observed);
                Ok(())
            }
            Self::Score(rehearsal) => rehearsal.take(window, tell),
        }
    }

    /// The records of the last window.
    pub(super) const fn observed(&self) -> &Observed {
        match self {
            Self::Observe { observed, .. } => observed,
            Self::Score(rehearsal) => rehearsal.observed(),
        }
    }
}
