//! Counts of an entity that add up: a longer horizon is a merge of shorter ones.

mod busiest;
mod outcomes;
mod peer;
mod site;
pub(crate) mod sketch;
mod traffic;

pub use busiest::{Busiest, Part};
pub use outcomes::Outcomes;
pub use peer::{PeerCounts, ServiceUse, Unscored};
pub use site::{FanOut, Pair, SiteCounts, Sources};
pub use sketch::Distinct;
pub use traffic::{Dns, Traffic};

pub(crate) use site::NewOfFlow;
pub(crate) use traffic::narrow;

/// Counts of one entity over one time.
pub(crate) trait Counts: Clone + Default {
    /// Adds those of a later time.
    fn merge(&mut self, later: &Self);

    /// Adds outcomes that became known of flows that were counted already.
    fn amend(&mut self, known: &Self);
}
