//! Act: carries decisions out in the kernel's blocklist, and clears what has run out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::IpAddr,
};

use flows_common::Action;
use policy::{Decision, Outcome};

use crate::{
    event::{Deed, ExpiredEvent},
    kernel::{Block, BlockAction, Blocklist, RateLimit, Target},
    pipeline::Act,
};

/// Seconds of its rate that a limited source may send at once.
pub(crate) const BURST_S: u32 = 2;

/// The reason that an entry made by hand carries: no decision has this number.
pub(crate) const BY_HAND: u32 = u32::MAX;

/// Makes and clears entries.
#[derive(Debug)]
pub struct Enforcer {
    blocklist: Blocklist,
    rate: RateLimit,
    /// Entries by when they run out; one whose lease was renewed is looked at again then.
    due: BinaryHeap<Reverse<(u64, IpAddr)>>,
    /// Decisions carried out, by number: what an entry's `reason` refers to.
    decisions: u32,
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
            .filter_map(|blocked| match blocked.target {
                Target::Address(address) => Some(Reverse((blocked.entry.expires_ns, address))),
                Target::Prefix(_) => None,
            })
            .collect();
        let rate = RateLimit {
            packets_per_second: rate_limit_pps,
            burst_packets: rate_limit_pps.saturating_mul(BURST_S),
        };
        Ok(Self { blocklist, rate, due, decisions: 0 })
    }
}

impl Act for Enforcer {
    fn act(&mut self, decision: &Decision, now_ns: u64) -> anyhow::Result<Deed> {
        let Outcome::Block { action, expires_ns, .. } = decision.outcome else {
            return Ok(Deed::Refused);
        };
        let address = decision.evidence.address;
        self.decisions = self.decisions.wrapping_add(1);
        let block = Block {
            action: match action {
                Action::Shadow => BlockAction::Shadow,
                Action::RateLimit => BlockAction::Limit(self.rate),
                Action::Drop => BlockAction::Drop,
            },
            expires_ns,
            reason: self.decisions,
        };
        self.blocklist.insert(Target::address(address), &block, now_ns)?;
        self.due.push(Reverse((expires_ns, address)));
        Ok(Deed::of(action))
    }

    fn sweep(&mut self, now_ns: u64) -> anyhow::Result<Vec<ExpiredEvent>> {
        // By address: two blocks of one peer may be due at once.
        let mut ended = BTreeMap::new();
        while let Some(&Reverse((expires_ns, address))) = self.due.peek() {
            if expires_ns > now_ns {
                break;
            }
            self.due.pop();
            let target = Target::address(address);
            let Some(entry) = self.blocklist.get(&target)? else { continue };
            if entry.expires_ns > now_ns {
                // Its own renewals are due already; one by hand is not.
                if entry.reason == BY_HAND {
                    self.due.push(Reverse((entry.expires_ns, address)));
                }
                continue;
            }
            let stats = self.blocklist.stats(entry.slot)?;
            self.blocklist.remove(&target)?;
            ended.insert(
                address,
                ExpiredEvent {
                    at_ns: now_ns,
                    peer: address,
                    dropped_packets: stats.dropped_packets,
                    dropped_bytes: stats.dropped_bytes,
                    passed_packets: stats.passed_packets,
                    first_drop_ns: stats.first_ns,
                },
            );
        }
        Ok(ended.into_values().collect())
    }
}
