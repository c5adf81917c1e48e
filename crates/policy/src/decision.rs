//! What is decided.

use std::time::Duration;

use flows_common::Action;

use crate::{
    evidence::Evidence, flood::ServiceLimit, notice::Notice, refusal::Refusal, statistics::Claim,
};

/// Seconds of its rate that a limited source may send at once.
pub const BURST_S: u32 = 2;

/// What is to be done about an anomalous peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing, and why.
    Refused(Refusal),
    /// Block it; in observe mode this is what would be done.
    Block {
        /// What the kernel does with its packets.
        action: Action,
        /// For how long.
        ttl: Duration,
        /// When it ends, on the clock of the windows.
        expires_ns: u64,
        /// Which block of this peer it is, from 1.
        offence: u32,
        /// Drawn by lot to end early, so that it shows what the peer does then.
        early: bool,
    },
}

/// One anomalous peer in one window, and what is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What was seen.
    pub evidence: Evidence,
    /// What may be claimed of it.
    pub claim: Claim,
    /// What is to be done.
    pub outcome: Outcome,
}

/// What is decided about one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdicts {
    /// Its anomalous peers, in the order of p-value, then address.
    pub peers: Vec<Decision>,
    /// Services under a flood of unproven sources, in their order.
    pub services: Vec<ServiceLimit>,
    /// What changed in the policy itself.
    pub notices: Vec<Notice>,
}
