//! What a block is to do, and for how long.

use flows_common::{Action, BlockEntry};

/// A rate that a source is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Packets a second, at least 1.
    pub packets_per_second: u32,
    /// Packets that may come at once, at least 1.
    pub burst_packets: u32,
}

impl RateLimit {
    /// What one packet costs, and how far ahead of the clock a burst may run, in ns.
    pub(super) fn cost_and_burst_ns(self) -> (u64, u64) {
        let cost_ns = 1_000_000_000 / u64::from(self.packets_per_second.max(1));
        (cost_ns, cost_ns * u64::from(self.burst_packets.max(1) - 1))
    }
}

/// What a block is to do, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What to do.
    pub action: BlockAction,
    /// When it ends, in ns of the boot clock ([`super::boot_ns`]).
    pub expires_ns: u64,
    /// Which decision made it; opaque to the kernel.
    pub reason: u32,
}

/// What to do with the packets of a blocked source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockAction {
    /// Count what would be dropped, pass everything.
    Shadow,
    /// Drop what exceeds a rate.
    Limit(RateLimit),
    /// Drop everything.
    Drop,
}

impl BlockAction {
    /// The action, with the rate that only a rate limit has.
    #[must_use]
    pub const fn of(action: Action, rate: RateLimit) -> Self {
        match action {
            Action::Shadow => Self::Shadow,
            Action::RateLimit => Self::Limit(rate),
            Action::Drop => Self::Drop,
        }
    }

    /// The action without its rate.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Shadow => Action::Shadow,
            Self::Limit(_) => Action::RateLimit,
            Self::Drop => Action::Drop,
        }
    }
}

impl Block {
    /// The kernel's form of it.
    pub(super) fn entry(&self, now_ns: u64, slot: u32) -> BlockEntry {
        let (packet_cost_ns, burst_ns) = match self.action {
            BlockAction::Limit(rate) => rate.cost_and_burst_ns(),
            _ => (0, 0),
        };
        BlockEntry {
            expires_ns: self.expires_ns,
            created_ns: now_ns,
            packet_cost_ns,
            burst_ns,
            arrival_ns: 0,
            action: self.action.action().code(),
            reason: self.reason,
            slot,
            reserved: 0,
        }
    }
}
