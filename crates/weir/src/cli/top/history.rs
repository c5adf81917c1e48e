//! The last values of something, for a sparkline.

use std::collections::VecDeque;

/// Values that are kept: the width of any terminal.
const VALUES: usize = 512;

/// The last values, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    values: VecDeque<u64>,
}

impl History {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded and not negative; beyond u64 it saturates"
    )]
    pub(super) fn push(&mut self, value: f64) {
        if self.values.len() == VALUES {
            self.values.pop_front();
        }
        self.values.push_back(value.round().max(0.0) as u64);
    }

    /// The last values that fit into a width, the oldest first.
    pub(super) fn last(&self, width: u16) -> Vec<u64> {
        let skip = self.values.len().saturating_sub(usize::from(width));
        self.values.iter().skip(skip).copied().collect()
    }

    pub(super) fn highest(&self) -> u64 {
        self.values.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_last_values_in_bounded_memory() {
        let mut history = History::default();
        for value in 0..1_000_u32 {
            history.push(f64::from(value));
        }
        assert_eq!(history.values.len(), VALUES);
        assert_eq!(history.last(3), [997, 998, 999]);
        assert_eq!(history.highest(), 999);
        history.push(-1.0);
        assert_eq!(history.last(1), [0]);
    }
}
