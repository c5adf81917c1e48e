//! Dry run: the engine over a capture's windows, where nothing can be blocked; its decisions are
//! events.

use engine::{Arrival, CarryOut, Engine, Incidents, Judged, WindowEnd};
use events::{
    ActionTaken, ClosedEvent, Decision, DecisionRecord, DriftEvent, Event, NoticeEvent,
    OutageEvent, Outcome, Reason, ServiceEvent, ServiceLimit, SiteEvent, Stamp, WindowEvent,
};
use jiff::Timestamp;
use model::{Observed, Window};

use crate::event::window_event;

/// An engine, and the decisions it would have made by the windows' own time.
#[derive(Debug)]
pub struct DryRun {
    engine: Engine,
    told: Told,
}

impl DryRun {
    /// Starts where the engine is.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, told: Told::default() }
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
        let (number, peers) = (judged.number, judged.peers);
        let untold = self.told.take(judged, &mut tell)?;
        let summary = WindowEvent { peers, untold, ..window_event(number, window) };
        tell(Event::Window(summary))
    }

    /// Records of the last window.
    #[must_use]
    pub const fn observed(&self) -> &Observed {
        self.engine.observed()
    }
}

/// Decisions so far, and the incidents that they belong to.
#[derive(Debug, Default)]
pub struct Told {
    decisions: u64,
    incidents: Incidents,
}

impl Told {
    /// Emits a window's decisions to `tell` as events; the number of those that are only counted.
    ///
    /// # Errors
    /// Whatever `tell` returns.
    pub fn take(
        &mut self,
        judged: Judged,
        tell: impl FnMut(Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let Self { decisions, incidents } = self;
        judged.carry_out(incidents, &mut Teller { decisions, tell })
    }
}

struct Teller<'a, F> {
    decisions: &'a mut u64,
    tell: F,
}

impl<F: FnMut(Event) -> anyhow::Result<()>> CarryOut for Teller<'_, F> {
    type Error = anyhow::Error;

    fn drift(&mut self, event: DriftEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Drift(event))
    }

    fn notice(&mut self, event: NoticeEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Notice(event))
    }

    fn limit(
        &mut self,
        at: WindowEnd,
        (id, time): (u64, Timestamp),
        limit: ServiceLimit,
    ) -> anyhow::Result<ServiceEvent> {
        let (window, at_ns) = (at.number, at.end_ns);
        let outcome = ActionTaken::WouldBlock;
        Ok(ServiceEvent { id, time, window, at_ns, limit, outcome, incident: None })
    }

    fn stamp(&mut self, at: WindowEnd) -> (u64, Timestamp) {
        *self.decisions += 1;
        (*self.decisions, Timestamp::from_nanosecond(at.end_ns.into()).unwrap_or_default())
    }

    fn decide(
        &mut self,
        at: WindowEnd,
        decision: Decision,
        reasons: Vec<Reason>,
    ) -> anyhow::Result<DecisionRecord> {
        let (id, time) = self.stamp(at);
        let stamp = Stamp { id, window: at.number, at_ns: at.end_ns, time };
        let outcome = match decision.outcome {
            Outcome::Refused(_) => ActionTaken::Refused,
            Outcome::Block { .. } => ActionTaken::WouldBlock,
        };
        Ok(DecisionRecord::of(stamp, decision, outcome, reasons))
    }

    fn limited(&mut self, event: ServiceEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Service(event))
    }

    fn outage(&mut self, event: OutageEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Outage(event))
    }

    fn site(&mut self, event: SiteEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Site(event))
    }

    fn decided(&mut self, _: usize, record: DecisionRecord) -> anyhow::Result<()> {
        (self.tell)(Event::Anomaly(record))
    }

    fn closed(&mut self, event: ClosedEvent) -> anyhow::Result<()> {
        (self.tell)(Event::Closed(event))
    }
}
