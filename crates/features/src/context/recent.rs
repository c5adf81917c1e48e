//! A bounded map that forgets what was touched least recently.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::kept::Kept;

const NOWHERE: u32 = u32::MAX;
/// Entries of a table that are kept over a restart, those touched last: memory that is full is 20 MB so.
const MOST_KEPT: usize = 8_192;

/// A map of at most `capacity` entries, in the order in which they were last touched.
///
/// A new key at capacity evicts the entry touched least recently. Every operation is O(1).
/// Nothing iterates in hash order, so what the map answers does not depend on the hasher's
/// seed, which is drawn per process to make collisions hard to aim for.
pub(crate) struct Recent<K, V> {
    capacity: usize,
    hasher: RandomState,
    places: HashTable<u32>,
    entries: Vec<Entry<K, V>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    evicted: u64,
}

struct Entry<K, V> {
    key: K,
    value: V,
    newer: u32,
    older: u32,
}

/// Result of [`Recent::touch`].
pub(crate) struct Touched<'a, K, V> {
    /// The entry, now the most recently touched.
    pub(crate) value: &'a mut V,
    /// True if it was made just now.
    pub(crate) is_new: bool,
    /// The entry evicted to make room.
    pub(crate) evicted: Option<(K, V)>,
}

impl<K: Copy + Eq + Hash, V: Copy> Recent<K, V> {
    /// An empty map that grows up to `capacity` entries, between 1 and `u32::MAX - 1`.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        debug_assert!((1..NOWHERE as usize).contains(&capacity));
        Self {
            capacity,
            hasher: RandomState::default(),
            places: HashTable::new(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: NOWHERE,
            oldest: NOWHERE,
            evicted: 0,
        }
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Number of entries evicted to make room, ever.
    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The entry of a key, left where it is in the order.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.find(key)?;
        Some(&mut self.entries[place as usize].value)
    }

    /// The entry of a key, left where it is in the order.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.find(key).map(|place| &self.entries[place as usize].value)
    }

    /// The entry of a key, made where there is none, and the most recent from now on.
    pub(crate) fn touch(&mut self, key: K, make: impl FnOnce() -> V) -> Touched<'_, K, V> {
        if let Some(place) = self.find(&key) {
            self.unlink(place);
            self.link_newest(place);
            let value = &mut self.entries[place as usize].value;
            return Touched { value, is_new: false, evicted: None };
        }
        let evicted = if self.len() == self.capacity {
            self.evicted += 1;
            self.pop_oldest()
        } else {
            None
        };
        let entry = Entry { key, value: make(), newer: NOWHERE, older: NOWHERE };
        let place = if let Some(place) = self.free.pop() {
            self.entries[place as usize] = entry;
            place
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("the capacity is below u32::MAX")
        };
        let (hasher, entries) = (&self.hasher, &self.entries);
        self.places.insert_unique(hasher.hash_one(key), place, |&other| {
            hasher.hash_one(entries[other as usize].key)
        });
        self.link_newest(place);
        Touched { value: &mut self.entries[place as usize].value, is_new: true, evicted }
    }

    /// The entries, those touched last first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = (&K, &V)> {
        let at = |place: u32| self.entries.get(place as usize);
        let all = std::iter::successors(at(self.newest), move |entry| at(entry.older));
        all.map(|entry| (&entry.key, &entry.value))
    }

    /// Removes the entry touched least recently, if `stale` says so.
    pub(crate) fn pop_oldest_if(&mut self, stale: impl FnOnce(&V) -> bool) -> Option<(K, V)> {
        let oldest = self.entries.get(self.oldest as usize)?;
        if stale(&oldest.value) { self.pop_oldest() } else { None }
    }

    /// Takes all entries out, sorted by key.
    pub(crate) fn drain_sorted(&mut self) -> Vec<(K, V)>
    where
        K: Ord,
    {
        let mut drained = Vec::with_capacity(self.len());
        while let Some(entry) = self.entries.get(self.oldest as usize) {
            drained.push((entry.key, entry.value));
            self.unlink(self.oldest);
        }
        (self.places, self.entries, self.free) = (HashTable::new(), Vec::new(), Vec::new());
        drained.sort_unstable_by_key(|(key, _)| *key);
        drained
    }

    fn pop_oldest(&mut self) -> Option<(K, V)> {
        let place = self.oldest;
        let Entry { key, value, .. } = self.entries.get(place as usize)?;
        let (key, value) = (*key, *value);
        self.unlink(place);
        if let Ok(entry) =
            self.places.find_entry(self.hasher.hash_one(key), |&other| other == place)
        {
            entry.remove();
        }
        self.free.push(place);
        Some((key, value))
    }

    fn find(&self, key: &K) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.places.find(hash, |&place| self.entries[place as usize].key == *key).copied()
    }

    fn unlink(&mut self, place: u32) {
        let Entry { newer, older, .. } = self.entries[place as usize];
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, place: u32) {
        let older = self.newest;
        let entry = &mut self.entries[place as usize];
        (entry.newer, entry.older) = (NOWHERE, older);
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }
}

/// Puts the entries of a table that were touched last, in the order in which they were: those that
/// `keep` leaves something of.
pub(crate) fn put_table<K: Kept + Copy + Eq + Hash, V: Kept + Copy>(
    table: &Recent<K, V>,
    keep: impl Fn(&V) -> Option<V>,
    out: &mut Vec<u8>,
) {
    let latest = table.latest().filter_map(|(key, value)| Some((*key, keep(value)?)));
    let mut latest: Vec<(K, V)> = latest.take(MOST_KEPT).collect();
    latest.reverse();
    (latest.len() as u64).put(out);
    for one in &latest {
        one.put(out);
    }
}

/// Takes a table of at most so many entries.
pub(crate) fn take_table<K: Kept + Copy + Eq + Hash, V: Kept + Copy>(
    capacity: usize,
    bytes: &mut &[u8],
) -> Option<Recent<K, V>> {
    let mut table = Recent::with_capacity(capacity);
    for _ in 0..u64::take(bytes)? {
        let (key, value) = Kept::take(bytes)?;
        table.touch(key, || value);
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_full_map_forgets_what_was_touched_least_recently() {
        let mut map = Recent::with_capacity(2);
        for key in ["a", "b", "a", "c"] {
            map.touch(key, || ());
        }
        assert!(map.get(&"b").is_none());
        assert!(map.get(&"a").is_some() && map.get(&"c").is_some());
        assert_eq!((map.len(), map.evicted()), (2, 1));
    }

    #[test]
    fn what_is_drained_is_sorted_and_gone() {
        let mut map = Recent::with_capacity(3);
        for key in [3, 1, 2, 3] {
            map.touch(key, || key * 10);
        }
        assert_eq!(map.drain_sorted(), [(1, 10), (2, 20), (3, 30)]);
        assert_eq!((map.len(), map.drain_sorted()), (0, vec![]));
        assert_eq!(*map.touch(1, || 5).value, 5);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_queue_that_moves_what_is_touched_to_its_end(
            capacity in 1_usize..6,
            steps in prop::collection::vec(prop::option::weighted(0.8, 0_u8..10), 0..200),
        ) {
            let mut map = Recent::with_capacity(capacity);
            let mut queue = VecDeque::new();
            for step in steps {
                if let Some(key) = step {
                    map.touch(key, || key);
                    queue.retain(|&other| other != key);
                    queue.push_back(key);
                    if queue.len() > capacity {
                        queue.pop_front();
                    }
                } else {
                    let popped = map.pop_oldest_if(|_| true).map(|(key, _)| key);
                    prop_assert_eq!(popped, queue.pop_front());
                }
                prop_assert_eq!(map.len(), queue.len());
                for key in 0..10 {
                    prop_assert_eq!(map.get(&key).is_some(), queue.contains(&key));
                }
            }
        }
    }
}
