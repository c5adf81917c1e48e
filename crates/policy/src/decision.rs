//! Decisions on one window.

use events::{Decision, Notice, Outage, ServiceLimit};

/// Seconds of its rate that a limited source may send at once.
pub const BURST_S: u32 = 2;

/// Decisions on one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Its anomalous peers, in the order of p-value, then address.
    pub peers: Vec<Decision>,
    /// Services under a flood of unproven sources, in their order.
    pub services: Vec<ServiceLimit>,
    /// Services of this host that fail their clients, in their order.
    pub outages: Vec<Outage>,
    /// Changes of the policy itself.
    pub notices: Vec<Notice>,
}
