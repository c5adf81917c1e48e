//! Discrimination: how well scores tell attacks from benign traffic, at every threshold.

use serde::{Deserialize, Serialize};

use crate::{
    interval::auroc_interval,
    observation::{Observations, Row},
    proportion::{Interval, Proportion},
    ranking::{Point, Ranking},
};

/// The false-positive rates at which detectors are compared.
pub const FALSE_POSITIVE_RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// Unit that is counted as one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Each row by itself: a peer, or a flow, in a window.
    Row,
    /// A peer over all windows, by its highest score: was it found at all.
    Peer,
    /// A window over all peers, by its highest score: was there an alarm when there was cause.
    Window,
}

/// A case: one thing to be classified.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Case {
    pub(crate) score: f64,
    pub(crate) attack: bool,
    /// Cases of one cluster are not independent.
    pub(crate) cluster: u32,
}

/// Discrimination of one unit's cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Discrimination {
    /// Unit of a case.
    pub unit: Unit,
    /// Attack cases.
    pub attack: u64,
    /// Benign cases.
    pub benign: u64,
    /// Area under the ROC curve, see [`Ranking::auroc`]; none if a side is empty.
    pub auroc: Option<f64>,
    /// Its 95 % interval (Obuchowski 1997, clusters being peers); none with fewer than two
    /// clusters on a side, or where the area is 0 or 1.
    pub auroc_interval: Option<Interval>,
    /// Average precision, see [`Ranking::average_precision`]; none if a side is empty.
    pub average_precision: Option<f64>,
    /// Catch at each of [`FALSE_POSITIVE_RATES`].
    pub at_rates: Vec<AtRate>,
    /// ROC curve: false-positive rate, true-positive rate.
    pub roc: Vec<Point>,
    /// Precision-recall curve: recall, precision.
    pub precision_recall: Vec<Point>,
}

/// Catch at a false-positive rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtRate {
    /// The rate that must not be exceeded.
    pub rate: f64,
    /// Benign cases without which the rate cannot be measured: `1 / rate`, so that one false
    /// alarm is allowed.
    pub needs_benign: u64,
    /// Measurement; none with fewer benign cases, or without attack cases.
    pub measured: Option<Caught>,
}

/// Catch of a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caught {
    /// Scores from here on are alarms; none where even the highest score is reached by too many
    /// benign cases, so that nothing may be an alarm.
    pub threshold: Option<f64>,
    /// Benign cases that are alarms: at most the rate times all.
    pub false_positives: Proportion,
    /// Attack cases that are alarms.
    pub true_positives: Proportion,
}

impl AtRate {
    /// The lowest threshold whose realised rate does not exceed `rate`, and what it catches.
    pub(crate) fn of(ranking: &Ranking, rate: f64) -> Self {
        let (attack, benign) = (ranking.attack(), ranking.benign());
        let needs_benign = needed_for(rate);
        let measured = (benign >= needs_benign && attack > 0).then(|| {
            let step = ranking.threshold_for(allowed_at(rate, benign));
            Caught {
                threshold: step.map(|step| step.score),
                false_positives: Proportion::new(step.map_or(0, |step| step.benign), benign),
                true_positives: Proportion::new(step.map_or(0, |step| step.attack), attack),
            }
        });
        Self { rate, needs_benign, measured }
    }
}

impl Discrimination {
    pub(crate) fn of(unit: Unit, cases: &[Case]) -> Self {
        let side = |attack: bool| -> Vec<f64> {
            cases.iter().filter(|case| case.attack == attack).map(|case| case.score).collect()
        };
        let ranking = Ranking::new(&side(true), &side(false));
        let auroc = ranking.auroc();
        Self {
            unit,
            attack: ranking.attack(),
            benign: ranking.benign(),
            auroc,
            auroc_interval: auroc.and_then(|area| auroc_interval(cases, area)),
            average_precision: ranking.average_precision(),
            at_rates: FALSE_POSITIVE_RATES.map(|rate| AtRate::of(&ranking, rate)).to_vec(),
            roc: ranking.roc(),
            precision_recall: ranking.precision_recall(),
        }
    }

    /// Catch at a rate of [`FALSE_POSITIVE_RATES`].
    #[must_use]
    pub fn at(&self, rate: f64) -> Option<&AtRate> {
        self.at_rates.iter().find(|at| at.rate.total_cmp(&rate).is_eq())
    }

    /// The share of attack cases: what average precision a detector without skill has.
    #[must_use]
    pub fn prevalence(&self) -> f64 {
        self.attack as f64 / ((self.attack + self.benign) as f64).max(1.0)
    }
}

/// Cases of each unit. One with any attack row is an attack case.
///
/// A peer that attacks counts by its attack rows alone: an alarm before it attacked is no catch.
/// A window counts by all its rows, for those of a benign window do too; an alarm on a benign
/// neighbour of the attacker passes for one with cause.
pub(crate) fn cases(observations: &Observations, unit: Unit) -> Vec<Case> {
    let rows = observations.rows.iter();
    let case =
        |row: &Row, cluster| Case { score: row.score, attack: row.attack.is_some(), cluster };
    match unit {
        Unit::Row => rows.map(|row| case(row, row.peer)).collect(),
        Unit::Peer => {
            let highest = |best: Case, new: Case| {
                if (new.attack, new.score) > (best.attack, best.score) { new } else { best }
            };
            grouped(rows.map(|row| case(row, row.peer)), highest)
        }
        Unit::Window => {
            let highest = |best: Case, new: Case| Case {
                score: best.score.max(new.score),
                attack: best.attack || new.attack,
                cluster: best.cluster,
            };
            grouped(rows.map(|row| case(row, row.window)), highest)
        }
    }
}

/// Cases merged to one of each cluster.
fn grouped(cases: impl Iterator<Item = Case>, merge: fn(Case, Case) -> Case) -> Vec<Case> {
    let mut groups: Vec<Option<Case>> = Vec::new();
    for case in cases {
        let index = case.cluster as usize;
        if groups.len() <= index {
            groups.resize(index + 1, None);
        }
        groups[index] = Some(groups[index].map_or(case, |best| merge(best, case)));
    }
    groups.into_iter().flatten().collect()
}

/// Benign cases with which `rate` allows one false alarm.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates lie in (0, 1]; a rate too small to count for saturates"
)]
pub(crate) fn needed_for(rate: f64) -> u64 {
    // 1 / 1e-3 is 1000 and not 1000.0000000000001, which would ask for 1001.
    (1.0 / rate - 1e-6).ceil() as u64
}

/// False alarms that `rate` allows among `benign` cases.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and at most `benign`"
)]
fn allowed_at(rate: f64, benign: u64) -> u64 {
    (rate * benign as f64 + 1e-6).floor() as u64
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::observation::{Observation, Truth};

    fn observed(rows: &[(i64, u8, f64, Truth<'_>)]) -> Observations {
        let mut observations = Observations::new();
        for &(window, peer, score, truth) in rows {
            observations
                .push(Observation {
                    start_ns: window * 1_000_000_000,
                    end_ns: (window + 1) * 1_000_000_000,
                    entity: IpAddr::from([192, 0, 2, peer]).into(),
                    score,
                    p_value: None,
                    truth,
                })
                .unwrap();
        }
        observations
    }

    const SCAN: Truth<'_> = Truth::Attack { class: "scan", name: None };

    #[test]
    fn a_rate_below_one_in_all_benign_rows_is_not_measurable() {
        let benign: Vec<f64> = (0..999_u16).map(f64::from).collect();
        let at = AtRate::of(&Ranking::new(&[2_000.0], &benign), 1e-3);
        assert_eq!((at.needs_benign, at.measured), (1_000, None));
        let benign: Vec<f64> = (0..1_000_u16).map(f64::from).collect();
        let at = AtRate::of(&Ranking::new(&[999.0, 998.5, 10.0], &benign), 1e-3);
        let caught = at.measured.unwrap();
        assert_eq!(caught.threshold, Some(998.5));
        assert_eq!((caught.false_positives.count, caught.true_positives.count), (1, 2));
    }

    #[test]
    fn the_realised_rate_never_exceeds_the_one_asked_for() {
        // Two benign rows tie at the top: at one allowed, none may be an alarm.
        let mut benign: Vec<f64> = (0..98_u8).map(f64::from).collect();
        benign.extend([500.0, 500.0]);
        let at = AtRate::of(&Ranking::new(&[500.0, 400.0], &benign), 1e-2);
        let caught = at.measured.unwrap();
        assert_eq!((caught.threshold, caught.true_positives.count), (None, 0));
    }

    #[test]
    fn rates_need_exactly_one_over_them() {
        assert_eq!(FALSE_POSITIVE_RATES.map(needed_for), [100, 1_000, 10_000]);
        assert_eq!(allowed_at(1e-3, 3_000), 3);
    }

    #[test]
    fn a_peer_counts_by_its_highest_attack_row_and_a_window_by_its_highest_row() {
        let rows = observed(&[
            (0, 1, 0.9, Truth::Benign),
            (1, 1, 0.3, SCAN),
            (2, 1, 0.5, SCAN),
            (0, 2, 0.2, Truth::Benign),
            (2, 2, 0.6, Truth::Benign),
        ]);
        let peers = cases(&rows, Unit::Peer);
        let short: Vec<(f64, bool)> = peers.iter().map(|case| (case.score, case.attack)).collect();
        assert_eq!(short, [(0.5, true), (0.6, false)]);
        let windows = cases(&rows, Unit::Window);
        let short: Vec<(f64, bool)> =
            windows.iter().map(|case| (case.score, case.attack)).collect();
        assert_eq!(short, [(0.9, false), (0.3, true), (0.6, true)]);
        assert_eq!(cases(&rows, Unit::Row).len(), 5);
    }
}
