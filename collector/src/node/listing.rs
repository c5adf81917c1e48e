//! The kernel's blocks as a sorted list, read once for the pages of a reader.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use datapath::{Blocked, KernelError};

use crate::enforcer::GuardView;

/// Least time for which a first page may show what was read before.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Multiple of the time that reading took for which it may, so that a million entries are not read
/// all the time.
const FRESH_TIMES: u32 = 10;
/// Time after the last page at which the memory is given back.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// The list that was read last.
#[derive(Debug, Default)]
pub(super) struct Listing {
    read: Mutex<Option<Read>>,
    /// Changes of the table so far.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Read {
    entries: Arc<Vec<Blocked>>,
    at: Instant,
    took: Duration,
    used: Instant,
    changes: u64,
}

impl Listing {
    /// The entries in the order of their targets. The pages behind the first go on with what the
    /// first had. Only readers wait for each other here.
    pub(super) fn entries(
        &self,
        guard: &GuardView,
        is_first_page: bool,
    ) -> Result<Arc<Vec<Blocked>>, KernelError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes();
        let serves = |read: &&mut Read| {
            let fresh = read.at.elapsed() < FRESH_FOR.max(read.took * FRESH_TIMES);
            !is_first_page || (fresh && read.changes == changes)
        };
        if let Some(read) = read.as_mut().filter(serves) {
            read.used = Instant::now();
            return Ok(Arc::clone(&read.entries));
        }
        let at = Instant::now();
        let mut entries = guard.list()?;
        entries.sort_unstable_by_key(|one| one.target);
        let entries = Arc::new(entries);
        let (took, used) = (at.elapsed(), Instant::now());
        *read = Some(Read { entries: Arc::clone(&entries), at, took, used, changes });
        Ok(entries)
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
        if let Ok(mut read) = self.read.try_lock() {
            read.take_if(|read| read.used.elapsed() >= KEPT_FOR);
        }
    }
}
