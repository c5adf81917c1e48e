//! Dry run: the engine over a capture's windows, where nothing can be blocked; its decisions are
//! events.

use engine::{Arrival, CarryOut, Engine, Judged, WindowEnd};
use events::{
    ActionTaken, Decision, DecisionRecord, DriftEvent, Event, NoticeEvent, Outcome, Reason,
    ServiceEvent, ServiceLimit, Stamp, WindowEvent,
};
use jiff::Timestamp;
use model::{Observed, Window};

use crate::event::window_event;

/// An engine, and the decisions it would have made by the windows' own time.
#[derive(Debug)]
pub struct DryRun {
    engine: Engine,
    decisions: u64,
}

impl DryRun {
    /// Starts where the engine is.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine, decisions: 0 }
    }

    /// Decides on a window, which may be the last one; `tell` gets what is decided, then the window.
    ///
    /// # Errors
    /// Whatever `tell` returns.
    pub fn take(
        &mut self,
        window: &Window,
        last: bool,
        mut tell: impl FnMut(Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let judged = self.engine.step(window, Arrival { last, ..Arrival::default() });
        let peers = judged.peers;
        let summary = WindowEvent { peers, ..window_event(judged.number, window) };
        self.decisions += told(judged, self.decisions, &mut tell)?;
        tell(Event::Window(summary))
    }

    /// Records of the last window.
    #[must_use]
    pub const fn observed(&self) -> &Observed {
        self.engine.observed()
    }
}

/// Emits a window's decisions to `tell` as events, numbered on from `before`; returns their number.
///
/// # Errors
/// Whatever `tell` returns.
pub fn told(
    judged: Judged,
    before: u64,
    tell: impl FnMut(Event) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let mut teller = Teller { decisions: before, tell };
    judged.carry_out(&mut teller)?;
    Ok(teller.decisions - before)
}

struct Teller<F> {
    decisions: u64,
    tell: F,
}

impl<F: FnMut(Event) -> anyhow::Result<()>> CarryOut for Teller<F> {
    type Error = anyhow::Error;

    fn drift(&mut self, event: DriftEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Drift(event))
    }

    fn notice(&mut self, event: NoticeEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Notice(event))
    }

    fn limit(&mut self, at: WindowEnd, limit: ServiceLimit) -> anyhow::Result<()> {
        let (window, at_ns) = (at.number, at.end_ns);
        let outcome = ActionTaken::WouldBlock;
        (self.tell)(Event::Service(ServiceEvent { window, at_ns, limit, outcome }))
    }

    fn decision(
        &mut self,
        at: WindowEnd,
        _: usize,
        decision: Decision,
        reasons: Vec<Reason>,
    ) -> anyhow::Result<()> {
        self.decisions += 1;
        let stamp = Stamp {
            id: self.decisions,
            window: at.number,
            at_ns: at.end_ns,
            time: Timestamp::from_nanosecond(at.end_ns.into()).unwrap_or_default(),
        };
        let outcome = match decision.outcome {
            Outcome::Refused(_) => ActionTaken::Refused,
            Outcome::Block { .. } => ActionTaken::WouldBlock,
        };
        (self.tell)(Event::Anomaly(DecisionRecord::of(stamp, decision, outcome, reasons)))
    }
}
