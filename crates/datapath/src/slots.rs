//! Statistics slots: which element of the statistics array belongs to which block.

use std::collections::HashSet;

/// Gives out the slots of the statistics array.
#[derive(Debug)]
pub(super) struct Slots {
    free: Vec<u32>,
    count: u32,
}

impl Slots {
    /// The slot that blocks share when there is none left.
    pub(super) const SHARED: u32 = 0;

    /// All slots but the shared one are free.
    pub(super) fn new(count: u32) -> Self {
        Self { free: (1..count).rev().collect(), count }
    }

    /// Gives out the highest slots first: for who shares the array with another process, which
    /// gives out the lowest first.
    pub(super) fn top_first(mut self) -> Self {
        self.free.reverse();
        self
    }

    /// A slot of its own, or the shared one.
    pub(super) fn give(&mut self) -> u32 {
        self.free.pop().unwrap_or(Self::SHARED)
    }

    /// Takes the slots that entries left by an earlier process hold.
    pub(super) fn take(&mut self, held: impl IntoIterator<Item = u32>) {
        let held: HashSet<u32> = held.into_iter().collect();
        self.free.retain(|slot| !held.contains(slot));
    }

    /// A slot that no entry holds any more.
    pub(super) fn give_back(&mut self, slot: u32) {
        if slot != Self::SHARED && slot < self.count {
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_beyond_the_slots_shares_one() {
        let mut slots = Slots::new(3);
        assert_eq!([slots.give(), slots.give(), slots.give()], [1, 2, Slots::SHARED]);
        slots.give_back(2);
        slots.give_back(Slots::SHARED);
        assert_eq!([slots.give(), slots.give()], [2, Slots::SHARED]);
    }

    #[test]
    fn who_shares_the_array_begins_at_its_other_end() {
        assert_eq!(Slots::new(4).top_first().give(), 3);
    }

    #[test]
    fn a_slot_in_use_is_not_given_out() {
        let mut slots = Slots::new(4);
        slots.take([1]);
        assert_eq!(slots.give(), 2);
    }
}
