//! The tables that the programs keep in maps, in the plainest form.

use std::collections::{BTreeMap, BTreeSet};

use weir_flows_common::{
    Direction, FlowCounters, FlowKey, Loss, PacketCounters, PeerCounters, PeerKey,
    metering::{Entry, FlowTables, Observation, meter},
    parse::{Frame, parse},
};

const IFINDEX: u32 = 3;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tables {
    pub(crate) flows: BTreeMap<FlowKey, FlowCounters>,
    pub(crate) peers: BTreeMap<PeerKey, PeerCounters>,
    pub(crate) packet_counters: PacketCounters,
    /// Remotes that proved their address.
    pub(crate) exempt: BTreeSet<PeerKey>,
    /// Times that the host was asked for a socket.
    pub(crate) asked: usize,
    /// Most flows and most peers, where that is bounded.
    pub(crate) room: [Option<usize>; 2],
}

impl FlowTables for Tables {
    fn flow(&mut self, key: &FlowKey) -> Result<Entry<'_, FlowCounters>, Loss> {
        entry(&mut self.flows, key, self.room[0]).ok_or(Loss::TableFull)
    }

    fn peer(&mut self, key: &PeerKey) -> Option<Entry<'_, PeerCounters>> {
        entry(&mut self.peers, key, self.room[1])
    }

    fn ask_host(&mut self, _key: &FlowKey) {
        self.asked += 1;
    }

    fn exempt(&mut self, key: &FlowKey, _now_ns: u64) {
        self.exempt.insert(PeerKey { address: key.remote });
    }
}

fn entry<'a, K: Ord + Copy, C: Default>(
    table: &'a mut BTreeMap<K, C>,
    key: &K,
    room: Option<usize>,
) -> Option<Entry<'a, C>> {
    let inserted = !table.contains_key(key);
    if inserted && room.is_some_and(|room| table.len() >= room) {
        return None;
    }
    Some(Entry { counters: table.entry(*key).or_default(), inserted })
}

impl Tables {
    pub(crate) fn count(&mut self, bytes: &[u8], frame: &Frame, direction: Direction, now_ns: u64) {
        let packet = parse(bytes, frame);
        let parsed = packet.as_ref().map_err(|rejected| *rejected);
        let observed = Observation { frame, parsed, direction, ifindex: IFINDEX };
        let mut ledger = self.packet_counters;
        meter(self, &mut ledger, &observed, || now_ns);
        self.packet_counters = ledger;
    }

    /// The counters of the only flow.
    pub(crate) fn only_flow(&self) -> (FlowKey, FlowCounters) {
        assert_eq!(self.flows.len(), 1, "one flow, one key");
        let (key, counters) = self.flows.iter().next().expect("there is one");
        (*key, *counters)
    }
}

/// Counts whole frames of ordinary packets, one microsecond apart or as told.
pub(crate) fn counted(frames: &[(super::frames::Frame, bool)], gap_ns: u64) -> Tables {
    let mut tables = Tables::default();
    for (number, (frame, back)) in (1..).zip(frames) {
        let shape = Frame::of_length(frame.length());
        tables.count(&frame.bytes(), &shape, way(*back), number * gap_ns);
    }
    tables
}

/// Reversed frames leave the host.
pub(crate) const fn way(back: bool) -> Direction {
    if back { Direction::Egress } else { Direction::Ingress }
}
