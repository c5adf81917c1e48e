//! Blocks as people list, make and end them.

use std::time::{Duration, Instant};

use address_list::check_width;
use control::{
    Who,
    wire::{Action, Block, BlockQuery, BlockRequest, Origin, Page, Refused, UnblockRequest},
};
use flows_common::BlockStats;
use ipnet::IpNet;
use ledger::{How, Moment};

use super::{
    Inner, Node,
    journal::moment,
    known::KnownBlock,
    acts::{Done, LONGEST_S, internal},
    status::{boot_timestamp, seconds_until, timestamp},
};
use crate::{
    clock::nanos,
    enforcer::{BY_HAND, BY_IMPORT, NOTHING_GUARDED, SHARED_SLOT, entry_action, hits, source_rate},
    event::ExpiredEvent,
};
use datapath::{BlockAction, Blocked, Target};

/// Lifetime of a listing, for the pages that follow: with a million entries it takes a second.
const LISTING_FOR: Duration = Duration::from_secs(2);
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
        let limit = query.limit.unwrap_or(control::wire::LIMIT_DEFAULT);
        let now = moment();
        let inner = self.inner();
        let mut cache = self.listing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fresh = cache.as_ref().is_some_and(|(read, _)| read.elapsed() < LISTING_FOR);
        if !fresh {
            let mut listed = guard.list().map_err(internal)?;
            listed.sort_unstable_by_key(|one| one.target);
            *cache = Some((Instant::now(), listed));
        }
        let listed = cache.as_ref().map_or(&[][..], |(_, listed)| listed);
        let after = query.after.map(|prefix| Target::from(prefix.net()));
        let from = after.map_or(0, |after| listed.partition_point(|one| one.target <= after));
        let wanted = listed[from..]
            .iter()
            .filter(|one| one.entry.expires_ns > now.boot_ns)
            .filter(|one| query.origin.is_none_or(|origin| inner.origin(one) == origin))
            .take(limit as usize + 1)
            .map(|one| {
                let stats = guard.stats(one.entry.slot).map_err(internal)?;
                Ok::<_, Refused>(inner.describe(one, &stats, now))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(wanted, limit, |block| block.target.to_string()))
    }

    pub(super) fn make_block(&self, who: &Who, request: &BlockRequest) -> Result<Block, Refused> {
        self.guarded()?;
        let net = request.target.net();
        check_width(net).map_err(|error| Refused::invalid(error.to_string()))?;
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
        let block = datapath::Block { action, expires_ns, reason: BY_HAND };
        let entry = inner.enforcer.block(target, &block, now.boot_ns).map_err(internal)?;
        if let Target::Address(address) = target {
            inner.policy.take_over(address, None, expires_ns);
        }
        let known = KnownBlock {
            id: self.journal.next_block(),
            origin: Origin::Person,
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
        let mut described = inner.describe(&Blocked { target, entry }, &stats, now);
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
        let ended = inner.enforcer.unblock(target).map_err(internal)?;
        let (entry, stats) = ended.ok_or_else(|| {
            Refused::not_found(format!("`{target}` is not blocked; `weir blocks` lists what is"))
        })?;
        let described = inner.describe(&Blocked { target, entry }, &stats, now);
        let hits = hits(target, &stats, now.boot_ns);
        if let Target::Address(address) = target {
            inner.policy.pardon(address, now.boot_ns);
        }
        let mut records = Vec::new();
        if let Some(known) = inner.known.remove(&target) {
            records.push(self.journal.ending(known.id, target, How::Unblocked, &hits));
        }
        self.forget_listing();
        let done = Done { what: "unblock", arguments: serde_json::to_value(request), records };
        self.record(inner, who, done)?;
        Ok(described)
    }

    /// Hits of an entry so far.
    fn stats(&self, slot: u32) -> Result<BlockStats, Refused> {
        match &self.guard {
            Some(guard) if slot != SHARED_SLOT => guard.stats(slot).map_err(internal),
            _ => Ok(BlockStats::default()),
        }
    }

    pub(super) fn forget_listing(&self) {
        *self.listing.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}

impl Inner {
    fn origin(&self, blocked: &Blocked) -> Origin {
        match (self.known.get(&blocked.target), blocked.entry.reason) {
            (Some(known), _) => known.origin,
            (None, BY_HAND) => Origin::Person,
            (None, BY_IMPORT) => Origin::Import,
            (None, _) => Origin::Found,
        }
    }

    fn describe(&self, blocked: &Blocked, stats: &BlockStats, now: Moment) -> Block {
        let entry = &blocked.entry;
        let action = entry_action(entry);
        let known = self.known.get(&blocked.target);
        let alert = known
            .and_then(|known| known.decision)
            .and_then(|id| self.alerts.iter().rev().find(|alert| alert.id == id));
        let why = alert.map(|alert| {
            alert.reasons.iter().map(|one| one.feature.as_str()).collect::<Vec<_>>().join(", ")
        });
        Block {
            target: IpNet::from(blocked.target).into(),
            action,
            pps: (action == Action::RateLimit)
                .then(|| 1_000_000_000_u64.checked_div(entry.packet_cost_ns))
                .flatten(),
            made: Some(match known {
                Some(known) => timestamp(known.made.wall_ns),
                None => boot_timestamp(now, entry.created_ns),
            }),
            expires: boot_timestamp(now, entry.expires_ns),
            left_s: seconds_until(now.boot_ns, entry.expires_ns),
            origin: self.origin(blocked),
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
