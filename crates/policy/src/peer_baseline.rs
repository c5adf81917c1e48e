//! Ordinary peers: those that took part without standing out. In bounded memory.
//!
//! A block of a stranger costs little; one of a peer that was there all along may cost the service.
//! So shares are measured against what was ordinary before an attack, not against what is active in
//! it: a flood is nearly all of its own window. What anybody may have sent in a peer's name makes
//! it neither ordinary nor odd.

use std::{cmp::Reverse, collections::HashMap, net::IpAddr};

use flows_common::{Standing, service::VERIFIED_NS};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Evidence;

/// Peers remembered at most; beyond that the least known go first.
const PEERS_LIMIT: usize = 65_536;
/// Peers forgotten at once: finding them takes a pass over all.
const FORGOTTEN_AT_ONCE: usize = PEERS_LIMIT / 4;
/// Windows without standing out after which a peer is ordinary.
const ORDINARY_WINDOWS: u32 = 3;
/// Time that a peer stays ordinary after its last such window, in ns.
const ORDINARY_FOR_NS: u64 = 3_600_000_000_000;
/// Time in which a peer's bytes halve in weight, in ns.
const HALF_LIFE_NS: f64 = 600e9;

/// Past of one peer.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Windows in which it did not stand out.
    windows: u32,
    /// The end of the last of them.
    seen_ns: u64,
    /// Bytes in them, damped to `seen_ns`.
    bytes: f64,
    /// The end of the last window in which it proved its address, odd or not.
    proven_ns: Option<u64>,
}

impl Baseline {
    fn is_ordinary(&self, now_ns: u64) -> bool {
        self.windows >= ORDINARY_WINDOWS && now_ns.saturating_sub(self.seen_ns) <= ORDINARY_FOR_NS
    }

    fn last_ns(&self) -> u64 {
        self.proven_ns.unwrap_or(0).max(self.seen_ns)
    }

    fn bytes_at(&self, now_ns: u64) -> f64 {
        let apart = now_ns.saturating_sub(self.seen_ns) as f64;
        self.bytes * (-apart / HALF_LIFE_NS).exp2()
    }
}

/// Number and bytes of ordinary peers, or of those among them that blocks would hit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weight {
    pub(crate) peers: usize,
    pub(crate) bytes: f64,
}

/// Past of the peers that took part.
#[derive(Debug, Default)]
pub(crate) struct PeerBaseline {
    peers: HashMap<IpAddr, Baseline>,
}

impl PeerBaseline {
    /// Notes the part of a peer that does not stand out in a window that ends at `now_ns`.
    pub(crate) fn note(&mut self, peer: &Evidence, now_ns: u64) {
        if peer.standing == Standing::Unproven {
            return;
        }
        self.make_room(peer.address);
        let known = self.peers.entry(peer.address).or_default();
        known.bytes = known.bytes_at(now_ns) + peer.bytes as f64;
        if known.seen_ns < now_ns || known.windows == 0 {
            known.windows = known.windows.saturating_add(1);
        }
        known.seen_ns = now_ns;
    }

    /// Notes that a peer proved its address in a window that ends at `now_ns`.
    pub(crate) fn prove(&mut self, peer: IpAddr, now_ns: u64) {
        self.make_room(peer);
        self.peers.entry(peer).or_default().proven_ns = Some(now_ns);
    }

    /// True of a peer that proved its address not long ago: no limit of a service holds it.
    pub(crate) fn is_known(&self, peer: IpAddr, now_ns: u64) -> bool {
        let proven_ns = self.peers.get(&peer).and_then(|known| known.proven_ns);
        proven_ns.is_some_and(|at_ns| now_ns.saturating_sub(at_ns) <= VERIFIED_NS)
    }

    /// True of a peer that is seen behaving regularly.
    pub(crate) fn is_ordinary(&self, peer: IpAddr, now_ns: u64) -> bool {
        self.peers.get(&peer).is_some_and(|known| known.is_ordinary(now_ns))
    }

    /// True of a network that an ordinary peer is in.
    pub(crate) fn holds_ordinary(&self, net: IpNet, now_ns: u64) -> bool {
        self.peers.iter().any(|(peer, known)| net.contains(peer) && known.is_ordinary(now_ns))
    }

    /// All ordinary peers together.
    pub(crate) fn ordinary(&self, now_ns: u64) -> Weight {
        self.peers
            .values()
            .filter(|known| known.is_ordinary(now_ns))
            .fold(Weight::default(), |sum, known| sum.with(known, now_ns))
    }

    /// The ordinary ones among these.
    pub(crate) fn weigh(&self, peers: impl IntoIterator<Item = IpAddr>, now_ns: u64) -> Weight {
        peers
            .into_iter()
            .filter_map(|peer| self.peers.get(&peer))
            .filter(|known| known.is_ordinary(now_ns))
            .fold(Weight::default(), |sum, known| sum.with(known, now_ns))
    }

    /// So many peers, those seen last.
    pub(crate) fn latest(&self, count: usize) -> Vec<(IpAddr, Baseline)> {
        let mut latest: Vec<_> = self.peers.iter().map(|(&peer, &known)| (peer, known)).collect();
        latest.sort_unstable_by_key(|(peer, known)| (Reverse(known.last_ns()), *peer));
        latest.truncate(count);
        latest
    }

    /// Takes peers up that it does not know.
    pub(crate) fn recall(&mut self, peers: Vec<(IpAddr, Baseline)>) {
        for (peer, known) in peers {
            self.make_room(peer);
            self.peers.entry(peer).or_insert(known);
        }
    }

    fn make_room(&mut self, peer: IpAddr) {
        if self.peers.len() < PEERS_LIMIT || self.peers.contains_key(&peer) {
            return;
        }
        let mut known: Vec<_> = self
            .peers
            .iter()
            .map(|(&peer, known)| (known.windows.min(ORDINARY_WINDOWS), known.last_ns(), peer))
            .collect();
        let (least, ..) = known.select_nth_unstable(FORGOTTEN_AT_ONCE);
        for (.., peer) in least {
            self.peers.remove(peer);
        }
    }
}

impl std::ops::Add for Weight {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { peers: self.peers + other.peers, bytes: self.bytes + other.bytes }
    }
}

impl std::ops::AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Weight {
    fn with(self, known: &Baseline, now_ns: u64) -> Self {
        Self { peers: self.peers + 1, bytes: self.bytes + known.bytes_at(now_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{SECOND, attacker, peer};

    #[test]
    fn a_peer_is_ordinary_after_three_windows_and_for_an_hour() {
        let mut known = PeerBaseline::default();
        let is_ordinary = |known: &PeerBaseline, now_ns| known.weigh([peer(1)], now_ns).peers == 1;
        for window in 1..=3 {
            assert!(!is_ordinary(&known, window * SECOND));
            known.note(&attacker(1), window * SECOND);
        }
        assert!(is_ordinary(&known, 3 * SECOND + ORDINARY_FOR_NS));
        assert!(!is_ordinary(&known, 4 * SECOND + ORDINARY_FOR_NS));
    }

    #[test]
    fn what_anybody_may_have_sent_makes_nobody_ordinary() {
        let mut known = PeerBaseline::default();
        let unproven = Evidence { standing: Standing::Unproven, ..attacker(1) };
        for window in 1..=10 {
            known.note(&unproven, window * SECOND);
        }
        assert_eq!(known.ordinary(10 * SECOND), Weight::default());
    }

    #[test]
    fn bytes_of_long_ago_weigh_little() {
        let mut known = PeerBaseline::default();
        for window in 1..=3 {
            known.note(&attacker(1), window * SECOND);
        }
        let now = known.ordinary(3 * SECOND).bytes;
        let later = known.ordinary(603 * SECOND).bytes;
        assert!((later - now / 2.0).abs() < 1e-6 * now, "{now} {later}");
    }

    #[test]
    fn memory_stays_bounded_and_keeps_who_is_ordinary() {
        let mut known = PeerBaseline::default();
        for window in 1..=3 {
            known.note(&attacker(1), window * SECOND);
        }
        for number in 0..=u32::try_from(PEERS_LIMIT).unwrap() {
            let address = IpAddr::from(number.to_be_bytes());
            known.note(&Evidence { address, ..attacker(2) }, 4 * SECOND);
        }
        assert!(known.peers.len() <= PEERS_LIMIT);
        assert!(known.is_ordinary(peer(1), 4 * SECOND));
    }

    #[test]
    fn a_window_of_two_standings_is_one_window() {
        let mut known = PeerBaseline::default();
        let initiated = Evidence { standing: Standing::Initiated, ..attacker(1) };
        for window in 1..=2 {
            known.note(&attacker(1), window * SECOND);
            known.note(&initiated, window * SECOND);
        }
        assert!(!known.is_ordinary(peer(1), 2 * SECOND));
    }
}
