//! Witnesses: benign peers of late, and whether they contradict the calibration.

use std::{collections::HashMap, net::IpAddr};

use events::{Contradiction, Standing};

use crate::{Evidence, lot::Lot};

use super::PValues;

/// P-value that so large a share of benign peers is at or below at most.
const LEVEL: f64 = 0.05;

/// Chance of a contradiction where there is none.
const CHANCE: f64 = 1e-6;

/// Time after which all begin anew, in ns: a network that calms down is believed again.
const MEMORY_NS: u64 = 3_600_000_000_000;

/// Peers that testify at most; of more, the first.
const PEERS: usize = 4_096;

/// Benign peers of the last hour, each with one of its windows drawn by lot.
///
/// Windows of one peer resemble each other, so that each peer counts once: the p-value of a window
/// drawn by lot is at most 0.05 with a probability of 0.05 at most, where the calibration holds.
/// Heard are peers that did not stand out and whose address is proven, by their handshake or
/// because the host turned to them: nobody makes witnesses up.
#[derive(Debug)]
pub(super) struct Witnesses {
    peers: HashMap<IpAddr, Witness>,
    low: u64,
    since_ns: u64,
    lot: Lot,
}

#[derive(Clone, Copy, Debug, Default)]
struct Witness {
    windows: u64,
    low: bool,
}

impl Witnesses {
    pub(super) fn new(seed: u64) -> Self {
        Self { peers: HashMap::new(), low: 0, since_ns: 0, lot: Lot::new(seed) }
    }

    /// Hears a peer that did not stand out in a whole window that ends at `now_ns`.
    pub(super) fn hear(&mut self, peer: &Evidence, by: PValues, now_ns: u64) {
        if peer.standing == Standing::Unproven {
            return;
        }
        if now_ns.saturating_sub(self.since_ns) > MEMORY_NS {
            (self.low, self.since_ns) = (0, now_ns);
            self.peers.clear();
        }
        if self.peers.len() >= PEERS && !self.peers.contains_key(&peer.address) {
            return;
        }
        let witness = self.peers.entry(peer.address).or_default();
        witness.windows += 1;
        if self.lot.unit() * (witness.windows as f64) < 1.0 {
            let low = peer.p(by) <= LEVEL;
            self.low = self.low + u64::from(low) - u64::from(witness.low);
            witness.low = low;
        }
    }

    /// The contradiction, where chance does not explain how many are low.
    pub(super) fn contradiction(&self) -> Option<Contradiction> {
        let (peers, low) = (self.peers.len() as u64, self.low);
        (chance(peers, low) < CHANCE).then_some(Contradiction { low, peers, level: LEVEL })
    }
}

/// Chance that so many or more of the peers are low, each by itself with [`LEVEL`]; 1 of no more
/// than are to be expected.
fn chance(peers: u64, low: u64) -> f64 {
    if low as f64 <= LEVEL * peers as f64 {
        return 1.0;
    }
    let (mut ln_ways, mut sum) = (0.0, 0.0);
    for count in 0..=peers {
        if count >= low {
            let (yes, no) = (count as f64, (peers - count) as f64);
            sum += (ln_ways + yes * LEVEL.ln() + no * (-LEVEL).ln_1p()).exp();
        }
        ln_ways += ((peers - count) as f64 / (count + 1) as f64).ln();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::attacker;

    fn heard(peers: u8, low: u8, change: impl Fn(&mut Evidence)) -> Option<Contradiction> {
        let mut witnesses = Witnesses::new(1);
        for window in 1..=20 {
            for last in 0..peers {
                let p = if last < low { 0.01 } else { 0.5 };
                let mut peer = Evidence { p_value: p, conditional_p_value: p, ..attacker(last) };
                change(&mut peer);
                witnesses.hear(&peer, PValues::Conditional, window);
            }
        }
        witnesses.contradiction()
    }

    #[test]
    fn twelve_odd_peers_of_twenty_contradict_and_two_do_not() {
        let found = heard(20, 12, |_| ()).expect("far too many");
        assert_eq!((found.low, found.peers), (12, 20));
        assert_eq!(heard(20, 2, |_| ()), None);
        assert_eq!(heard(2, 2, |_| ()), None, "too few to say");
    }

    #[test]
    fn whose_address_is_not_proven_is_not_heard() {
        assert_eq!(heard(20, 20, |peer| peer.standing = Standing::Unproven), None);
        assert!(heard(20, 20, |peer| peer.standing = Standing::Initiated).is_some());
    }

    #[test]
    fn the_chance_is_that_of_the_binomial() {
        assert!((chance(3, 3) - 0.05_f64.powi(3)).abs() < 1e-12);
        assert!((chance(3, 1) - (1.0 - 0.95_f64.powi(3))).abs() < 1e-12);
        assert!((chance(1_000, 0) - 1.0).abs() < 1e-12 && chance(1_000, 50) > 0.4);
    }
}
