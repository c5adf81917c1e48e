//! From the evidence of a window to what is decided on it.

use std::{collections::HashMap, net::IpAddr};

use events::{Decision, Drift, DriftEvent, NoticeEvent, Reason, ServiceLimit};
use policy::{Policy, Standing, Verdicts, WindowFacts};

use crate::Assessed;

/// Decisions on one window, and its facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Number of the window, from 1.
    pub number: u64,
    /// Facts of the window that were gone by.
    pub facts: WindowFacts,
    /// Peers in the window.
    pub peers: usize,
    /// State of the drift watch after the window.
    pub drift: Drift,
    /// Blocking is suspended from this window on, or not any more.
    pub drift_changed: bool,
    /// Anomalous peers, limits of services, and changes of the policy itself.
    pub verdicts: Verdicts,
    /// Features that made the scores, for peers above the calibration's range.
    pub reasons: HashMap<(IpAddr, Standing), Vec<Reason>>,
}

/// Decides on a window.
pub fn judge(policy: &mut Policy, assessed: Assessed) -> Judged {
    let Assessed { number, facts, evidence, reasons, drift, drift_changed } = assessed;
    let peers = evidence.len();
    let verdicts = policy.decide(evidence, &facts);
    Judged { number, facts, peers, drift, drift_changed, verdicts, reasons }
}

/// Number and end of a window, on the clock of the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowEnd {
    /// Its number, from 1.
    pub number: u64,
    /// Its end, in ns.
    pub end_ns: u64,
}

/// A receiver of decisions: the kernel's writer, or the teller of a dry run.
pub trait CarryOut {
    /// Failure of the receiver, which ends the window.
    type Error;

    /// Blocking is suspended for drift, or not any more.
    fn drift(&mut self, event: DriftEvent) -> Result<(), Self::Error>;

    /// The policy itself changed.
    fn notice(&mut self, event: NoticeEvent) -> Result<(), Self::Error>;

    /// A service is to be limited.
    fn limit(&mut self, at: WindowEnd, limit: ServiceLimit) -> Result<(), Self::Error>;

    /// A peer was anomalous; `rank` is its place among those of the window, from 0.
    fn decision(
        &mut self,
        at: WindowEnd,
        rank: usize,
        decision: Decision,
        reasons: Vec<Reason>,
    ) -> Result<(), Self::Error>;
}

impl Judged {
    /// Hands everything over, in the one order in which it is told: drift, changes of the policy,
    /// services, then peers by p-value.
    ///
    /// # Errors
    /// The first failure of the receiver.
    pub fn carry_out<C: CarryOut>(self, by: &mut C) -> Result<(), C::Error> {
        let Self { number, facts, drift, drift_changed, verdicts, mut reasons, .. } = self;
        let at = WindowEnd { number, end_ns: facts.end_ns };
        if drift_changed {
            by.drift(DriftEvent { window: number, at_ns: at.end_ns, drift })?;
        }
        for notice in verdicts.notices {
            by.notice(NoticeEvent { at_ns: at.end_ns, notice })?;
        }
        for limit in verdicts.services {
            by.limit(at, limit)?;
        }
        for (rank, decision) in verdicts.peers.into_iter().enumerate() {
            let reasons = reasons.remove(&decision.evidence.subject()).unwrap_or_default();
            by.decision(at, rank, decision, reasons)?;
        }
        Ok(())
    }
}
