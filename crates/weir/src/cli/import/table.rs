//! Where a list goes: the pinned blocklist, or a rehearsal that only says what would come of it.

use std::collections::HashSet;

use ipnet::IpNet;

use super::tally::{Tables, Tally};
use collector::config::Config;
use datapath::{Block, BlockCount, Blocklist, Bulk, KernelError, Loaded, PREFIX_CAPACITY, Target};

pub(super) enum Table {
    Pinned { blocklist: Blocklist, bulk: Bulk, now_ns: u64, made_room: bool },
    Rehearsal(Rehearsal),
}

/// Says what would come of a list. It remembers the list, as the kernel would: some 40 MB a
/// million.
pub(super) struct Rehearsal {
    /// What stands, where a guard is pinned.
    standing: Option<(Blocklist, Bulk)>,
    seen: HashSet<Target>,
    held: BlockCount,
    capacity: BlockCount,
    now_ns: u64,
}

impl Table {
    /// Opens the pinned guard. A rehearsal goes without one.
    pub(super) fn open(config: &Config, dry_run: bool, now_ns: u64) -> anyhow::Result<Self> {
        let pinned = Blocklist::pinned(&config.guard.bpffs);
        if !dry_run {
            let blocklist = pinned?;
            let bulk = blocklist.bulk(now_ns);
            return Ok(Self::Pinned { blocklist, bulk, now_ns, made_room: false });
        }
        let (standing, held, capacity) = match pinned {
            Ok(blocklist) => {
                let (held, capacity) = (blocklist.count_live(now_ns)?, blocklist.capacity());
                let bulk = blocklist.bulk(now_ns);
                (Some((blocklist, bulk)), held, capacity)
            }
            Err(KernelError::NoPinnedGuard { .. } | KernelError::MissingCapability { .. }) => {
                let (blocks, prefixes) = (config.tables.blocks as usize, PREFIX_CAPACITY as usize);
                let capacity = BlockCount { v4: blocks, v6: blocks, prefixes };
                (None, BlockCount::default(), capacity)
            }
            Err(error) => return Err(error.into()),
        };
        let seen = HashSet::new();
        Ok(Self::Rehearsal(Rehearsal { standing, seen, held, capacity, now_ns }))
    }

    /// When the load began, in ns of the boot clock.
    pub(super) const fn now_ns(&self) -> u64 {
        match self {
            Self::Pinned { now_ns, .. } | Self::Rehearsal(Rehearsal { now_ns, .. }) => *now_ns,
        }
    }

    /// The pinned allowlist.
    pub(super) fn allowed(&self) -> Result<Vec<IpNet>, KernelError> {
        match self {
            Self::Pinned { blocklist, .. } => blocklist.allowed(),
            Self::Rehearsal(rehearsal) => match &rehearsal.standing {
                Some((blocklist, _)) => blocklist.allowed(),
                None => Ok(Vec::new()),
            },
        }
    }

    /// Blocks a target. Where there is no room, entries past their lease make it, once.
    pub(super) fn put(&mut self, target: &Target, block: &Block) -> Result<Loaded, KernelError> {
        match self {
            Self::Rehearsal(rehearsal) => rehearsal.put(target, block),
            Self::Pinned { blocklist, bulk, now_ns, made_room } => match bulk.put(target, block) {
                Err(KernelError::BlocklistFull { .. }) if !*made_room => {
                    *made_room = true;
                    bulk.forget(&blocklist.expire(*now_ns)?);
                    bulk.put(target, block)
                }
                result => result,
            },
        }
    }

    /// Reads the kernel's tables: whether they hold what was loaded, and how much in all.
    pub(super) fn verify(&self, tally: &mut Tally) -> anyhow::Result<()> {
        let Self::Pinned { blocklist, bulk, .. } = self else { return Ok(()) };
        let held = bulk.verify()?;
        tally.read_back = Some(bulk.written());
        tally.tables = Some(Tables { held, capacity: blocklist.capacity() });
        Ok(())
    }
}

impl Rehearsal {
    fn put(&mut self, target: &Target, block: &Block) -> Result<Loaded, KernelError> {
        if !self.seen.insert(*target) {
            return Ok(Loaded::Repeated);
        }
        let loaded = match &mut self.standing {
            Some((_, bulk)) => bulk.weigh_only(target, block)?,
            None => Loaded::New,
        };
        if loaded == Loaded::New {
            if self.held.of(target) >= self.capacity.of(target) {
                return Err(KernelError::full(target, &self.capacity));
            }
            self.held.add(target);
        }
        Ok(loaded)
    }
}
