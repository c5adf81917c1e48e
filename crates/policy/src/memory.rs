//! Memory: what a policy has seen of ordinary peers and services, to be kept over a restart.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Policy, Service, flood::Mark, peer_baseline::Baseline};

/// Peers that are kept, those seen last.
const PEERS: usize = 8_192;

/// What a policy has seen of ordinary peers and services, by the clock of the windows.
///
/// Offences and blocks are no part of it: the record of decisions has them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    peers: Vec<(IpAddr, Baseline)>,
    services: Vec<(Service, Mark)>,
    /// Start of the first window.
    since_ns: Option<u64>,
}

impl Policy {
    /// What it has seen so far.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory {
            peers: self.baseline.latest(PEERS),
            services: self.floods.marks(),
            since_ns: self.floods.since_ns(),
        }
    }

    /// Goes on from what another one had seen; what this one has seen itself stands.
    pub fn recall(&mut self, memory: Memory) {
        self.baseline.recall(memory.peers);
        self.floods.recall(memory.services, memory.since_ns);
    }
}
