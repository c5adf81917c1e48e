//! Records that features are computed from: a flow in a window joined with its past, and an entity
//! over a horizon.

use flows_common::{Direction, DirectionCounters, FlowCounters, FlowKey, Span, Standing};

use crate::counts::{PeerCounts, SiteCounts};
use crate::facts::LocalService;
use crate::kind::{Horizon, Horizons, Kind};

/// TCP's protocol number.
pub const TCP: u8 = 6;
/// UDP's protocol number.
pub const UDP: u8 = 17;
/// ICMP's protocol number.
pub const ICMP: u8 = 1;
/// `ICMPv6`'s protocol number.
pub const ICMP_V6: u8 = 58;

/// Progress of a TCP flow's opening, in this window and those before it.
///
/// [`Handshake::code`] orders the outcomes from ordinary to odd, for the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Handshake {
    /// Not TCP, or its SYN was never seen.
    #[default]
    Unseen,
    /// A SYN-ACK was seen.
    Answered,
    /// A SYN too near the window's end for its answer to be missed.
    Pending,
    /// A SYN that met an RST from the other side.
    Refused,
    /// A SYN that met nothing.
    Unanswered,
}

impl Handshake {
    /// 0 unseen, 1 answered, 2 pending, 3 refused, 4 unanswered.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// True if a SYN was seen that has had its time and no SYN-ACK.
    #[must_use]
    pub const fn failed(self) -> bool {
        matches!(self, Self::Refused | Self::Unanswered)
    }
}

/// A flow's totals in the windows before this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowPast {
    /// Windows in which it was seen.
    pub windows: u32,
    /// Packets, both directions.
    pub packets: u64,
    /// Bytes on the wire, both directions.
    pub bytes: u64,
}

/// A flow in a window, joined with its past.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRecord {
    /// The flow's endpoints.
    pub key: FlowKey,
    /// Its counters in this window.
    pub counters: FlowCounters,
    /// The window.
    pub window: Span,
    /// When it was first seen, in ns of the window's clock; in this window for a new flow.
    pub first_seen_ns: u64,
    /// True if this window is the first that knows it.
    pub is_new: bool,
    /// Which side opened it: egress for the local one, ingress for the remote one.
    pub initiator: Direction,
    /// Whose packets the window's are.
    pub standing: Standing,
    /// Progress of its opening.
    pub handshake: Handshake,
    /// From the first SYN to the first SYN-ACK, in ns, in whichever windows they were; `None`
    /// until both were seen.
    pub handshake_ns: Option<u64>,
    /// Its totals before this window.
    pub past: FlowPast,
}

impl FlowRecord {
    /// Traffic from the remote.
    #[must_use]
    pub const fn ingress(&self) -> &DirectionCounters {
        &self.counters.directions[Direction::Ingress.index()]
    }

    /// Traffic to the remote.
    #[must_use]
    pub const fn egress(&self) -> &DirectionCounters {
        &self.counters.directions[Direction::Egress.index()]
    }

    /// The time from when it was first seen to the window's end, in seconds.
    #[must_use]
    pub fn age_s(&self) -> f64 {
        self.window.end_ns.saturating_sub(self.first_seen_ns) as f64 / 1e9
    }
}

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
