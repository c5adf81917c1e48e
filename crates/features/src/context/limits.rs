//! Limits of the context's memory.

use thiserror::Error;

/// Bounds of a context's memory; see the [module](super) for what gives way at each.
///
/// Their cost, full, is measured by `weir-bench --only memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextLimits {
    /// Flows remembered; default 131,072.
    pub flows: usize,
    /// Peers remembered; default 65,536.
    pub peers: usize,
    /// Addresses of the host's side remembered; default 1,024.
    pub hosts: usize,
    /// Services of the host's side remembered; default 4,096.
    pub services: usize,
    /// Entities, of peers and of the host's side each, whose counts a horizon longer than the
    /// window gathers, and whose rows of a window wait for late outcomes; default 16,384.
    pub gathered: usize,
    /// Idle time after which a flow is forgotten, in ns; default 600 s.
    ///
    /// The same 5-tuple is a new flow afterwards.
    pub flow_idle_ns: u64,
}

impl Default for ContextLimits {
    fn default() -> Self {
        Self {
            flows: 131_072,
            peers: 65_536,
            hosts: 1_024,
            services: 4_096,
            gathered: 16_384,
            flow_idle_ns: 600_000_000_000,
        }
    }
}

impl ContextLimits {
    /// The most entries that any table may be given.
    pub const MAX_ENTRIES: usize = 1 << 28;

    pub(crate) fn check(&self) -> Result<(), ContextError> {
        let tables = [
            ("flows", self.flows),
            ("peers", self.peers),
            ("hosts", self.hosts),
            ("services", self.services),
            ("gathered", self.gathered),
        ];
        for (name, entries) in tables {
            if !(1..=Self::MAX_ENTRIES).contains(&entries) {
                return Err(ContextError::Entries { name, entries });
            }
        }
        if self.flow_idle_ns == 0 {
            return Err(ContextError::NoIdleTime);
        }
        Ok(())
    }
}

/// Limits that no context can be made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ContextError {
    /// A table of no entries, or of more than fit.
    #[error(
        "the context's `{name}` must be between 1 and {max}, got {entries}",
        max = ContextLimits::MAX_ENTRIES
    )]
    Entries {
        /// Which limit.
        name: &'static str,
        /// Its value.
        entries: usize,
    },
    /// Flows would be forgotten at once.
    #[error("the context's `flow_idle_ns` must be at least 1, got 0")]
    NoIdleTime,
}
