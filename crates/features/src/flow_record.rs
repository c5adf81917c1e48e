//! A flow in a window, joined with its past.

use flows_common::{Direction, DirectionCounters, FlowCounters, FlowKey, Span, Standing};

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
