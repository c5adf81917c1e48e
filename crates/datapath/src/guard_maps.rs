//! The guard's maps, read and written.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya::{Ebpf, Pod};
use flows_common::{
    BlockEntry, BlockStats, Direction, GuardControl, GuardCounters, PrefixKey, host,
};
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

/// What reading the blocked prefixes is called in errors.
const PREFIXES: &str = "list the blocked prefixes";

/// Descriptors of the guard's maps, and what their sizes are.
#[derive(Debug)]
pub(super) struct GuardMaps {
    v4: OwnedFd,
    v6: OwnedFd,
    /// Networks of IPv6 that are one host, by name.
    hosts: OwnedFd,
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
            hosts: object::map(object, "BLOCK_HOSTS")?,
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
            hosts: open("BLOCK_HOSTS")?,
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
            Target::Prefix(prefix) => match host_of(prefix) {
                Some(name) => syscall::lookup(self.hosts.as_fd(), &name),
                None => self.get_prefix(&Target::prefix_key(prefix)),
            },
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
            Target::Prefix(prefix) => match host_of(prefix) {
                Some(name) => syscall::update(self.hosts.as_fd(), &name, entry, any),
                None => self.prefix.put(&Target::prefix_key(prefix), entry),
            },
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
            Target::Prefix(prefix) => match host_of(prefix) {
                Some(name) => syscall::delete(self.hosts.as_fd(), &name),
                None => self.prefix.remove(&Target::prefix_key(prefix)),
            },
        }
        .map_err(KernelError::system("remove a block"))
    }

    /// Every entry of the tables.
    pub(super) fn entries(&self) -> Result<Vec<Blocked>, KernelError> {
        let mut entries = Vec::new();
        self.visit(|blocked| entries.push(blocked))?;
        Ok(entries)
    }

    /// Shows every entry of the tables, in no order; holds one batch of addresses at a time,
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

    /// Every blocked prefix with its entry.
    pub(super) fn prefixes(&self) -> Result<Vec<(PrefixKey, BlockEntry)>, KernelError> {
        let mut found = self.prefix.read().map_err(KernelError::system(PREFIXES))?;
        syscall::visit_batches(self.hosts.as_fd(), |name: &[u8; 16], entry: &BlockEntry| {
            found.extend(net_of(name).map(|net| (Target::prefix_key(net), *entry)));
        })
        .map_err(KernelError::system(PREFIXES))?;
        Ok(found)
    }

    /// Moves networks that are one host to their own table, where an older weir left them in the
    /// trie. Each is in one of them at any time.
    pub(super) fn sort_out_hosts(&self) -> Result<(), KernelError> {
        let failed = || KernelError::system("move a blocked network to its table");
        for (key, entry) in self.prefix.read::<BlockEntry>().map_err(failed())? {
            if let Some(name) = Target::prefix_of(&key).and_then(host_of) {
                syscall::update(self.hosts.as_fd(), &name, &entry, syscall::ANY)
                    .map_err(failed())?;
                self.tell()?;
                self.prefix.remove(&key).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Entries that each table has room for.
    pub(super) fn capacity(&self) -> BlockCount {
        let addresses = self.block_capacity as usize;
        BlockCount { v4: addresses, v6: addresses, prefixes: self.prefix_capacity as usize }
    }

    /// Publishes to the programs what there is to look up, and looks again: another process may have
    /// changed the tables meanwhile and told before. The last to tell has looked after the other's
    /// change.
    pub(super) fn tell(&self) -> Result<(), KernelError> {
        let failed = || KernelError::system("tell the guard what to look up");
        let control = self.control.as_fd();
        loop {
            let before = syscall::lookup(control, &0_u32).map_err(failed())?.unwrap_or_default();
            let any_prefix = !syscall::is_empty(self.prefix.map.as_fd()).map_err(failed())?;
            let any_service = !syscall::is_empty(self.services.as_fd()).map_err(failed())?;
            let told = GuardControl {
                blocked_prefixes: u16::from(any_prefix),
                blocked_hosts: self.host_lengths().map_err(failed())?,
                limited_services: u32::from(any_service),
            };
            if told == before {
                return Ok(());
            }
            syscall::update(control, &0_u32, &told, syscall::ANY).map_err(failed())?;
        }
    }

    /// The same behind a prefix that was put; nothing where the programs look for its like already.
    pub(super) fn tell_of(&self, prefix: IpNet) -> Result<(), KernelError> {
        let control: Option<GuardControl> = syscall::lookup(self.control.as_fd(), &0_u32)
            .map_err(KernelError::system("read what the guard looks up"))?;
        let control = control.unwrap_or_default();
        let is_told = match host_of(prefix) {
            Some(name) => control.blocked_hosts & bit(&name) != 0,
            None => control.blocked_prefixes != 0,
        };
        if is_told { Ok(()) } else { self.tell() }
    }

    /// The set of lengths of [`GuardControl::blocked_hosts`].
    fn host_lengths(&self) -> io::Result<u16> {
        let mut lengths = 0;
        syscall::visit_batches(self.hosts.as_fd(), |name: &[u8; 16], _: &BlockEntry| {
            lengths |= bit(name);
        })?;
        Ok(lengths)
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
        Self::Reserved { table: table_of(target), room, reserve }
    }
}

/// The name of a network of IPv6 that is blocked as one host.
fn host_of(prefix: IpNet) -> Option<[u8; 16]> {
    let IpNet::V6(v6) = prefix else { return None };
    let length = Some(v6.prefix_len()).filter(|length| host::LENGTHS.contains(length))?;
    let name = host::name(v6.addr().octets(), length);
    (host::length(&name) == Some(length)).then_some(name)
}

/// The length of a network in [`GuardControl::blocked_hosts`].
fn bit(name: &[u8; 16]) -> u16 {
    let length = host::length(name);
    let place = host::LENGTHS.iter().position(|one| Some(*one) == length);
    place.map_or(0, |place| 1 << place)
}

/// The network of a name.
fn net_of(name: &[u8; 16]) -> Option<IpNet> {
    Some(IpNet::new_assert(IpAddr::from(*name), host::length(name)?).trunc())
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
