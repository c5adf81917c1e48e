//! The tables that records go to.

use events::word_set;

word_set! {
    /// A table of records.
    Table {
        /// Starts of weir.
        Runs = "runs",
        /// Its ends in good order.
        Stops = "stops",
        /// Windows of traffic.
        Windows = "windows",
        /// Anomalous peers, and what came of them.
        Decisions = "decisions",
        /// Blocks.
        Blocks = "blocks",
        /// Their ends.
        Endings = "endings",
        /// Acts of people.
        Acts = "acts",
        /// Findings of reconciliation.
        Differences = "differences",
    }
}

impl Table {
    /// Its place in [`Table::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
