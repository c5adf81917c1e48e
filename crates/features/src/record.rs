//! Records that features are computed from: a flow in a window joined with its past, and an entity
//! over a horizon.

use flows_common::{Span, Standing};

use crate::counts::{PeerCounts, SiteCounts};
use crate::facts::LocalService;
use crate::kept::Kept;
use crate::kind::{Horizon, Horizons, Kind};

pub use crate::flow_record::{FlowPast, FlowRecord, Handshake, ICMP, ICMP_V6, TCP, UDP};

/// An entity over a time, with its counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row<K, C> {
    /// The entity.
    pub key: K,
    /// The time that the row is meant to cover.
    pub horizon: Horizon,
    /// The place of the horizon among [`Context::horizons`](crate::Context::horizons).
    pub level: usize,
    /// The time that it covers: shorter than the horizon where the windows ended before.
    pub span: Span,
    /// A window in it lost something ([`Window::is_lossy`](crate::Window::is_lossy)).
    pub is_lossy: bool,
    /// The counts.
    pub counts: C,
}

/// The part of a remote address that has one standing: what anybody may have sent in its name, and
/// what this host asked it for, are other parts than what it sent itself. Most remotes have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerPart {
    /// The remote address, in the 16-byte form.
    pub address: [u8; 16],
    /// Whose packets these are.
    pub standing: Standing,
}

/// A remote address in one standing over a horizon.
///
/// Where a window lost flows ([`Window::holds_every_flow`](crate::Window::holds_every_flow)) the
/// remote's own counters, which outlive those flows, are a second view of the same quantities; the
/// larger of the two is taken for what is unproven, as lost flows are.
///
/// The row of the window is made at the window's end, with the outcomes that are known by then,
/// and once more with all of them where they became known later: at most 3 s.
pub type PeerRecord = Row<PeerPart, PeerCounts>;

/// A part of the host's side over a horizon; rows come as those of peers do.
pub type SiteRecord = Row<SiteKey, SiteCounts>;

/// A part of the host's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SiteKey {
    /// All of it.
    #[default]
    Net,
    /// One address, in the 16-byte form.
    Host([u8; 16]),
    /// One service, on whatever address.
    Service(LocalService),
}

impl Kept for SiteKey {
    fn put(&self, out: &mut Vec<u8>) {
        let (address, service) = match *self {
            Self::Net => (None, None),
            Self::Host(address) => (Some(address), None),
            Self::Service(service) => (None, Some(service)),
        };
        (address, service).put(out);
    }

    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(match Kept::take(bytes)? {
            (Some(address), _) => Self::Host(address),
            (None, Some(service)) => Self::Service(service),
            (None, None) => Self::Net,
        })
    }
}

impl SiteKey {
    /// The kind of its rows.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Net => Kind::Net,
            Self::Host(_) => Kind::Host,
            Self::Service(_) => Kind::Service,
        }
    }
}

impl<K, C> Row<K, C> {
    /// The counts of flows that are active, of the row's own horizon.
    pub(crate) fn active(&self, active: &[u32; Horizons::MOST]) -> f64 {
        f64::from(active[self.level.min(Horizons::MOST - 1)])
    }
}
