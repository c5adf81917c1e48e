//! Commit-confirmed: a mode that holds only until a person confirms it.

use std::{collections::BTreeMap, net::IpAddr};

use crate::config::Mode;

/// A mode that waits to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitConfirm {
    /// End of the wait, in ns of the boot clock.
    pub until_ns: u64,
    /// Mode that the policy falls back to.
    pub fall_back: Mode,
    /// Blocks made meanwhile, with the time that each would have ended, were the mode confirmed.
    blocks: BTreeMap<IpAddr, u64>,
}

impl CommitConfirm {
    pub(crate) const fn new(until_ns: u64, fall_back: Mode) -> Self {
        Self { until_ns, fall_back, blocks: BTreeMap::new() }
    }

    /// Notes a block and returns the end of its lease: that of the wait, so that the entry expires
    /// in the kernel if the mode is not confirmed or the process ends.
    pub(crate) fn cap(&mut self, peer: IpAddr, expires_ns: u64) -> u64 {
        self.blocks.insert(peer, expires_ns);
        expires_ns.min(self.until_ns)
    }

    /// Blocks that the end of the wait cut short, with the time that each was meant to end.
    pub(crate) fn into_blocks(self) -> BTreeMap<IpAddr, u64> {
        self.blocks
    }

    pub(crate) fn forget(&mut self, peer: IpAddr) {
        self.blocks.remove(&peer);
    }
}
