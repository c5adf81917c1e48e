//! At start: what the kernel holds, what the ledger says, what the configuration wants.
//!
//! The kernel's entries are what is in force, so nothing that is valid there is flushed: an entry
//! that the ledger does not know is taken on as found. What the ledger says stands and the kernel
//! has lost is made again after a reboot, and only recorded as vanished otherwise: somebody took
//! it away. Each difference is an event and a record.

use std::{collections::BTreeMap, net::IpAddr};

use flows_common::Action;
use ipnet::IpNet;
use ledger::{How, Moment, Origin, PreviousEnd};

use super::{
    Before, Node,
    decide::{Told, entry_number},
    journal::moment,
    known::KnownBlock,
};
use crate::{
    act::{BURST_S, BY_HAND},
    event::{DifferenceEvent, Event, ExpiredEvent},
    kernel::{Block, BlockAction, Blocked, Blocklist, RateLimit, Target},
};

/// Differences told one by one of each kind; the rest are summed up, for there may be a million.
const TOLD_ONE_BY_ONE: usize = 100;

/// What a start found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Entries in the kernel that are in force.
    pub standing: usize,
    /// Of these, entries that the ledger did not know.
    pub found: usize,
    /// Blocks made again after a reboot.
    pub remade: usize,
    /// Blocks that somebody took out of the kernel.
    pub vanished: usize,
    /// Entries turned to shadow, for the mode is no longer enforce.
    pub demoted: usize,
    /// Allowed prefixes in the kernel that nothing speaks for any more.
    pub stale_allowed: usize,
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
        let Some(blocklist) = &self.blocklist else { return Ok(Reconciled::default()) };
        let now = moment();
        let mut differences = Vec::new();
        let mut reconciled = Reconciled::default();
        let mut told = Told::default();
        let mut inner = self.inner();

        // The last of several for one target counts.
        let mut by_ledger: BTreeMap<Target, &ledger::Block> = BTreeMap::new();
        for block in &before.standing {
            by_ledger.insert(kernel_target(block.target), block);
        }
        let mut anonymous = 0_usize;
        for one in blocklist.list()? {
            if one.entry.expires_ns <= now.boot_ns {
                continue;
            }
            reconciled.standing += 1;
            let Some(block) = by_ledger.remove(&one.target) else {
                reconciled.found += 1;
                if reconciled.found > TOLD_ONE_BY_ONE {
                    anonymous += 1;
                    continue;
                }
                let known = self.found(&one, now);
                told.records.push(self.journal.block(one.target, action_name(&one), &known));
                differences.push(Difference {
                    kind: "unknown_block",
                    target: Some(one.target),
                    detail: "in the kernel, not in the ledger".to_owned(),
                    done: "kept, and recorded as found",
                });
                inner.known.insert(one.target, known);
                continue;
            };
            let known = of_record(block, &one, now);
            if known.expires.boot_ns.abs_diff(one.entry.expires_ns) > 1_000_000_000 {
                differences.push(Difference {
                    kind: "other_expiry",
                    target: Some(one.target),
                    detail: "kernel and ledger say another end of its lease".to_owned(),
                    done: "the kernel's counts",
                });
            }
            inner.known.insert(one.target, known);
        }
        if anonymous > 0 {
            differences.push(Difference {
                kind: "unknown_blocks",
                target: None,
                detail: format!("{anonymous} more in the kernel, not in the ledger (a list?)"),
                done: "kept",
            });
        }

        let rebooted = before.ended == Some(PreviousEnd::Rebooted);
        for (target, block) in by_ledger {
            let difference = if rebooted {
                let remade = Self::remake(&inner.policy, blocklist, target, block, now)?;
                reconciled.remade += 1;
                inner.act.expect(target, remade.expires.boot_ns);
                inner.known.insert(target, remade);
                (
                    "missing_block",
                    "the machine was rebooted",
                    "made again for the rest of its lease",
                )
            } else {
                reconciled.vanished += 1;
                let met = ExpiredEvent { at_ns: now.boot_ns, ..ExpiredEvent::nothing(target) };
                told.records.push(self.journal.ending(block.id, target, How::Vanished, &met));
                ("missing_block", "in the ledger, not in the kernel", "recorded as vanished")
            };
            let (kind, detail, done) = difference;
            differences.push(Difference {
                kind,
                target: Some(target),
                detail: detail.to_owned(),
                done,
            });
        }

        // What weir knew of those it blocked.
        for (address, offences) in &before.offenders {
            let counted = offences.blocks.saturating_sub(offences.pardoned);
            inner.policy.remember(*address, counted, now.boot_ns_at(offences.last_expires_ns));
        }
        let standing: Vec<(IpAddr, u64)> = inner
            .known
            .iter()
            .filter_map(|(target, known)| match target {
                Target::Address(address) => Some((*address, known.expires.boot_ns)),
                Target::Prefix(_) => None,
            })
            .collect();
        for (address, until_ns) in standing {
            inner.policy.remember(address, 0, until_ns);
        }

        if inner.policy.mode() != policy::Mode::Enforce {
            let dropping: Vec<IpAddr> = blocklist
                .list()?
                .iter()
                .filter(|one| one.entry.expires_ns > now.boot_ns)
                .filter(|one| one.entry.action != Action::Shadow.code())
                .filter(|one| {
                    inner.known.get(&one.target).is_some_and(|known| known.origin == Origin::Model)
                })
                .filter_map(|one| match one.target {
                    Target::Address(address) => Some(address),
                    Target::Prefix(_) => None,
                })
                .collect();
            reconciled.demoted = dropping.len();
            if !dropping.is_empty() {
                differences.push(Difference {
                    kind: "mode",
                    target: None,
                    detail: format!(
                        "{} blocks of the model's drop, and the mode is {}",
                        dropping.len(),
                        inner.policy.mode().name()
                    ),
                    done: "turned to shadow",
                });
                self.demote(&mut inner, &dropping, &mut told);
            }
        }

        for prefix in blocklist.allowed()? {
            if !inner.is_allowed(prefix) {
                blocklist.disallow(prefix)?;
                reconciled.stale_allowed += 1;
                differences.push(Difference {
                    kind: "stale_allowed",
                    target: Some(prefix.into()),
                    detail: "on the kernel's allowlist, and nothing speaks for it any more".into(),
                    done: "taken off",
                });
            }
        }

        for Difference { kind, target, detail, done } in differences {
            let event = DifferenceEvent { at_ns: now.boot_ns, kind, target, detail, done };
            tracing::warn!(kind, detail = event.detail, done, "a difference at start");
            told.records.push(self.journal.difference(&event));
            told.events.push(Event::Difference(event));
        }
        inner.outbox.append(&mut told.events);
        self.journal.put(told.records);
        Ok(reconciled)
    }

    fn found(&self, one: &Blocked, now: Moment) -> KnownBlock {
        let origin = if one.entry.reason == BY_HAND { Origin::Person } else { Origin::Found };
        let at = |boot_ns| Moment { wall_ns: now.wall_ns_at(boot_ns), boot_ns };
        KnownBlock {
            id: self.journal.next_block(),
            origin,
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

    /// Makes a block again that a reboot wiped, for the rest of its lease.
    fn remake(
        policy: &policy::Policy,
        blocklist: &Blocklist,
        target: Target,
        block: &ledger::Block,
        now: Moment,
    ) -> anyhow::Result<KnownBlock> {
        let expires_ns = now.boot_ns_at(block.expires.wall_ns);
        let pps = policy.config().rate_limit_pps;
        let enforcing = block.origin != Origin::Model || policy.mode() == policy::Mode::Enforce;
        let action = match (&*block.action, enforcing) {
            ("drop", true) => BlockAction::Drop,
            ("rate-limit", true) => BlockAction::Limit(RateLimit {
                packets_per_second: pps,
                burst_packets: pps.saturating_mul(BURST_S),
            }),
            _ => BlockAction::Shadow,
        };
        let reason = if block.origin == Origin::Person { BY_HAND } else { entry_number(block.id) };
        let made = Block { action, expires_ns, reason };
        blocklist.insert(target, &made, now.boot_ns)?;
        let expires = Moment { wall_ns: block.expires.wall_ns, boot_ns: expires_ns };
        Ok(KnownBlock { expires, ..of_ledger(block) })
    }
}

fn of_ledger(block: &ledger::Block) -> KnownBlock {
    KnownBlock {
        id: block.id,
        origin: block.origin,
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

/// What the ledger knows of an entry, with the kernel's own end of its lease.
fn of_record(block: &ledger::Block, one: &Blocked, now: Moment) -> KnownBlock {
    let boot_ns = one.entry.expires_ns;
    let expires = Moment { wall_ns: now.wall_ns_at(boot_ns), boot_ns };
    KnownBlock { expires, ..of_ledger(block) }
}

fn kernel_target(target: ledger::Target) -> Target {
    match IpNet::new(target.first(), target.bits()) {
        Ok(net) => net.into(),
        // The ledger's targets are within their width.
        Err(_) => target.first().into(),
    }
}

fn action_name(one: &Blocked) -> &'static str {
    match Action::from_code(one.entry.action) {
        Some(Action::Drop) => "drop",
        Some(Action::RateLimit) => "rate-limit",
        Some(Action::Shadow) | None => "shadow",
    }
}
