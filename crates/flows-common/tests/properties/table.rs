//! The tables that the programs keep in maps, in the plainest form.

use std::collections::BTreeMap;

use flows_common::{
    Direction, FlowCounters, FlowKey, Ledger, PeerCounters, PeerKey,
    account::{note_peer, update},
    parse::{Frame, parse},
};

const IFINDEX: u32 = 3;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tables {
    pub(crate) flows: BTreeMap<FlowKey, FlowCounters>,
    pub(crate) peers: BTreeMap<PeerKey, PeerCounters>,
    pub(crate) ledger: Ledger,
}

impl Tables {
    pub(crate) fn count(&mut self, bytes: &[u8], frame: &Frame, direction: Direction, now_ns: u64) {
        let length = u64::from(frame.length);
        match parse(bytes, frame) {
            Ok(packet) => {
                self.ledger.see(direction, length, u64::from(packet.segments));
                let key = FlowKey::of(&packet, direction, IFINDEX);
                let flow = self.flows.entry(key).or_default();
                let news = update(flow, &packet, direction, now_ns);
                self.ledger.flow_inserts += u64::from(news.flow);
                if news.any() {
                    let peer = self.peers.entry(PeerKey { address: key.remote }).or_default();
                    note_peer(peer, &key, news, direction, now_ns);
                }
            }
            Err(rejected) => {
                self.ledger.see(direction, length, frame.segments());
                self.ledger.lose(rejected, frame.segments());
            }
        }
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
