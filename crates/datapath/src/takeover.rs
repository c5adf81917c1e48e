//! Taking pinned maps over: as they are, in another size, or from an older layout.
//!
//! Nothing here touches what is in force. A map that fits is used as it is, in this layout or
//! pinned into it from an older one: the old program and the new one then share it. One of
//! another size is made anew and filled while the old program goes on with the old one; its pin
//! is replaced in one step, and the program in the link when the interface is attached. A start
//! that is cut off in between leaves the old program with its maps, and the next one goes on.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use aya::Pod;
use flows_common::{BlockEntry, BlockStats, PrefixKey, ServiceEntry, ServiceKey, VerifiedPeer};

use super::{
    boot_ns,
    error::KernelError,
    pin::{BLOCK_MAPS, Pins, failed},
    slots::Slots,
    syscall::{self, Batch, MapFacts},
};

/// The map of statistics slots, of which each entry may have one.
const STATS: &str = "BLOCK_STATS";

/// Planned treatment of one pinned map.
struct Step {
    name: &'static str,
    expected: MapFacts,
    source: Option<Source>,
    does: Does,
}

struct Source {
    path: PathBuf,
    map: OwnedFd,
    found: MapFacts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// It is there as needed, or there is none and it is made with the programs.
    Nothing,
    /// The same map is pinned in this layout too.
    Share,
    /// A map of the needed size takes its entries.
    Copy,
    /// A map is made anew; the entries are lost.
    Renew,
}

/// Makes each pinned map what the programs need.
///
/// # Errors
/// Before anything is changed: [`KernelError::PinMismatch`] where entries in force would not fit
/// the size asked for, [`KernelError::PinForeign`] where this layout's blocks are of another make.
/// A map of another make in an older layout is reported by name and not taken over.
pub(super) fn prepare(
    pins: &Pins,
    needed: &[(&'static str, MapFacts)],
    cpus: u32,
) -> Result<(), KernelError> {
    let _turn = pins.turn()?;
    let now_ns = boot_ns();
    let steps = needed
        .iter()
        .map(|&(name, expected)| plan(pins, name, expected, now_ns))
        .collect::<Result<Vec<_>, _>>()?;
    let stats = steps.iter().find(|step| step.name == STATS);
    let slots = stats.map_or(u32::MAX, |step| step.expected.max_entries);
    for step in &steps {
        step.carry_out(pins, now_ns, slots, cpus)?;
    }
    if stats.is_some_and(|step| matches!(step.does, Does::Copy | Does::Renew)) {
        for step in steps.iter().filter(|step| step.does != Does::Copy) {
            step.fit_slots(pins, slots)?;
        }
    }
    Ok(())
}

fn plan(
    pins: &Pins,
    name: &'static str,
    expected: MapFacts,
    now_ns: u64,
) -> Result<Step, KernelError> {
    let Some((path, map)) = pins.find_map(name)? else {
        return Ok(Step { name, expected, source: None, does: Does::Nothing });
    };
    let found = syscall::map_facts(map.as_fd()).map_err(failed("read the facts of", &path))?;
    let own = pins.owns(&path);
    let does = if found == expected {
        if own { Does::Nothing } else { Does::Share }
    } else if found.holds_the_same(&expected) {
        let live = live(name, map.as_fd(), now_ns).map_err(failed("look into", &path))?;
        if live > expected.max_entries as usize {
            return Err(KernelError::PinMismatch {
                path,
                found: found.to_string(),
                expected: expected.to_string(),
                live,
            });
        }
        Does::Copy
    } else {
        let holds = !syscall::is_empty(map.as_fd()).map_err(failed("look into", &path))?;
        if own && holds && BLOCK_MAPS.contains(&name) {
            return Err(KernelError::PinForeign {
                path,
                found: found.to_string(),
                expected: expected.to_string(),
            });
        }
        tracing::warn!(
            pin = %path.display(), %found, %expected,
            "the pinned map is of another make and is not taken over: it begins anew"
        );
        Does::Renew
    };
    Ok(Step { name, expected, source: Some(Source { path, map, found }), does })
}

/// Entries in force of a hash map or a trie; 0 of what holds no leases.
fn live(name: &str, map: BorrowedFd<'_>, now_ns: u64) -> io::Result<usize> {
    let alive = |entry: &BlockEntry| entry.expires_ns > now_ns;
    match name {
        "BLOCK_V4" => count::<[u8; 4], _>(map, alive),
        "BLOCK_V6" | "BLOCK_HOSTS" => count::<[u8; 16], _>(map, alive),
        "BLOCK_PREFIX" => count::<PrefixKey, _>(map, alive),
        "ALLOW" => count::<PrefixKey, u32>(map, |_| true),
        "SERVICE_LIMIT" => {
            count::<ServiceKey, ServiceEntry>(map, |entry| entry.expires_ns > now_ns)
        }
        // Of known peers, the least recently seen go; statistics and ledgers hold no leases.
        _ => Ok(0),
    }
}

fn count<K: Pod, V: Pod>(map: BorrowedFd<'_>, counts: impl Fn(&V) -> bool) -> io::Result<usize> {
    Ok(read::<K, V>(map)?.iter().filter(|(_, value)| counts(value)).count())
}

fn read<K: Pod, V: Pod>(map: BorrowedFd<'_>) -> io::Result<Vec<(K, V)>> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    syscall::read_batches(map, Batch::Read, &mut keys, &mut values)?;
    Ok(keys.into_iter().zip(values).collect())
}

impl Step {
    fn carry_out(
        &self,
        pins: &Pins,
        now_ns: u64,
        slots: u32,
        cpus: u32,
    ) -> Result<(), KernelError> {
        let Some(source) = &self.source else { return Ok(()) };
        match self.does {
            Does::Nothing => Ok(()),
            Does::Share => pins.put_map(self.name, source.map.as_fd()),
            Does::Copy | Does::Renew => {
                let made = syscall::create_map(self.name, &self.expected, None, None)
                    .map_err(KernelError::system("make a map (is memory short?)"))?;
                if self.does == Does::Copy {
                    let Source { path, map, found } = source;
                    self.fill(map.as_fd(), made.as_fd(), now_ns, slots, cpus)
                        .map_err(failed("copy the entries of", path))?;
                    tracing::info!(
                        pin = %path.display(), %found, now = %self.expected,
                        "the pinned map's entries are taken over in another size"
                    );
                }
                pins.put_map(self.name, made.as_fd())
            }
        }
    }

    /// Copies what is in force.
    fn fill(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        now_ns: u64,
        slots: u32,
        cpus: u32,
    ) -> io::Result<()> {
        let block = |entry: &BlockEntry| {
            let slot = fitting(entry.slot, slots);
            (entry.expires_ns > now_ns).then_some(BlockEntry { slot, ..*entry })
        };
        match self.name {
            "BLOCK_V4" => copy::<[u8; 4], _>(from, to, block),
            "BLOCK_V6" | "BLOCK_HOSTS" => copy::<[u8; 16], _>(from, to, block),
            "BLOCK_PREFIX" => copy::<PrefixKey, _>(from, to, block),
            "ALLOW" => copy::<PrefixKey, u32>(from, to, |&allowed| Some(allowed)),
            "SERVICE_LIMIT" => copy::<ServiceKey, ServiceEntry>(from, to, |entry| {
                let slot = fitting(entry.slot, slots);
                (entry.expires_ns > now_ns).then_some(ServiceEntry { slot, ..*entry })
            }),
            "KNOWN" => copy::<[u8; 16], VerifiedPeer>(from, to, |&peer| {
                (peer.until_ns > now_ns).then_some(peer)
            }),
            STATS => {
                let both = self
                    .source
                    .as_ref()
                    .map_or(0, |source| source.found.max_entries.min(self.expected.max_entries));
                copy_stats(from, to, both, cpus)
            }
            // Arrays of the ledger and of what is looked up have one size.
            _ => Ok(()),
        }
    }

    /// Gives the entries of a map that stays the shared slot where theirs is no longer there.
    fn fit_slots(&self, pins: &Pins, slots: u32) -> Result<(), KernelError> {
        let path = pins.map(self.name);
        let Some(source) = &self.source else { return Ok(()) };
        let map = source.map.as_fd();
        let block = |entry: &BlockEntry| {
            (entry.slot >= slots).then_some(BlockEntry { slot: Slots::SHARED, ..*entry })
        };
        match self.name {
            "BLOCK_V4" => copy::<[u8; 4], _>(map, map, block),
            "BLOCK_V6" | "BLOCK_HOSTS" => copy::<[u8; 16], _>(map, map, block),
            "BLOCK_PREFIX" => copy::<PrefixKey, _>(map, map, block),
            "SERVICE_LIMIT" => copy::<ServiceKey, ServiceEntry>(map, map, |entry| {
                (entry.slot >= slots).then_some(ServiceEntry { slot: Slots::SHARED, ..*entry })
            }),
            _ => Ok(()),
        }
        .map_err(failed("change the slots of", &path))
    }
}

/// The slot, if there still is one of this number.
const fn fitting(slot: u32, slots: u32) -> u32 {
    if slot < slots { slot } else { Slots::SHARED }
}

/// Writes what `change` makes of each entry.
fn copy<K: Pod, V: Pod>(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    change: impl Fn(&V) -> Option<V>,
) -> io::Result<()> {
    for (key, value) in read::<K, V>(from)? {
        if let Some(value) = change(&value) {
            syscall::update(to, &key, &value, syscall::ANY)?;
        }
    }
    Ok(())
}

fn copy_stats(from: BorrowedFd<'_>, to: BorrowedFd<'_>, slots: u32, cpus: u32) -> io::Result<()> {
    let mut each = vec![BlockStats::default(); cpus as usize];
    for slot in 0..slots {
        syscall::lookup_per_cpu(from, &slot, &mut each)?;
        if each.iter().any(|one| *one != BlockStats::default()) {
            syscall::update_per_cpu(to, &slot, &each)?;
        }
    }
    Ok(())
}
