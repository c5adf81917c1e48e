//! Blocks, and how they ended.

use events::Action;

use crate::Moment;
use crate::columns::kept;
use crate::record::{How, Origin, Prefix, Text};

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

kept! {
    Block in Blocks {
        id: "id",
        run: "run",
        target: "target",
        action: "action",
        made: "at_ns" "boot_ns",
        expires: "expires_ns" "expires_boot_ns",
        origin: "origin",
        decision: "decision",
        who: "who",
        reason: "reason",
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

kept! {
    Ending in Endings {
        block: "block",
        run: "run",
        at_ns: "at_ns",
        target: "target",
        how: "how",
        dropped_packets: "dropped_packets",
        dropped_bytes: "dropped_bytes",
        passed_packets: "passed_packets",
        passed_bytes: "passed_bytes",
    }
}
