//! Acts of people: each is an event with the next window, and a durable record.

use std::sync::MutexGuard;

use control::{Who, wire::Refused};
use ledger::{Actor, Record};

use super::{Inner, Node};
use crate::{
    clock::boot_ns,
    event::{ActEvent, Event},
};

/// The longest block that a person may ask for, in seconds: a year.
pub(super) const LONGEST_S: u64 = 365 * 86_400;

/// An act of a person, to be recorded.
pub(super) struct Done {
    pub(super) what: &'static str,
    pub(super) arguments: serde_json::Result<serde_json::Value>,
    /// Records of its consequences.
    pub(super) records: Vec<Record>,
}

pub(super) fn internal(error: impl std::fmt::Display) -> Refused {
    Refused::internal(error.to_string())
}

impl Node {
    /// Records an act: as an event with the next window, and durably in the ledger.
    pub(super) fn record(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        who: &Who,
        done: Done,
    ) -> Result<(), Refused> {
        let event = ActEvent {
            at_ns: boot_ns(),
            who: who.to_string(),
            what: done.what.into(),
            arguments: done.arguments.unwrap_or_default(),
            outcome: "done".to_owned(),
        };
        tracing::info!(who = event.who, what = done.what, arguments = %event.arguments, "done");
        // The block before its act, so that one who finds the act finds what it did.
        let mut records = done.records;
        records.push(self.journal.act(&event, actor(who)));
        inner.outbox.push(Event::Act(event));
        // The disk may take its time; windows must not wait for it.
        drop(inner);
        self.journal.put_durably(records).map_err(|error| {
            Refused::internal(format!("it is done, but its record is not durable: {error:#}"))
        })
    }
}

fn actor(who: &Who) -> Actor {
    match who {
        Who::Local { uid, pid, user, .. } => Actor {
            uid: Some(*uid),
            pid: pid.and_then(|pid| u32::try_from(pid).ok()),
            name: user.clone().unwrap_or_else(|| format!("uid {uid}")).into(),
        },
        Who::Token { name, .. } => Actor { uid: None, pid: None, name: name.clone().into() },
    }
}
