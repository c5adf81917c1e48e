//! Whole flows: what their windows add up to, from the first packet to the last.

mod community_id;
mod table;

use std::collections::HashMap;

use features::Window;
use flows_common::{Direction, FlowCounters, FlowKey, TcpFlag};

use community_id::Ends;
pub(crate) use table::batch;
pub use table::{CONNECTION_SCHEMA, connection_schema};

const TCP: u8 = 6;
const ICMP: [u8; 2] = [1, 58];

/// Silence that ends a flow, in ns.
const IDLE_NS: u64 = 120_000_000_000;
/// Flows that are held at once, some 60 MB; beyond, the half that is silent longest is cut.
const HELD_LIMIT: usize = 1 << 18;

/// How a flow ended, or as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// TCP: a SYN that nothing answered.
    Attempt,
    /// TCP: a SYN that an RST answered.
    Refused,
    /// TCP: a SYN-ACK answered, and neither side ended it.
    Open,
    /// TCP: a SYN-ACK answered, and both sides sent a FIN.
    Closed,
    /// TCP: a SYN-ACK answered, and an RST ended it.
    Reset,
    /// TCP: it was there before the capture.
    Midstream,
    /// No TCP: packets both ways.
    Answered,
    /// No TCP: packets one way.
    Unanswered,
}

impl ConnectionState {
    /// The state as the table spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Refused => "refused",
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Midstream => "midstream",
            Self::Answered => "answered",
            Self::Unanswered => "unanswered",
        }
    }
}

/// A whole flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its endpoints.
    pub key: FlowKey,
    /// Time of its first packet, on the clock of the windows.
    pub first_ns: u64,
    /// Time of its last packet.
    pub last_ns: u64,
    /// Packets by [`Direction::index`].
    pub packets: [u64; 2],
    /// Bytes on the wire.
    pub bytes: [u64; 2],
    /// Bytes above the transport header.
    pub payload_bytes: [u64; 2],
    /// Who opened it: the remote side for ingress.
    pub initiator: Direction,
    /// Packets with a SYN, a FIN and an RST, by direction.
    flags: [[u64; 2]; 3],
    /// Type and code of the first ICMP message.
    icmp: [u8; 2],
}

const ENDING_FLAGS: [TcpFlag; 3] = [TcpFlag::Syn, TcpFlag::Fin, TcpFlag::Rst];

impl Connection {
    fn new(key: FlowKey) -> Self {
        Self {
            key,
            first_ns: u64::MAX,
            last_ns: 0,
            packets: [0; 2],
            bytes: [0; 2],
            payload_bytes: [0; 2],
            initiator: Direction::Ingress,
            flags: [[0; 2]; 3],
            icmp: [0; 2],
        }
    }

    fn add(&mut self, counters: &FlowCounters) {
        let is_new = self.packets == [0; 2];
        for (way, one) in counters.directions.iter().enumerate() {
            if one.packets == 0 {
                continue;
            }
            self.first_ns = self.first_ns.min(one.first_ns);
            self.last_ns = self.last_ns.max(one.last_ns);
            self.packets[way] = self.packets[way].saturating_add(one.packets);
            self.bytes[way] = self.bytes[way].saturating_add(one.bytes);
            self.payload_bytes[way] = self.payload_bytes[way].saturating_add(one.payload_bytes);
            for (sums, flag) in self.flags.iter_mut().zip(ENDING_FLAGS) {
                sums[way] = sums[way].saturating_add(one.flags[flag.index()].into());
            }
        }
        if is_new {
            self.initiator = counters.opener();
            let first = &counters.directions[self.initiator.index()];
            self.icmp = [first.icmp_type, first.icmp_code];
        }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        let (opener, answerer) = (self.initiator.index(), self.initiator.opposite().index());
        if self.key.protocol != TCP {
            return if self.packets.contains(&0) {
                ConnectionState::Unanswered
            } else {
                ConnectionState::Answered
            };
        }
        let [syn, fin, rst] = self.flags;
        match (syn[opener] > 0, syn[answerer] > 0) {
            (true, true) if rst != [0; 2] => ConnectionState::Reset,
            (true, true) if !fin.contains(&0) => ConnectionState::Closed,
            (true, true) => ConnectionState::Open,
            (true, false) if rst[answerer] > 0 => ConnectionState::Refused,
            (true, false) => ConnectionState::Attempt,
            (false, _) => ConnectionState::Midstream,
        }
    }

    /// Its name in other tools; see the specification of Community ID.
    #[must_use]
    pub fn community_id(&self) -> String {
        let local = (self.key.local, self.key.local_port);
        let remote = (self.key.remote, self.key.remote_port);
        let [mut source, mut destination] = match self.initiator {
            Direction::Ingress => [remote, local],
            Direction::Egress => [local, remote],
        };
        if ICMP.contains(&self.key.protocol) {
            (source.1, destination.1) = (self.icmp[0].into(), self.icmp[1].into());
        }
        Ends { source, destination, protocol: self.key.protocol }.community_id()
    }

    /// True where neither side can send on it any more.
    fn has_ended(&self) -> bool {
        let [_, fin, rst] = self.flags;
        self.key.protocol == TCP && (rst != [0; 2] || !fin.contains(&0))
    }

    /// True where a window shows it opened again.
    fn is_reopened_by(&self, counters: &FlowCounters) -> bool {
        let opens = |one: &flows_common::DirectionCounters| one.flags[TcpFlag::Syn.index()] > 0;
        self.has_ended() && counters.directions.iter().any(opens)
    }
}

/// Flows under way.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    held: HashMap<FlowKey, Connection>,
    ended: Vec<Connection>,
    next_sweep_ns: u64,
}

impl Connections {
    /// Adds a window; windows come in their order.
    pub(crate) fn observe(&mut self, window: &Window) {
        for (key, counters) in &window.flows {
            let held = self.held.entry(*key).or_insert_with(|| Connection::new(*key));
            if held.is_reopened_by(counters) {
                self.ended.push(std::mem::replace(held, Connection::new(*key)));
            }
            held.add(counters);
        }
        if self.held.len() > HELD_LIMIT {
            self.cut();
        } else if window.end_ns >= self.next_sweep_ns {
            // Each flow is looked at a few times within its idle time, not in every window.
            self.next_sweep_ns = window.end_ns.saturating_add(IDLE_NS / 4);
            let until = window.end_ns;
            self.end_those(|flow| until.saturating_sub(flow.last_ns) > IDLE_NS);
        }
    }

    /// The flows that ended since the last call, by their first packets.
    pub(crate) fn take_ended(&mut self) -> Vec<Connection> {
        let mut ended = std::mem::take(&mut self.ended);
        ended.sort_unstable_by_key(|flow| (flow.first_ns, flow.key));
        ended
    }

    /// Number of flows that ended since they were last taken.
    pub(crate) const fn ended(&self) -> usize {
        self.ended.len()
    }

    /// Ends every flow, for the capture has.
    pub(crate) fn end_all(&mut self) {
        self.end_those(|_| true);
    }

    fn cut(&mut self) {
        let mut last: Vec<u64> = self.held.values().map(|flow| flow.last_ns).collect();
        let (_, &mut middle, _) = last.select_nth_unstable(HELD_LIMIT / 2);
        self.end_those(|flow| flow.last_ns <= middle);
    }

    fn end_those(&mut self, is_over: impl Fn(&Connection) -> bool) {
        self.ended.extend(self.held.extract_if(|_, flow| is_over(flow)).map(|(_, flow)| flow));
    }
}

#[cfg(test)]
mod tests;
