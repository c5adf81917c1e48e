//! The guard's maps, read and written.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya::{Ebpf, Pod};
use flows_common::{BlockEntry, BlockStats, Direction, GuardControl, GuardCounters, PrefixKey};
use ipnet::IpNet;

use super::{
    block::{BlockCount, Blocked},
    error::KernelError,
    object,
    options::KernelOptions,
    pin::PinnedMaps,
    syscall,
    target::Target,
};

/// Descriptors of the guard's maps, and what their sizes are.
#[derive(Debug)]
pub(super) struct GuardMaps {
    v4: OwnedFd,
    v6: OwnedFd,
    prefix: Trie,
    allow: Trie,
    pub(super) services: OwnedFd,
    pub(super) known: OwnedFd,
    stats: OwnedFd,
    ledger: OwnedFd,
    control: OwnedFd,
    block_capacity: u32,
    prefix_capacity: u32,
    pub(super) stats_slots: u32,
    cpus: usize,
}

impl GuardMaps {
    /// Takes the maps of a loaded object.
    pub(super) fn of(
        object: &Ebpf,
        options: &KernelOptions,
        cpus: u32,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            v4: object::map(object, "BLOCK_V4")?,
            v6: object::map(object, "BLOCK_V6")?,
            prefix: Trie::new(object::map(object, "BLOCK_PREFIX")?),
            allow: Trie::new(object::map(object, "ALLOW")?),
            services: object::map(object, "SERVICE_LIMIT")?,
            known: object::map(object, "KNOWN")?,
            stats: object::map(object, "BLOCK_STATS")?,
            ledger: object::map(object, "GUARD")?,
            control: object::map(object, "GUARD_CONTROL")?,
            block_capacity: options.block_capacity,
            prefix_capacity: options.prefix_capacity,
            stats_slots: options.stats_slots,
            cpus: cpus as usize,
        })
    }

    /// Takes pinned maps, whatever their sizes, once each is of the kind that this weir knows.
    pub(super) fn pinned(pins: &PinnedMaps, cpus: u32) -> Result<Self, KernelError> {
        let size = |name: &str| pins.map(name).map(|(_, facts)| facts.max_entries);
        let options = KernelOptions {
            block_capacity: size("BLOCK_V4")?,
            prefix_capacity: size("BLOCK_PREFIX")?,
            stats_slots: size("BLOCK_STATS")?,
            ..KernelOptions::default()
        };
        let expected = object::guard_facts(&options)?;
        let open = |name: &'static str| {
            let (map, found) = pins.map(name)?;
            match expected.iter().find(|&&(known, _)| known == name) {
                // The kernel writes as many bytes as its map has: a wrong size is no small matter.
                Some((_, expected)) if found != *expected => Err(KernelError::PinForeign {
                    path: pins.path(name),
                    found: found.to_string(),
                    expected: expected.to_string(),
                }),
                _ => Ok(map),
            }
        };
        Ok(Self {
            v4: open("BLOCK_V4")?,
            v6: open("BLOCK_V6")?,
            prefix: Trie::new(open("BLOCK_PREFIX")?),
            allow: Trie::new(open("ALLOW")?),
            services: open("SERVICE_LIMIT")?,
            known: open("KNOWN")?,
            stats: open("BLOCK_STATS")?,
            ledger: open("GUARD")?,
            control: open("GUARD_CONTROL")?,
            block_capacity: options.block_capacity,
            prefix_capacity: options.prefix_capacity,
            stats_slots: options.stats_slots,
            cpus: cpus as usize,
        })
    }

    /// The entry of exactly this target.
    pub(super) fn get(&self, target: &Target) -> Result<Option<BlockEntry>, KernelError> {
        match *target {
            Target::Address(IpAddr::V4(v4)) => syscall::lookup(self.v4.as_fd(), &v4.octets()),
            Target::Address(IpAddr::V6(v6)) => syscall::lookup(self.v6.as_fd(), &v6.octets()),
            Target::Prefix(prefix) => self.get_prefix(&Target::prefix_key(prefix)),
        }
        .map_err(KernelError::system("read a block"))
    }

    /// A trie's lookup finds the longest prefix, which may be a shorter one than asked for.
    fn get_prefix(&self, wanted: &PrefixKey) -> io::Result<Option<BlockEntry>> {
        Ok(self
            .prefix
            .read::<BlockEntry>()?
            .into_iter()
            .find_map(|(key, entry)| (key == *wanted).then_some(entry)))
    }

    /// Makes or replaces an entry.
    pub(super) fn put(&self, target: &Target, entry: &BlockEntry) -> Result<(), KernelError> {
        let any = syscall::ANY;
        match *target {
            Target::Address(IpAddr::V4(v4)) => {
                syscall::update(self.v4.as_fd(), &v4.octets(), entry, any)
            }
            Target::Address(IpAddr::V6(v6)) => {
                syscall::update(self.v6.as_fd(), &v6.octets(), entry, any)
            }
            Target::Prefix(prefix) => self.prefix.put(&Target::prefix_key(prefix), entry),
        }
        .map_err(|error| self.refused(target, error))
    }

    /// Makes an address's entry where there is none ([`syscall::NEW`]), or replaces the one there
    /// is ([`syscall::EXISTING`]); false where it is otherwise.
    ///
    /// Addresses are written singly, for the kernel takes neither flag for a batch: without it,
    /// what another process wrote since the look-up would be lost, and its statistics slot with it.
    pub(super) fn put_if(
        &self,
        address: IpAddr,
        entry: &BlockEntry,
        flag: u64,
    ) -> Result<bool, KernelError> {
        let result = match address {
            IpAddr::V4(v4) => syscall::update(self.v4.as_fd(), &v4.octets(), entry, flag),
            IpAddr::V6(v6) => syscall::update(self.v6.as_fd(), &v6.octets(), entry, flag),
        };
        match result {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EEXIST | libc::ENOENT)) => {
                Ok(false)
            }
            Err(error) => Err(self.refused(&Target::Address(address), error)),
        }
    }

    /// Removes an entry; tells whether there was one.
    pub(super) fn remove(&self, target: &Target) -> Result<bool, KernelError> {
        match *target {
            Target::Address(IpAddr::V4(v4)) => syscall::delete(self.v4.as_fd(), &v4.octets()),
            Target::Address(IpAddr::V6(v6)) => syscall::delete(self.v6.as_fd(), &v6.octets()),
            Target::Prefix(prefix) => self.prefix.remove(&Target::prefix_key(prefix)),
        }
        .map_err(KernelError::system("remove a block"))
    }

    /// Every entry of the three tables.
    pub(super) fn entries(&self) -> Result<Vec<Blocked>, KernelError> {
        let mut entries = Vec::new();
        self.visit(|blocked| entries.push(blocked))?;
        Ok(entries)
    }

    /// Shows every entry of the three tables, in no order; holds one batch of addresses at a time,
    /// then the prefixes.
    pub(super) fn visit(&self, mut show: impl FnMut(Blocked)) -> Result<(), KernelError> {
        let mut address = |address: IpAddr, entry: &BlockEntry| {
            show(Blocked { target: Target::Address(address), entry: *entry });
        };
        let listed = syscall::visit_batches(self.v4.as_fd(), |key: &[u8; 4], entry| {
            address(IpAddr::from(*key), entry);
        })
        .and_then(|()| {
            syscall::visit_batches(self.v6.as_fd(), |key: &[u8; 16], entry| {
                address(IpAddr::from(*key), entry);
            })
        });
        listed.map_err(KernelError::system("list the blocks"))?;
        for (key, entry) in self.prefixes()? {
            if let Some(prefix) = Target::prefix_of(&key) {
                show(Blocked { target: Target::Prefix(prefix), entry });
            }
        }
        Ok(())
    }

    /// The entries that hold an address, the narrowest first, those past their lease included.
    pub(super) fn holding(&self, address: IpAddr) -> Result<Vec<Blocked>, KernelError> {
        let exact = Target::address(address);
        let mut holding: Vec<Blocked> =
            self.get(&exact)?.map(|entry| Blocked { target: exact, entry }).into_iter().collect();
        let mut wider: Vec<(IpNet, BlockEntry)> = self
            .prefixes()?
            .into_iter()
            .filter_map(|(key, entry)| Some((Target::prefix_of(&key)?, entry)))
            .filter(|(prefix, _)| prefix.contains(&address.to_canonical()))
            .collect();
        wider.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        holding.extend(
            wider.into_iter().map(|(net, entry)| Blocked { target: Target::Prefix(net), entry }),
        );
        Ok(holding)
    }

    /// Every blocked prefix with its entry.
    pub(super) fn prefixes(&self) -> Result<Vec<(PrefixKey, BlockEntry)>, KernelError> {
        self.prefix.read().map_err(KernelError::system("list the blocked prefixes"))
    }

    /// Entries that each table has room for.
    pub(super) fn capacity(&self) -> BlockCount {
        let addresses = self.block_capacity as usize;
        BlockCount { v4: addresses, v6: addresses, prefixes: self.prefix_capacity as usize }
    }

    /// Publishes to the programs the number of prefixes to look up.
    pub(super) fn tell_prefixes(&self, blocked_prefixes: usize) -> Result<(), KernelError> {
        self.report(|_| u32::try_from(blocked_prefixes).unwrap_or(u32::MAX))
    }

    /// Publishes to the programs the presence of a limited service to look up.
    pub(super) fn tell_services(&self) -> Result<(), KernelError> {
        self.report(|before| before.blocked_prefixes)
    }

    /// Writes what there is to look up, and looks again: another process may have changed the
    /// tables meanwhile and reported before. The last to report has looked after the other's
    /// change.
    fn report(&self, prefixes: impl Fn(&GuardControl) -> u32) -> Result<(), KernelError> {
        let failed = || KernelError::system("tell the guard what to look up");
        let control = self.control.as_fd();
        loop {
            let before = syscall::lookup(control, &0_u32).map_err(failed())?.unwrap_or_default();
            let any_prefix = !syscall::is_empty(self.prefix.map.as_fd()).map_err(failed())?;
            let any_service = !syscall::is_empty(self.services.as_fd()).map_err(failed())?;
            let told = GuardControl {
                blocked_prefixes: if any_prefix { prefixes(&before).max(1) } else { 0 },
                limited_services: u32::from(any_service),
            };
            if told == before {
                return Ok(());
            }
            syscall::update(control, &0_u32, &told, syscall::ANY).map_err(failed())?;
        }
    }

    pub(super) fn allow(&self, prefix: &PrefixKey) -> Result<(), KernelError> {
        self.allow.put(prefix, &1_u32).map_err(allow_refused)
    }

    pub(super) fn disallow(&self, prefix: &PrefixKey) -> Result<bool, KernelError> {
        self.allow.remove(prefix).map_err(KernelError::system("remove an allowed prefix"))
    }

    pub(super) fn allowed(&self) -> Result<Vec<PrefixKey>, KernelError> {
        let listed =
            self.allow.read::<u32>().map_err(KernelError::system("list the allowed prefixes"))?;
        Ok(listed.into_iter().map(|(key, _)| key).collect())
    }

    /// Statistics of one slot, summed over all CPUs.
    pub(super) fn stats(&self, slot: u32) -> Result<BlockStats, KernelError> {
        let mut each = vec![BlockStats::default(); self.cpus];
        syscall::lookup_per_cpu(self.stats.as_fd(), &slot, &mut each)
            .map_err(KernelError::system("read a block's statistics"))?;
        let mut sum = BlockStats::default();
        for one in &each {
            sum.add(one);
        }
        Ok(sum)
    }

    /// Sets a statistics slot to zero.
    pub(super) fn clear_stats(&self, slot: u32) -> Result<(), KernelError> {
        let zero = vec![BlockStats::default(); self.cpus];
        syscall::update_per_cpu(self.stats.as_fd(), &slot, &zero)
            .map_err(KernelError::system("clear a block's statistics"))
    }

    /// Guard decisions on one direction, summed over all CPUs.
    pub(super) fn guard_counters(
        &self,
        direction: Direction,
    ) -> Result<GuardCounters, KernelError> {
        let mut each = vec![GuardCounters::default(); self.cpus];
        let element: u32 = match direction {
            Direction::Ingress => 0,
            Direction::Egress => 1,
        };
        syscall::lookup_per_cpu(self.ledger.as_fd(), &element, &mut each)
            .map_err(KernelError::system("read the guard's ledger"))?;
        let mut sum = GuardCounters::default();
        for one in &each {
            sum.add(one);
        }
        Ok(sum)
    }

    fn refused(&self, target: &Target, error: io::Error) -> KernelError {
        // The one is a full hash map's, the other a full trie's.
        if matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOSPC)) {
            return KernelError::full(target, &self.capacity());
        }
        KernelError::System { action: "write a block", source: error }
    }
}

impl KernelError {
    /// The table of a target is full.
    #[must_use]
    pub fn full(target: &Target, capacity: &BlockCount) -> Self {
        let remedy = match target {
            Target::Address(_) => "raise `tables.blocks` and start weir anew",
            Target::Prefix(_) => "raise `tables.prefixes` and start weir anew, join prefixes",
        };
        let capacity = u32::try_from(capacity.of(target)).unwrap_or(u32::MAX);
        Self::BlocklistFull { table: table_of(target), capacity, remedy }
    }

    /// The room that the table of a target has for lists is full.
    #[must_use]
    pub const fn reserved(target: &Target, room: usize, reserve: u32) -> Self {
        let setting = match target {
            Target::Address(_) => "tables.blocks",
            Target::Prefix(_) => "tables.prefixes",
        };
        Self::Reserved { table: table_of(target), room, reserve, setting }
    }
}

const fn table_of(target: &Target) -> &'static str {
    match target {
        Target::Address(IpAddr::V4(_)) => "IPv4 block",
        Target::Address(IpAddr::V6(_)) => "IPv6 block",
        Target::Prefix(_) => "prefix block",
    }
}

/// Most allowed prefixes; the size of the map in the object.
const ALLOW_CAPACITY: u32 = 65_536;

fn allow_refused(error: io::Error) -> KernelError {
    if error.raw_os_error() == Some(libc::ENOSPC) {
        let (table, remedy) = ("allow", "join prefixes");
        return KernelError::BlocklistFull { table, capacity: ALLOW_CAPACITY, remedy };
    }
    KernelError::System { action: "write a prefix", source: error }
}

/// A trie of prefixes, which is not written while it is read.
///
/// The kernel finds the next key of a trie by a walk from its root: a branch whose node is replaced
/// under the walk is passed over, in all kernels so far. What another process writes meanwhile may
/// therefore hide entries from a reading.
#[derive(Debug)]
struct Trie {
    map: OwnedFd,
    turn: Mutex<()>,
}

impl Trie {
    const fn new(map: OwnedFd) -> Self {
        Self { map, turn: Mutex::new(()) }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // It guards no value that a panic could leave in part.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put<V: Pod>(&self, key: &PrefixKey, value: &V) -> io::Result<()> {
        let _turn = self.turn();
        syscall::update(self.map.as_fd(), key, value, syscall::ANY)
    }

    fn remove(&self, key: &PrefixKey) -> io::Result<bool> {
        let _turn = self.turn();
        syscall::delete(self.map.as_fd(), key)
    }

    /// Every entry, once: another process may remove the last key of a batch, and the kernel then
    /// reads the trie from its start again.
    fn read<V: Pod>(&self) -> io::Result<Vec<(PrefixKey, V)>> {
        let _turn = self.turn();
        let mut entries = syscall::read_whole(self.map.as_fd())?;
        let rank = |(key, _): &(PrefixKey, V)| (key.length, key.address);
        entries.sort_unstable_by_key(rank);
        entries.dedup_by_key(|one| rank(one));
        Ok(entries)
    }
}
