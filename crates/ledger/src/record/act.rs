//! Acts of people, and findings of a start.

use crate::columns::{Field, Fields, Kept};
use crate::record::{Prefix, Text};
use crate::table::Table;

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

/// Something that a person did, or tried to do.
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

impl Kept for Act {
    const TABLE: Table = Table::Acts;
    const COLUMNS: &'static [&'static str] =
        &["run", "at_ns", "uid", "pid", "name", "what", "arguments", "outcome"];

    fn values(&self) -> Vec<Field<'_>> {
        vec![
            self.run.into(),
            self.at_ns.into(),
            self.who.uid.into(),
            self.who.pid.into(),
            (&self.who.name).into(),
            (&self.what).into(),
            (&self.arguments).into(),
            (&self.outcome).into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run: fields.number()?,
            at_ns: fields.whole()?,
            who: Actor { uid: fields.small()?, pid: fields.small()?, name: fields.text()? },
            what: fields.text()?,
            arguments: fields.text()?,
            outcome: fields.text()?,
        })
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

impl Kept for Difference {
    const TABLE: Table = Table::Differences;
    const COLUMNS: &'static [&'static str] = &["run", "at_ns", "kind", "target", "detail", "done"];

    fn values(&self) -> Vec<Field<'_>> {
        vec![
            self.run.into(),
            self.at_ns.into(),
            (&self.kind).into(),
            self.target.into(),
            (&self.detail).into(),
            (&self.done).into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run: fields.number()?,
            at_ns: fields.whole()?,
            kind: fields.text()?,
            target: fields.optional_parsed(|text| text.parse().ok())?,
            detail: fields.text()?,
            done: fields.text()?,
        })
    }
}
