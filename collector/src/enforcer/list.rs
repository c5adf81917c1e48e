//! A list of blocks being loaded into the kernel, or a dry run that only counts the outcome.

use std::collections::HashSet;

use address_list::check_width;
use control::wire::{ImportEntry, ImportRefused, ImportStopped, Imported, ReadBack, TableCount};
use policy::{ProtectedHosts, Scope};

use super::{BY_IMPORT, source_rate};
use crate::clock::nanos;
use datapath::{Block, BlockAction, BlockCount, Blocklist, Bulk, KernelError, Loaded, Target};

/// The code of the one refusal that is no guard's: the prefix is too wide.
const TOO_WIDE: &str = "too_wide";

/// Defaults of an entry that leaves them out.
#[derive(Clone, Copy, Debug)]
pub struct ListDefaults {
    /// Length of its lease, in seconds.
    pub for_s: u64,
    /// Action on its packets.
    pub action: flows_common::Action,
    /// Packets a second that a rate limit leaves.
    pub packets_per_second: u32,
}

/// A load under way. Entries that the load put are in force when [`ListLoad::take`] returns; its
/// memory is that of the blocked prefixes, however long the list. Only a dry run remembers the
/// list, up to what the tables hold: some 40 MB a million.
#[derive(Debug)]
pub struct ListLoad {
    table: Table,
    now_ns: u64,
    /// Reason that its entries carry.
    reason: u32,
}

#[derive(Debug)]
enum Table {
    Kernel { blocklist: Blocklist, bulk: Box<Bulk>, made_room: bool },
    DryRun(DryRun),
}

#[derive(Debug)]
struct DryRun {
    /// Blocks in force, where a guard is pinned.
    active: Option<Bulk>,
    seen: HashSet<Target>,
    held: BlockCount,
    capacity: BlockCount,
    reserve: u32,
}

impl ListLoad {
    pub(super) fn kernel(blocklist: Blocklist, now_ns: u64, reason: u32, reserve: u32) -> Self {
        let bulk = Box::new(blocklist.bulk(now_ns, reserve));
        Self { table: Table::Kernel { blocklist, bulk, made_room: false }, now_ns, reason }
    }

    /// Changes nothing. Without a guard that is pinned, tables of this capacity are empty; this many
    /// addresses of each family are left free.
    ///
    /// # Errors
    /// The kernel's tables cannot be read.
    pub fn dry_run(
        active: Option<&Blocklist>,
        capacity: BlockCount,
        reserve: u32,
        now_ns: u64,
    ) -> Result<Self, KernelError> {
        let dry_run = DryRun {
            held: active.map(|list| list.count_live(now_ns)).transpose()?.unwrap_or_default(),
            capacity: active.map_or(capacity, Blocklist::capacity),
            active: active.map(|list| list.bulk(now_ns, 0)),
            reserve,
            seen: HashSet::new(),
        };
        Ok(Self { table: Table::DryRun(dry_run), now_ns, reason: BY_IMPORT })
    }

    /// When the load began, in ns of the boot clock: its number.
    #[must_use]
    pub const fn began_ns(&self) -> u64 {
        self.now_ns
    }

    /// Blocks each entry that may be blocked, up to the first for which there is no room.
    pub fn take(
        &mut self,
        entries: impl IntoIterator<Item = ImportEntry>,
        defaults: &ListDefaults,
        hosts: &ProtectedHosts,
    ) -> Imported {
        let mut imported =
            Imported { load: self.now_ns, for_s: defaults.for_s, ..Imported::default() };
        let mut blocked = BlockCount::default();
        for (entry, one) in entries.into_iter().enumerate() {
            if let Some((code, text)) = refusal(&one, hosts) {
                imported.refused.push(ImportRefused { entry, code: code.to_owned(), text });
                continue;
            }
            let target = Target::from(one.target.net());
            let count = match self.put(&target, &self.block(&one, defaults)) {
                Ok(Loaded::New) => &mut imported.new,
                Ok(Loaded::Replaced) => &mut imported.replaced,
                Ok(Loaded::Kept) => &mut imported.kept,
                Ok(Loaded::Repeated) => {
                    imported.repeated += 1;
                    continue;
                }
                Err(error) => {
                    let text = format!("`{target}` is not blocked: {error}");
                    imported.stopped = Some(ImportStopped { entry, text });
                    break;
                }
            };
            *count += 1;
            blocked.add(&target);
        }
        imported.blocked = table_count(blocked);
        imported
    }

    /// Reads the kernel's tables: whether they hold what was loaded, and how much in all. `None` in
    /// a dry run.
    ///
    /// # Errors
    /// They do not, or cannot be read.
    pub fn read_back(&self) -> Result<Option<ReadBack>, KernelError> {
        let Table::Kernel { blocklist, bulk, .. } = &self.table else { return Ok(None) };
        let held = bulk.verify()?;
        Ok(Some(ReadBack {
            written: bulk.written(),
            held: table_count(held),
            capacity: table_count(blocklist.capacity()),
        }))
    }

    fn block(&self, entry: &ImportEntry, defaults: &ListDefaults) -> Block {
        let rate = source_rate(entry.pps.unwrap_or(defaults.packets_per_second));
        let lease = std::time::Duration::from_secs(entry.for_s.unwrap_or(defaults.for_s));
        Block {
            action: BlockAction::of(entry.action.unwrap_or(defaults.action), rate),
            scope: Scope::All,
            expires_ns: self.now_ns.saturating_add(nanos(lease)),
            reason: self.reason,
        }
    }

    /// Blocks a target. Where there is no room, entries past their lease make it, once.
    fn put(&mut self, target: &Target, block: &Block) -> Result<Loaded, KernelError> {
        match &mut self.table {
            Table::DryRun(dry_run) => dry_run.put(target, block),
            Table::Kernel { blocklist, bulk, made_room } => match bulk.put(target, block) {
                Err(KernelError::BlocklistFull { .. } | KernelError::Reserved { .. })
                    if !*made_room =>
                {
                    *made_room = true;
                    bulk.forget(&blocklist.expire(self.now_ns)?);
                    bulk.put(target, block)
                }
                result => result,
            },
        }
    }
}

impl DryRun {
    fn put(&mut self, target: &Target, block: &Block) -> Result<Loaded, KernelError> {
        if !self.seen.insert(*target) {
            return Ok(Loaded::Repeated);
        }
        let loaded = match &mut self.active {
            Some(bulk) => bulk.weigh_only(target, block)?,
            None => Loaded::New,
        };
        if loaded == Loaded::New {
            let (room, reserve) = self.capacity.for_lists(target, self.reserve);
            if self.held.of(target) >= room {
                return Err(match reserve {
                    0 => KernelError::full(target, &self.capacity),
                    reserve => KernelError::reserved(target, room, reserve),
                });
            }
            self.held.add(target);
        }
        Ok(loaded)
    }
}

/// Why an entry must not be blocked, for a program and for a person.
fn refusal(entry: &ImportEntry, hosts: &ProtectedHosts) -> Option<(&'static str, String)> {
    let net = entry.target.net();
    if let Err(error) = check_width(net) {
        return Some((TOO_WIDE, error.to_string()));
    }
    let protection = hosts.protection(net)?;
    Some((protection.refusal.name(), protection.to_string()))
}

const fn table_count(count: BlockCount) -> TableCount {
    TableCount { v4: count.v4, v6: count.v6, prefixes: count.prefixes }
}
