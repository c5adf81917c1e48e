//! Boundaries of a replay's windows.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use flows_common::{Span, clock::nanos};

/// Boundaries of windows, in ns since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Boundaries {
    /// At the multiples of a length.
    Every(NonZeroU64),
    /// At these moments, ascending.
    At(Arc<[u64]>),
}

impl Boundaries {
    pub(super) fn every(length: Duration) -> Self {
        let length_ns = nanos(length);
        Self::Every(NonZeroU64::new(length_ns).unwrap_or(NonZeroU64::MIN))
    }

    pub(super) fn at(moments_ns: impl IntoIterator<Item = u64>) -> Self {
        let mut moments: Vec<u64> = moments_ns.into_iter().collect();
        moments.sort_unstable();
        Self::At(moments.into())
    }

    /// The window that holds a moment.
    pub(super) fn around(&self, time_ns: u64) -> Span {
        match self {
            Self::Every(length) => {
                let start_ns = time_ns - time_ns % length.get();
                Span { start_ns, end_ns: start_ns.saturating_add(length.get()) }
            }
            Self::At(moments) => {
                let before = moments.partition_point(|&moment| moment <= time_ns);
                Span {
                    start_ns: before.checked_sub(1).map_or(0, |last| moments[last]),
                    end_ns: moments.get(before).copied().unwrap_or(u64::MAX),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        for boundaries in
            [Boundaries::every(Duration::from_nanos(10)), Boundaries::at([30, 10, 20])]
        {
            for (time_ns, start_ns, end_ns) in [(10, 10, 20), (19, 10, 20), (20, 20, 30)] {
                assert_eq!(boundaries.around(time_ns), Span { start_ns, end_ns }, "{boundaries:?}");
            }
        }
    }

    #[test]
    fn every_moment_there_is_lies_in_a_window() {
        for boundaries in [
            Boundaries::every(Duration::from_nanos(7)),
            Boundaries::every(Duration::MAX),
            Boundaries::at([]),
            Boundaries::at([5]),
        ] {
            for time_ns in [0, 4, 5, 6, u64::MAX - 1] {
                let window = boundaries.around(time_ns);
                assert!((window.start_ns..window.end_ns).contains(&time_ns), "{boundaries:?}");
            }
        }
    }
}
