//! Taking a window out of the kernel: flip, wait, drain, merge.

use std::os::fd::{AsFd as _, OwnedFd};

use flows_common::{Control, FlowCounters, FlowKey, Ledger, PeerCounters, PeerKey};
use model::Window;

use super::{
    error::KernelError,
    shards::{Cpus, Shards},
    syscall::{self, Batch},
};

/// The double-buffered tables and what it takes to drain them.
#[derive(Debug)]
pub(super) struct Drain {
    control: OwnedFd,
    ledger: OwnedFd,
    flows: Shards,
    peers: Shards,
    active: u32,
    /// When the running window began, in ns of the boot clock.
    started_ns: u64,
    /// Reused from window to window.
    flow_buffer: Buffer<FlowKey, FlowCounters>,
    peer_buffer: Buffer<PeerKey, PeerCounters>,
    ledgers: Vec<Ledger>,
}

impl Drain {
    /// Starts with the buffer that the programs write to now, as empty.
    pub(super) fn new(
        control: OwnedFd,
        ledger: OwnedFd,
        flows: Shards,
        peers: Shards,
        cpus: &Cpus,
        now_ns: u64,
    ) -> Self {
        Self {
            control,
            ledger,
            flows,
            peers,
            active: 0,
            started_ns: now_ns,
            flow_buffer: Buffer::default(),
            peer_buffer: Buffer::default(),
            ledgers: vec![Ledger::default(); cpus.possible as usize],
        }
    }

    /// Ends the running window and hands it over, keys ascending.
    ///
    /// The programs write to the other buffer from here on. A packet that is being counted
    /// meanwhile ends up in one of the two windows, whole.
    pub(super) fn drain(&mut self, now_ns: u64) -> Result<Window, KernelError> {
        self.follow_cpus()?;
        let full = self.active;
        self.flip()?;
        let mut window = Window { start_ns: self.started_ns, end_ns: now_ns, ..Window::default() };
        self.started_ns = now_ns;
        self.flow_buffer.take(&self.flows, full)?;
        self.peer_buffer.take(&self.peers, full)?;
        let drained = self.flow_buffer.keys.len() as u64;
        window.ledger = self.take_ledger(full)?;
        window.flows = self.flow_buffer.merge(FlowCounters::merge);
        window.peers = self.peer_buffer.merge(PeerCounters::merge);
        // What was inserted and is gone was evicted, and its packets are those that the ledger
        // saw and nothing else accounts for.
        window.evicted_flows = window.ledger.flow_inserts.saturating_sub(drained);
        if window.evicted_flows > 0 {
            window.evicted_packets = u64::try_from(window.imbalance()).unwrap_or(0);
        }
        Ok(window)
    }

    /// Entries that one CPU's tables hold: flows, peers.
    pub(super) const fn capacity_per_cpu(&self) -> (u32, u32) {
        (self.flows.capacity_per_cpu(), self.peers.capacity_per_cpu())
    }

    /// Lets the programs write to the other buffer, and waits until none writes to this one.
    fn flip(&mut self) -> Result<(), KernelError> {
        let next = Control { active: 1 - self.active, reserved: 0 };
        syscall::update(self.control.as_fd(), &0_u32, &next, syscall::ANY)
            .map_err(KernelError::system("switch buffers"))?;
        self.active = next.active;
        match syscall::membarrier() {
            Ok(()) => Ok(()),
            Err(_) => self.flows.wait_for_programs(),
        }
    }

    fn follow_cpus(&mut self) -> Result<(), KernelError> {
        let online = Cpus::online()?;
        self.flows.cover(&online)?;
        self.peers.cover(&online)
    }

    /// Reads one buffer's ledger, all CPUs together, and sets it to zero.
    fn take_ledger(&mut self, buffer: u32) -> Result<Ledger, KernelError> {
        let ledger = self.ledger.as_fd();
        syscall::lookup_per_cpu(ledger, &buffer, &mut self.ledgers)
            .map_err(KernelError::system("read the ledger"))?;
        let mut sum = Ledger::default();
        for one in &mut self.ledgers {
            sum.add(one);
            *one = Ledger::default();
        }
        syscall::update_per_cpu(ledger, &buffer, &self.ledgers)
            .map_err(KernelError::system("clear the ledger"))?;
        Ok(sum)
    }
}

/// Entries as they come from the kernel, keys and values apart.
#[derive(Debug)]
struct Buffer<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
    order: Vec<u32>,
}

impl<K, V> Default for Buffer<K, V> {
    fn default() -> Self {
        Self { keys: Vec::new(), values: Vec::new(), order: Vec::new() }
    }
}

impl<K: aya::Pod + Ord, V: aya::Pod> Buffer<K, V> {
    /// Takes every entry out of one buffer's tables.
    fn take(&mut self, shards: &Shards, buffer: u32) -> Result<(), KernelError> {
        self.keys.clear();
        self.values.clear();
        for table in shards.buffer(buffer) {
            syscall::read_batches(table, Batch::Take, &mut self.keys, &mut self.values)
                .map_err(KernelError::system("drain a table"))?;
        }
        Ok(())
    }

    /// One entry per key, keys ascending.
    fn merge(&mut self, join: fn(&mut V, &V)) -> Vec<(K, V)> {
        let Self { keys, values, order } = self;
        order.clear();
        order.extend(0..u32::try_from(keys.len()).unwrap_or(u32::MAX));
        // Indices are sorted, for a pair of key and counters is 424 bytes to move.
        order.sort_unstable_by_key(|&index| (keys[index as usize], index));
        let mut merged: Vec<(K, V)> = Vec::with_capacity(keys.len());
        for &index in &*order {
            let (key, value) = (keys[index as usize], values[index as usize]);
            match merged.last_mut() {
                Some((last, sum)) if *last == key => join(sum, &value),
                _ => merged.push((key, value)),
            }
        }
        merged
    }
}
