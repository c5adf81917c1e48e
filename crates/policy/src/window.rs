//! Facts of a window that decisions depend on.

/// Facts of a window that decisions depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any company")]
pub struct WindowFacts {
    /// Begin, in ns of the boot clock (of the capture's clock in replay).
    pub start_ns: u64,
    /// End, likewise: the time of the decisions.
    pub end_ns: u64,
    /// Flows were lost.
    pub lossy: bool,
    /// Packets crossed an interface unseen: what looks unanswered may have been answered. Nothing is
    /// acted on, however decisive.
    pub blind: bool,
    /// The machine was suspended, or a clock jumped.
    pub interrupted: bool,
    /// The traffic has drifted away from that of the training.
    pub drifting: bool,
    /// The past before it is empty or short: flows that were there all along look new.
    pub warming_up: bool,
}

impl WindowFacts {
    /// A whole, ordinary window of one second, for tests and simulations.
    #[must_use]
    pub const fn ending_at(end_ns: u64) -> Self {
        Self {
            start_ns: end_ns.saturating_sub(1_000_000_000),
            end_ns,
            lossy: false,
            blind: false,
            interrupted: false,
            drifting: false,
            warming_up: false,
        }
    }

    /// Length, in seconds.
    #[must_use]
    pub fn span_s(&self) -> f64 {
        self.end_ns.saturating_sub(self.start_ns) as f64 / 1e9
    }
}
