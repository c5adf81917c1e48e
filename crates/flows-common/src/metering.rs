//! The sequence for one packet: see, count in its flow, report to its remote.
//!
//! Shared by the TC programs, replay and the host's tests, for both directions; they differ in
//! where the entries live, behind [`FlowTables`].

use crate::{
    Direction, FlowCounters, FlowKey, Loss, PacketCounters, PeerCounters, PeerKey,
    account::{News, note_peer, update},
    parse::{Frame, Packet, Rejected},
};

/// A frame at an observation point (RFC 7011, section 2).
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The frame, beside its bytes.
    pub frame: &'a Frame,
    /// The packet that parsing found in it, or why it has no flow.
    pub parsed: Result<&'a Packet, Rejected>,
    /// The way it goes.
    pub direction: Direction,
    /// The interface it was seen on.
    pub ifindex: u32,
}

/// The counters of a flow or a peer, in its table.
#[derive(Debug)]
pub struct Entry<'a, C> {
    /// The counters.
    pub counters: &'a mut C,
    /// The entry was made by this look-up, and the counters are all zero.
    pub inserted: bool,
}

/// The tables of flows and peers that packets are counted in.
pub trait FlowTables {
    /// The entry of a flow, made where there is none.
    ///
    /// # Errors
    /// [`Loss::TableFull`] or [`Loss::NoTable`]: the packet is in no flow.
    fn flow(&mut self, key: &FlowKey) -> Result<Entry<'_, FlowCounters>, Loss>;

    /// The entry of a peer, made where there is none; `None` where the table refuses.
    fn peer(&mut self, key: &PeerKey) -> Option<Entry<'_, PeerCounters>>;

    /// Gives the facts back as they are.
    ///
    /// A verifier follows each set of them through all that comes after, on its own; tables in a
    /// kernel send them through memory whose content it does not follow.
    #[inline(always)]
    fn join_paths(&mut self, news: News) -> News {
        news
    }

    /// Asks the host whether it holds the TCP connection of exactly this tuple, past its handshake,
    /// and sets [`crate::Fact::Socket`] in the flow's entry if so ([`News::AMID`]). Tables without a
    /// host know of none.
    #[inline(always)]
    fn ask_host(&mut self, _key: &FlowKey) {}

    /// Exempts the remote of a flow, which just proved its address ([`News::PROVEN`]), from the limits
    /// of services; and tells that the flow's port is open.
    fn exempt(&mut self, key: &FlowKey, now_ns: u64);
}

/// Counts a packet in its flow, its peer and the ledger; or in the ledger alone, with the cause.
///
/// `now_ns` is called for packets that belong to a flow only: reading the clock costs.
#[inline(always)]
pub fn meter<T: FlowTables>(
    tables: &mut T,
    packet_counters: &mut PacketCounters,
    observed: &Observation<'_>,
    now_ns: impl FnOnce() -> u64,
) {
    let &Observation { frame, parsed, direction, ifindex } = observed;
    let segments = match parsed {
        Ok(packet) => u64::from(packet.segments),
        Err(_) => frame.segments(),
    };
    packet_counters.see(direction, u64::from(frame.length), segments);
    let packet = match parsed {
        Ok(packet) => packet,
        Err(rejected) => return packet_counters.reject(rejected, segments),
    };
    let now_ns = now_ns();
    let key = FlowKey::of(packet, direction, ifindex);
    let news = match count(tables, packet_counters, &key, packet, direction, now_ns) {
        Ok(news) => news,
        Err(loss) => {
            packet_counters.lose(loss, segments);
            // A flood that fills the table is news of its source all the same.
            News::FLOW
        }
    };
    let news = tables.join_paths(news);
    if news.is_empty() {
        return;
    }
    let remote = PeerKey { address: key.remote };
    if news.concern_peer() {
        report(tables, packet_counters, &key, &remote, news, direction, now_ns);
    }
    if news.has(News::PROVEN) {
        tables.exempt(&key, now_ns);
    }
    if news.has(News::AMID) {
        tables.ask_host(&key);
    }
}

/// Adds the packet to its flow.
#[inline(always)]
fn count<T: FlowTables>(
    tables: &mut T,
    packet_counters: &mut PacketCounters,
    key: &FlowKey,
    packet: &Packet,
    direction: Direction,
    now_ns: u64,
) -> Result<News, Loss> {
    let flow = tables.flow(key)?;
    if flow.inserted {
        packet_counters.flow_inserts += 1;
    }
    packet_counters.counted += u64::from(packet.segments);
    Ok(update(flow.counters, packet, direction, now_ns))
}

/// Adds the news of a flow to its remote.
#[inline(always)]
fn report<T: FlowTables>(
    tables: &mut T,
    packet_counters: &mut PacketCounters,
    key: &FlowKey,
    remote: &PeerKey,
    news: News,
    direction: Direction,
    now_ns: u64,
) {
    let Some(peer) = tables.peer(remote) else {
        packet_counters.peer_full += 1;
        return;
    };
    if peer.inserted {
        packet_counters.peer_inserts += 1;
    }
    note_peer(peer.counters, key, news, direction, now_ns);
}
