//! A table of bounded size that evicts the entry used longest ago.

use std::hash::{BuildHasher, Hash};

use flows_common::metering::Entry;
use hashbrown::{DefaultHashBuilder, HashTable, hash_table};

/// No entry: the end of the list.
const NONE: u32 = u32::MAX;

/// Counterpart of the kernel's `LRU_HASH`: at most `capacity` entries, and room for a new one is
/// made by evicting an old one.
///
/// The entry evicted is always the one used longest ago; the kernel's choice is approximate.
#[derive(Debug)]
pub(super) struct LruTable<K, V> {
    capacity: usize,
    hasher: DefaultHashBuilder,
    index: HashTable<u32>,
    entries: Vec<Slot<K, V>>,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    newer: u32,
    older: u32,
}

/// Result of looking up a key.
pub(super) struct Lookup<'a, V> {
    pub(super) entry: Entry<'a, V>,
    /// The value that had to go for it.
    pub(super) evicted: Option<V>,
}

impl<K: Copy + Eq + Hash, V: Copy + Default> LruTable<K, V> {
    /// A table of at most `capacity` entries, at least 1; it grows as it fills.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.clamp(1, NONE as usize - 1),
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            entries: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }
    }

    /// The value of a key, made from its default where the key is new.
    pub(super) fn look_up(&mut self, key: &K) -> Lookup<'_, V> {
        let hash = self.hasher.hash_one(key);
        let entries = &self.entries;
        let found = self.index.find(hash, |&at| entries[at as usize].key == *key).copied();
        let (at, inserted, evicted) = match found {
            Some(at) => {
                self.refresh(at);
                (at, false, None)
            }
            None if self.entries.len() < self.capacity => {
                let at = u32::try_from(self.entries.len()).expect("the capacity is below `NONE`");
                self.entries.push(Slot {
                    key: *key,
                    value: V::default(),
                    newer: NONE,
                    older: NONE,
                });
                self.admit(at, hash);
                (at, true, None)
            }
            None => {
                let at = self.oldest;
                self.forget(at);
                let entry = &mut self.entries[at as usize];
                entry.key = *key;
                let evicted = std::mem::take(&mut entry.value);
                self.admit(at, hash);
                (at, true, Some(evicted))
            }
        };
        let counters = &mut self.entries[at as usize].value;
        Lookup { entry: Entry { counters, inserted }, evicted }
    }

    /// Takes all entries out, keys ascending; the table stays as large as it has grown.
    ///
    /// Places are sorted, not entries that are some 400 bytes to move.
    pub(super) fn take_sorted(&mut self) -> Vec<(K, V)>
    where
        K: Ord,
    {
        let entries = &self.entries;
        let mut order: Vec<u32> = (0..).take(entries.len()).collect();
        order.sort_unstable_by(|&one, &other| {
            entries[one as usize].key.cmp(&entries[other as usize].key)
        });
        let sorted = order.into_iter().map(|at| {
            let entry = &entries[at as usize];
            (entry.key, entry.value)
        });
        let sorted = sorted.collect();
        self.index.clear();
        self.newest = NONE;
        self.oldest = NONE;
        self.entries.clear();
        sorted
    }

    /// Makes an entry the newest one.
    fn refresh(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.link_newest(at);
        }
    }

    /// Enters a filled entry into the index and the list.
    fn admit(&mut self, at: u32, hash: u64) {
        let (entries, hasher) = (&self.entries, &self.hasher);
        let rehash = |&at: &u32| hasher.hash_one(entries[at as usize].key);
        self.index.insert_unique(hash, at, rehash);
        self.link_newest(at);
    }

    /// Takes an entry out of the index and the list.
    fn forget(&mut self, at: u32) {
        let hash = self.hasher.hash_one(self.entries[at as usize].key);
        if let hash_table::Entry::Occupied(entry) =
            self.index.entry(hash, |&other| other == at, |_| hash)
        {
            entry.remove();
        }
        self.unlink(at);
    }

    fn unlink(&mut self, at: u32) {
        let Slot { newer, older, .. } = self.entries[at as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let before = self.newest;
        let entry = &mut self.entries[at as usize];
        entry.newer = NONE;
        entry.older = before;
        match before {
            NONE => self.oldest = at,
            before => self.entries[before as usize].newer = at,
        }
        self.newest = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(table: &mut LruTable<u32, u64>, key: u32) -> Option<u64> {
        let lookup = table.look_up(&key);
        *lookup.entry.counters += 1;
        lookup.evicted
    }

    #[test]
    fn the_entry_used_longest_ago_makes_room() {
        let mut table = LruTable::new(2);
        for key in [1, 2, 1] {
            assert_eq!(count(&mut table, key), None);
        }
        assert_eq!(count(&mut table, 3), Some(1), "2 was used before 1");
        assert_eq!(table.take_sorted(), [(1, 2), (3, 1)]);
    }

    #[test]
    fn a_table_of_one_entry_holds_the_last_key() {
        let mut table = LruTable::new(0);
        for key in 0..5 {
            count(&mut table, key);
        }
        assert_eq!(table.take_sorted(), [(4, 1)]);
    }

    #[test]
    fn a_drained_table_starts_anew() {
        let mut table = LruTable::<u32, u64>::new(8);
        for round in 0..3 {
            for key in 0..8 {
                assert!(table.look_up(&key).entry.inserted, "round {round}");
            }
            assert_eq!(table.take_sorted().len(), 8);
        }
    }

    #[test]
    fn nothing_is_lost_between_table_and_evictions() {
        let mut table = LruTable::new(16);
        let mut evicted = 0;
        let mut state = 7_u32;
        for _ in 0..10_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            evicted += count(&mut table, state >> 26).unwrap_or(0);
        }
        let held: u64 = table.take_sorted().iter().map(|(_, count)| count).sum();
        assert_eq!(held + evicted, 10_000);
    }
}
