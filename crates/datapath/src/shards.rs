//! The flow and peer tables: one inner LRU map per CPU and buffer.
//!
//! Each CPU writes to its own tables only, so plain additions are exact and nothing contends.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_LRU_HASH;
use flows_common::{
    BlockStats, FlowCounters, FlowKey, Knocks, PeerCounters, PeerKey, ServiceEntry, ServiceKey,
    VerifiedPeer,
};

use super::{
    error::KernelError,
    syscall::{self, MapFacts},
};

/// Buffers: one is written while the other is drained.
pub(super) const BUFFERS: u32 = 2;

/// Kernel memory of an LRU entry beside its key and value, in bytes (`struct htab_elem` and its
/// hash bucket).
const ENTRY_OVERHEAD: u64 = 48 + 16;

/// Smallest table of one CPU. The kernel hands entries to a CPU in lots, and a table below this
/// would evict long before it is full.
const CAPACITY_MIN: u32 = 64;

/// Memory that the inner tables of `cpus` CPUs take for this many flows and peers, in bytes.
///
/// LRU maps are allocated whole when they are made, so this is taken from the start.
#[must_use]
pub fn memory_bytes(flow_capacity: u32, peer_capacity: u32, cpus: u32) -> u64 {
    let of = |capacity: u32, key: usize, value: usize| {
        let entry = (key.next_multiple_of(8) + value.next_multiple_of(8)) as u64 + ENTRY_OVERHEAD;
        u64::from(capacity_per_cpu(capacity, cpus)) * u64::from(cpus) * entry
    };
    u64::from(BUFFERS)
        * (of(flow_capacity, size_of::<FlowKey>(), size_of::<FlowCounters>())
            + of(peer_capacity, size_of::<PeerKey>(), size_of::<PeerCounters>()))
}

/// Most limited services; the size of the map in the object.
pub(super) const SERVICE_CAPACITY: u32 = 256;

/// Remotes that are known to have proved their address, at most; 6 MB.
pub(super) const VERIFIED_CAPACITY: u32 = 65_536;

/// Remotes whose knocks at closed ports are counted, at most; the size of the map in the object.
const KNOCKER_CAPACITY: u32 = 16_384;

/// Memory that the guard's tables take while nothing is blocked, in bytes; a block adds about
/// 100.
///
/// The hash tables have a bucket for each entry they could hold, and take entries as they come;
/// those of limited services, of known remotes and of closed ports are made whole.
#[must_use]
pub fn guard_bytes(block_capacity: u32, stats_slots: u32, cpus: u32) -> u64 {
    const BUCKET: u64 = 16;
    const KNOWN: u64 = VERIFIED_CAPACITY as u64
        * (size_of::<PeerKey>() as u64 + size_of::<VerifiedPeer>() as u64 + ENTRY_OVERHEAD);
    const SERVICES: u64 = SERVICE_CAPACITY as u64
        * (size_of::<ServiceKey>() as u64 + size_of::<ServiceEntry>() as u64 + ENTRY_OVERHEAD);
    const KNOCKS: u64 = KNOCKER_CAPACITY as u64
        * (size_of::<PeerKey>() as u64 + size_of::<Knocks>() as u64 + ENTRY_OVERHEAD);
    const SERVED: u64 = 65_536 * size_of::<u64>() as u64;
    let buckets = u64::from(block_capacity).next_power_of_two() * BUCKET;
    let stats = u64::from(stats_slots) * size_of::<BlockStats>() as u64 * u64::from(cpus);
    2 * buckets + stats + KNOWN + KNOCKS + SERVED + SERVICES
}

/// Share of a capacity for each CPU, rounded up.
#[must_use]
pub fn capacity_per_cpu(capacity: u32, cpus: u32) -> u32 {
    capacity.div_ceil(cpus.max(1)).max(CAPACITY_MIN)
}

/// The inner maps of one outer table.
#[derive(Debug)]
pub(super) struct Shards {
    outer: OwnedFd,
    name: &'static str,
    /// Of each inner map.
    facts: MapFacts,
    /// Types of its key and value; a kernel that takes none gives none to the outer table either.
    types: Option<OwnedFd>,
    /// Possible CPUs: a buffer's tables start at `buffer * cpus`.
    cpus: u32,
    /// At `buffer * cpus + cpu`; `None` for a CPU that was never online.
    inner: Vec<Option<OwnedFd>>,
}

impl Shards {
    /// Fills the outer table with one inner map per online CPU and buffer.
    pub(super) fn fill<K, V>(
        outer: OwnedFd,
        name: &'static str,
        capacity: u32,
        cpus: &Cpus,
    ) -> Result<Self, KernelError> {
        let [key_size, value_size] = [syscall::size_of_u32::<K>(), syscall::size_of_u32::<V>()];
        let mut shards = Self {
            outer,
            name,
            facts: MapFacts::new(
                BPF_MAP_TYPE_LRU_HASH as u32,
                key_size,
                value_size,
                capacity_per_cpu(capacity, cpus.online_count()),
                0,
            ),
            types: syscall::plain_types(key_size, value_size).ok(),
            cpus: cpus.possible,
            inner: (0..cpus.possible * BUFFERS).map(|_| None).collect(),
        };
        shards.cover(&cpus.online)?;
        Ok(shards)
    }

    /// Makes tables for CPUs that came online since.
    pub(super) fn cover(&mut self, online: &[u32]) -> Result<(), KernelError> {
        for &cpu in online {
            for buffer in 0..BUFFERS {
                let index = buffer * self.cpus + cpu;
                let Some(place @ None) = self.inner.get_mut(index as usize) else { continue };
                let types = self.types.as_ref().map(AsFd::as_fd);
                let table = syscall::create_map(self.name, &self.facts, None, types)
                    .map_err(KernelError::system("make a table (is memory short?)"))?;
                set(self.outer.as_fd(), index, table.as_fd())?;
                *place = Some(table);
            }
        }
        Ok(())
    }

    /// The tables of one buffer, at the number of their CPU.
    pub(super) fn buffer(&self, buffer: u32) -> impl Iterator<Item = Option<BorrowedFd<'_>>> {
        let start = (buffer * self.cpus) as usize;
        let tables = self.inner[start..start + self.cpus as usize].iter();
        tables.map(|table| table.as_ref().map(AsFd::as_fd))
    }

    /// Entries that one CPU's table holds.
    pub(super) const fn capacity_per_cpu(&self) -> u32 {
        self.facts.max_entries
    }

    /// Puts a table where it already is: the kernel waits for running programs before it
    /// returns from an update of a map of maps.
    pub(super) fn wait_for_programs(&self) -> Result<(), KernelError> {
        for (index, table) in (0_u32..).zip(&self.inner) {
            if let Some(table) = table {
                return set(self.outer.as_fd(), index, table.as_fd());
            }
        }
        Ok(())
    }
}

fn set(outer: BorrowedFd<'_>, index: u32, table: BorrowedFd<'_>) -> Result<(), KernelError> {
    syscall::put_map(outer, index, table).map_err(KernelError::system("put a table into its place"))
}

/// The machine's CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cpus {
    /// Highest number a CPU may have, plus one.
    pub(super) possible: u32,
    /// The CPUs that run now.
    pub(super) online: Vec<u32>,
}

impl Cpus {
    /// Reads both from sysfs.
    pub(super) fn read() -> Result<Self, KernelError> {
        let possible = list("/sys/devices/system/cpu/possible")?;
        Ok(Self { possible: possible.last().map_or(1, |&last| last + 1), online: Self::online()? })
    }

    /// Number of CPUs that run now.
    fn online_count(&self) -> u32 {
        u32::try_from(self.online.len()).unwrap_or(self.possible)
    }

    /// The CPUs that run now.
    pub(super) fn online() -> Result<Vec<u32>, KernelError> {
        list("/sys/devices/system/cpu/online")
    }
}

fn list(path: &str) -> Result<Vec<u32>, KernelError> {
    let text = fs::read_to_string(path).map_err(KernelError::system("read the list of CPUs"))?;
    parse_list(&text).ok_or(KernelError::System {
        action: "understand the list of CPUs",
        source: std::io::Error::other(text),
    })
}

/// Reads a list such as `0-3,8`, ascending.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_may_have_ranges_and_holes() {
        assert_eq!(parse_list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_list("0\n"), Some(vec![0]));
        assert_eq!(parse_list("x"), None);
    }

    #[test]
    fn memory_is_that_of_the_flows_and_not_of_flows_times_cpus() {
        let few = memory_bytes(65_536, 16_384, 2);
        let many = memory_bytes(65_536, 16_384, 64);
        assert_eq!(few, many);
        assert!(few < 80_000_000, "{few}");
    }
}
