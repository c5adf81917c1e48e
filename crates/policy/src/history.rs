//! Past of anomalous peers, in bounded memory.

use std::{collections::BTreeMap, net::IpAddr};

/// Peers remembered at most; beyond that those noted longest ago are forgotten.
const PEERS_LIMIT: usize = 65_536;

/// Peers forgotten at once: looking for them takes a pass over all, which a flood from forged
/// sources must not be able to ask for with every packet.
const FORGOTTEN_AT_ONCE: usize = PEERS_LIMIT / 4;

/// Time that an address which was one of many forged ones stays suspect, in ns.
///
/// Linux repeats its answer to a forged SYN for 63 s (`tcp_synack_retries` = 5: 1 + 2 + … + 32 s)
/// after the flood is over, to fewer addresses at a time than a flood is known by; and the owner
/// of a forged address then answers each with an RST.
const FORGED_FOR_NS: u64 = 120_000_000_000;

/// Time after its last block at which a peer is no repeat offender any more, in ns: a week.
const OFFENCES_FOR_NS: u64 = 7 * 86_400_000_000_000;

/// Time without an anomalous window after which a peer's packets and windows are counted anew, in
/// ns: a scan that asks for a port now and then sends few packets in any window.
const EVIDENCE_FOR_NS: u64 = 600_000_000_000;

/// Anomalous windows of one peer, with the one just noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// Among the last few windows.
    pub(super) windows: u32,
    /// With no ten quiet minutes among them.
    pub(super) lasting: u32,
    /// Packets in the latter.
    pub(super) packets: u64,
}

/// The recent windows of one peer.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    /// Number of the window last noted.
    window: u64,
    /// Bit `i`: anomalous `i` windows before the one last noted.
    anomalous: u64,
    /// Anomalous windows, and packets in them: running sums that start over after a quiet stretch.
    lasting: u32,
    packets: u64,
    /// Boot-clock ns of the window last noted.
    noted_ns: u64,
    /// Times it was blocked.
    blocks: u32,
    /// Boot-clock ns at which its latest block ends.
    blocked_until_ns: u64,
    /// Boot-clock ns until which it counts as forged while it is unverified.
    forged_until_ns: u64,
    /// Boot-clock ns until which a person's pardon holds.
    pardoned_until_ns: u64,
}

/// The recent windows of every peer that was anomalous lately.
#[derive(Debug, Default)]
pub(super) struct History {
    peers: BTreeMap<IpAddr, Past>,
    /// Last answer of [`History::active`] and its time, while it holds: within a window it is
    /// asked for with each peer, and counting takes a pass over all.
    active: Option<(u64, usize)>,
}

impl History {
    /// Notes an anomalous window and returns the counts with it, those of the last `of` windows
    /// among them.
    pub(super) fn note(
        &mut self,
        peer: IpAddr,
        (window, now_ns): (u64, u64),
        of: u32,
        packets: u64,
    ) -> Noted {
        self.make_room(peer);
        let past = self.peers.entry(peer).or_default();
        let apart = u32::try_from(window.saturating_sub(past.window)).unwrap_or(u32::MAX);
        past.anomalous = past.anomalous.checked_shl(apart).unwrap_or(0) | 1;
        if now_ns.saturating_sub(past.noted_ns) > EVIDENCE_FOR_NS {
            (past.lasting, past.packets) = (0, 0);
        }
        past.lasting = past.lasting.saturating_add(1);
        past.packets = past.packets.saturating_add(packets);
        (past.window, past.noted_ns) = (window, now_ns);
        let recent = past.anomalous & (u64::MAX >> (64 - of.clamp(1, 64)));
        Noted { windows: recent.count_ones(), lasting: past.lasting, packets: past.packets }
    }

    /// True while a block of this peer is active.
    pub(super) fn is_blocked(&self, peer: IpAddr, now_ns: u64) -> bool {
        self.peers.get(&peer).is_some_and(|past| past.blocked_until_ns > now_ns)
    }

    /// True of a peer that was lately one of many unverified sources at once.
    pub(super) fn is_forged(&self, peer: IpAddr, now_ns: u64) -> bool {
        self.peers.get(&peer).is_some_and(|past| past.forged_until_ns > now_ns)
    }

    /// Marks a peer as one of many unverified sources, if it was ever noted.
    pub(super) fn forged(&mut self, peer: IpAddr, now_ns: u64) {
        if let Some(past) = self.peers.get_mut(&peer) {
            past.forged_until_ns = now_ns.saturating_add(FORGED_FOR_NS);
        }
    }

    /// Earlier blocks of this peer, unless they are long past.
    pub(super) fn blocks(&self, peer: IpAddr, now_ns: u64) -> u32 {
        self.peers
            .get(&peer)
            .filter(|past| now_ns.saturating_sub(past.blocked_until_ns) <= OFFENCES_FOR_NS)
            .map_or(0, |past| past.blocks)
    }

    /// Peers with active blocks, in the order of address.
    pub(super) fn blocked_now(&self, now_ns: u64) -> impl Iterator<Item = IpAddr> {
        self.peers
            .iter()
            .filter(move |(_, past)| past.blocked_until_ns > now_ns)
            .map(|(&peer, _)| peer)
    }

    /// True while a person's pardon of this peer holds.
    pub(super) fn is_pardoned(&self, peer: IpAddr, now_ns: u64) -> bool {
        self.peers.get(&peer).is_some_and(|past| past.pardoned_until_ns > now_ns)
    }

    /// Remembers a person's pardon.
    pub(super) fn pardoned(&mut self, peer: IpAddr, until_ns: u64) {
        self.make_room(peer);
        self.peers.entry(peer).or_default().pardoned_until_ns = until_ns;
    }

    /// Takes over the knowledge of an earlier process.
    pub(super) fn remember(&mut self, peer: IpAddr, blocks: u32, until_ns: u64) {
        self.make_room(peer);
        self.active = None;
        let past = self.peers.entry(peer).or_default();
        past.blocks = past.blocks.max(blocks);
        past.blocked_until_ns = past.blocked_until_ns.max(until_ns);
    }

    /// Lets an active block end later.
    pub(super) fn prolonged(&mut self, peer: IpAddr, until_ns: u64) {
        self.active = None;
        if let Some(past) = self.peers.get_mut(&peer) {
            past.blocked_until_ns = past.blocked_until_ns.max(until_ns);
        }
    }

    /// Remembers a block.
    pub(super) fn blocked(&mut self, peer: IpAddr, until_ns: u64) {
        let past = self.peers.entry(peer).or_default();
        self.active = self
            .active
            .filter(|&(now_ns, _)| past.blocked_until_ns <= now_ns && now_ns < until_ns)
            .map(|(now_ns, count)| (now_ns, count + 1));
        past.blocks = past.blocks.saturating_add(1);
        past.blocked_until_ns = until_ns;
        past.anomalous = 0;
    }

    /// Forgets an active block, as after its removal or a failure to make it.
    pub(super) fn unblocked(&mut self, peer: IpAddr) {
        self.active = None;
        if let Some(past) = self.peers.get_mut(&peer) {
            past.blocked_until_ns = 0;
        }
    }

    /// Number of active blocks.
    pub(super) fn active(&mut self, now_ns: u64) -> usize {
        if let Some((then_ns, count)) = self.active
            && then_ns == now_ns
        {
            return count;
        }
        let count = self.peers.values().filter(|past| past.blocked_until_ns > now_ns).count();
        self.active = Some((now_ns, count));
        count
    }

    fn make_room(&mut self, peer: IpAddr) {
        if self.peers.len() < PEERS_LIMIT || self.peers.contains_key(&peer) {
            return;
        }
        let mut ages: Vec<_> = self
            .peers
            .iter()
            .map(|(&peer, past)| {
                (past.blocked_until_ns.max(past.pardoned_until_ns), past.window, peer)
            })
            .collect();
        let (oldest, ..) = ages.select_nth_unstable(FORGOTTEN_AT_ONCE);
        for (.., peer) in oldest {
            self.peers.remove(peer);
        }
        self.active = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn anomalous_windows_count_only_within_the_last_n() {
        let mut history = History::default();
        let mut windows = |window| history.note(PEER, (window, 0), 3, 5).windows;
        assert_eq!([10, 12, 13, 100].map(&mut windows), [1, 2, 2, 1]);
    }

    #[test]
    fn packets_add_up_until_there_was_none_for_ten_minutes() {
        let mut history = History::default();
        let mut counts = |second: u64| {
            let noted = history.note(PEER, (second, second * 1_000_000_000), 3, 2);
            (noted.lasting, noted.packets)
        };
        assert_eq!(
            [1, 5, 9, 609, 1_210].map(&mut counts),
            [(1, 2), (2, 4), (3, 6), (4, 8), (1, 2)]
        );
    }

    #[test]
    fn memory_stays_bounded_however_many_peers_come() {
        let mut history = History::default();
        for number in 0..=u32::try_from(PEERS_LIMIT).unwrap() {
            history.note(IpAddr::from(number.to_be_bytes()), (u64::from(number), 0), 3, 1);
        }
        assert_eq!(history.peers.len(), PEERS_LIMIT - FORGOTTEN_AT_ONCE + 1);
        let newest = IpAddr::from(u32::try_from(PEERS_LIMIT).unwrap().to_be_bytes());
        assert!(history.peers.contains_key(&newest));
        assert!(!history.peers.contains_key(&IpAddr::from([0; 4])));
    }

    #[test]
    fn a_peer_that_is_blocked_is_forgotten_last() {
        let mut history = History::default();
        history.note(PEER, (0, 0), 3, 1);
        history.blocked(PEER, u64::MAX);
        for number in 0..=u32::try_from(PEERS_LIMIT).unwrap() {
            history.note(IpAddr::from(number.to_be_bytes()), (1 + u64::from(number), 0), 3, 1);
        }
        assert!(history.is_blocked(PEER, 1));
    }

    #[test]
    fn active_blocks_are_counted_anew_only_where_they_may_have_changed() {
        let other = IpAddr::from([192, 0, 2, 2]);
        let mut history = History::default();
        assert_eq!(history.active(10), 0);
        history.blocked(PEER, 20);
        history.blocked(other, 30);
        assert_eq!(history.active(10), 2);
        history.blocked(other, 40);
        assert_eq!((history.active(10), history.active(25)), (2, 1));
        history.unblocked(other);
        assert_eq!((history.active(25), history.active(10)), (0, 1));
    }
}
