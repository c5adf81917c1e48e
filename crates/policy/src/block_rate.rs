//! Blocks made in the last minute.

use std::collections::VecDeque;

use flows_common::Scope;

use crate::guards::Made;

/// Span that blocks are counted over, in ns.
const MINUTE_NS: u64 = 60_000_000_000;

/// Times of the last blocks, no more than the limit that asks for them.
#[derive(Debug, Default)]
pub(crate) struct BlockRate {
    times: VecDeque<(u64, Scope)>,
}

impl BlockRate {
    /// Blocks made within the minute that ends at `now_ns`.
    pub(crate) fn last_minute(&self, now_ns: u64) -> Made {
        let mut made = Made::default();
        let late = self.times.iter().rev().take_while(|(made_ns, _)| counts(*made_ns, now_ns));
        late.for_each(|&(_, scope)| made.add(scope));
        made
    }

    pub(crate) fn note(&mut self, now_ns: u64, scope: Scope) {
        while self.times.front().is_some_and(|&(made_ns, _)| !counts(made_ns, now_ns)) {
            self.times.pop_front();
        }
        self.times.push_back((now_ns, scope));
    }
}

const fn counts(made_ns: u64, now_ns: u64) -> bool {
    now_ns < made_ns.saturating_add(MINUTE_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_counts_for_one_minute() {
        let mut rate = BlockRate::default();
        rate.note(100, Scope::Inbound);
        rate.note(200, Scope::Unproven);
        let made = |now_ns| rate.last_minute(now_ns);
        assert_eq!(made(MINUTE_NS), Made { all: 2, unproven: 1 });
        assert_eq!(made(MINUTE_NS + 100), Made { all: 1, unproven: 1 });
        assert_eq!(made(MINUTE_NS + 200), Made::default());
    }
}
