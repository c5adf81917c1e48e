//! Rows of peers that came with a window: from live windows or from tables, by horizon and peer.

use std::{collections::BTreeMap, net::IpAddr};

use model::{Horizon, PeerFacts, Span, assess::HorizonRows};

/// One row of a peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerRow<'a> {
    /// The remote address.
    pub address: IpAddr,
    /// The time that the row is meant to cover.
    pub horizon: Horizon,
    /// The time that it covers.
    pub covers: Span,
    /// A window in it lost something.
    pub is_lossy: bool,
    /// Facts of the peer over that time, its standing among them.
    pub facts: PeerFacts,
    /// Its scored features.
    pub row: &'a [f32],
}

/// Rows of the peers that came with one window.
///
/// Peers, each once a standing, have numbers by the order of addresses and standings. A row of a
/// longer horizon of which a window was lossy is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerRows {
    peers: Vec<(IpAddr, PeerFacts)>,
    rows: Vec<HorizonRows>,
    /// Packets of the rows over longer times than the window, by peer and horizon.
    packets: BTreeMap<(usize, Horizon), u64>,
}

impl PeerRows {
    /// The rows that came with a window.
    ///
    /// The facts of a peer in a standing are those of its own row of the window; without one they
    /// are those of its shortest row, with no flow, packet or byte, for it had none in the window.
    #[must_use]
    pub fn of<'a>(window: Span, rows: impl Iterator<Item = PeerRow<'a>>) -> Self {
        let rows: Vec<PeerRow<'a>> =
            rows.filter(|row| !row.is_lossy || row.covers == window).collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let part = |row: &PeerRow<'_>| (row.address, row.facts.standing);
        let rank = |&at: &usize| (part(&rows[at]), rows[at].covers != window, rows[at].horizon);
        order.sort_by_key(rank);
        let mut found = Self::default();
        for at in order {
            let PeerRow { address, horizon, covers, facts, row, .. } = rows[at];
            let is_last = |(last, known): &(IpAddr, PeerFacts)| {
                (*last, known.standing) == (address, facts.standing)
            };
            if !found.peers.last().is_some_and(is_last) {
                let facts = if covers == window {
                    facts
                } else {
                    PeerFacts { flows: 0, packets: 0, bytes: 0, ..facts }
                };
                found.peers.push((address, facts));
            }
            let peer = found.peers.len() - 1;
            if covers != window {
                found.packets.insert((peer, horizon), facts.packets);
            }
            HorizonRows::add(&mut found.rows, horizon, row, peer);
        }
        found
    }

    /// The peers with their facts, by number: one for each standing of an address.
    #[must_use]
    pub fn peers(&self) -> &[(IpAddr, PeerFacts)] {
        &self.peers
    }

    /// Packets of a peer over a horizon that is longer than the window; else 0.
    pub(crate) fn packets(&self, peer: usize, horizon: Horizon) -> u64 {
        self.packets.get(&(peer, horizon)).copied().unwrap_or_default()
    }

    /// The rows, by horizon.
    #[must_use]
    pub fn rows(&self) -> &[HorizonRows] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use policy::Standing;

    use super::*;

    const WINDOW: Span = Span { start_ns: 9, end_ns: 10 };

    #[test]
    fn a_peers_rows_are_together_and_its_facts_are_of_the_window() {
        let standing = Standing::Proven;
        let row = |last: u8, ms: u32, covers: Span, is_lossy: bool, packets: u64| PeerRow {
            address: IpAddr::from([192, 0, 2, last]),
            horizon: Horizon::from_ms(ms),
            covers,
            is_lossy,
            facts: PeerFacts { packets, standing, ..PeerFacts::default() },
            row: &[1.0, 2.0],
        };
        let longer = Span { start_ns: 0, end_ns: 10 };
        let rows = [
            row(2, 1_000, WINDOW, true, 7),
            row(1, 10_000, longer, false, 90),
            row(2, 10_000, longer, false, 70),
            row(3, 10_000, longer, true, 50),
        ];
        let found = PeerRows::of(WINDOW, rows.into_iter());
        let packets: Vec<u64> = found.peers().iter().map(|(_, facts)| facts.packets).collect();
        assert_eq!(packets, [0, 7], "the first was silent, the third is not told");
        let longer = [0, 1].map(|peer| found.packets(peer, Horizon::from_ms(10_000)));
        assert_eq!((longer, found.packets(1, Horizon::from_ms(1_000))), ([90, 70], 0));
        assert_eq!(found.peers()[0].1.standing, standing);
        let of: Vec<(u32, &[usize])> =
            found.rows().iter().map(|block| (block.horizon.ms(), &block.of[..])).collect();
        assert_eq!(of, [(10_000, &[0, 1][..]), (1_000, &[1][..])]);
        assert_eq!(found.rows()[0].rows, [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    fn rows_of_one_address_in_two_standings_are_not_of_one_peer() {
        let row = |standing, covers: Span, row| PeerRow {
            address: IpAddr::from([192, 0, 2, 1]),
            horizon: Horizon::from_ms(if covers == WINDOW { 1_000 } else { 10_000 }),
            covers,
            is_lossy: false,
            facts: PeerFacts { standing, packets: 5, ..PeerFacts::default() },
            row,
        };
        let longer = Span { start_ns: 0, end_ns: 10 };
        let rows = [
            row(Standing::Proven, WINDOW, &[1.0]),
            row(Standing::Unproven, WINDOW, &[2.0]),
            row(Standing::Proven, longer, &[3.0]),
            row(Standing::Unproven, longer, &[4.0]),
        ];
        let found = PeerRows::of(WINDOW, rows.into_iter());
        let standings: Vec<Standing> = found.peers().iter().map(|(_, one)| one.standing).collect();
        assert_eq!(standings, [Standing::Proven, Standing::Unproven]);
        for block in found.rows() {
            assert_eq!(block.of, [0, 1], "{:?}", block.horizon);
        }
    }
}
