//! Records that features are computed from: a flow or a peer in one window, joined with its past.

use std::ops::Range;

use flows_common::{
    Direction, DirectionCounters, FlowCounters, FlowKey, LENGTH_BUCKETS, PeerKey, Span, Standing,
};

use crate::damped::{Damped, HalfLife, Starts};
use crate::facts::PeerFacts;

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
    /// Rarity of its service across all peers before this window, in [0, 1]; see
    /// [`Context`](crate::Context).
    pub service_rarity: f64,
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

/// The sums of one direction over a peer's flows in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerDirection {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Bytes above the transport header.
    pub payload_bytes: u64,
    /// TCP packets.
    pub tcp_packets: u64,
    /// UDP packets.
    pub udp_packets: u64,
    /// ICMP and `ICMPv6` packets.
    pub icmp_packets: u64,
    /// ICMP and `ICMPv6` error messages.
    pub icmp_errors: u64,
    /// TCP segments that repeat bytes.
    pub retransmissions: u64,
    /// TCP packets that announced a receive window of zero.
    pub zero_windows: u64,
    /// Packets that are fragments.
    pub fragments: u64,
    /// Packets by length; see [`flows_common::LENGTH_BUCKETS`].
    pub length_histogram: [u64; LENGTH_BUCKETS],
}

/// Memory of a peer from the windows up to and including this one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerPast {
    /// Damped sums, by [`HalfLife::index`].
    pub damped: [Damped; HalfLife::COUNT],
    /// The intervals between the starts of its flows.
    pub starts: Starts,
    /// TCP flows that were opened and neither closed nor forgotten, whether or not they were
    /// active in this window.
    pub open_tcp_flows: u32,
}

/// The part of a remote address in one [`Standing`] in a window, joined with its past.
///
/// What anybody may have sent in a remote's name is a record of its own, with a past of its own, and
/// so is what this host asked the remote for: neither changes a feature of what the remote sent
/// itself. Most remotes have one record in a window.
///
/// Counts of flows, SYNs, resets, ports and hosts come from the window's flows. Where the window
/// lost flows ([`Window::holds_every_flow`](crate::Window::holds_every_flow)) the remote's own
/// counters, which outlive those flows, are a second view of the same quantities; the larger of
/// the two is taken for what is unproven, as lost flows are. Sums of packets and bytes know the drained flows only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerRecord {
    /// The remote address; the standing is among [`Self::facts`].
    pub key: PeerKey,
    /// The window.
    pub window: Span,
    /// Its flows: a range of [`Observed::flows`](crate::Observed::flows), empty where all were
    /// evicted.
    pub flows: Range<usize>,
    /// When it was first seen, in ns of the window's clock; in this window for a new peer.
    pub first_seen_ns: u64,
    /// True if this window is the first that knows it.
    pub is_new: bool,
    /// Traffic each way, by [`Direction::index`].
    pub directions: [PeerDirection; 2],
    /// Flows active in the window.
    pub active_flows: u64,
    /// TCP flows active in the window.
    pub tcp_flows: u64,
    /// Flows first seen in this window, by the side that opened them ([`Direction::index`]).
    pub opened: [u64; 2],
    /// Flows in which a SYN was sent in this window and had time to be answered, by sender.
    pub syns: [u64; 2],
    /// Those of `syns` without a SYN-ACK, by sender.
    pub unanswered: [u64; 2],
    /// Flows in which an RST was sent in this window, by sender.
    pub reset_flows: [u64; 2],
    /// TCP flows opened by the remote that it has not acknowledged, at the window's end.
    pub half_open_flows: u64,
    /// Distinct local ports of the flows that the remote opened.
    pub distinct_local_ports: u64,
    /// Distinct local addresses of the flows that the remote opened.
    pub distinct_local_hosts: u64,
    /// Distinct services (protocol, the opened side's port, who opened) of its flows.
    pub distinct_services: u64,
    /// Flows of its most used service.
    pub top_service_flows: u64,
    /// Entropy of the local ports of the flows that the remote opened, in bits, over `log2` of
    /// their number: 0 for one port, 1 where each flow has its own.
    pub local_port_entropy: f64,
    /// Mean rarity of its services; see [`Context`](crate::Context).
    pub service_rarity: f64,
    /// Sum of its active flows' ages at the window's end, in seconds.
    pub flow_age_sum_s: f64,
    /// Facts that a decision uses beside the scores; no feature is made of them.
    pub facts: PeerFacts,
    /// Memory of it, this window included.
    pub past: PeerPast,
}

impl PeerRecord {
    /// Traffic from the remote.
    #[must_use]
    pub const fn ingress(&self) -> &PeerDirection {
        &self.directions[Direction::Ingress.index()]
    }

    /// Traffic to the remote.
    #[must_use]
    pub const fn egress(&self) -> &PeerDirection {
        &self.directions[Direction::Egress.index()]
    }

    /// The time from when it was first seen to the window's end, in seconds.
    #[must_use]
    pub fn age_s(&self) -> f64 {
        self.window.end_ns.saturating_sub(self.first_seen_ns) as f64 / 1e9
    }

    /// Its damped sums of one half-life.
    #[must_use]
    pub const fn damped(&self, half_life: HalfLife) -> &Damped {
        &self.past.damped[half_life.index()]
    }
}
