//! A window of traffic.

use crate::Moment;
use crate::columns::kept;
use crate::record::Text;

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

kept! {
    Window in Windows {
        run: "run",
        number: "number",
        start: "start_ns" "start_boot_ns",
        end: "at_ns" "boot_ns",
        flows: "flows",
        peers: "peers",
        packets: "packets",
        losses: "losses",
        lossy: "lossy",
        drifting: "drifting",
        mode: "mode",
    }
}
