//! Counts of the blocks that the kernel holds, by origin and list.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use control::wire::{Action, HeldBlocks, Origin, Refused};

use super::{Node, acts::internal};
use crate::{
    clock::boot_ns,
    enforcer::{FIRST_OF_PEOPLE, origin_of},
};
use datapath::Target;

/// Time of a count that needs no rest behind it.
const CHEAP: Duration = Duration::from_millis(20);

/// The counts as of the last look.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Option<Counted>>);

#[derive(Debug)]
struct Counted {
    at: Instant,
    took: Duration,
    /// Changes of the table until then.
    changes: u64,
    held: Vec<HeldBlocks>,
}

/// Entries by what is done about their packets.
#[derive(Clone, Copy, Default)]
struct ByAction([u64; Action::ALL.len()]);

impl ByAction {
    fn add(&mut self, action: Action) {
        self.0[action as usize] += 1;
    }
}

impl Node {
    /// Counts of the blocks in force: at most this old where nothing changed, and where counting
    /// takes long so many times as old as it takes: a million entries take a third of a second.
    pub(super) fn held(&self, at_most: Duration, times: u32) -> Result<Vec<HeldBlocks>, Refused> {
        let mut counted = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.listing.changes();
        let serves = |one: &&Counted| {
            let age = one.at.elapsed();
            let rests = one.took > CHEAP && age < one.took * times;
            rests || (age < at_most && one.changes == changes)
        };
        if let Some(counted) = counted.as_ref().filter(serves) {
            return Ok(counted.held.clone());
        }
        let at = Instant::now();
        let held = self.count_held()?;
        *counted = Some(Counted { at, took: at.elapsed(), changes, held: held.clone() });
        Ok(held)
    }

    /// Counts as of the last look, which upkeep takes care of.
    pub(super) fn held_lately(&self) -> Vec<HeldBlocks> {
        let counted = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.as_ref().map(|one| one.held.clone()).unwrap_or_default()
    }

    fn count_held(&self) -> Result<Vec<HeldBlocks>, Refused> {
        let Some(guard) = &self.guard else { return Ok(Vec::new()) };
        let now_ns = boot_ns();
        let mut by_reason: BTreeMap<u32, ByAction> = BTreeMap::new();
        let mut of_model: Vec<(Target, Action)> = Vec::new();
        guard
            .visit(|one| {
                let action = one.entry.effect();
                if one.entry.expires_ns <= now_ns {
                    return;
                }
                if one.entry.reason >= FIRST_OF_PEOPLE {
                    by_reason.entry(one.entry.reason).or_default().add(action);
                } else {
                    of_model.push((one.target, action));
                }
            })
            .map_err(internal)?;
        let mut by_origin: BTreeMap<(Origin, Option<String>), ByAction> = BTreeMap::new();
        let lists = self.lists();
        for (reason, counts) in by_reason {
            by_origin.insert((origin_of(reason), lists.name(reason).map(str::to_owned)), counts);
        }
        drop(lists);
        let inner = self.inner();
        for (target, action) in of_model {
            let origin = inner.known.get(&target).map_or(Origin::Found, |known| known.origin);
            by_origin.entry((origin, None)).or_default().add(action);
        }
        drop(inner);
        let held = by_origin.into_iter().map(|((origin, list), counts)| {
            let [shadow, rate_limit, drop] = counts.0;
            HeldBlocks { origin, list, drop, rate_limit, shadow }
        });
        Ok(held.collect())
    }
}

// In this order, and `ByAction` counts by it.
const _: () = assert!(
    matches!(Action::ALL, [Action::Shadow, Action::RateLimit, Action::Drop])
        && Action::Shadow as usize == 0
        && Action::Drop as usize == 2
);
