//! Starts and ends of weir.

use crate::Moment;
use crate::columns::{Field, Fields, Kept};
use crate::record::{PreviousEnd, Text};
use crate::table::Table;

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

impl Kept for Run {
    const TABLE: Table = Table::Runs;
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at_ns",
        "boot_ns",
        "boot_id",
        "version",
        "config",
        "model_hash",
        "mode",
        "previous",
    ];

    fn values(&self) -> Vec<Field<'_>> {
        vec![
            self.id.into(),
            self.start.wall_ns.into(),
            self.start.boot_ns.into(),
            (&self.boot_id).into(),
            (&self.version).into(),
            (&self.config).into(),
            (&self.model).into(),
            (&self.mode).into(),
            self.previous.name().into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: fields.number()?,
            start: fields.moment()?,
            boot_id: fields.text()?,
            version: fields.text()?,
            config: fields.text()?,
            model: fields.text()?,
            mode: fields.text()?,
            previous: fields.parsed(PreviousEnd::from_name)?,
        })
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

impl Kept for Stop {
    const TABLE: Table = Table::Stops;
    const COLUMNS: &'static [&'static str] = &["run", "at_ns", "boot_ns", "why"];

    fn values(&self) -> Vec<Field<'_>> {
        vec![self.run.into(), self.at.wall_ns.into(), self.at.boot_ns.into(), (&self.why).into()]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self { run: fields.number()?, at: fields.moment()?, why: fields.text()? })
    }
}
