//! The kernel's blocks in the order of their targets: the first of them by a walk over the table, all
//! of them as a list that is read once for the pages of a reader.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use datapath::{Blocked, KernelError, Target};

use crate::enforcer::GuardView;

/// Least time for which a first page may show what was read before.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Multiple of the time that reading took for which it may, so that a million entries are not read
/// all the time.
const FRESH_TIMES: u32 = 10;
/// Time after the last page at which the memory is given back.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// What a page is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// So many entries in force, as many as the first page may have and one behind it, of this reason
    /// where one is named: a walk over the table finds them in the memory of a page.
    First(usize, Option<u32>),
    /// All entries as they are.
    All,
    /// All entries as an earlier page had them.
    Behind,
}

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Listing {
    read: Mutex<Kept>,
    /// Changes of the table so far.
    changes: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    all: Option<Read>,
    first: Option<(Asked, Read)>,
}

#[derive(Debug)]
struct Read {
    entries: Arc<Vec<Blocked>>,
    at: Instant,
    took: Duration,
    used: Instant,
    changes: u64,
}

impl Read {
    /// As of `changes` of the table.
    fn now(
        changes: u64,
        read: impl FnOnce() -> Result<Vec<Blocked>, KernelError>,
    ) -> Result<Self, KernelError> {
        let at = Instant::now();
        let entries = Arc::new(read()?);
        Ok(Self { entries, at, took: at.elapsed(), used: Instant::now(), changes })
    }

    fn serves(&self, changes: u64) -> bool {
        self.at.elapsed() < FRESH_FOR.max(self.took * FRESH_TIMES) && self.changes == changes
    }

    fn share(&mut self) -> Arc<Vec<Blocked>> {
        self.used = Instant::now();
        Arc::clone(&self.entries)
    }
}

impl Listing {
    /// Entries in the order of their targets. Only readers wait for each other here.
    pub(super) fn entries(
        &self,
        guard: &GuardView,
        asked: Asked,
        now_ns: u64,
    ) -> Result<Arc<Vec<Blocked>>, KernelError> {
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes();
        if asked != Asked::Behind {
            // The pages behind this one are of no older list.
            kept.all.take_if(|all| !all.serves(changes));
        }
        if let Some(all) = &mut kept.all {
            return Ok(all.share());
        }
        let Asked::First(room, reason) = asked else {
            let all = Read::now(changes, || {
                let mut entries = guard.list()?;
                entries.sort_unstable_by_key(|one| one.target);
                Ok(entries)
            })?;
            return Ok(kept.all.insert(all).share());
        };
        let is_in_force = |one: &Blocked| one.entry.expires_ns > now_ns;
        let serves = |(of, first): &&mut (Asked, Read)| {
            *of == asked && first.serves(changes) && first.entries.iter().all(is_in_force)
        };
        if let Some((_, first)) = kept.first.as_mut().filter(serves) {
            return Ok(first.share());
        }
        let first = Read::now(changes, || {
            let mut first = First::new(room);
            guard.visit(|one| {
                if is_in_force(&one) && reason.is_none_or(|reason| one.entry.reason == reason) {
                    first.offer(one);
                }
            })?;
            Ok(first.sorted())
        })?;
        Ok(kept.first.insert((asked, first)).1.share())
    }

    /// Changes of the table so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The next first page reads the table anew. Waits for nobody.
    pub(super) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Gives the memory back where no page was asked for lately.
    pub(super) fn give_back(&self) {
        if let Ok(mut kept) = self.read.try_lock() {
            kept.all.take_if(|all| all.used.elapsed() >= KEPT_FOR);
        }
    }
}

/// The first so many entries, in the order of their targets, of those that are offered in any.
struct First {
    room: usize,
    entries: Vec<Blocked>,
    /// One behind this is none of them.
    last: Option<Target>,
}

impl First {
    fn new(room: usize) -> Self {
        Self { room: room.max(1), entries: Vec::new(), last: None }
    }

    fn offer(&mut self, one: Blocked) {
        if self.last.is_some_and(|last| one.target > last) {
            return;
        }
        self.entries.push(one);
        if self.entries.len() == 2 * self.room {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.entries.len() > self.room {
            let (_, last, _) =
                self.entries.select_nth_unstable_by_key(self.room - 1, |one| one.target);
            self.last = Some(last.target);
            self.entries.truncate(self.room);
        }
    }

    fn sorted(mut self) -> Vec<Blocked> {
        self.cut();
        self.entries.sort_unstable_by_key(|one| one.target);
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entries_of_a_walk_in_any_order_are_those_of_the_sorted_list() {
        let entry = |number: u32| Blocked {
            // Each number once, in no order.
            target: Target::from(std::net::IpAddr::from(
                number.wrapping_mul(0x9e37_79b1).to_be_bytes(),
            )),
            entry: flows_common::BlockEntry::default(),
        };
        let mut all: Vec<Target> = (0..1_000).map(|number| entry(number).target).collect();
        all.sort_unstable();
        for room in [1, 7, 500, 999, 1_000, 2_000] {
            let mut first = First::new(room);
            (0..1_000).for_each(|number| first.offer(entry(number)));
            assert!(first.entries.len() < 2 * room.max(500) + 1, "{room}");
            let found: Vec<Target> = first.sorted().iter().map(|one| one.target).collect();
            assert_eq!(found, all[..room.min(1_000)], "{room}");
        }
    }
}
