//! Blocks made in the last minute.

use std::collections::VecDeque;

/// Span that blocks are counted over, in ns.
const MINUTE_NS: u64 = 60_000_000_000;

/// Times of the last blocks, no more than the limit that asks for them.
#[derive(Debug, Default)]
pub(crate) struct BlockRate {
    times_ns: VecDeque<u64>,
}

impl BlockRate {
    /// Blocks made within the minute that ends at `now_ns`.
    pub(crate) fn last_minute(&mut self, now_ns: u64) -> usize {
        let since_ns = now_ns.saturating_sub(MINUTE_NS);
        while self.times_ns.front().is_some_and(|&made_ns| made_ns <= since_ns) {
            self.times_ns.pop_front();
        }
        self.times_ns.len()
    }

    pub(crate) fn note(&mut self, now_ns: u64) {
        self.times_ns.push_back(now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_counts_for_one_minute() {
        let mut rate = BlockRate::default();
        rate.note(100);
        rate.note(200);
        assert_eq!(rate.last_minute(MINUTE_NS), 2);
        assert_eq!(rate.last_minute(MINUTE_NS + 100), 1);
        assert_eq!(rate.last_minute(MINUTE_NS + 200), 0);
    }
}
