//! Reconciliation at start of the kernel's entries, the ledger and the configuration.
//!
//! The kernel's entries are those in force, so no valid one is flushed: an entry that the ledger
//! does not know is taken over as found. A block of the ledger that the kernel has lost is made
//! again after a reboot, and otherwise only recorded as vanished: somebody removed it. An entry
//! that nobody forced and that must not be blocked ([`policy::ProtectedHosts`]) is removed. Each
//! difference is an event and a record.

use std::collections::BTreeMap;

use flows_common::{Action, Scope};
use ipnet::IpNet;
use ledger::{How, Moment, Origin, PreviousEnd};
use policy::{Mode, Protection, Refusal, Unverified};

use super::{
    Before, Inner, Node, decide::entry_number, effects::Effects, journal::moment, known::KnownBlock,
};
use crate::{
    enforcer::{BY_HAND, BY_IMPORT, hits, origin_of, source_rate},
    event::{DifferenceEvent, Event, ExpiredEvent},
};
use datapath::{Block, BlockAction, Blocked, LimitedService, Target};

/// Differences of each kind reported singly; the rest are summed up, for there may be a million.
const TOLD_ONE_BY_ONE: usize = 100;

/// Largest difference between equal ends of a lease, in ns: the wall clock drifts against the boot
/// clock.
const SAME_EXPIRY_NS: u64 = 5_000_000_000;

/// Counts of a reconciliation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Entries in the kernel that are in force.
    pub active: usize,
    /// Of these, entries that the ledger did not know.
    pub found: usize,
    /// Blocks made again after a reboot.
    pub remade: usize,
    /// Blocks of the ledger that the kernel lacks and that were not made again.
    pub vanished: usize,
    /// Blocks of protected hosts that were taken off.
    pub protected: usize,
    /// Entries turned to shadow, for the mode is no longer enforce.
    pub demoted: usize,
    /// Allowed prefixes in the kernel that no source allows any more.
    pub stale_allowed: usize,
}

/// What the kernel's guard holds at start.
#[derive(Debug, Default)]
pub(super) struct InKernel {
    pub(super) entries: Vec<Blocked>,
    pub(super) allowed: Vec<IpNet>,
    pub(super) services: Vec<LimitedService>,
}

/// A difference, before it has its time.
struct Difference {
    kind: &'static str,
    target: Option<Target>,
    detail: String,
    done: &'static str,
}

impl Node {
    /// Compares kernel, ledger and configuration, and settles what differs.
    ///
    /// # Errors
    /// The kernel's tables cannot be read or written.
    pub fn reconcile(&self, before: &Before) -> anyhow::Result<Reconciled> {
        let Some(guard) = &self.guard else { return Ok(Reconciled::default()) };
        let (entries, allowed) = (guard.list()?, guard.allowed()?);
        self.settle(before, InKernel { entries, allowed, services: guard.services()? })
    }

    pub(super) fn settle(&self, before: &Before, held: InKernel) -> anyhow::Result<Reconciled> {
        let mut inner = self.inner();
        let mut start = Start {
            node: self,
            now: moment(),
            effects: Effects::default(),
            differences: Vec::new(),
            reconciled: Reconciled::default(),
        };
        let lost = start.take_entries(&mut inner, held.entries, &before.active)?;
        let rebooted = before.ended == Some(PreviousEnd::Rebooted);
        start.settle_lost(&mut inner, lost, rebooted)?;
        start.settle_mode(&mut inner);
        start.remember(&mut inner, before);
        start.settle_allowed(&mut inner, held.allowed)?;
        for limited in held.services {
            let datapath::Service { protocol, port } = limited.service;
            let until_ns = limited.entry.expires_ns;
            inner.policy.remember_limit(policy::Service { protocol, port }, until_ns);
        }
        let Start { now, mut effects, differences, reconciled, .. } = start;
        for Difference { kind, target, detail, done } in differences {
            let event = DifferenceEvent {
                at_ns: now.boot_ns,
                kind: kind.into(),
                target: target.map(|target| IpNet::from(target).into()),
                detail,
                done: done.into(),
            };
            tracing::warn!(kind, detail = event.detail, done, "a difference at start");
            effects.records.push(self.journal.difference(&event));
            effects.events.push(Event::Difference(event));
        }
        inner.outbox.append(&mut effects.events);
        self.journal.put(effects.records);
        Ok(reconciled)
    }
}

/// A start that compares.
struct Start<'a> {
    node: &'a Node,
    now: Moment,
    effects: Effects,
    differences: Vec<Difference>,
    reconciled: Reconciled,
}

impl Start<'_> {
    /// Takes over what is in force in the kernel; returns what stands by the ledger alone.
    fn take_entries<'b>(
        &mut self,
        inner: &mut Inner,
        entries: Vec<Blocked>,
        active: &'b [ledger::Block],
    ) -> anyhow::Result<BTreeMap<Target, &'b ledger::Block>> {
        // The last of several for one target counts.
        let mut by_ledger: BTreeMap<Target, &ledger::Block> =
            active.iter().map(|block| (Target::from(block.target.net()), block)).collect();
        let mut untold = 0_usize;
        for one in entries {
            if one.entry.expires_ns <= self.now.boot_ns {
                continue;
            }
            self.node.lists().cover(one.entry.reason);
            let by_ledger_is = by_ledger.get(&one.target).copied();
            if let Some(protection) = must_end(inner, &one, by_ledger_is) {
                self.end_protected(inner, &one, by_ledger.remove(&one.target), protection)?;
                continue;
            }
            self.reconciled.active += 1;
            if let Some(block) = by_ledger.remove(&one.target) {
                inner.known.insert(one.target, self.agreed(block, &one));
                continue;
            }
            self.reconciled.found += 1;
            let known = self.found(&one);
            if self.reconciled.found > TOLD_ONE_BY_ONE {
                untold += 1;
                // A list is too much to keep, and the kernel says whose it is.
                if known.origin == Origin::Found {
                    inner.known.insert(one.target, known);
                }
                continue;
            }
            self.effects.records.push(self.node.journal.block(one.target, &known));
            inner.known.insert(one.target, known);
            let detail = "in the kernel, not in the ledger".to_owned();
            let done = "kept, and recorded as found";
            self.differ("unknown_block", Some(one.target), detail, done);
        }
        if untold > 0 {
            let detail = format!("{untold} more in the kernel, not in the ledger (a list?)");
            self.differ("unknown_blocks", None, detail, "kept");
        }
        let protected = self.reconciled.protected.saturating_sub(TOLD_ONE_BY_ONE);
        if protected > 0 {
            let detail = format!("{protected} more blocks of protected hosts");
            self.differ("protected_blocks", None, detail, "taken off");
        }
        Ok(by_ledger)
    }

    /// Facts of an entry by the ledger, with the kernel's own end of its lease.
    fn agreed(&mut self, block: &ledger::Block, one: &Blocked) -> KnownBlock {
        let boot_ns = one.entry.expires_ns;
        let by_ledger_ns = self.now.boot_ns_at(block.expires.wall_ns);
        if by_ledger_ns.abs_diff(boot_ns) > SAME_EXPIRY_NS {
            let detail = "kernel and ledger say another end of its lease".to_owned();
            self.differ("other_expiry", Some(one.target), detail, "the kernel's counts");
        }
        let expires = Moment { wall_ns: self.now.wall_ns_at(boot_ns), boot_ns };
        let scope = Scope::from_code(one.entry.scope);
        KnownBlock { scope, expires, action: one.entry.effect(), ..of_ledger(block) }
    }

    fn found(&self, one: &Blocked) -> KnownBlock {
        let origin = origin_of(one.entry.reason);
        let at = |boot_ns| Moment { wall_ns: self.now.wall_ns_at(boot_ns), boot_ns };
        KnownBlock {
            id: self.node.journal.next_block(),
            origin,
            scope: Scope::from_code(one.entry.scope),
            action: one.entry.effect(),
            who: None,
            reason: None,
            decision: None,
            p_value: None,
            offence: None,
            early: false,
            made: at(one.entry.created_ns),
            expires: at(one.entry.expires_ns),
        }
    }

    /// Takes off a block of a protected host, which an earlier version or another hand made.
    fn end_protected(
        &mut self,
        inner: &mut Inner,
        one: &Blocked,
        block: Option<&ledger::Block>,
        protection: Protection,
    ) -> anyhow::Result<()> {
        let ended = inner.enforcer.unblock(one.target, None)?;
        if let (Some(block), Some((_, stats))) = (block, ended) {
            let hits = hits(one.target, &stats, self.now.boot_ns);
            let ending = self.node.journal.ending(block.id, one.target, How::Unblocked, &hits);
            self.effects.records.push(ending);
        }
        self.reconciled.protected += 1;
        if self.reconciled.protected > TOLD_ONE_BY_ONE {
            return Ok(());
        }
        let detail = protection.to_string();
        self.differ("protected_block", Some(one.target), detail, "taken off");
        Ok(())
    }

    /// Makes again the blocks that a reboot wiped, except those of protected hosts; records the
    /// others as vanished.
    fn settle_lost(
        &mut self,
        inner: &mut Inner,
        lost: BTreeMap<Target, &ledger::Block>,
        rebooted: bool,
    ) -> anyhow::Result<()> {
        for (target, block) in lost {
            let protection = inner.policy.protected().protection(target.into());
            let protection = protection.filter(|_| block.origin != Origin::Person);
            if rebooted && protection.is_none() {
                let remade = self.remake(inner, target, block)?;
                self.reconciled.remade += 1;
                inner.known.insert(target, remade);
                let detail = "the machine was rebooted".to_owned();
                let done = "made again for the rest of its lease";
                self.differ("missing_block", Some(target), detail, done);
            } else {
                self.reconciled.vanished += 1;
                let at_ns = self.now.boot_ns;
                let hits = ExpiredEvent { at_ns, ..ExpiredEvent::nothing(target) };
                let ending = self.node.journal.ending(block.id, target, How::Vanished, &hits);
                self.effects.records.push(ending);
                let detail = match protection {
                    Some(protection) if rebooted => protection.to_string(),
                    _ => "in the ledger, not in the kernel".to_owned(),
                };
                self.differ("missing_block", Some(target), detail, "recorded as vanished");
            }
        }
        Ok(())
    }

    fn remake(
        &self,
        inner: &mut Inner,
        target: Target,
        block: &ledger::Block,
    ) -> anyhow::Result<KnownBlock> {
        let expires_ns = self.now.boot_ns_at(block.expires.wall_ns);
        let enforcing = block.origin != Origin::Model || inner.policy.mode() == Mode::Enforce;
        let action = if enforcing { block.action } else { Action::Shadow };
        let action =
            BlockAction::of(action, source_rate(inner.policy.config().expert.rate_limit_pps));
        let reason = match block.origin {
            Origin::Person => BY_HAND,
            Origin::Import => BY_IMPORT,
            Origin::Model | Origin::Found => entry_number(block.id),
        };
        let scope = scope_of(block, inner.policy.config().unverified);
        let made = Block { action, scope, expires_ns, reason };
        let entry = inner.enforcer.block(target, &made, self.now.boot_ns)?;
        let expires = Moment { wall_ns: block.expires.wall_ns, boot_ns: expires_ns };
        Ok(KnownBlock { scope, expires, action: entry.effect(), ..of_ledger(block) })
    }

    /// Restores earlier offences and standing blocks in the policy.
    fn remember(&self, inner: &mut Inner, before: &Before) {
        for (address, offences) in &before.offenders {
            let counted = offences.blocks.saturating_sub(offences.pardoned);
            let until_ns = self.now.boot_ns_at(offences.last_expires_ns).min(self.now.boot_ns);
            inner.policy.remember(*address, counted, until_ns);
        }
        let enforcing = inner.policy.mode() == Mode::Enforce;
        for (target, known) in &inner.known {
            let own = matches!(known.origin, Origin::Model | Origin::Found).then_some(known.action);
            // What only shadows is decided anew where the mode enforces.
            if let Some(address) = events::Prefix::from(ipnet::IpNet::from(*target)).as_host()
                && !(enforcing && own == Some(Action::Shadow))
            {
                inner.policy.take_over(address, known.scope, own, known.expires.boot_ns);
            }
        }
    }

    /// Turns what the model blocked to shadow, where the mode no longer enforces.
    fn settle_mode(&mut self, inner: &mut Inner) {
        let count = self.node.align(inner, &mut self.effects);
        self.reconciled.demoted = count;
        if count > 0 {
            let mode = inner.policy.mode().name();
            let detail = format!("{count} blocks of the model's drop, and the mode is {mode}");
            self.differ("mode", None, detail, "turned to shadow");
        }
    }

    /// Removes from the kernel's allowlist the prefixes that no source allows any more.
    fn settle_allowed(&mut self, inner: &mut Inner, allowed: Vec<IpNet>) -> anyhow::Result<()> {
        for prefix in allowed {
            if !inner.is_allowed(prefix) {
                inner.enforcer.disallow(prefix)?;
                self.reconciled.stale_allowed += 1;
                let detail =
                    "on the kernel's allowlist, and nothing speaks for it any more".to_owned();
                self.differ("stale_allowed", Some(prefix.into()), detail, "taken off");
            }
        }
        Ok(())
    }

    fn differ(
        &mut self,
        kind: &'static str,
        target: Option<Target>,
        detail: String,
        done: &'static str,
    ) {
        self.differences.push(Difference { kind, target, detail, done });
    }
}

/// Why an entry must not stand. What a person made was forced or came before its target was
/// protected, and is a person's to end; what is allowed passes as it is.
fn must_end(inner: &Inner, one: &Blocked, block: Option<&ledger::Block>) -> Option<Protection> {
    let by_person =
        one.entry.reason == BY_HAND || block.is_some_and(|block| block.origin == Origin::Person);
    let protection = inner.policy.protected().protection(one.target.into())?;
    (!by_person && protection.refusal != Refusal::Allowed).then_some(protection)
}

fn of_ledger(block: &ledger::Block) -> KnownBlock {
    KnownBlock {
        id: block.id,
        origin: block.origin,
        scope: Scope::All,
        action: block.action,
        who: block.who.as_deref().map(ToOwned::to_owned),
        reason: block.reason.as_deref().map(ToOwned::to_owned),
        decision: block.decision,
        p_value: None,
        offence: None,
        early: false,
        made: block.made,
        expires: block.expires,
    }
}

/// The scope of a block that is made again, which the ledger does not hold: never a wider one than
/// it had.
fn scope_of(block: &ledger::Block, unverified: Unverified) -> Scope {
    match (block.origin, block.action) {
        (Origin::Model | Origin::Found, Action::Drop) if unverified != Unverified::Drop => {
            Scope::Inbound
        }
        (Origin::Model | Origin::Found, _) => Scope::Unproven,
        (Origin::Person | Origin::Import, _) => Scope::All,
    }
}
