//! The blocklist: what the guard drops, limits or shadows, and what it never touches.
//!
//! A [`Blocklist`] is a handle; clones share one state and may be used from several tasks. Every
//! write is read back, so that a block that is reported is a block that is in force.

mod bulk;

use std::{
    collections::HashSet,
    net::IpAddr,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use flows_common::{BlockEntry, BlockStats, Direction, GuardCounters};
use ipnet::IpNet;

use super::{
    block::{Block, BlockCount, Blocked},
    error::KernelError,
    guard_maps::GuardMaps,
    pin::PinnedMaps,
    probe,
    shards::Cpus,
    slots::Slots,
    target::Target,
};

pub use bulk::{Bulk, Loaded};

/// A handle on the guard's maps.
#[derive(Clone, Debug)]
pub struct Blocklist {
    pub(super) maps: Arc<GuardMaps>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) slots: Slots,
    /// Entries of the tables, those past their lease included.
    held: BlockCount,
    /// Held by a handle that changes a pinned blocklist by hand.
    _turn: Option<OwnedFd>,
}

impl State {
    /// State of the maps, with the slots that their entries hold taken.
    fn of(maps: &GuardMaps, mut slots: Slots, turn: Option<OwnedFd>) -> Result<Self, KernelError> {
        // A million entries share one slot: what is held of them is no more than the slots.
        let mut held = HashSet::new();
        let mut count = BlockCount::default();
        maps.visit(|blocked| {
            held.insert(blocked.entry.slot);
            count.add(&blocked.target);
        })?;
        slots.take(held);
        slots.take(maps.limits()?.iter().map(|(_, entry)| entry.slot));
        Ok(Self { slots, held: count, _turn: turn })
    }
}

impl Blocklist {
    /// Takes the maps over, with whatever an earlier process left in them.
    pub(super) fn new(maps: GuardMaps) -> Result<Self, KernelError> {
        let state = State::of(&maps, Slots::new(maps.stats_slots), None)?;
        maps.tell_prefixes(state.held.prefixes)?;
        Ok(Self { maps: Arc::new(maps), state: Arc::new(Mutex::new(state)) })
    }

    /// Opens the guard that is pinned under a BPF filesystem, whether or not a weir runs on it:
    /// for changes by hand. Another such handle waits until this one is dropped.
    ///
    /// A running weir keeps what it knows of its own blocks: one that is removed here is not
    /// made again before its policy decides so anew.
    ///
    /// # Errors
    /// [`KernelError::NoPinnedGuard`] where nothing is pinned, [`KernelError::PinForeign`] where
    /// another version of weir pinned it, [`KernelError::MissingCapability`].
    pub fn pinned(bpffs: &Path) -> Result<Self, KernelError> {
        probe::require()?;
        let pins = PinnedMaps::open(bpffs)?;
        let maps = GuardMaps::pinned(&pins, Cpus::read()?.possible)?;
        let slots = Slots::new(maps.stats_slots).top_first();
        let state = State::of(&maps, slots, pins.into_turn())?;
        Ok(Self { maps: Arc::new(maps), state: Arc::new(Mutex::new(state)) })
    }

    /// Blocks an address or a prefix, or replaces its block; returns what the kernel now holds.
    ///
    /// A replaced entry keeps its statistics. In force when this returns.
    pub fn insert(
        &self,
        target: Target,
        block: &Block,
        now_ns: u64,
    ) -> Result<BlockEntry, KernelError> {
        let mut state = self.state();
        let before = self.maps.get(&target)?;
        let slot = before.map_or_else(|| state.slots.give(), |entry| entry.slot);
        let entry = block.entry(now_ns, slot);
        if let Err(error) = self.maps.put(&target, &entry) {
            if before.is_none() {
                state.slots.give_back(slot);
            }
            return Err(error);
        }
        if before.is_none() {
            state.held.add(&target);
            self.tell_prefixes(&state, &target)?;
        }
        let kept = self.maps.get(&target)?;
        match kept {
            // The kernel may have taken turns on a rate since.
            Some(kept) if BlockEntry { arrival_ns: entry.arrival_ns, ..kept } == entry => Ok(kept),
            kept => Err(KernelError::NotKept {
                target: target.to_string(),
                wrote: format!("{entry:?}"),
                read: format!("{kept:?}"),
            }),
        }
    }

    /// Blocks many addresses in one go, as [`Bulk`] does; returns how many are in force.
    ///
    /// A million takes one or two seconds.
    pub fn insert_all(
        &self,
        addresses: &[IpAddr],
        block: &Block,
        now_ns: u64,
    ) -> Result<usize, KernelError> {
        let mut bulk = self.bulk(now_ns, 0);
        for &address in addresses {
            bulk.put(&Target::address(address), block)?;
        }
        bulk.verify()?;
        Ok(addresses.len())
    }

    /// Begins to load a list of blocks, which leaves this many addresses of each family free for
    /// others.
    #[must_use]
    pub fn bulk(&self, now_ns: u64, reserve: u32) -> Bulk {
        Bulk::new(self.clone(), now_ns, reserve)
    }

    /// Removes a block; tells whether there was one.
    pub fn remove(&self, target: &Target) -> Result<bool, KernelError> {
        self.remove_locked(&mut self.state(), target)
    }

    /// The entry of exactly this address or prefix.
    pub fn get(&self, target: &Target) -> Result<Option<BlockEntry>, KernelError> {
        self.maps.get(target)
    }

    /// The entries that hold an address, the narrowest first, those past their lease included.
    pub fn holding(&self, address: IpAddr) -> Result<Vec<Blocked>, KernelError> {
        self.maps.holding(address)
    }

    /// Shows every entry, those past their lease included, in no order; a batch of them takes memory
    /// at a time, and no writer waits.
    pub fn visit(&self, show: impl FnMut(Blocked)) -> Result<(), KernelError> {
        self.maps.visit(show)
    }

    /// All entries, those past their lease included, in no order.
    pub fn list(&self) -> Result<Vec<Blocked>, KernelError> {
        self.maps.entries()
    }

    /// Counts of the tables' entries, those past their lease included. Reads them all, a batch at a
    /// time.
    pub fn count(&self) -> Result<BlockCount, KernelError> {
        let mut count = BlockCount::default();
        self.maps.visit(|blocked| count.add(&blocked.target))?;
        Ok(count)
    }

    /// As [`Self::count`], without those past their lease.
    pub fn count_live(&self, now_ns: u64) -> Result<BlockCount, KernelError> {
        let mut count = BlockCount::default();
        self.maps.visit(|blocked| {
            if blocked.entry.expires_ns > now_ns {
                count.add(&blocked.target);
            }
        })?;
        Ok(count)
    }

    /// Entries that this process knows the tables to hold, those past their lease included; reads
    /// no table.
    #[must_use]
    pub fn held(&self) -> BlockCount {
        self.state().held
    }

    /// Entries that the tables have room for.
    #[must_use]
    pub fn capacity(&self) -> BlockCount {
        self.maps.capacity()
    }

    /// Removes the entries past their lease and returns them. The kernel ignores them anyway:
    /// this only makes room.
    pub fn expire(&self, now_ns: u64) -> Result<Vec<Blocked>, KernelError> {
        let mut expired = Vec::new();
        self.maps.visit(|blocked| {
            if blocked.entry.expires_ns <= now_ns {
                expired.push(blocked);
            }
        })?;
        let mut state = self.state();
        for blocked in &expired {
            // An entry renewed since the list was read stays.
            let renewed =
                self.maps.get(&blocked.target)?.is_some_and(|entry| entry.expires_ns > now_ns);
            if !renewed {
                self.remove_locked(&mut state, &blocked.target)?;
            }
        }
        Ok(expired)
    }

    /// Never blocks what lies in this prefix, whatever is on the blocklist.
    pub fn allow(&self, prefix: IpNet) -> Result<(), KernelError> {
        self.maps.allow(&Target::prefix_key(prefix))
    }

    /// Takes a prefix off the allowlist; tells whether it was there.
    pub fn disallow(&self, prefix: IpNet) -> Result<bool, KernelError> {
        self.maps.disallow(&Target::prefix_key(prefix))
    }

    /// The allowed prefixes.
    pub fn allowed(&self) -> Result<Vec<IpNet>, KernelError> {
        Ok(self.maps.allowed()?.iter().filter_map(Target::prefix_of).collect())
    }

    /// Statistics of a slot's entries so far, summed over all CPUs.
    pub fn stats(&self, slot: u32) -> Result<BlockStats, KernelError> {
        self.maps.stats(slot)
    }

    /// Decisions of the guard on one direction since it was loaded, summed over all CPUs.
    pub fn guard_counters(&self, direction: Direction) -> Result<GuardCounters, KernelError> {
        self.maps.guard_counters(direction)
    }

    fn remove_locked(&self, state: &mut State, target: &Target) -> Result<bool, KernelError> {
        let Some(entry) = self.maps.get(target)? else { return Ok(false) };
        let removed = self.maps.remove(target)?;
        if removed {
            if entry.slot != Slots::SHARED {
                self.maps.clear_stats(entry.slot)?;
            }
            state.slots.give_back(entry.slot);
            state.held.remove(target);
            self.tell_prefixes(state, target)?;
        }
        Ok(removed)
    }

    /// Tells the programs of a change to this target's table.
    fn tell_prefixes(&self, state: &State, target: &Target) -> Result<(), KernelError> {
        match target {
            Target::Prefix(_) => self.maps.tell_prefixes(state.held.prefixes),
            Target::Address(_) => Ok(()),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // The state stays valid after a panic of its holder: it counts what the maps hold.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
