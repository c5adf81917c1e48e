//! The tables that records go to.

use serde::Serialize;

/// A table of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Starts of weir.
    Runs,
    /// Its ends in good order.
    Stops,
    /// Windows of traffic.
    Windows,
    /// Anomalous peers, and what came of them.
    Decisions,
    /// Blocks.
    Blocks,
    /// Their ends.
    Endings,
    /// Acts of people.
    Acts,
    /// Findings of reconciliation.
    Differences,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Runs,
        Self::Stops,
        Self::Windows,
        Self::Decisions,
        Self::Blocks,
        Self::Endings,
        Self::Acts,
        Self::Differences,
    ];

    /// Its name in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Stops => "stops",
            Self::Windows => "windows",
            Self::Decisions => "decisions",
            Self::Blocks => "blocks",
            Self::Endings => "endings",
            Self::Acts => "acts",
            Self::Differences => "differences",
        }
    }

    /// Its place in [`Table::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
