//! Taking a window out of the kernel: flip, wait, drain, merge.

use std::os::fd::{AsFd as _, OwnedFd};

use flows_common::{
    Control, FAST_SYNS, FlowCounters, FlowKey, PacketCounters, PeerCounters, PeerKey, Window,
};

use super::{
    error::KernelError,
    shards::{Cpus, Shards},
    syscall::{self, BATCH_ELEMENTS, Batch},
};

/// The double-buffered tables and what it takes to drain them.
#[derive(Debug)]
pub(super) struct Drain {
    control: OwnedFd,
    ledger: OwnedFd,
    flows: Shards,
    peers: Shards,
    active: u32,
    /// Flows made in the running window when it was glanced at last.
    glanced: u64,
    /// Start of the running window, in ns of the boot clock.
    started_ns: u64,
    /// Reused from window to window.
    flow_buffer: Buffer<FlowKey, FlowCounters>,
    peer_buffer: Buffer<PeerKey, PeerCounters>,
    ledgers: Vec<PacketCounters>,
    /// As long, and all zero.
    cleared: Vec<PacketCounters>,
}

/// Entries that the kernel sets free at once in an LRU table that is full, at most
/// (`LOCAL_FREE_TARGET`): only a table with no more room than this has evicted anything.
const FREED_AT_ONCE: usize = 128;

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
            glanced: 0,
            started_ns: now_ns,
            flow_buffer: Buffer::default(),
            peer_buffer: Buffer::default(),
            ledgers: vec![PacketCounters::default(); cpus.possible as usize],
            cleared: vec![PacketCounters::default(); cpus.possible as usize],
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
        (self.started_ns, self.glanced) = (now_ns, 0);
        self.flow_buffer.take(&self.flows, full)?;
        self.peer_buffer.take(&self.peers, full)?;
        self.take_ledgers(full)?;
        self.count(&mut window);
        window.flows = self.flow_buffer.merge(FlowCounters::merge);
        window.peers = self.peer_buffer.merge(PeerCounters::merge);
        Ok(window)
    }

    /// Remotes that knock fast in the running window ([`PeerCounters::knocks_fast`]), which goes on
    /// untouched.
    ///
    /// One read of the ledger; the peers are looked at where it has as many new flows as that takes
    /// since the last glance.
    pub(super) fn glance(&mut self) -> Result<Vec<PeerKey>, KernelError> {
        syscall::lookup_per_cpu(self.ledger.as_fd(), &self.active, &mut self.ledgers)
            .map_err(KernelError::system("read the ledger"))?;
        let made = self.ledgers.iter().map(|ledger| ledger.flow_inserts).sum::<u64>();
        if made.saturating_sub(self.glanced) < FAST_SYNS {
            return Ok(Vec::new());
        }
        self.glanced = made;
        self.peer_buffer.read(&self.peers, self.active, Batch::Read)?;
        let mut peers = self.peer_buffer.merge(PeerCounters::merge);
        peers.retain(|(_, peer)| peer.knocks_fast());
        Ok(peers.into_iter().map(|(key, _)| key).collect())
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

    /// Reads one buffer's ledgers and sets them to zero.
    fn take_ledgers(&mut self, buffer: u32) -> Result<(), KernelError> {
        let ledger = self.ledger.as_fd();
        syscall::lookup_per_cpu(ledger, &buffer, &mut self.ledgers)
            .map_err(KernelError::system("read the ledger"))?;
        syscall::update_per_cpu(ledger, &buffer, &self.cleared)
            .map_err(KernelError::system("clear the ledger"))
    }

    /// Sums the ledgers up, and tells what each CPU's tables evicted: the entries it made, and the
    /// packets it counted in them, that were not drained. What a table lacks that was not full,
    /// somebody else took out of it, and it stays in the imbalance.
    fn count(&self, window: &mut Window) {
        let (flows, peers) = self.capacity_per_cpu();
        for (cpu, ledger) in self.ledgers.iter().enumerate() {
            window.packet_counters.add(ledger);
            let drained = self.flow_buffer.of(cpu);
            let gone = evicted(ledger.flow_inserts, drained.len(), flows);
            if gone > 0 {
                let packets = drained.iter().map(FlowCounters::packets);
                let drained = packets.fold(0, u64::saturating_add);
                window.evicted_flows += gone;
                window.evicted_packets += ledger.counted.saturating_sub(drained);
            }
            let drained = self.peer_buffer.of(cpu).len();
            window.evicted_peers += evicted(ledger.peer_inserts, drained, peers);
        }
    }
}

/// Entries that a table evicted, of those made in it.
fn evicted(inserts: u64, drained: usize, capacity: u32) -> u64 {
    let was_full = drained + FREED_AT_ONCE >= capacity as usize;
    if was_full { inserts.saturating_sub(drained as u64) } else { 0 }
}

/// Entries as they come from the kernel, keys and values apart.
#[derive(Debug)]
struct Buffer<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
    /// The end of each CPU's among them.
    ends: Vec<usize>,
    /// The rank of each key, and where it stands.
    order: Vec<(Rank, u32)>,
}

impl<K, V> Default for Buffer<K, V> {
    fn default() -> Self {
        Self { keys: Vec::new(), values: Vec::new(), ends: Vec::new(), order: Vec::new() }
    }
}

impl<K: aya::Pod + Ranked, V: aya::Pod> Buffer<K, V> {
    /// Takes every entry out of one buffer's tables.
    fn take(&mut self, shards: &Shards, buffer: u32) -> Result<(), KernelError> {
        self.read(shards, buffer, Batch::Take)
    }

    /// Reads every entry of one buffer's tables.
    fn read(&mut self, shards: &Shards, buffer: u32, batch: Batch) -> Result<(), KernelError> {
        self.keys.clear();
        self.values.clear();
        self.ends.clear();
        for table in shards.buffer(buffer) {
            if let Some(table) = table {
                syscall::read_batches(table, batch, &mut self.keys, &mut self.values)
                    .map_err(KernelError::system("drain a table"))?;
            }
            self.ends.push(self.keys.len());
        }
        Ok(())
    }

    /// The values that one CPU's table held.
    fn of(&self, cpu: usize) -> &[V] {
        let start = cpu.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.values[start..self.ends[cpu]]
    }

    /// Merged entries, one per key, keys ascending.
    ///
    /// Ranks are sorted, not keys that are compared byte by byte where they lie, nor pairs that
    /// are 424 bytes to move.
    fn merge(&mut self, join: fn(&mut V, &V)) -> Vec<(K, V)> {
        let Self { keys, values, order, .. } = self;
        order.clear();
        order.extend(keys.iter().map(Ranked::rank).zip(0_u32..));
        order.sort_unstable_by(|(rank, one), (other_rank, other)| {
            let by_key = || keys[*one as usize].cmp(&keys[*other as usize]);
            rank.cmp(other_rank).then_with(by_key).then(one.cmp(other))
        });
        let mut merged: Vec<(K, V)> = Vec::with_capacity(keys.len());
        syscall::expect_large(merged.spare_capacity_mut());
        for &(_, index) in &*order {
            let (key, value) = (&keys[index as usize], &values[index as usize]);
            match merged.last_mut() {
                Some((last, sum)) if last == key => join(sum, value),
                _ => merged.push((*key, *value)),
            }
        }
        forget_peak(keys);
        forget_peak(values);
        forget_peak(order);
        merged
    }
}

/// Halves the room of a list that has several times what this window took. Windows of like size
/// leave it alone: moving what was read costs as much as a fifth of the drain.
fn forget_peak<T>(list: &mut Vec<T>) {
    if list.capacity() / 4 > list.len() + BATCH_ELEMENTS {
        list.shrink_to(list.capacity() / 2);
    }
}

/// The first parts of a key as numbers: two keys are in the order of their ranks, and where
/// these are equal, in the order of the rest.
type Rank = (u128, u128, u64);

/// A key that has a rank.
trait Ranked: Ord {
    /// In the order of the key's own `Ord`.
    fn rank(&self) -> Rank;
}

impl Ranked for FlowKey {
    fn rank(&self) -> Rank {
        let ends = u64::from(self.ifindex) << 32
            | u64::from(self.local_port) << 16
            | u64::from(self.remote_port);
        (u128::from_be_bytes(self.local), u128::from_be_bytes(self.remote), ends)
    }
}

impl Ranked for PeerKey {
    fn rank(&self) -> Rank {
        (u128::from_be_bytes(self.address), 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8, packets: u64) -> (PeerKey, PeerCounters) {
        let mut key = PeerKey::default();
        key.address[15] = last;
        (key, PeerCounters { syns: [packets, 0], ..PeerCounters::default() })
    }

    #[test]
    fn what_two_cpus_counted_of_one_key_is_one_entry() {
        let entries = [peer(1, 10), peer(2, 20), peer(1, 5), peer(3, 30), peer(2, 1)];
        let (keys, values) = entries.into_iter().unzip();
        let mut buffer = Buffer { keys, values, ..Buffer::default() };
        let merged = buffer.merge(PeerCounters::merge);
        assert_eq!(merged, [peer(1, 15), peer(2, 21), peer(3, 30)]);
    }

    #[test]
    fn only_what_a_full_table_lacks_was_evicted() {
        assert_eq!(evicted(5_000, 4_096, 4_096), 904);
        assert_eq!(evicted(5_000, 4_000, 4_096), 1_000);
        assert_eq!(evicted(4_000, 3_000, 4_096), 0, "it had room: somebody else took them out");
        assert_eq!(evicted(3_000, 3_000, 4_096), 0);
    }

    #[test]
    fn ranks_are_in_the_order_of_the_keys() {
        let key = FlowKey::default();
        let mut keys = vec![key, FlowKey { outer_vlan: 1, ..key }, FlowKey { protocol: 6, ..key }];
        for bit in 0..16 {
            keys.push(FlowKey { local_port: 1 << bit, ..key });
            keys.push(FlowKey { remote_port: 1 << bit, ..key });
            keys.push(FlowKey { ifindex: 1 << (2 * bit), ..key });
            let mut address = [0; 16];
            address[bit] = 1;
            keys.push(FlowKey { local: address, ..key });
            keys.push(FlowKey { remote: address, ..key });
        }
        for one in &keys {
            for other in &keys {
                let by_rank = one.rank().cmp(&other.rank());
                assert!(by_rank.is_eq() || by_rank == one.cmp(other), "{one:?} {other:?}");
            }
        }
    }
}
