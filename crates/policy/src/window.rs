//! What a decision needs to know of its window.

/// What a decision needs to know of its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any company")]
pub struct WindowFacts {
    /// When it began, in ns of the boot clock (of the capture's clock in replay).
    pub start_ns: u64,
    /// When it ended, likewise: the time of the decisions.
    pub end_ns: u64,
    /// It lost flows.
    pub lossy: bool,
    /// The machine was suspended in it, or a clock jumped.
    pub interrupted: bool,
    /// The traffic has drifted away from what the model learnt.
    pub drifting: bool,
    /// Nothing was known before it, or little: flows that were there all along look new.
    pub warming_up: bool,
}

impl WindowFacts {
    /// An ordinary window, for tests and simulations.
    #[must_use]
    pub const fn ending_at(end_ns: u64) -> Self {
        Self {
            start_ns: end_ns.saturating_sub(1_000_000_000),
            end_ns,
            lossy: false,
            interrupted: false,
            drifting: false,
            warming_up: false,
        }
    }

    /// How long it took, in seconds.
    #[must_use]
    pub fn span_s(&self) -> f64 {
        self.end_ns.saturating_sub(self.start_ns) as f64 / 1e9
    }
}
