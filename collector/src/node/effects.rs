//! Effects of a step: what is told and recorded of it.

use ledger::Record;
use report::text::one_line;

use crate::event::{Event, FailureEvent};

/// Events and records of a step, not yet emitted.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) events: Vec<Event>,
    pub(super) records: Vec<Record>,
}

impl Effects {
    pub(super) fn failed(&mut self, what: &'static str, error: &anyhow::Error) {
        let error = one_line(error.chain());
        self.events.push(Event::Failure(FailureEvent { what: what.into(), error }));
    }
}
