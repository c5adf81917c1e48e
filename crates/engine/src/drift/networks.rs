//! Whether what looks like drift is the doing of one network.
//!
//! Networks (a /24, a /64) are dealt to a few groups in the order in which they come, and of each group
//! one row a window is bet on as of all peers together. Few networks are each a group of its own; of
//! many, each group has some of the lasting and some of the passing ones. Drift is what at least two
//! groups show, and at least half of those that are there; where there is one network alone, what that
//! shows.
//!
//! Rows drawn evenly over networks would not do in place of rows drawn evenly over peers: the
//! calibration's rows are of peers, and the p-values of a network that is unlike the others are small
//! on any day.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use policy::{
    network,
    statistics::{BETS, CALM, JumperMartingale},
};

/// Groups of networks.
const GROUPS: usize = 8;
/// Networks whose group is remembered. Those beyond it have one by their address.
const LIMIT: usize = 4_096;
/// Windows with a row below which a group says nothing.
const LEAST_WINDOWS: u32 = 20;
/// Windows without a row after which a group is not there any more.
const ABSENT: u64 = 3_600;
/// Capital at which a group is away from the training: of the windows in which p-values hold, one in
/// ten thousand begins a run that gets here. A p-value of 0.05 in each window gets here in 28.
const AWAY_AT: f64 = 1e4;

/// Bets on the rows of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    bets: [JumperMartingale; BETS],
    windows: u32,
    last: u64,
    away: Option<u64>,
}

/// Groups of networks, each bet on by itself.
#[derive(Debug, Default)]
pub(super) struct Networks {
    group_of: BTreeMap<IpNet, usize>,
    groups: [Group; GROUPS],
    window: u64,
}

impl Networks {
    /// Takes the ordinary rows of a window, each with its remote; `draw` gives the p-values of one of
    /// several rows.
    pub(super) fn take(
        &mut self,
        rows: impl Iterator<Item = (IpAddr, usize)>,
        mut draw: impl FnMut(&[usize]) -> [Option<f64>; BETS],
    ) {
        self.window += 1;
        let mut rows_of: [Vec<usize>; GROUPS] = Default::default();
        for (remote, row) in rows {
            rows_of[self.group_of(network(remote))].push(row);
        }
        for (group, rows) in
            self.groups.iter_mut().zip(&rows_of).filter(|(_, rows)| !rows.is_empty())
        {
            if self.window - group.last > ABSENT {
                *group = Group::default();
            }
            (group.last, group.windows) = (self.window, group.windows.saturating_add(1));
            for (bet, p) in group.bets.iter_mut().zip(draw(rows)) {
                bet.bet(p.unwrap_or(1.0));
                if bet.capital() >= AWAY_AT {
                    group.away = Some(self.window);
                }
                if bet.capital() <= 1.0 || bet.capital() >= AWAY_AT {
                    *bet = JumperMartingale::default();
                }
            }
        }
    }

    /// True where drift of all peers together is not the doing of one network.
    pub(super) fn agree(&self) -> bool {
        let is_there =
            |group: &&Group| group.windows >= LEAST_WINDOWS && self.window - group.last <= ABSENT;
        let there = self.groups.iter().filter(is_there);
        let is_away = |at: u64| self.window - at <= u64::from(CALM);
        let away = there.clone().filter(|group| group.away.is_some_and(is_away)).count();
        let all = there.count();
        away == all || away >= 2 && 2 * away >= all
    }

    fn group_of(&mut self, network: IpNet) -> usize {
        if let Some(&group) = self.group_of.get(&network) {
            return group;
        }
        let next = self.group_of.len() % GROUPS;
        if self.group_of.len() < LIMIT {
            self.group_of.insert(network, next);
            return next;
        }
        let bits = match network.network() {
            IpAddr::V4(v4) => u64::from(v4.to_bits() >> 8),
            IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
        };
        usize::try_from(bits % GROUPS as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BENIGN: [u8; 4] = [198, 51, 100, 7];

    /// The answer after windows in which rows of these networks have these p-values.
    fn after(networks: &mut Networks, windows: u32, rows: &[([u8; 4], f64)]) -> bool {
        for _ in 0..windows {
            let with_remote =
                rows.iter().enumerate().map(|(row, (remote, _))| ((*remote).into(), row));
            networks.take(with_remote, |drawn| [Some(rows[drawn[0]].1), None]);
        }
        networks.agree()
    }

    #[test]
    fn one_network_alone_speaks_for_itself_and_beside_another_it_does_not() {
        let attacker = [203, 0, 113, 9];
        let mut networks = Networks::default();
        assert!(after(&mut networks, 60, &[(BENIGN, 0.02)]));
        let mut networks = Networks::default();
        assert!(!after(&mut networks, 60, &[(BENIGN, 0.7), (attacker, 0.02)]));
        assert!(after(&mut networks, 60, &[(BENIGN, 0.02), (attacker, 0.02)]));
        assert!(!after(&mut networks, 200, &[(BENIGN, 0.7), (attacker, 0.02)]), "it calmed down");
    }

    #[test]
    fn of_many_networks_half_of_their_groups_have_to_move() {
        let rows = |moved: usize| -> Vec<([u8; 4], f64)> {
            (0..40)
                .map(|n| ([10, 0, n, 1], if usize::from(n) % 8 < moved { 0.02 } else { 0.7 }))
                .collect()
        };
        for (moved, agree) in [(1, false), (3, false), (4, true), (8, true)] {
            assert_eq!(after(&mut Networks::default(), 60, &rows(moved)), agree, "{moved}");
        }
    }

    #[test]
    fn memory_is_bounded_and_every_network_has_a_group() {
        let mut networks = Networks::default();
        let of = |n: u32| IpAddr::from((n << 8 | 1).to_be_bytes());
        networks.take((0..10_000).map(|n| (of(n), 0)), |_| [Some(0.5); BETS]);
        assert_eq!(networks.group_of.len(), LIMIT);
        assert!(networks.groups.iter().all(|group| group.windows == 1));
    }
}
