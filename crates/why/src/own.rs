//! What weir itself does to the packets that are asked after: blocks, limits, what is allowed.
//!
//! A running node tells the story; the pinned guard counts, whether or not a node runs.

use std::{collections::BTreeMap, path::Path};

use control::{
    Client, ClientError,
    wire::{Action, Block, BlockQuery, Origin, Prefix},
};
use datapath::{Blocked, GuardReader, boot_ns};
use events::Service;
use flows_common::BlockStats;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::{not_seen::NotSeen, question::Question};

/// Where weir is asked.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The running node, if there is one.
    pub node: Option<&'a Client>,
    /// Where the guard is pinned.
    pub bpffs: &'a Path,
}

/// weir's part at one time.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// A node answered.
    pub(crate) node: bool,
    /// A guard is in force: the node's, or one that is pinned.
    pub(crate) guard: bool,
    /// Nothing is pinned.
    pub(crate) unpinned: bool,
    /// Blocks that hold an address that is asked after.
    pub(crate) blocks: BTreeMap<Prefix, OwnBlock>,
    /// Limited services.
    pub(crate) services: BTreeMap<Service, OwnLimit>,
    /// Allowed prefixes that hold an address that is asked after.
    pub(crate) allowed: Vec<IpNet>,
}

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct OwnBlock {
    pub(crate) told: Block,
    /// Its packets are counted, and not with those of others.
    pub(crate) counted: bool,
}

/// A limit of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnLimit {
    /// It only counts.
    pub(crate) shadow: bool,
    pub(crate) pps: u64,
    pub(crate) left_s: u64,
    /// `None` where nobody tells.
    pub(crate) dropped_packets: Option<u64>,
    pub(crate) dropped_bytes: u64,
}

impl Own {
    /// Asks; what cannot be asked is told in `not_seen`.
    pub(crate) fn ask(sources: &Sources<'_>, question: &Question, not_seen: &mut NotSeen) -> Self {
        let mut own = Self::default();
        match GuardReader::pinned(sources.bpffs) {
            Ok(Some(reader)) => {
                if let Err(error) = own.read(&reader, question) {
                    not_seen.add("weir's own drops", &error);
                }
            }
            Ok(None) => own.unpinned = true,
            Err(error) => not_seen.add("weir's pinned guard", &error),
        }
        if let Some(client) = sources.node {
            match own.listen(client, question) {
                Ok(()) => own.node = true,
                Err(ClientError::NoNode { .. }) => {}
                Err(error) => not_seen.add("the running node", &error),
            }
        }
        own
    }

    fn read(
        &mut self,
        reader: &GuardReader,
        question: &Question,
    ) -> Result<(), datapath::KernelError> {
        let now_ns = boot_ns();
        self.guard = true;
        for address in question.addresses() {
            for (blocked, stats) in reader.holding(address)? {
                if blocked.entry.expires_ns > now_ns {
                    let counted = stats.is_some();
                    let stats = stats.unwrap_or_default();
                    let told = block(&blocked, &stats, now_ns);
                    self.blocks.insert(told.target, OwnBlock { told, counted });
                }
            }
            self.allowed.extend(reader.allowing(address)?);
        }
        for (limit, stats) in reader.services()? {
            let entry = limit.entry;
            let service = Service { protocol: limit.service.protocol, port: limit.service.port };
            if entry.expires_ns > now_ns {
                let of = OwnLimit {
                    shadow: Action::from_code(entry.action) == Some(Action::Shadow),
                    pps: 1_000_000_000_u64.checked_div(entry.packet_cost_ns).unwrap_or(0),
                    left_s: seconds(now_ns, entry.expires_ns),
                    dropped_packets: stats.as_ref().map(|stats| stats.dropped_packets),
                    dropped_bytes: stats.map_or(0, |stats| stats.dropped_bytes),
                };
                self.services.insert(service, of);
            }
        }
        Ok(())
    }

    fn listen(&mut self, client: &Client, question: &Question) -> Result<(), ClientError> {
        for address in question.addresses() {
            let query = BlockQuery { holding: Some(address), ..BlockQuery::default() };
            for told in client.blocks(&query)?.items {
                let counted = self.blocks.get(&told.target).is_none_or(|one| one.counted);
                self.guard = true;
                self.blocks.insert(told.target, OwnBlock { told, counted });
            }
        }
        for state in client.status()?.services {
            if let (Some(service), Some(pps)) = (state.service, state.pps) {
                self.services.entry(service).or_insert(OwnLimit { pps, ..OwnLimit::default() });
            }
        }
        Ok(())
    }
}

/// A block as the kernel alone tells it.
fn block(blocked: &Blocked, stats: &BlockStats, now_ns: u64) -> Block {
    let entry = &blocked.entry;
    let since = SignedDuration::from_nanos(now_ns.saturating_sub(entry.created_ns).cast_signed());
    let left_s = seconds(now_ns, entry.expires_ns);
    let now = Timestamp::now();
    let later = SignedDuration::from_secs(left_s.cast_signed());
    Block {
        target: IpNet::from(blocked.target).into(),
        action: entry.effect(),
        pps: entry.packets_per_second(),
        made: now.checked_sub(since).ok(),
        expires: now.checked_add(later).unwrap_or(Timestamp::MAX),
        left_s,
        origin: Origin::Found,
        list: None,
        who: None,
        reason: None,
        allowed: None,
        decision: None,
        p_value: None,
        offence: None,
        dropped_packets: stats.dropped_packets,
        dropped_bytes: stats.dropped_bytes,
        passed_packets: stats.passed_packets,
        would_drop_packets: stats.shadow_packets,
        first_drop: None,
        last_drop: None,
    }
}

fn seconds(now_ns: u64, then_ns: u64) -> u64 {
    then_ns.saturating_sub(now_ns).div_ceil(1_000_000_000)
}
