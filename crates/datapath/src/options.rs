//! Sizes and choices with which the programs are loaded.

use std::{ops::RangeInclusive, path::PathBuf};

use flows_common::ClockSource;

use super::{error::KernelError, shards::VERIFIED_CAPACITY};

/// Flows or peers that a table may be made for: at least one share of a CPU's, and no more than
/// a host has memory for.
pub const TABLE_CAPACITY: RangeInclusive<u32> = RangeInclusive::new(64, 1 << 24);
/// Blocked addresses of each family that the guard may be made for.
pub const BLOCK_CAPACITY: RangeInclusive<u32> = RangeInclusive::new(1, 1 << 24);
/// Blocked prefixes that the guard may be made for.
pub const PREFIX_CAPACITY: RangeInclusive<u32> = RangeInclusive::new(1, 1 << 20);
/// Blocks with statistics of their own that the guard may be made for.
pub const STATS_SLOTS: RangeInclusive<u32> = RangeInclusive::new(1, 1 << 20);

/// Layout of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// Flows that one window holds, over all CPUs; beyond it the least recently used go.
    pub flow_capacity: u32,
    /// Peers that one window holds, over all CPUs.
    pub peer_capacity: u32,
    /// Addresses that can be blocked, of each family.
    pub block_capacity: u32,
    /// Prefixes that can be blocked, of both families.
    pub prefix_capacity: u32,
    /// Blocks that have statistics of their own; further ones share slot 0.
    pub stats_slots: u32,
    /// Source of a packet's timestamp.
    pub clock: ClockSource,
    /// Drop packets towards blocked remotes at TC egress too.
    pub guard_at_egress: bool,
    /// A BPF filesystem to pin the guard on, so that it outlives the process.
    pub pin: Option<PathBuf>,
}

impl Default for KernelOptions {
    /// The layout of a node that configures nothing: `[tables]` and `[guard]` have their defaults
    /// from here, so that what is measured is what runs.
    ///
    /// Statistics slots are four times the blocks that a policy may make by default, at 56 bytes
    /// a slot and CPU. Egress is guarded: a blocked remote is to get no answer either.
    fn default() -> Self {
        Self {
            flow_capacity: 65_536,
            peer_capacity: 16_384,
            block_capacity: 1_000_000,
            prefix_capacity: 16_384,
            stats_slots: 4_096,
            clock: ClockSource::Boot,
            guard_at_egress: true,
            pin: None,
        }
    }
}

impl KernelOptions {
    /// Sizes that the kernel would refuse, or that would hold nothing.
    pub(super) fn check(&self) -> Result<(), KernelError> {
        let bounds = [
            ("flow_capacity", self.flow_capacity, TABLE_CAPACITY),
            ("peer_capacity", self.peer_capacity, TABLE_CAPACITY),
            ("block_capacity", self.block_capacity, BLOCK_CAPACITY),
            ("prefix_capacity", self.prefix_capacity, PREFIX_CAPACITY),
            ("stats_slots", self.stats_slots, STATS_SLOTS),
        ];
        for (setting, value, bounds) in bounds {
            if !bounds.contains(&value) {
                let (min, max) = bounds.into_inner();
                return Err(KernelError::OutOfBounds { setting, min, max, value });
            }
        }
        Ok(())
    }

    /// Sizes of the guard's maps.
    pub(super) fn guard_sizes(&self) -> [(&'static str, u32); 6] {
        [
            ("BLOCK_V4", self.block_capacity),
            ("BLOCK_V6", self.block_capacity),
            ("BLOCK_HOSTS", self.prefix_capacity),
            ("BLOCK_PREFIX", self.prefix_capacity),
            ("KNOWN", VERIFIED_CAPACITY),
            ("BLOCK_STATS", self.stats_slots),
        ]
    }
}
