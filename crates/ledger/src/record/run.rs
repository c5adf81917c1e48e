//! Starts and ends of weir.

use crate::Moment;
use crate::columns::kept;
use crate::record::{PreviousEnd, Text};

/// A start of weir. Its record comes before all others of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number, from [`Ids`](crate::Ids).
    pub id: u64,
    /// Start.
    pub start: Moment,
    /// Boot: `/proc/sys/kernel/random/boot_id`. Boot-clock times of this run are its.
    pub boot_id: Text,
    /// The version of weir.
    pub version: Text,
    /// A digest of the configuration.
    pub config: Text,
    /// The hash of the model it started with; empty for none yet.
    pub model: Text,
    /// The mode it started in.
    pub mode: Text,
    /// End of the run before: [`LastRun::ended`](crate::LastRun::ended).
    pub previous: PreviousEnd,
}

kept! {
    Run in Runs {
        id: "id",
        start: "at_ns" "boot_ns",
        boot_id: "boot_id",
        version: "version",
        config: "config",
        model: "model_hash",
        mode: "mode",
        previous: "previous",
    }
}

/// An end in good order; a run without one died.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// The run that ended.
    pub run: u64,
    /// Time.
    pub at: Moment,
    /// Reason: `signal`, `command`.
    pub why: Text,
}

kept! {
    Stop in Stops {
        run: "run",
        at: "at_ns" "boot_ns",
        why: "why",
    }
}
