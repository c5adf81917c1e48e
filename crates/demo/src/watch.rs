//! Keeping what the pipeline tells, to make the report of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::Window;

use super::report::Accounting;
use collector::{
    event::{
        DecisionRecord, Event, ExpiredEvent, FailureEvent, ServiceEvent, SiteEvent, WindowEvent,
        window_event,
    },
    sink::{Sink, SinkError},
};

/// Log of events, shared between the pipeline's sink and the demo.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    log: Arc<Mutex<Log>>,
}

/// Events so far.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) accounting: Accounting,
    pub(super) anomalies: Vec<DecisionRecord>,
    pub(super) expired: Vec<ExpiredEvent>,
    pub(super) failures: Vec<FailureEvent>,
    /// Alarms on the host's own side, and limits of its services.
    pub(super) sites: Vec<SiteEvent>,
    pub(super) limits: Vec<ServiceEvent>,
    decided_after_us: Vec<u64>,
    losses: BTreeMap<events::Text, u64>,
}

impl Watch {
    /// Looks at the log, which takes no new events meanwhile.
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a window that the pipeline did not score.
    pub(super) fn count(&self, window: &Window, late: u64) {
        let event = WindowEvent { late, ..window_event(0, window) };
        self.log().count(&event, window.is_lossy());
    }
}

impl Log {
    fn count(&mut self, window: &WindowEvent, lossy: bool) {
        let sums = &mut self.accounting;
        sums.windows += 1;
        sums.lossy_windows += u64::from(lossy);
        sums.late_windows += u64::from(window.late > 0);
        for way in 0..2 {
            sums.packets[way] += window.packets[way];
        }
        sums.packets_in_flows += window.packets_in_flows;
        sums.evicted_packets += window.evicted[1];
        sums.imbalance += window.imbalance.unsigned_abs();
        for (cause, packets) in &window.losses {
            *self.losses.entry(cause.clone()).or_default() += packets;
        }
    }

    /// The sums so far.
    pub(super) fn accounting(&self) -> Accounting {
        let mut times = self.decided_after_us.clone();
        times.sort_unstable();
        let median = times.get(times.len() / 2).map(|&us| us as f64 / 1e3);
        Accounting {
            losses: self.losses.clone().into_iter().collect(),
            decided_after_ms: median,
            ..self.accounting.clone()
        }
    }
}

impl Sink for Watch {
    fn take(&mut self, event: &Event) -> Result<(), SinkError> {
        let mut log = self.log();
        match event {
            Event::Window(window) => {
                if window.decided_after_us > 0 {
                    log.decided_after_us.push(window.decided_after_us);
                }
                log.count(window, window.evicted[0] > 0);
            }
            Event::Anomaly(anomaly) => log.anomalies.push(anomaly.clone()),
            Event::Expired(expired) => log.expired.push(expired.clone()),
            Event::Failure(failure) => log.failures.push(failure.clone()),
            Event::Site(site) => log.sites.push(site.clone()),
            Event::Service(limit) => log.limits.push(*limit),
            Event::Outage(_)
            | Event::Closed(_)
            | Event::Notice(_)
            | Event::Drift(_)
            | Event::Model(_)
            | Event::Act(_)
            | Event::Difference(_)
            | Event::Other => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}
