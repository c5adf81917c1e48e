//! Acts of people, and findings of a start.

use rusqlite::types::ToSqlOutput;

use crate::columns::{Cell as _, Columns, Fields, kept};
use crate::record::{Prefix, Text};

/// Actor: the user by the socket's peer credentials, or the name of the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The user's number.
    pub uid: Option<u32>,
    /// The process.
    pub pid: Option<u32>,
    /// The name of the user or of the token.
    pub name: Text,
}

impl Columns for Actor {
    fn put<'a>(&'a self, values: &mut Vec<ToSqlOutput<'a>>) {
        values.extend([self.uid.value(), self.pid.value(), self.name.value()]);
    }

    fn take(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self { uid: fields.take()?, pid: fields.take()?, name: fields.take()? })
    }
}

/// Something that a person did, or tried to do; by the name of `weir` what became of a service: `limit`,
/// `outage`, and `closed` for the end of either.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// The run that did it for them.
    pub run: u64,
    /// Time, in wall-clock ns.
    pub at_ns: i64,
    /// Actor.
    pub who: Actor,
    /// Act: `block`, `unblock`, `allow`, `enforce`.
    pub what: Text,
    /// With which arguments, as JSON.
    pub arguments: Text,
    /// Outcome: `done`, or the reason for which it was not.
    pub outcome: Text,
}

kept! {
    Act in Acts {
        run: "run",
        at_ns: "at_ns",
        who: "uid" "pid" "name",
        what: "what",
        arguments: "arguments",
        outcome: "outcome",
    }
}

/// Something in which kernel, ledger and configuration differed at start.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The run that found it.
    pub run: u64,
    /// Time, in wall-clock ns.
    pub at_ns: i64,
    /// Kind: a code of the caller's.
    pub kind: Text,
    /// Target, where a block is concerned.
    pub target: Option<Prefix>,
    /// Both sides of it, in words.
    pub detail: Text,
    /// Remedy taken.
    pub done: Text,
}

kept! {
    Difference in Differences {
        run: "run",
        at_ns: "at_ns",
        kind: "kind",
        target: "target",
        detail: "detail",
        done: "done",
    }
}
