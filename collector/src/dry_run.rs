//! Rehearsal: detector and policy over a capture's windows, where nothing can be blocked.

use events::Stamp;
use jiff::Timestamp;
use model::{Observed, Window};
use policy::Policy;

use crate::{
    enforcer::{Enforcer as _, Observe},
    event::{
        DecisionRecord, DriftEvent, Event, NoticeEvent, ServiceEvent, WindowEvent, window_event,
    },
};
use engine::detector::Detector;

/// What the live pipeline does behind the drain, in one thread and with the windows' own time.
#[derive(Debug)]
pub struct Rehearsal {
    detector: Detector,
    policy: Policy,
    windows: u64,
    decisions: u64,
}

impl Rehearsal {
    /// Starts where the detector and the policy are.
    #[must_use]
    pub const fn new(detector: Detector, policy: Policy) -> Self {
        Self { detector, policy, windows: 0, decisions: 0 }
    }

    /// Scores a window and decides on it; `tell` gets the anomalies, then the window.
    ///
    /// # Errors
    /// Whatever `tell` returns.
    pub fn take(
        &mut self,
        window: &Window,
        mut tell: impl FnMut(Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.windows += 1;
        let mut found = self.detector.assess(window);
        let evidence = std::mem::take(&mut found.evidence);
        let verdicts = self.policy.decide(evidence, &found.facts(window));
        for limit in verdicts.services {
            let outcome = Observe.limit(&limit, window.end_ns)?;
            let (window, at_ns) = (self.windows, window.end_ns);
            tell(Event::Service(ServiceEvent { window, at_ns, limit, outcome }))?;
        }
        if found.drift_changed {
            let drift = std::mem::take(&mut found.drift);
            tell(Event::Drift(DriftEvent { window: self.windows, at_ns: window.end_ns, drift }))?;
        }
        for notice in verdicts.notices {
            tell(Event::Notice(NoticeEvent { at_ns: window.end_ns, notice }))?;
        }
        for decision in verdicts.peers {
            let outcome = Observe.enforce(&decision, 0, window.end_ns)?;
            let reasons = found.reasons.remove(&decision.evidence.address).unwrap_or_default();
            self.decisions += 1;
            let stamp = Stamp {
                id: self.decisions,
                window: self.windows,
                at_ns: window.end_ns,
                time: Timestamp::from_nanosecond(window.end_ns.into()).unwrap_or_default(),
            };
            tell(Event::Anomaly(DecisionRecord::of(stamp, decision, outcome, reasons)))?;
        }
        let summary = WindowEvent { peers: found.peers, ..window_event(self.windows, window) };
        tell(Event::Window(summary))
    }

    /// The records of the last window taken.
    #[must_use]
    pub const fn observed(&self) -> &Observed {
        self.detector.observed()
    }

    /// Windows taken.
    #[must_use]
    pub const fn windows(&self) -> u64 {
        self.windows
    }
}
