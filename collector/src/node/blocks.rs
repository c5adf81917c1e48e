//! Blocks as people list, make and end them.

use std::time::Duration;

use address_list::check_width;
use control::{
    Who,
    wire::{
        Block, BlockQuery, BlockRequest, Origin, Page, Refused, UnblockAllRequest, UnblockRequest,
        Unblocked,
    },
};
use flows_common::{BlockStats, Scope};
use ipnet::IpNet;
use ledger::{How, Moment};

use super::{
    Inner, Node,
    acts::{Done, LONGEST_S, internal},
    journal::moment,
    known::KnownBlock,
    listing::Asked,
    status::{boot_timestamp, seconds_until, timestamp},
};
use crate::{
    clock::nanos,
    enforcer::{BY_HAND, NOTHING_GUARDED, SHARED_SLOT, hits, origin_of, source_rate},
    event::ExpiredEvent,
};
use datapath::{BlockAction, Blocked, Target};

/// Entries of a listing that are looked at under the lock at a time.
const LOOK_AT_ONCE: usize = 4_096;
/// Blocks that are ended under the lock at a time.
const END_AT_ONCE: usize = 512;
/// Blocks by hand whose origin the node keeps; beyond it `weir import` is the way.
const BY_HAND_LIMIT: usize = 10_000;

impl Node {
    /// Refuses what needs a guard where there is none.
    pub(super) fn guarded(&self) -> Result<(), Refused> {
        if self.guards { Ok(()) } else { Err(Refused::conflict(NOTHING_GUARDED)) }
    }

    /// A page of the kernel's entries, in the order of targets.
    pub(super) fn list_blocks(&self, query: &BlockQuery) -> Result<Page<Block>, Refused> {
        let Some(guard) = &self.guard else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let reason = query.list.as_deref().map(|name| self.reason_of(name)).transpose()?;
        let limit = query.limit.unwrap_or(control::wire::LIMIT_DEFAULT);
        let now = moment();
        if let Some(address) = query.holding {
            let inner = self.inner();
            let holding = guard.holding(address).map_err(internal)?.into_iter();
            let items = holding
                .filter(|one| one.entry.expires_ns > now.boot_ns)
                .map(|one| Ok(self.describe(&inner, &one, &self.stats(one.entry.slot)?, now)));
            return Ok(Page { items: items.collect::<Result<_, Refused>>()?, next: None });
        }
        let after = query.after.map(|prefix| Target::from(prefix.net()));
        let listed = match (after, query.origin) {
            (Some(_), _) => Asked::Behind,
            (None, Some(_)) => Asked::All,
            (None, None) => Asked::First(limit as usize + 1, reason),
        };
        let listed = self.listing.entries(guard, listed, now.boot_ns).map_err(internal)?;
        let from = after.map_or(0, |after| listed.partition_point(|one| one.target <= after));
        let mut wanted = Vec::new();
        // The lock is let go of in between: no decision waits for a reader.
        for some in listed[from..].chunks(LOOK_AT_ONCE) {
            let inner = self.inner();
            for one in some {
                let is_wanted = one.entry.expires_ns > now.boot_ns
                    && reason.is_none_or(|reason| one.entry.reason == reason)
                    && query.origin.is_none_or(|origin| inner.origin(one) == origin);
                if is_wanted {
                    let stats = self.stats(one.entry.slot)?;
                    wanted.push(self.describe(&inner, one, &stats, now));
                }
                if wanted.len() > limit as usize {
                    return Ok(Page::cut(wanted, limit, |block| block.target.to_string()));
                }
            }
        }
        Ok(Page::cut(wanted, limit, |block| block.target.to_string()))
    }

    /// The reason that entries of a list carry.
    fn reason_of(&self, list: &str) -> Result<u32, Refused> {
        self.lists().reason(list).ok_or_else(|| {
            let text = format!("there is no list `{list}`; `weir status` names those in force");
            Refused::not_found(text)
        })
    }

    /// The same for a list that may be new; by hand or without a name without one.
    pub(super) fn reason_for(&self, list: Option<&str>, without: u32) -> Result<u32, Refused> {
        let Some(list) = list else { return Ok(without) };
        self.lists().reason_or_new(list).map_err(|error| Refused::conflict(format!("{error:#}")))
    }

    pub(super) fn make_block(&self, who: &Who, request: &BlockRequest) -> Result<Block, Refused> {
        self.guarded()?;
        let net = request.target.net();
        check_width(net).map_err(|error| Refused::invalid(error.to_string()))?;
        let reason = self.reason_for(request.list.as_deref(), BY_HAND)?;
        let mut inner = self.inner();
        self.protect_heard(&mut inner);
        let config = inner.policy.config().clone();
        let length_s = request.for_s.unwrap_or(config.ttl.as_secs());
        if length_s > LONGEST_S {
            return Err(Refused::invalid(format!(
                "`for_s` must be at most {LONGEST_S} (a year), got {length_s}"
            )));
        }
        if !request.force
            && let Some(protection) = inner.policy.protected().protection(net)
        {
            let text = format!("{protection}; force it to block it all the same");
            return Err(Refused::conflict(text));
        }
        let by_hand = inner.known.values().filter(|one| one.origin == Origin::Person);
        if by_hand.count() >= BY_HAND_LIMIT {
            return Err(Refused::conflict(format!(
                "{BY_HAND_LIMIT} blocks by hand stand already; `weir import` takes lists"
            )));
        }
        let target = Target::from(net);
        let now = moment();
        let expires_ns = now.boot_ns.saturating_add(nanos(Duration::from_secs(length_s)));
        let rate = source_rate(request.pps.unwrap_or(config.expert.rate_limit_pps));
        let action = BlockAction::of(request.action, rate);
        let block = datapath::Block { action, scope: Scope::All, expires_ns, reason };
        let entry = inner.enforcer.block(target, &block, now.boot_ns).map_err(internal)?;
        if let Target::Address(address) = target {
            inner.policy.take_over(address, Scope::All, None, expires_ns);
        }
        let known = KnownBlock {
            id: self.journal.next_block(),
            origin: Origin::Person,
            scope: Scope::All,
            action: request.action,
            who: Some(who.to_string()),
            reason: request.reason.clone(),
            decision: None,
            p_value: None,
            offence: None,
            early: false,
            made: now,
            expires: Moment { wall_ns: now.wall_ns_at(expires_ns), boot_ns: expires_ns },
        };
        let mut records = vec![self.journal.block(target, &known)];
        if let Some(before) = inner.known.insert(target, known) {
            let hits = ExpiredEvent { at_ns: now.boot_ns, ..ExpiredEvent::nothing(target) };
            records.push(self.journal.ending(before.id, target, How::Replaced, &hits));
        }
        let stats = self.stats(entry.slot)?;
        let mut described = self.describe(&inner, &Blocked { target, entry }, &stats, now);
        described.allowed = inner.protected.overlap_in_kernel(net).map(Into::into);
        self.forget_listing();
        let done = Done { what: "block", arguments: serde_json::to_value(request), records };
        self.record(inner, who, done)?;
        Ok(described)
    }

    pub(super) fn end_block(&self, who: &Who, request: &UnblockRequest) -> Result<Block, Refused> {
        self.guarded()?;
        let target = Target::from(request.target.net());
        let now = moment();
        let mut inner = self.inner();
        let ended = inner.enforcer.unblock(target, None).map_err(internal)?;
        let (entry, stats) = ended.ok_or_else(|| {
            Refused::not_found(format!("`{target}` is not blocked; `weir blocks` lists what is"))
        })?;
        let described = self.describe(&inner, &Blocked { target, entry }, &stats, now);
        let records = self.note_unblocked(&mut inner, target, &stats, now).into_iter().collect();
        self.forget_listing();
        let done = Done { what: "unblock", arguments: serde_json::to_value(request), records };
        self.record(inner, who, done)?;
        Ok(described)
    }

    /// Ends every block of a list, or every block there is, a part of them at a time.
    pub(super) fn end_blocks(
        &self,
        who: &Who,
        request: &UnblockAllRequest,
    ) -> Result<Unblocked, Refused> {
        self.guarded()?;
        let reason = request.list.as_deref().map(|name| self.reason_of(name)).transpose()?;
        let mut targets = Vec::new();
        let read = self.guard.as_ref().map_or(Ok(()), |guard| {
            guard.visit(|one| {
                if reason.is_none_or(|reason| one.entry.reason == reason) {
                    targets.push(one.target);
                }
            })
        });
        read.map_err(internal)?;
        let mut unblocked = Unblocked::default();
        for some in targets.chunks(END_AT_ONCE) {
            let mut inner = self.inner();
            let (mut records, now) = (Vec::new(), moment());
            for &target in some {
                if let Some((_, stats)) =
                    inner.enforcer.unblock(target, reason).map_err(internal)?
                {
                    unblocked.ended += 1;
                    records.extend(self.note_unblocked(&mut inner, target, &stats, now));
                }
            }
            self.journal.put(records);
        }
        self.forget_listing();
        let arguments = serde_json::to_value((request, unblocked));
        let done = Done { what: "unblock", arguments, records: Vec::new() };
        self.record(self.inner(), who, done)?;
        Ok(unblocked)
    }

    /// Lets the policy and the ledger know of a block that a person ended.
    fn note_unblocked(
        &self,
        inner: &mut Inner,
        target: Target,
        stats: &BlockStats,
        now: Moment,
    ) -> Option<ledger::Record> {
        let known = inner.known.remove(&target)?;
        inner.lifted += u64::from(known.origin == Origin::Model);
        if let Some(address) = events::Prefix::from(ipnet::IpNet::from(target)).as_host() {
            inner.policy.pardon(address, now.boot_ns);
        }
        let hits = hits(target, stats, now.boot_ns);
        Some(self.journal.ending(known.id, target, How::Unblocked, &hits))
    }

    /// Hits of an entry so far.
    fn stats(&self, slot: u32) -> Result<BlockStats, Refused> {
        match &self.guard {
            Some(guard) if slot != SHARED_SLOT => guard.stats(slot).map_err(internal),
            _ => Ok(BlockStats::default()),
        }
    }

    pub(super) fn forget_listing(&self) {
        self.listing.forget();
    }

    fn describe(&self, inner: &Inner, one: &Blocked, stats: &BlockStats, now: Moment) -> Block {
        let list = self.lists().name(one.entry.reason).map(str::to_owned);
        Block { list, ..inner.describe(one, stats, now) }
    }
}

impl Inner {
    fn origin(&self, blocked: &Blocked) -> Origin {
        match (self.known.get(&blocked.target), blocked.entry.reason) {
            (Some(known), _) => known.origin,
            (None, reason) => origin_of(reason),
        }
    }

    fn describe(&self, blocked: &Blocked, stats: &BlockStats, now: Moment) -> Block {
        let entry = &blocked.entry;
        let known = self.known.get(&blocked.target);
        let alert = known.and_then(|known| known.decision).and_then(|id| {
            let mut decisions = self.alerts.iter().rev().filter_map(events::Alert::decision);
            decisions.find(|decision| decision.id == id)
        });
        let why = alert.map(|alert| {
            alert.reasons.iter().map(|one| one.feature.as_str()).collect::<Vec<_>>().join(", ")
        });
        Block {
            target: IpNet::from(blocked.target).into(),
            action: entry.effect(),
            pps: entry.packets_per_second(),
            made: Some(match known {
                Some(known) => timestamp(known.made.wall_ns),
                None => boot_timestamp(now, entry.created_ns),
            }),
            expires: boot_timestamp(now, entry.expires_ns),
            left_s: seconds_until(now.boot_ns, entry.expires_ns),
            origin: self.origin(blocked),
            list: None,
            who: known.and_then(|known| known.who.clone()),
            reason: known.and_then(|known| known.reason.clone()).or(why),
            allowed: None,
            decision: known.and_then(|known| known.decision),
            p_value: known.and_then(|known| known.p_value),
            offence: known.and_then(|known| known.offence),
            dropped_packets: stats.dropped_packets,
            dropped_bytes: stats.dropped_bytes,
            passed_packets: stats.passed_packets,
            would_drop_packets: stats.shadow_packets,
            first_drop: (stats.first_ns > 0).then(|| boot_timestamp(now, stats.first_ns)),
            last_drop: (stats.last_ns > 0).then(|| boot_timestamp(now, stats.last_ns)),
        }
    }
}
