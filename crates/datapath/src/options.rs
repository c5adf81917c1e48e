//! Sizes and choices with which the programs are loaded.

use std::path::PathBuf;

use flows_common::ClockSource;

use super::{error::KernelError, shards::KNOWN_CAPACITY};

/// Layout of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// Flows that one window holds, over all CPUs; beyond it the least recently used go.
    pub flow_capacity: u32,
    /// Peers that one window holds, over all CPUs.
    pub peer_capacity: u32,
    /// Addresses that can be blocked, of each family.
    pub block_capacity: u32,
    /// Blocks that have statistics of their own; further ones share slot 0.
    pub stats_slots: u32,
    /// Where a packet's time comes from.
    pub clock: ClockSource,
    /// Drop packets towards blocked remotes at TC egress too.
    pub guard_at_egress: bool,
    /// A BPF filesystem to pin the guard on, so that it outlives the process.
    pub pin: Option<PathBuf>,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            flow_capacity: 65_536,
            peer_capacity: 16_384,
            block_capacity: 1_000_000,
            stats_slots: 16_384,
            clock: ClockSource::Boot,
            guard_at_egress: false,
            pin: None,
        }
    }
}

impl KernelOptions {
    /// Sizes that the kernel would refuse, or that would hold nothing.
    pub(super) fn check(&self) -> Result<(), KernelError> {
        let bounds = [
            ("flow_capacity", self.flow_capacity, 64, 1 << 26),
            ("peer_capacity", self.peer_capacity, 64, 1 << 26),
            ("block_capacity", self.block_capacity, 1, 1 << 26),
            ("stats_slots", self.stats_slots, 1, 1 << 20),
        ];
        for (setting, value, min, max) in bounds {
            if !(min..=max).contains(&value) {
                return Err(KernelError::OutOfBounds { setting, min, max, value });
            }
        }
        Ok(())
    }

    /// Sizes of the guard's maps.
    pub(super) fn guard_sizes(&self) -> [(&'static str, u32); 4] {
        [
            ("BLOCK_V4", self.block_capacity),
            ("BLOCK_V6", self.block_capacity),
            ("KNOWN", KNOWN_CAPACITY),
            ("BLOCK_STATS", self.stats_slots),
        ]
    }
}
