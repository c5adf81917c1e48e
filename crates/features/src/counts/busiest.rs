//! The few things of an entity that it did most often.

use crate::kept::Kept;

/// A part of [`Busiest`] that adds up over time.
pub trait Part: Copy + Default {
    /// Adds a later part.
    fn merge(&mut self, later: &Self);

    /// What the busiest are chosen by.
    fn weight(&self) -> u32;
}

/// Parts of the `N` busiest of something, by a key of 64 bits.
///
/// A new key at capacity takes the place of the lightest where that is not heavier; what gave way
/// is forgotten, so that a sum is never too large.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busiest<P, const N: usize> {
    keys: [u64; N],
    parts: [P; N],
    len: u8,
}

impl<P: Kept, const N: usize> Kept for Busiest<P, N> {
    fn put(&self, out: &mut Vec<u8>) {
        self.keys.put(out);
        self.parts.put(out);
        self.len.put(out);
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let all =
            Self { keys: Kept::take(bytes)?, parts: Kept::take(bytes)?, len: u8::take(bytes)? };
        Some(all).filter(|all| usize::from(all.len) <= N)
    }
}

impl<P: Part, const N: usize> Default for Busiest<P, N> {
    fn default() -> Self {
        Self { keys: [0; N], parts: [P::default(); N], len: 0 }
    }
}

impl<P: Part, const N: usize> Busiest<P, N> {
    /// Adds a part to a key.
    pub(crate) fn add(&mut self, key: u64, part: &P) {
        let len = usize::from(self.len);
        if let Some(at) = self.keys[..len].iter().position(|&known| known == key) {
            self.parts[at].merge(part);
        } else if len < N {
            (self.keys[len], self.parts[len]) = (key, *part);
            self.len += 1;
        } else {
            let lightest = (0..N).min_by_key(|&at| (self.parts[at].weight(), self.keys[at]));
            let at = lightest.expect("there is room for at least one");
            if self.parts[at].weight() <= part.weight() {
                (self.keys[at], self.parts[at]) = (key, *part);
            }
        }
    }

    /// Adds to a key that is there; false where it is not.
    pub(crate) fn amend(&mut self, key: u64, part: &P) -> bool {
        let len = usize::from(self.len);
        let at = self.keys[..len].iter().position(|&known| known == key);
        at.map(|at| self.parts[at].merge(part)).is_some()
    }

    /// Adds those of another.
    pub(crate) fn merge(&mut self, later: &Self) {
        later.iter().for_each(|(key, part)| self.add(key, part));
    }

    /// The keys with their parts.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &P)> {
        self.keys.iter().copied().zip(&self.parts).take(usize::from(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Times(u32);

    impl Part for Times {
        fn merge(&mut self, later: &Self) {
            self.0 += later.0;
        }

        fn weight(&self) -> u32 {
            self.0
        }
    }

    fn busiest(keys: &[u64]) -> Busiest<Times, 2> {
        let mut busiest = Busiest::default();
        for &key in keys {
            busiest.add(key, &Times(1));
        }
        busiest
    }

    #[test]
    fn the_lightest_gives_way_and_the_busy_stay() {
        let found = busiest(&[1, 1, 1, 2, 3, 4, 1]);
        assert_eq!(found.iter().collect::<Vec<_>>(), [(1, &Times(4)), (4, &Times(1))]);
    }

    #[test]
    fn a_merge_adds_and_an_amendment_never_makes_a_key() {
        let mut found = busiest(&[1, 2, 2]);
        found.merge(&busiest(&[2, 3]));
        assert_eq!(found.iter().collect::<Vec<_>>(), [(3, &Times(1)), (2, &Times(3))]);
        assert!(!found.amend(9, &Times(5)) && found.amend(3, &Times(5)));
        assert_eq!(found.iter().next(), Some((3, &Times(6))));
    }
}
