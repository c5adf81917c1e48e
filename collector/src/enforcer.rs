//! Enforcer: the one owner of writes to the kernel's guard while a node runs.
//!
//! Decisions, blocks of people and lists, the allowlist and the end of leases all pass through an
//! [`Enforcer`]; readers have a [`GuardView`].

mod list;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::IpAddr,
};

use anyhow::bail;
use events::Origin;
use flows_common::{
    Action, BlockEntry, BlockStats, Direction, GuardCounters, Scope, service::VERIFIED_NS,
};
use ipnet::IpNet;
use policy::{Decision, Outcome, ServiceLimit};

pub use list::{ListDefaults, ListLoad};

use crate::event::{ActionTaken, ExpiredEvent};
use datapath::{
    Block, BlockAction, BlockCount, Blocked, Blocklist, KernelError, LimitedService, RateLimit,
    Service, ServiceLimit as KernelLimit, Target,
};

/// The reason that an entry made by hand carries: no block has this number.
pub const BY_HAND: u32 = u32::MAX;

/// The reason that an entry of an imported list without a name carries.
pub const BY_IMPORT: u32 = u32::MAX - 1;

/// Lists with a name: the reasons below [`BY_IMPORT`], as many, are theirs.
pub const LISTS_LIMIT: u32 = 1_024;

/// The least reason that is no block's number: of lists, and by hand.
pub const FIRST_OF_PEOPLE: u32 = BY_IMPORT - LISTS_LIMIT;

/// The statistics slot that entries without one of their own share.
pub const SHARED_SLOT: u32 = 0;

/// Why a node in observe mode blocks nothing.
pub(crate) const NOTHING_GUARDED: &str = "this node started in observe mode and guards nothing; \
                                          start it with `--mode shadow` or `--mode enforce`";

/// The one writer to the guard.
pub trait Enforcer: Send {
    /// True where there is a guard to change.
    fn guards(&self) -> bool;

    /// Carries out a decision; `number` becomes the entry's `reason`.
    ///
    /// # Errors
    /// The entry could not be made; nothing was changed.
    fn enforce(
        &mut self,
        decision: &Decision,
        number: u32,
        now_ns: u64,
    ) -> anyhow::Result<ActionTaken>;

    /// Makes a block that a person or the ledger asks for, or replaces the one that stands;
    /// returns what the kernel now holds.
    ///
    /// # Errors
    /// The entry could not be made; nothing was changed.
    fn block(&mut self, target: Target, block: &Block, now_ns: u64) -> anyhow::Result<BlockEntry>;

    /// Ends a block, with a reason only one that carries it; returns the entry and what it met,
    /// where there was one.
    ///
    /// # Errors
    /// The table cannot be read or written.
    fn unblock(
        &mut self,
        target: Target,
        reason: Option<u32>,
    ) -> anyhow::Result<Option<(BlockEntry, BlockStats)>>;

    /// Removes an entry that is past its lease; tells whether there was one.
    ///
    /// # Errors
    /// The table cannot be read or written.
    fn clear(&mut self, target: Target, now_ns: u64) -> anyhow::Result<bool>;

    /// Begins to load a list of blocks: its entries carry the reason, and leave this many addresses
    /// of each family free for others.
    ///
    /// # Errors
    /// There is no guard.
    fn load_list(&mut self, now_ns: u64, reason: u32, reserve: u32) -> anyhow::Result<ListLoad>;

    /// Passes what lies in this prefix, whatever is blocked.
    ///
    /// # Errors
    /// The allowlist cannot be written.
    fn allow(&mut self, prefix: IpNet) -> anyhow::Result<()>;

    /// Takes a prefix off the allowlist.
    ///
    /// # Errors
    /// The allowlist cannot be written.
    fn disallow(&mut self, prefix: IpNet) -> anyhow::Result<()>;

    /// Limits what unproven sources may send to a service.
    ///
    /// # Errors
    /// The entry could not be made; nothing was changed.
    fn limit(&mut self, limit: &ServiceLimit, now_ns: u64) -> anyhow::Result<ActionTaken>;

    /// Exempts remotes that proved their address from the limits of services.
    ///
    /// # Errors
    /// The table cannot be written.
    fn exempt(&mut self, remotes: &[IpAddr], now_ns: u64) -> anyhow::Result<()>;

    /// Turns an entry to shadow, its lease as it is; tells whether there was one that did more.
    ///
    /// # Errors
    /// The entry could not be changed.
    fn demote(&mut self, target: Target, now_ns: u64) -> anyhow::Result<bool>;

    /// Turns the limits of all services to shadow, their leases as they are.
    ///
    /// # Errors
    /// The table cannot be read or written.
    fn demote_limits(&mut self) -> anyhow::Result<()>;

    /// Lets the entry of a peer end later; tells whether there was one.
    ///
    /// # Errors
    /// The entry could not be changed.
    fn prolong(&mut self, peer: IpAddr, until_ns: u64, now_ns: u64) -> anyhow::Result<bool>;

    /// Removes what has run out, and tells of it.
    ///
    /// # Errors
    /// The table cannot be read.
    fn sweep(&mut self, now_ns: u64) -> anyhow::Result<Vec<ExpiredEvent>>;
}

/// Observe mode: decisions are told and nothing is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observe;

impl Enforcer for Observe {
    fn guards(&self) -> bool {
        false
    }

    fn enforce(&mut self, decision: &Decision, _: u32, _: u64) -> anyhow::Result<ActionTaken> {
        Ok(match decision.outcome {
            Outcome::Refused(_) => ActionTaken::Refused,
            Outcome::Block { .. } => ActionTaken::WouldBlock,
        })
    }

    fn block(&mut self, _: Target, _: &Block, _: u64) -> anyhow::Result<BlockEntry> {
        bail!(NOTHING_GUARDED)
    }

    fn unblock(
        &mut self,
        _: Target,
        _: Option<u32>,
    ) -> anyhow::Result<Option<(BlockEntry, BlockStats)>> {
        Ok(None)
    }

    fn clear(&mut self, _: Target, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn load_list(&mut self, _: u64, _: u32, _: u32) -> anyhow::Result<ListLoad> {
        bail!(NOTHING_GUARDED)
    }

    fn allow(&mut self, _: IpNet) -> anyhow::Result<()> {
        Ok(())
    }

    fn disallow(&mut self, _: IpNet) -> anyhow::Result<()> {
        Ok(())
    }

    fn limit(&mut self, _: &ServiceLimit, _: u64) -> anyhow::Result<ActionTaken> {
        Ok(ActionTaken::WouldBlock)
    }

    fn exempt(&mut self, _: &[IpAddr], _: u64) -> anyhow::Result<()> {
        Ok(())
    }

    fn demote(&mut self, _: Target, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn demote_limits(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn prolong(&mut self, _: IpAddr, _: u64, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn sweep(&mut self, _: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        Ok(Vec::new())
    }
}

/// Entries of each table that lists leave free, of so many addresses: for the model's blocks, and at
/// most a quarter.
#[must_use]
pub fn list_reserve(max_blocks: u32, capacity: u32) -> u32 {
    max_blocks.min(capacity / 4)
}

/// Counts of an entry so far.
pub(crate) fn hits(target: Target, stats: &BlockStats, at_ns: u64) -> ExpiredEvent {
    ExpiredEvent {
        at_ns,
        peer: IpNet::from(target).into(),
        dropped_packets: stats.dropped_packets,
        dropped_bytes: stats.dropped_bytes,
        passed_packets: stats.passed_packets,
        would_drop_packets: stats.shadow_packets,
        would_drop_bytes: stats.shadow_bytes,
        first_drop_ns: stats.first_ns,
    }
}

/// The kernel's limit for what was decided; the burst is a second's worth.
#[must_use]
pub const fn kernel_limit(limit: &ServiceLimit) -> KernelLimit {
    let rate = RateLimit {
        packets_per_second: limit.packets_per_second,
        burst_packets: limit.packets_per_second,
    };
    KernelLimit { rate, action: limit.action, expires_ns: limit.expires_ns, reason: 0 }
}

/// Rate and burst of a limited source.
#[must_use]
pub const fn source_rate(packets_per_second: u32) -> RateLimit {
    let burst_packets = packets_per_second.saturating_mul(policy::BURST_S);
    RateLimit { packets_per_second, burst_packets }
}

/// Who made an entry of this reason that nothing else is known of.
pub(crate) const fn origin_of(reason: u32) -> Origin {
    match reason {
        BY_HAND => Origin::Person,
        FIRST_OF_PEOPLE.. => Origin::Import,
        _ => Origin::Found,
    }
}

/// Read-only access to the guard.
#[derive(Clone, Debug)]
pub struct GuardView(Blocklist);

impl GuardView {
    /// A view of the guard that this handle changes.
    #[must_use]
    pub const fn new(blocklist: Blocklist) -> Self {
        Self(blocklist)
    }

    /// See [`Blocklist::get`].
    pub fn get(&self, target: &Target) -> Result<Option<BlockEntry>, KernelError> {
        self.0.get(target)
    }

    /// See [`Blocklist::holding`].
    pub fn holding(&self, address: IpAddr) -> Result<Vec<Blocked>, KernelError> {
        self.0.holding(address)
    }

    /// See [`Blocklist::visit`].
    pub fn visit(&self, show: impl FnMut(Blocked)) -> Result<(), KernelError> {
        self.0.visit(show)
    }

    /// See [`Blocklist::list`].
    pub fn list(&self) -> Result<Vec<Blocked>, KernelError> {
        self.0.list()
    }

    /// See [`Blocklist::allowed`].
    pub fn allowed(&self) -> Result<Vec<IpNet>, KernelError> {
        self.0.allowed()
    }

    /// See [`Blocklist::services`].
    pub fn services(&self) -> Result<Vec<LimitedService>, KernelError> {
        self.0.services()
    }

    /// Counts of an entry that has a slot of its own; those of one without are not told apart.
    pub fn stats(&self, slot: u32) -> Result<BlockStats, KernelError> {
        own_stats(&self.0, slot)
    }

    /// See [`Blocklist::held`].
    #[must_use]
    pub fn held(&self) -> BlockCount {
        self.0.held()
    }

    /// See [`Blocklist::capacity`].
    #[must_use]
    pub fn capacity(&self) -> BlockCount {
        self.0.capacity()
    }

    /// See [`Blocklist::guard_counters`].
    pub fn guard_counters(&self, direction: Direction) -> Result<GuardCounters, KernelError> {
        self.0.guard_counters(direction)
    }
}

fn own_stats(blocklist: &Blocklist, slot: u32) -> Result<BlockStats, KernelError> {
    if slot == SHARED_SLOT { Ok(BlockStats::default()) } else { blocklist.stats(slot) }
}

/// Writes to the kernel's guard.
#[derive(Debug)]
pub struct KernelEnforcer {
    blocklist: Blocklist,
    rate: RateLimit,
    /// Entries by when they run out; one whose lease was renewed is looked at again then.
    due: BinaryHeap<Reverse<(u64, Target)>>,
    /// When limits of services are due to be looked at; 0 for never.
    services_due_ns: u64,
}

impl KernelEnforcer {
    /// Takes over the entries that an earlier process left, so that they are cleared in time.
    ///
    /// # Errors
    /// The blocklist cannot be read.
    pub fn new(blocklist: Blocklist, rate_limit_pps: u32) -> anyhow::Result<Self> {
        let due = blocklist
            .list()?
            .into_iter()
            .map(|blocked| Reverse((blocked.entry.expires_ns, blocked.target)))
            .collect();
        let services_due_ns =
            blocklist.services()?.iter().map(|limited| limited.entry.expires_ns).min();
        let rate = source_rate(rate_limit_pps);
        Ok(Self { blocklist, rate, due, services_due_ns: services_due_ns.unwrap_or(0) })
    }

    fn write(&mut self, target: Target, block: &Block, now_ns: u64) -> anyhow::Result<BlockEntry> {
        let entry = self.blocklist.insert(target, block, now_ns)?;
        self.due.push(Reverse((block.expires_ns, target)));
        Ok(entry)
    }

    /// The block that an entry stands for, with this rate where it limits one.
    fn block_of(&self, entry: &BlockEntry) -> Block {
        let action = BlockAction::of(entry.effect(), self.rate);
        let scope = Scope::from_code(entry.scope);
        Block { action, scope, expires_ns: entry.expires_ns, reason: entry.reason }
    }
}

impl Enforcer for KernelEnforcer {
    fn guards(&self) -> bool {
        true
    }

    fn block(&mut self, target: Target, block: &Block, now_ns: u64) -> anyhow::Result<BlockEntry> {
        self.write(target, block, now_ns)
    }

    fn unblock(
        &mut self,
        target: Target,
        reason: Option<u32>,
    ) -> anyhow::Result<Option<(BlockEntry, BlockStats)>> {
        let entry = self.blocklist.get(&target)?;
        let Some(entry) = entry.filter(|one| reason.is_none_or(|reason| one.reason == reason))
        else {
            return Ok(None);
        };
        let stats = own_stats(&self.blocklist, entry.slot)?;
        Ok(self.blocklist.remove(&target)?.then_some((entry, stats)))
    }

    fn clear(&mut self, target: Target, now_ns: u64) -> anyhow::Result<bool> {
        // One that was renewed since it was listed stays.
        let over = self.blocklist.get(&target)?.is_some_and(|entry| entry.expires_ns <= now_ns);
        Ok(over && self.blocklist.remove(&target)?)
    }

    fn load_list(&mut self, now_ns: u64, reason: u32, reserve: u32) -> anyhow::Result<ListLoad> {
        Ok(ListLoad::kernel(self.blocklist.clone(), now_ns, reason, reserve))
    }

    fn allow(&mut self, prefix: IpNet) -> anyhow::Result<()> {
        Ok(self.blocklist.allow(prefix)?)
    }

    fn disallow(&mut self, prefix: IpNet) -> anyhow::Result<()> {
        self.blocklist.disallow(prefix)?;
        Ok(())
    }

    fn enforce(
        &mut self,
        decision: &Decision,
        number: u32,
        now_ns: u64,
    ) -> anyhow::Result<ActionTaken> {
        let Outcome::Block { action, scope, expires_ns, .. } = decision.outcome else {
            return Ok(ActionTaken::Refused);
        };
        let action_in_kernel = BlockAction::of(action, self.rate);
        let block = Block { action: action_in_kernel, scope, expires_ns, reason: number };
        self.write(host(decision.evidence.address), &block, now_ns)?;
        Ok(ActionTaken::of(action))
    }

    fn limit(&mut self, limit: &ServiceLimit, now_ns: u64) -> anyhow::Result<ActionTaken> {
        let service = Service { protocol: limit.service.protocol, port: limit.service.port };
        let kernel = kernel_limit(limit);
        self.blocklist.limit_service(service, &kernel, now_ns)?;
        self.services_due_ns = match self.services_due_ns {
            0 => limit.expires_ns,
            due_ns => due_ns.min(limit.expires_ns),
        };
        Ok(match limit.action {
            Action::Shadow => ActionTaken::Shadowed,
            Action::RateLimit | Action::Drop => ActionTaken::RateLimited,
        })
    }

    fn exempt(&mut self, remotes: &[IpAddr], now_ns: u64) -> anyhow::Result<()> {
        self.blocklist.exempt(remotes, now_ns.saturating_add(VERIFIED_NS))?;
        Ok(())
    }

    fn demote(&mut self, target: Target, now_ns: u64) -> anyhow::Result<bool> {
        let Some(entry) = self.blocklist.get(&target)? else { return Ok(false) };
        if entry.action == Action::Shadow.code() || entry.expires_ns <= now_ns {
            return Ok(false);
        }
        let shadow = Block { action: BlockAction::Shadow, ..self.block_of(&entry) };
        self.write(target, &shadow, now_ns)?;
        Ok(true)
    }

    fn demote_limits(&mut self) -> anyhow::Result<()> {
        Ok(self.blocklist.shadow_services()?)
    }

    fn prolong(&mut self, peer: IpAddr, until_ns: u64, now_ns: u64) -> anyhow::Result<bool> {
        let target = host(peer);
        let Some(entry) = self.blocklist.get(&target)? else { return Ok(false) };
        let longer = Block { expires_ns: until_ns, ..self.block_of(&entry) };
        self.write(target, &longer, now_ns)?;
        Ok(true)
    }

    fn sweep(&mut self, now_ns: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        if self.services_due_ns != 0 && self.services_due_ns <= now_ns {
            self.blocklist.expire_services(now_ns)?;
            let next = self.blocklist.services()?;
            self.services_due_ns =
                next.iter().map(|limited| limited.entry.expires_ns).min().unwrap_or(0);
        }
        // By target: two blocks of one peer may be due at once.
        let mut ended = BTreeMap::new();
        while let Some(&Reverse((expires_ns, target))) = self.due.peek() {
            if expires_ns > now_ns {
                break;
            }
            self.due.pop();
            let Some(entry) = self.blocklist.get(&target)? else { continue };
            if entry.expires_ns > now_ns {
                // Its own renewals are due already; a person's are not.
                if entry.reason >= FIRST_OF_PEOPLE {
                    self.due.push(Reverse((entry.expires_ns, target)));
                }
                continue;
            }
            let stats = own_stats(&self.blocklist, entry.slot)?;
            self.blocklist.remove(&target)?;
            ended.insert(target, hits(target, &stats, now_ns));
        }
        Ok(ended.into_values().collect())
    }
}
/// What a block of this remote of evidence is on.
pub(crate) fn host(peer: IpAddr) -> Target {
    Target::from(events::Prefix::of_host(peer).net())
}
