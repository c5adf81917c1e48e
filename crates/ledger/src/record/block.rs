//! Blocks, and how they ended.

use events::Action;

use crate::Moment;
use crate::columns::{Field, Fields, Kept};
use crate::record::{How, Origin, Prefix, Text};
use crate::table::Table;

/// A block that was made, or found standing at start.
///
/// It stands until it has an [`Ending`], or until `expires`, whichever is first.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Its number, from [`Ids`](crate::Ids): its ending refers to it.
    pub id: u64,
    /// The run that made it; [`Run::boot_id`](crate::Run::boot_id) says whose boot clock it is.
    pub run: u64,
    /// Target.
    pub target: Prefix,
    /// Action.
    pub action: Action,
    /// Time of its making.
    pub made: Moment,
    /// End by its lease. The wall-clock time counts once the machine was rebooted.
    pub expires: Moment,
    /// Origin.
    pub origin: Origin,
    /// The decision that it carries out.
    pub decision: Option<u64>,
    /// Maker, where a person made it.
    pub who: Option<Text>,
    /// Reason, in a person's words, where one was given.
    pub reason: Option<Text>,
}

impl Kept for Block {
    const TABLE: Table = Table::Blocks;
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "run",
        "target",
        "action",
        "at_ns",
        "boot_ns",
        "expires_ns",
        "expires_boot_ns",
        "origin",
        "decision",
        "who",
        "reason",
    ];

    fn values(&self) -> Vec<Field<'_>> {
        vec![
            self.id.into(),
            self.run.into(),
            self.target.into(),
            self.action.name().into(),
            self.made.wall_ns.into(),
            self.made.boot_ns.into(),
            self.expires.wall_ns.into(),
            self.expires.boot_ns.into(),
            self.origin.name().into(),
            self.decision.into(),
            self.who.as_ref().into(),
            self.reason.as_ref().into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: fields.number()?,
            run: fields.number()?,
            target: fields.parsed(|text| text.parse().ok())?,
            action: fields.parsed(Action::from_name)?,
            made: fields.moment()?,
            expires: fields.moment()?,
            origin: fields.parsed(Origin::from_name)?,
            decision: fields.optional_number()?,
            who: fields.optional_text()?,
            reason: fields.optional_text()?,
        })
    }
}

/// The end of a block, and what it did while it stood.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// The block's number.
    pub block: u64,
    /// The run that saw it end.
    pub run: u64,
    /// Time, in wall-clock ns.
    pub at_ns: i64,
    /// Target, once more: the block's own record may have been lost.
    pub target: Prefix,
    /// Kind of end.
    pub how: How,
    /// Packets it dropped; in shadow those that it would have dropped.
    pub dropped_packets: u64,
    /// Bytes it dropped.
    pub dropped_bytes: u64,
    /// Packets it passed, below its rate or in shadow.
    pub passed_packets: u64,
    /// Bytes it passed.
    pub passed_bytes: u64,
}

impl Kept for Ending {
    const TABLE: Table = Table::Endings;
    const COLUMNS: &'static [&'static str] = &[
        "block",
        "run",
        "at_ns",
        "target",
        "how",
        "dropped_packets",
        "dropped_bytes",
        "passed_packets",
        "passed_bytes",
    ];

    fn values(&self) -> Vec<Field<'_>> {
        vec![
            self.block.into(),
            self.run.into(),
            self.at_ns.into(),
            self.target.into(),
            self.how.name().into(),
            self.dropped_packets.into(),
            self.dropped_bytes.into(),
            self.passed_packets.into(),
            self.passed_bytes.into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            block: fields.number()?,
            run: fields.number()?,
            at_ns: fields.whole()?,
            target: fields.parsed(|text| text.parse().ok())?,
            how: fields.parsed(How::from_name)?,
            dropped_packets: fields.number()?,
            dropped_bytes: fields.number()?,
            passed_packets: fields.number()?,
            passed_bytes: fields.number()?,
        })
    }
}
