//! Past of anomalous peers, in bounded memory.

use std::{collections::BTreeMap, net::IpAddr};

use flows_common::{Action, Scope, Standing};
use ipnet::IpNet;

use crate::guards::Made;

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

/// Time after its last block for which a peer counts towards a wider one, in ns: a day.
const WIDENS_FOR_NS: u64 = 86_400_000_000_000;

/// Time without an anomalous window after which a peer's packets and windows are counted anew, in
/// ns: a scan that asks for a port now and then sends few packets in any window.
const EVIDENCE_FOR_NS: u64 = 600_000_000_000;

/// Anomalous windows of one peer in one standing, with the one just noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// Among the last few windows.
    pub(super) windows: u32,
    /// With no ten quiet minutes among them.
    pub(super) lasting: u32,
    /// Packets in the latter.
    pub(super) packets: u64,
}

/// The recent anomalous windows of one peer in one standing.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    /// Number of the window last noted.
    window: u64,
    /// Bit `i`: anomalous `i` windows before the one last noted.
    anomalous: u64,
    /// Until when, by the boot clock, the last anomalous row over a longer time counts; none before there
    /// was one.
    longer_until_ns: Option<u64>,
    /// Anomalous windows, and packets in them: running sums that start over after a quiet stretch.
    lasting: u32,
    packets: u64,
    /// Boot-clock ns of the window last noted.
    noted_ns: u64,
}

/// The past of one peer.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    /// By place in [`Standing::ALL`]: what anybody may have sent adds nothing to what it sent.
    recent: [Recent; 3],
    /// Times it was blocked.
    blocks: u32,
    /// Boot-clock ns at which its latest block ends.
    blocked_until_ns: u64,
    /// What that block acts on.
    scope: Scope,
    /// Action of that block where the policy made it; a person's or a list's has none.
    own: Option<Action>,
    /// Boot-clock ns at which it was one of many forged ones last, where it ever was.
    forged_ns: Option<u64>,
    /// Boot-clock ns until which a person's pardon holds.
    pardoned_until_ns: u64,
}

impl Past {
    fn forget_block(&mut self) {
        self.blocked_until_ns = 0;
        self.blocks = self.blocks.saturating_sub(u32::from(self.own.take().is_some()));
    }
}

/// The recent windows of every peer that was anomalous lately.
#[derive(Debug, Default)]
pub(super) struct History {
    peers: BTreeMap<IpAddr, Past>,
    /// Last answer of [`History::active`] and its time, while it holds: within a window it is
    /// asked for with each peer, and counting takes a pass over all.
    active: Option<(u64, Made)>,
}

impl History {
    /// Notes an anomalous window and returns the counts with it, those of the last `of` windows
    /// among them. Where a row over a longer time was the anomalous one, given by that time in ns and its
    /// packets, it is one of the last `of` rows over as long: two of them in a row, or one and a window while it lasts, are two.
    pub(super) fn note(
        &mut self,
        (peer, standing): (IpAddr, Standing),
        (window, now_ns): (u64, u64),
        longer: Option<(u64, u64)>,
        of: u32,
        packets: u64,
    ) -> Noted {
        self.make_room(peer);
        let past = &mut self.peers.entry(peer).or_default().recent[standing as usize];
        let apart = u32::try_from(window.saturating_sub(past.window)).unwrap_or(u32::MAX);
        past.anomalous = past.anomalous.checked_shl(apart).unwrap_or(0);
        let mut windows = u32::from(past.longer_until_ns.is_some_and(|until| now_ns <= until));
        if let Some((longer_ns, _)) = longer {
            windows += 1;
            // Half a row more: rows end with windows, of which one may be late.
            let lasts_ns =
                longer_ns.saturating_mul(u64::from(of) - 1).saturating_add(longer_ns / 2);
            let until_ns = Some(now_ns.saturating_add(lasts_ns));
            past.longer_until_ns = past.longer_until_ns.max(until_ns);
        } else {
            past.anomalous |= 1;
        }
        if now_ns.saturating_sub(past.noted_ns) > EVIDENCE_FOR_NS {
            (past.lasting, past.packets) = (0, 0);
        }
        past.lasting = past.lasting.saturating_add(1);
        // A longer row stands for as many windows, and is asked for the packets of as many.
        let of_a_window = longer.map_or(0, |(_, packets)| packets / u64::from(of).max(1));
        past.packets = past.packets.saturating_add(packets).max(of_a_window);
        (past.window, past.noted_ns) = (window, now_ns);
        let recent = past.anomalous & (u64::MAX >> (64 - of.clamp(1, 64)));
        windows += recent.count_ones();
        Noted { windows, lasting: past.lasting, packets: past.packets }
    }

    /// True while a block of this peer is active that acts on as much.
    pub(super) fn is_blocked(&self, peer: IpAddr, scope: Scope, now_ns: u64) -> bool {
        let acts = |past: &Past| past.blocked_until_ns > now_ns && past.scope >= scope;
        self.peers.get(&peer).is_some_and(acts)
    }

    /// Peers of a network that the policy blocked in the last day.
    pub(super) fn blocked_within(&self, net: IpNet, now_ns: u64) -> impl Iterator<Item = IpAddr> {
        self.peers
            .range(net.network()..=net.broadcast())
            .filter(move |(_, past)| {
                past.own.is_some() && now_ns.saturating_sub(past.blocked_until_ns) <= WIDENS_FOR_NS
            })
            .map(|(&peer, _)| peer)
    }

    /// Peers with active blocks that act on more than unproven packets, in the order of address.
    pub(super) fn cut_off(&self, now_ns: u64) -> impl Iterator<Item = IpAddr> {
        self.peers
            .iter()
            .filter(move |(_, past)| past.blocked_until_ns > now_ns && past.scope > Scope::Unproven)
            .map(|(&peer, _)| peer)
    }

    /// True of a peer that was lately one of many unverified sources at once.
    pub(super) fn is_forged(&self, peer: IpAddr, now_ns: u64) -> bool {
        self.forged_ns(peer).is_some_and(|at_ns| now_ns < at_ns.saturating_add(FORGED_FOR_NS))
    }

    /// True of a peer that is one of many in the window that ends then.
    pub(super) fn is_forged_in(&self, peer: IpAddr, now_ns: u64) -> bool {
        self.forged_ns(peer) == Some(now_ns)
    }

    fn forged_ns(&self, peer: IpAddr) -> Option<u64> {
        self.peers.get(&peer).and_then(|past| past.forged_ns)
    }

    /// Marks a peer as one of many unverified sources, if it was ever noted.
    pub(super) fn forged(&mut self, peer: IpAddr, now_ns: u64) {
        if let Some(past) = self.peers.get_mut(&peer) {
            past.forged_ns = Some(now_ns);
        }
    }

    /// Earlier blocks of this peer, unless they are long past.
    pub(super) fn blocks(&self, peer: IpAddr, now_ns: u64) -> u32 {
        self.peers
            .get(&peer)
            .filter(|past| now_ns.saturating_sub(past.blocked_until_ns) <= OFFENCES_FOR_NS)
            .map_or(0, |past| past.blocks)
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

    /// Takes over earlier blocks, the last of which ended then.
    pub(super) fn remember(&mut self, peer: IpAddr, blocks: u32, until_ns: u64) {
        let past = self.stand(peer, until_ns);
        past.blocks = past.blocks.max(blocks);
    }

    /// Takes over a block that the policy did not decide now.
    pub(super) fn take_over(
        &mut self,
        peer: IpAddr,
        scope: Scope,
        own: Option<Action>,
        until_ns: u64,
    ) {
        let past = self.stand(peer, until_ns);
        (past.scope, past.own) = (scope, own);
    }

    fn stand(&mut self, peer: IpAddr, until_ns: u64) -> &mut Past {
        self.make_room(peer);
        self.active = None;
        let past = self.peers.entry(peer).or_default();
        past.blocked_until_ns = past.blocked_until_ns.max(until_ns);
        past
    }

    /// Lets an active block end later.
    pub(super) fn prolonged(&mut self, peer: IpAddr, until_ns: u64) {
        self.active = None;
        if let Some(past) = self.peers.get_mut(&peer) {
            past.blocked_until_ns = past.blocked_until_ns.max(until_ns);
        }
    }

    /// Remembers a block of the policy's own.
    pub(super) fn blocked(&mut self, peer: IpAddr, scope: Scope, action: Action, until_ns: u64) {
        let past = self.peers.entry(peer).or_default();
        self.active = self
            .active
            .filter(|&(now_ns, _)| past.blocked_until_ns <= now_ns && now_ns < until_ns)
            .map(|(now_ns, mut made)| {
                made.add(scope);
                (now_ns, made)
            });
        past.blocks = past.blocks.saturating_add(1);
        past.blocked_until_ns = until_ns;
        past.scope = scope;
        past.own = Some(action);
        for recent in &mut past.recent {
            (recent.anomalous, recent.longer_until_ns) = (0, None);
        }
    }

    /// Forgets an active block that somebody ended; it stays an offence.
    pub(super) fn unblocked(&mut self, peer: IpAddr) {
        self.active = None;
        if let Some(past) = self.peers.get_mut(&peer) {
            past.own = None;
            past.blocked_until_ns = 0;
        }
    }

    /// Forgets a block that was not made, or does not stand as it was decided: one of the policy's
    /// own was no offence then.
    pub(super) fn not_blocked(&mut self, peer: IpAddr) {
        self.active = None;
        if let Some(past) = self.peers.get_mut(&peer) {
            past.forget_block();
        }
    }

    /// Turns the policy's own active blocks to shadow; returns the peers of those that did more.
    pub(super) fn demote(&mut self, now_ns: u64) -> Vec<IpAddr> {
        let does_more = |past: &Past| {
            past.blocked_until_ns > now_ns && past.own.is_some_and(|own| own > Action::Shadow)
        };
        self.peers
            .iter_mut()
            .filter(|(_, past)| does_more(past))
            .map(|(&peer, past)| {
                past.own = Some(Action::Shadow);
                peer
            })
            .collect()
    }

    /// Forgets the policy's own active blocks that only shadow, so that they are decided anew.
    pub(super) fn forget_shadowed(&mut self, now_ns: u64) {
        self.active = None;
        let shadowed =
            |past: &Past| past.blocked_until_ns > now_ns && past.own == Some(Action::Shadow);
        self.peers.values_mut().filter(|past| shadowed(past)).for_each(Past::forget_block);
    }

    /// Number of active blocks.
    pub(super) fn active(&mut self, now_ns: u64) -> Made {
        if let Some((then_ns, made)) = self.active
            && then_ns == now_ns
        {
            return made;
        }
        let mut made = Made::default();
        let active = self.peers.values().filter(|past| past.blocked_until_ns > now_ns);
        active.for_each(|past| made.add(past.scope));
        self.active = Some((now_ns, made));
        made
    }

    fn make_room(&mut self, peer: IpAddr) {
        if self.peers.len() < PEERS_LIMIT || self.peers.contains_key(&peer) {
            return;
        }
        let mut ages: Vec<_> = self
            .peers
            .iter()
            .map(|(&peer, past)| {
                let window = past.recent.iter().map(|recent| recent.window).max();
                (past.blocked_until_ns.max(past.pardoned_until_ns), window, peer)
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
        let mut note =
            |standing, window| history.note((PEER, standing), (window, 0), None, 3, 5).windows;
        assert_eq!([10, 12, 13].map(|window| note(Standing::Proven, window)), [1, 2, 2]);
        assert_eq!(note(Standing::Unproven, 13), 1, "another's evidence");
        assert_eq!(note(Standing::Proven, 100), 1);
    }

    #[test]
    fn a_longer_row_is_one_of_as_many_rows_of_its_length() {
        const TEN: u64 = 10_000_000_000;
        let counts = |longer: &[(u64, Option<(u64, u64)>)]| {
            let mut history = History::default();
            let note = |&(second, longer)| {
                let at = (second, second * 1_000_000_000);
                history.note((PEER, Standing::Proven), at, longer, 3, 1).windows
            };
            longer.iter().map(note).collect::<Vec<_>>()
        };
        let ten = |second| (second, Some((TEN, 9)));
        assert_eq!(counts(&[ten(13), ten(23)]), [1, 2], "two in a row");
        assert_eq!(counts(&[ten(13), ten(33)]), [1, 2], "two of three");
        assert_eq!(counts(&[ten(13), ten(43)]), [1, 1], "two of four");
        assert_eq!(counts(&[ten(13), (14, None), (30, None), (40, None)]), [1, 2, 2, 1]);
        assert_eq!(counts(&[(12, None), ten(13), ten(93)]), [1, 2, 1]);
    }

    #[test]
    fn packets_add_up_until_there_was_none_for_ten_minutes() {
        let mut history = History::default();
        let mut counts = |second: u64| {
            let at = (second, second * 1_000_000_000);
            let noted = history.note((PEER, Standing::Proven), at, None, 3, 2);
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
            let address = IpAddr::from(number.to_be_bytes());
            history.note((address, Standing::Proven), (u64::from(number), 0), None, 3, 1);
        }
        assert_eq!(history.peers.len(), PEERS_LIMIT - FORGOTTEN_AT_ONCE + 1);
        let newest = IpAddr::from(u32::try_from(PEERS_LIMIT).unwrap().to_be_bytes());
        assert!(history.peers.contains_key(&newest));
        assert!(!history.peers.contains_key(&IpAddr::from([0; 4])));
    }

    #[test]
    fn a_peer_that_is_blocked_is_forgotten_last() {
        let mut history = History::default();
        history.note((PEER, Standing::Proven), (0, 0), None, 3, 1);
        history.blocked(PEER, Scope::All, Action::Drop, u64::MAX);
        for number in 0..=u32::try_from(PEERS_LIMIT).unwrap() {
            let address = IpAddr::from(number.to_be_bytes());
            history.note((address, Standing::Proven), (1 + u64::from(number), 0), None, 3, 1);
        }
        assert!(history.is_blocked(PEER, Scope::All, 1));
    }

    #[test]
    fn active_blocks_are_counted_anew_only_where_they_may_have_changed() {
        let other = IpAddr::from([192, 0, 2, 2]);
        let mut history = History::default();
        let active = |history: &mut History, now_ns| history.active(now_ns).all;
        assert_eq!(active(&mut history, 10), 0);
        history.blocked(PEER, Scope::All, Action::Drop, 20);
        history.blocked(other, Scope::All, Action::Drop, 30);
        assert_eq!(active(&mut history, 10), 2);
        history.blocked(other, Scope::All, Action::Drop, 40);
        assert_eq!((active(&mut history, 10), active(&mut history, 25)), (2, 1));
        history.unblocked(other);
        assert_eq!((active(&mut history, 25), active(&mut history, 10)), (0, 1));
    }

    #[test]
    fn what_is_taken_back_was_no_offence_and_what_others_made_is_not_the_policys() {
        let other = IpAddr::from([192, 0, 2, 2]);
        let mut history = History::default();
        history.blocked(PEER, Scope::All, Action::Drop, 20);
        history.take_over(other, Scope::All, None, 30);
        assert_eq!(history.demote(10), [PEER]);
        assert!(history.demote(10).is_empty(), "they only shadow now");
        history.forget_shadowed(10);
        assert_eq!(
            (history.is_blocked(PEER, Scope::All, 10), history.is_blocked(other, Scope::All, 10)),
            (false, true)
        );
        assert_eq!(history.blocks(PEER, 10), 0);
        history.remember(other, 2, 30);
        history.not_blocked(other);
        assert_eq!(history.blocks(other, 40), 2, "a person's block is no offence of the peer");
    }
}
