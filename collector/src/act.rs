//! Act: carries decisions out in the kernel's blocklist, and clears what has run out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::IpAddr,
};

use flows_common::{Action, BlockEntry, BlockStats, service::KNOWN_NS};
use ipnet::IpNet;
use policy::{Decision, Outcome, ServiceLimit};

use crate::event::{ActionTaken, ExpiredEvent};
use datapath::{
    Block, BlockAction, Blocklist, RateLimit, Service, ServiceLimit as KernelLimit, Target,
};

/// The reason that an entry made by hand carries: no block has this number.
pub const BY_HAND: u32 = u32::MAX;

/// The reason that an entry of an imported list carries: no block has this number either.
pub const BY_IMPORT: u32 = u32::MAX - 1;

/// The statistics slot that entries without one of their own share.
pub const SHARED_SLOT: u32 = 0;

/// What carries decisions out.
pub trait Act: Send {
    /// Does what was decided; `number` is what the entry's `reason` will be.
    ///
    /// # Errors
    /// The entry could not be made; nothing was changed.
    fn act(&mut self, decision: &Decision, number: u32, now_ns: u64)
    -> anyhow::Result<ActionTaken>;

    /// Limits what unproven sources may send to a service.
    ///
    /// # Errors
    /// The entry could not be made; nothing was changed.
    fn limit(&mut self, limit: &ServiceLimit, now_ns: u64) -> anyhow::Result<ActionTaken>;

    /// Exempts remotes that proved their address from the limits of services.
    ///
    /// # Errors
    /// The table cannot be written.
    fn know(&mut self, remotes: &[IpAddr], now_ns: u64) -> anyhow::Result<()>;

    /// Turns the entry of a peer to shadow, its lease as it is; tells whether there was one that
    /// dropped.
    ///
    /// # Errors
    /// The entry could not be changed.
    fn demote(&mut self, peer: IpAddr, now_ns: u64) -> anyhow::Result<bool>;

    /// Lets the entry of a peer end later; tells whether there was one.
    ///
    /// # Errors
    /// The entry could not be changed.
    fn prolong(&mut self, peer: IpAddr, until_ns: u64, now_ns: u64) -> anyhow::Result<bool>;

    /// Looks at an entry that somebody else made again when its lease ends.
    fn expect(&mut self, target: Target, expires_ns: u64);

    /// Removes what has run out, and tells of it.
    ///
    /// # Errors
    /// The table cannot be read.
    fn sweep(&mut self, now_ns: u64) -> anyhow::Result<Vec<ExpiredEvent>>;
}

/// Observe mode: decisions are told and nothing is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observe;

impl Act for Observe {
    fn act(&mut self, decision: &Decision, _: u32, _: u64) -> anyhow::Result<ActionTaken> {
        Ok(match decision.outcome {
            Outcome::Refused(_) => ActionTaken::Refused,
            Outcome::Block { .. } => ActionTaken::WouldBlock,
        })
    }

    fn limit(&mut self, _: &ServiceLimit, _: u64) -> anyhow::Result<ActionTaken> {
        Ok(ActionTaken::WouldBlock)
    }

    fn know(&mut self, _: &[IpAddr], _: u64) -> anyhow::Result<()> {
        Ok(())
    }

    fn demote(&mut self, _: IpAddr, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn prolong(&mut self, _: IpAddr, _: u64, _: u64) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn expect(&mut self, _: Target, _: u64) {}

    fn sweep(&mut self, _: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        Ok(Vec::new())
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

/// What a limited source may send.
#[must_use]
pub const fn source_rate(packets_per_second: u32) -> RateLimit {
    let burst_packets = packets_per_second.saturating_mul(policy::BURST_S);
    RateLimit { packets_per_second, burst_packets }
}

/// The action of an entry; the kernel takes one that it does not know for shadow.
pub(crate) fn entry_action(entry: &BlockEntry) -> Action {
    Action::from_code(entry.action).unwrap_or(Action::Shadow)
}

/// Makes and clears entries.
#[derive(Debug)]
pub struct Enforcer {
    blocklist: Blocklist,
    rate: RateLimit,
    /// Entries by when they run out; one whose lease was renewed is looked at again then.
    due: BinaryHeap<Reverse<(u64, Target)>>,
    /// When limits of services are due to be looked at; 0 for never.
    services_due_ns: u64,
}

impl Enforcer {
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

    fn write(&mut self, target: Target, block: &Block, now_ns: u64) -> anyhow::Result<()> {
        self.blocklist.insert(target, block, now_ns)?;
        self.due.push(Reverse((block.expires_ns, target)));
        Ok(())
    }

    /// The block that an entry stands for, with this rate where it limits one.
    fn block_of(&self, entry: &BlockEntry) -> Block {
        let action = BlockAction::of(entry_action(entry), self.rate);
        Block { action, expires_ns: entry.expires_ns, reason: entry.reason }
    }
}

impl Act for Enforcer {
    fn act(
        &mut self,
        decision: &Decision,
        number: u32,
        now_ns: u64,
    ) -> anyhow::Result<ActionTaken> {
        let Outcome::Block { action, expires_ns, .. } = decision.outcome else {
            return Ok(ActionTaken::Refused);
        };
        let block =
            Block { action: BlockAction::of(action, self.rate), expires_ns, reason: number };
        self.write(Target::address(decision.evidence.address), &block, now_ns)?;
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

    fn know(&mut self, remotes: &[IpAddr], now_ns: u64) -> anyhow::Result<()> {
        self.blocklist.know(remotes, now_ns.saturating_add(KNOWN_NS))?;
        Ok(())
    }

    fn demote(&mut self, peer: IpAddr, now_ns: u64) -> anyhow::Result<bool> {
        let target = Target::address(peer);
        let Some(entry) = self.blocklist.get(&target)? else { return Ok(false) };
        if entry.action == Action::Shadow.code() {
            return Ok(false);
        }
        let shadow = Block { action: BlockAction::Shadow, ..self.block_of(&entry) };
        self.write(target, &shadow, now_ns)?;
        Ok(true)
    }

    fn prolong(&mut self, peer: IpAddr, until_ns: u64, now_ns: u64) -> anyhow::Result<bool> {
        let target = Target::address(peer);
        let Some(entry) = self.blocklist.get(&target)? else { return Ok(false) };
        let longer = Block { expires_ns: until_ns, ..self.block_of(&entry) };
        self.write(target, &longer, now_ns)?;
        Ok(true)
    }

    fn expect(&mut self, target: Target, expires_ns: u64) {
        self.due.push(Reverse((expires_ns, target)));
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
                if matches!(entry.reason, BY_HAND | BY_IMPORT) {
                    self.due.push(Reverse((entry.expires_ns, target)));
                }
                continue;
            }
            // What entries without a slot of their own share says nothing about one of them.
            let stats = match entry.slot {
                SHARED_SLOT => BlockStats::default(),
                slot => self.blocklist.stats(slot)?,
            };
            self.blocklist.remove(&target)?;
            ended.insert(
                target,
                ExpiredEvent {
                    at_ns: now_ns,
                    peer: IpNet::from(target).into(),
                    dropped_packets: stats.dropped_packets,
                    dropped_bytes: stats.dropped_bytes,
                    passed_packets: stats.passed_packets,
                    would_drop_packets: stats.shadow_packets,
                    would_drop_bytes: stats.shadow_bytes,
                    first_drop_ns: stats.first_ns,
                },
            );
        }
        Ok(ended.into_values().collect())
    }
}
