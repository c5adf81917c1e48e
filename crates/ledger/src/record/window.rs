//! A window of traffic.

use crate::Moment;
use crate::columns::{Field, Fields, Kept};
use crate::record::Text;
use crate::table::Table;

/// A window that was decided on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// The run it belongs to.
    pub run: u64,
    /// Its number in the run, from 1.
    pub number: u64,
    /// Begin.
    pub start: Moment,
    /// End.
    pub end: Moment,
    /// Flows in it.
    pub flows: u64,
    /// Peers in it.
    pub peers: u64,
    /// Packets seen.
    pub packets: u64,
    /// Packets that are in no flow, whatever the cause.
    pub losses: u64,
    /// It lost enough that decisions claim less.
    pub lossy: bool,
    /// The drift watch had suspended blocking.
    pub drifting: bool,
    /// Mode in force: `observe`, `shadow` or `enforce`.
    pub mode: Text,
}

impl Kept for Window {
    const TABLE: Table = Table::Windows;
    const COLUMNS: &'static [&'static str] = &[
        "run",
        "number",
        "start_ns",
        "start_boot_ns",
        "at_ns",
        "boot_ns",
        "flows",
        "peers",
        "packets",
        "losses",
        "lossy",
        "drifting",
        "mode",
    ];

    fn values(&self) -> Vec<Field<'_>> {
        vec![
            self.run.into(),
            self.number.into(),
            self.start.wall_ns.into(),
            self.start.boot_ns.into(),
            self.end.wall_ns.into(),
            self.end.boot_ns.into(),
            self.flows.into(),
            self.peers.into(),
            self.packets.into(),
            self.losses.into(),
            self.lossy.into(),
            self.drifting.into(),
            (&self.mode).into(),
        ]
    }

    fn read(fields: &mut Fields<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run: fields.number()?,
            number: fields.number()?,
            start: fields.moment()?,
            end: fields.moment()?,
            flows: fields.number()?,
            peers: fields.number()?,
            packets: fields.number()?,
            losses: fields.number()?,
            lossy: fields.flag()?,
            drifting: fields.flag()?,
            mode: fields.text()?,
        })
    }
}
