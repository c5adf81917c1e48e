//! Budget: attacks found where so few benign peers may ever raise an alarm.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    observation::{Entity, Observations, Truth},
    proportion::Proportion,
};

/// Shares of the benign peers that may ever raise an alarm.
pub const BUDGETS: [f64; 2] = [0.01, 0.003];

/// Attacks found at a budget of benign peers.
///
/// A person sees peers, not windows: one that alarms once has taken its part of the budget, and
/// again costs nothing more. Peers that attack in any row take none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Share of the benign peers that may alarm.
    pub share: f64,
    /// Benign peers.
    pub benign_peers: u64,
    /// Benign peers that may alarm: the share of them, rounded down.
    pub allowed: u64,
    /// Score that a row must exceed; `None` without a benign peer.
    pub threshold: Option<f64>,
    /// Attacks with a row above it.
    pub attacks_found: Proportion,
}

/// The highest of each of several scores that each peer and each attack ever had.
///
/// Memory: 8 bytes a score for each peer and each attack, however many rows there are.
#[derive(Clone, Debug)]
pub struct Peaks {
    scores: usize,
    peers: HashMap<Entity, Peak>,
    attacks: HashMap<(String, String), Vec<f64>>,
}

#[derive(Clone, Debug)]
struct Peak {
    highest: Vec<f64>,
    attacks: bool,
}

impl Peaks {
    /// Of rows with so many scores each.
    #[must_use]
    pub fn new(scores: usize) -> Self {
        Self { scores, peers: HashMap::new(), attacks: HashMap::new() }
    }

    /// Takes a row; one without a label is passed over.
    ///
    /// # Panics
    /// If it has another number of scores.
    pub fn push(&mut self, entity: Entity, truth: Truth<'_>, scores: &[f64]) {
        assert_eq!(scores.len(), self.scores, "a row has all scores");
        if truth == Truth::Unlabelled {
            return;
        }
        let lowest = || vec![f64::NEG_INFINITY; scores.len()];
        let raise = |highest: &mut [f64]| {
            highest.iter_mut().zip(scores).for_each(|(high, score)| *high = high.max(*score));
        };
        let peak =
            self.peers.entry(entity).or_insert_with(|| Peak { highest: lowest(), attacks: false });
        raise(&mut peak.highest);
        if let Truth::Attack { class, name } = truth {
            peak.attacks = true;
            let key = (class.to_owned(), name.unwrap_or(class).to_owned());
            raise(self.attacks.entry(key).or_insert_with(lowest));
        }
    }

    /// Attacks found by one of the scores at each of [`BUDGETS`].
    ///
    /// # Panics
    /// If there is no such score.
    #[must_use]
    pub fn budgets(&self, score: usize) -> [Budget; 2] {
        let benign = self.peers.values().filter(|peak| !peak.attacks);
        let mut falling: Vec<f64> = benign.map(|peak| peak.highest[score]).collect();
        falling.sort_unstable_by(|a, b| b.total_cmp(a));
        let attacks: Vec<f64> = self.attacks.values().map(|highest| highest[score]).collect();
        BUDGETS.map(|share| Budget::of(share, &falling, &attacks))
    }
}

impl Budget {
    /// At each of [`BUDGETS`].
    pub(crate) fn all(observations: &Observations) -> [Self; 2] {
        let mut peaks = Peaks::new(1);
        for row in &observations.rows {
            let attack = row.attack.map(|attack| &observations.attacks.values[attack as usize]);
            let truth = attack.map_or(Truth::Benign, |attack| Truth::Attack {
                class: &attack.class,
                name: Some(&attack.name),
            });
            peaks.push(observations.peers.values[row.peer as usize], truth, &[row.score]);
        }
        peaks.budgets(0)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count"
    )]
    fn of(share: f64, falling: &[f64], attacks: &[f64]) -> Self {
        let allowed = (share * falling.len() as f64) as usize;
        let threshold = falling.get(allowed).copied();
        let found = attacks.iter().filter(|score| threshold.is_some_and(|least| **score > least));
        Self {
            share,
            benign_peers: falling.len() as u64,
            allowed: allowed as u64,
            threshold,
            attacks_found: Proportion::new(found.count() as u64, attacks.len() as u64),
        }
    }
}

/// A feature by itself, and what the tails find without it: a check for shortcuts. A detector that
/// owes what it finds to one feature has learnt that feature, and not what an attack is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureCheck {
    /// Its name.
    pub feature: String,
    /// Attacks found by its value alone, high or low, whichever finds more: a rule that nobody
    /// knew beforehand, and that each detector should beat.
    pub alone: [Budget; 2],
    /// Attacks found by the tails of all other features.
    pub without: [Budget; 2],
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::observation::Observation;

    #[test]
    fn a_peer_that_alarms_again_costs_nothing_more_and_an_attacker_none() {
        let mut observations = Observations::new();
        let mut push = |last: u8, score: f64, truth| {
            let entity = IpAddr::from([192, 0, 2, last]).into();
            let row = Observation { start_ns: 0, end_ns: 1, entity, score, p_value: None, truth };
            observations.push(row).unwrap();
        };
        for last in 0..200 {
            push(last, f64::from(last), Truth::Benign);
            push(last, f64::from(last), Truth::Benign);
        }
        let attack = |name| Truth::Attack { class: "scan", name: Some(name) };
        push(201, 197.5, attack("seen"));
        push(202, 197.0, attack("not seen"));
        push(201, 1e9, Truth::Benign);
        let [at_1, at_03] = Budget::all(&observations);
        assert_eq!((at_1.benign_peers, at_1.allowed, at_1.threshold), (200, 2, Some(197.0)));
        assert_eq!((at_1.attacks_found.count, at_1.attacks_found.of), (1, 2));
        assert_eq!(
            (at_03.allowed, at_03.threshold, at_03.attacks_found.count),
            (0, Some(199.0), 0)
        );
    }

    #[test]
    fn without_a_benign_peer_nothing_is_found() {
        let budgets = Budget::all(&Observations::new());
        assert!(budgets.iter().all(|one| one.threshold.is_none() && one.attacks_found.count == 0));
    }
}
