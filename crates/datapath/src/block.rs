//! Action and lease of a block.

use std::net::IpAddr;

use flows_common::{Action, BlockEntry, Scope};

use super::target::Target;

/// A rate that a source is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Packets a second, at least 1.
    pub packets_per_second: u32,
    /// Packets that may come at once, at least 1.
    pub burst_packets: u32,
}

impl RateLimit {
    /// Cost of one packet and burst tolerance, in ns.
    pub(super) fn cost_and_burst_ns(self) -> (u64, u64) {
        let cost_ns = 1_000_000_000 / u64::from(self.packets_per_second.max(1));
        (cost_ns, cost_ns * u64::from(self.burst_packets.max(1) - 1))
    }
}

/// Action and lease of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Action on the source's packets.
    pub action: BlockAction,
    /// The part of them that it acts on.
    pub scope: Scope,
    /// End of the lease, in ns of the boot clock ([`super::boot_ns`]).
    pub expires_ns: u64,
    /// Identifier of the decision that made it; opaque to the kernel.
    pub reason: u32,
}

/// Action on the packets of a blocked source.
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
            scope: self.scope.code(),
        }
    }
}

/// Live entry, as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Blocked address or prefix.
    pub target: Target,
    /// The entry.
    pub entry: BlockEntry,
}

/// Counts of the tables' entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct BlockCount {
    /// IPv4 addresses.
    pub v4: usize,
    /// IPv6 addresses.
    pub v6: usize,
    /// Prefixes.
    pub prefixes: usize,
}

impl BlockCount {
    /// The count of the table that holds the target.
    #[must_use]
    pub const fn of(&self, target: &Target) -> usize {
        match target {
            Target::Address(IpAddr::V4(_)) => self.v4,
            Target::Address(IpAddr::V6(_)) => self.v6,
            Target::Prefix(_) => self.prefixes,
        }
    }

    /// Entries that lists may fill the table of the target to, where this is what it has room for, and
    /// those that they leave free: so many, and a quarter at most.
    #[must_use]
    pub fn for_lists(&self, target: &Target, reserve: u32) -> (usize, u32) {
        let capacity = self.of(target);
        let reserve = reserve.min(u32::try_from(capacity / 4).unwrap_or(u32::MAX));
        (capacity.saturating_sub(reserve as usize), reserve)
    }

    /// Counts one more in the table that holds the target.
    pub const fn add(&mut self, target: &Target) {
        match target {
            Target::Address(IpAddr::V4(_)) => self.v4 += 1,
            Target::Address(IpAddr::V6(_)) => self.v6 += 1,
            Target::Prefix(_) => self.prefixes += 1,
        }
    }

    /// Counts one less in the table that holds the target.
    pub(super) const fn remove(&mut self, target: &Target) {
        match target {
            Target::Address(IpAddr::V4(_)) => self.v4 = self.v4.saturating_sub(1),
            Target::Address(IpAddr::V6(_)) => self.v6 = self.v6.saturating_sub(1),
            Target::Prefix(_) => self.prefixes = self.prefixes.saturating_sub(1),
        }
    }
}
