//! Detection: what is caught at a few operating points, of each class and of each attack, and
//! how soon.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    discrimination::Discrimination,
    observation::{Observations, Row},
    proportion::Proportion,
    ranking::{Ranking, sort_falling},
    time::{instant, seconds},
};

/// The p-values at which alarms are counted.
pub const P_VALUES: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// Rule by which a row is an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Rule {
    /// A score at or above the threshold that this false-positive rate allows on these very
    /// rows: it says what a detector could do, not what it would have done.
    FalsePositiveRate {
        /// The rate that must not be exceeded.
        rate: f64,
        /// The lowest score that is an alarm; none if nothing may be.
        threshold: Option<f64>,
    },
    /// A p-value at or below this one: what the detector would have done by itself.
    PValue {
        /// The largest p-value that is an alarm.
        alpha: f64,
    },
}

impl Rule {
    /// True of a row that is an alarm.
    fn is_alarm(self, row: &Row) -> bool {
        match self {
            Self::FalsePositiveRate { threshold, .. } => {
                threshold.is_some_and(|threshold| row.score >= threshold)
            }
            Self::PValue { alpha } => row.p_value.is_some_and(|p| p <= alpha),
        }
    }
}

/// A rule, and what it catches over all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The rule.
    pub rule: Rule,
    /// Benign rows that are alarms.
    pub false_positives: Proportion,
    /// Number of these that are of peers that attack in other rows: rows just before or after the
    /// labelled time, or with a memory of it in their features.
    pub false_positives_of_attackers: u64,
    /// Attack rows that are alarms.
    pub true_positives: Proportion,
    /// False alarms per hour of windows; none where the windows have no length.
    pub false_alarms_per_hour: Option<f64>,
    /// Peers without an attack row that had a false alarm in any window.
    pub benign_peers_alarmed: Proportion,
    /// Attacks with an alarm on any of their rows.
    pub attacks_found: Proportion,
    /// The middle delay of the attacks found, in seconds; see [`Detection::delay_s`].
    pub median_delay_s: Option<f64>,
}

/// An attack, and its detection at each operating point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// Its class.
    pub class: String,
    /// Its name; its class if it had none.
    pub name: String,
    /// Start of the window of its first row: of the one that ended first, for rows may overlap.
    pub first: Timestamp,
    /// End of the window of its last row.
    pub last: Timestamp,
    /// Its rows.
    pub rows: u64,
    /// Its peers.
    pub peers: u64,
    /// Its rows against all benign rows; none without benign rows.
    pub auroc: Option<f64>,
    /// Detections, one per operating point.
    pub detections: Vec<Detection>,
}

/// Detection of one attack at one operating point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Its rows that are alarms.
    pub caught: Proportion,
    /// Seconds from [`Attack::first`] to the end of the first window to end with an alarm on one of
    /// its rows, for a window is decided when it ends; none if never.
    pub delay_s: Option<f64>,
    /// The number of its windows until then, the one with the alarm included.
    pub delay_windows: Option<u64>,
}

/// All attacks of a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// The class.
    pub class: String,
    /// Its rows.
    pub rows: u64,
    /// Its peers.
    pub peers: u64,
    /// Its attacks.
    pub attacks: u64,
    /// Its rows against all benign rows; none without benign rows.
    pub auroc: Option<f64>,
    /// Likewise; depends on how many rows the class has.
    pub average_precision: Option<f64>,
    /// Its rows that are alarms, one per operating point.
    pub caught: Vec<Proportion>,
    /// Its attacks with an alarm, one per operating point.
    pub attacks_found: Vec<Proportion>,
}

/// The rules that can be measured here: the rates that `rows` supports, and the p-values that
/// occur.
pub(crate) fn rules(observations: &Observations, rows: &Discrimination) -> Vec<Rule> {
    let by_rate = rows.at_rates.iter().filter_map(|at| {
        let threshold = at.measured?.threshold;
        Some(Rule::FalsePositiveRate { rate: at.rate, threshold })
    });
    let smallest =
        observations.rows.iter().filter_map(|row| row.p_value).fold(f64::INFINITY, f64::min);
    let by_p = P_VALUES.into_iter().filter(|p| smallest <= *p).map(|alpha| Rule::PValue { alpha });
    by_rate.chain(by_p).collect()
}

/// Catch of each rule over all rows.
pub(crate) fn operating_points(
    observations: &Observations,
    rules: &[Rule],
    attacks: &[Attack],
) -> Vec<OperatingPoint> {
    let hours = hours(&observations.windows.values);
    let mut attacker = vec![false; observations.peers.values.len()];
    for row in observations.rows.iter().filter(|row| row.attack.is_some()) {
        attacker[row.peer as usize] = true;
    }
    rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let mut alarmed = vec![false; attacker.len()];
            let (mut benign, mut attack) = ([0_u64; 2], [0_u64; 2]);
            let mut of_attackers = 0;
            for row in &observations.rows {
                let alarm = rule.is_alarm(row);
                let counts = if row.attack.is_some() { &mut attack } else { &mut benign };
                counts[0] += u64::from(alarm);
                counts[1] += 1;
                alarmed[row.peer as usize] |= alarm;
                let by_attacker = row.attack.is_none() && attacker[row.peer as usize];
                of_attackers += u64::from(alarm && by_attacker);
            }
            let among = alarmed.iter().zip(&attacker).filter(|(_, attacker)| !**attacker);
            let benign_peers = among.clone().count() as u64;
            let benign_alarmed = among.filter(|(alarmed, _)| **alarmed).count() as u64;
            let mut delays: Vec<f64> =
                attacks.iter().filter_map(|attack| attack.detections[index].delay_s).collect();
            delays.sort_unstable_by(f64::total_cmp);
            OperatingPoint {
                rule: *rule,
                false_positives: Proportion::new(benign[0], benign[1]),
                false_positives_of_attackers: of_attackers,
                true_positives: Proportion::new(attack[0], attack[1]),
                false_alarms_per_hour: (hours > 0.0).then(|| benign[0] as f64 / hours),
                benign_peers_alarmed: Proportion::new(benign_alarmed, benign_peers),
                attacks_found: Proportion::new(delays.len() as u64, attacks.len() as u64),
                median_delay_s: delays.get(delays.len().saturating_sub(1) / 2).copied(),
            }
        })
        .collect()
}

/// The time that windows cover together, in hours; windows of several lengths overlap.
fn hours(windows: &[(i64, i64)]) -> f64 {
    let mut windows = windows.to_vec();
    windows.sort_unstable();
    let mut until = i64::MIN;
    let parts = windows.into_iter().map(|(start, end)| {
        let from = start.max(until).min(end);
        until = until.max(end);
        seconds(from, end)
    });
    parts.sum::<f64>() / 3_600.0
}

/// Each attack's fate under each rule, in the order of time.
pub(crate) fn attacks(observations: &Observations, rules: &[Rule]) -> Vec<Attack> {
    let benign = benign_falling(observations);
    let mut of_attack: Vec<Vec<&Row>> = vec![Vec::new(); observations.attacks.values.len()];
    for row in &observations.rows {
        if let Some(attack) = row.attack {
            of_attack[attack as usize].push(row);
        }
    }
    let mut attacks: Vec<Attack> = observations
        .attacks
        .values
        .iter()
        .zip(of_attack)
        .map(|(named, rows)| {
            let mut ends = BTreeMap::<i64, i64>::new();
            for (start, end) in rows.iter().map(|row| observations.span(row)) {
                ends.entry(end).and_modify(|latest| *latest = start.max(*latest)).or_insert(start);
            }
            let scores: Vec<f64> = rows.iter().map(|row| row.score).collect();
            let peers: BTreeSet<u32> = rows.iter().map(|row| row.peer).collect();
            let first = ends.values().next().copied().unwrap_or_default();
            let last = ends.keys().next_back().copied().unwrap_or(first);
            Attack {
                class: named.class.clone(),
                name: named.name.clone(),
                first: instant(first),
                last: instant(last),
                rows: rows.len() as u64,
                peers: peers.len() as u64,
                auroc: Ranking::over_sorted(&scores, &benign).auroc(),
                detections: rules
                    .iter()
                    .map(|rule| detection(observations, &rows, &ends, *rule))
                    .collect(),
            }
        })
        .collect();
    attacks.sort_by(|a, b| (a.first, &a.class, &a.name).cmp(&(b.first, &b.class, &b.name)));
    attacks
}

/// `ends` are those of an attack's windows, each with the latest start of a window that ends then.
fn detection(
    observations: &Observations,
    rows: &[&Row],
    ends: &BTreeMap<i64, i64>,
    rule: Rule,
) -> Detection {
    let alarms = || rows.iter().filter(|row| rule.is_alarm(row));
    let first_alarm = alarms().map(|row| observations.span(row).1).min();
    let start = ends.values().next().copied().unwrap_or_default();
    Detection {
        caught: Proportion::new(alarms().count() as u64, rows.len() as u64),
        delay_s: first_alarm.map(|end| seconds(start, end)),
        delay_windows: first_alarm.map(|end| ends.range(..=end).count() as u64),
    }
}

/// The classes by name, each from its attacks and its rows.
pub(crate) fn classes(
    observations: &Observations,
    rules: &[Rule],
    attacks: &[Attack],
) -> Vec<Class> {
    let benign = benign_falling(observations);
    let mut of_class: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &observations.rows {
        if let Some(attack) = row.attack {
            let class = observations.attacks.values[attack as usize].class.as_str();
            of_class.entry(class).or_default().push(row);
        }
    }
    of_class
        .into_iter()
        .map(|(class, rows)| {
            let scores: Vec<f64> = rows.iter().map(|row| row.score).collect();
            let ranking = Ranking::over_sorted(&scores, &benign);
            let its_attacks = || attacks.iter().filter(|attack| attack.class == class);
            let n_attacks = its_attacks().count() as u64;
            let found = |index: usize| {
                its_attacks().filter(|attack| attack.detections[index].delay_s.is_some()).count()
            };
            Class {
                class: class.to_owned(),
                rows: rows.len() as u64,
                peers: rows.iter().map(|row| row.peer).collect::<BTreeSet<_>>().len() as u64,
                attacks: n_attacks,
                auroc: ranking.auroc(),
                average_precision: ranking.average_precision(),
                caught: rules
                    .iter()
                    .map(|rule| {
                        let caught = rows.iter().filter(|row| rule.is_alarm(row)).count();
                        Proportion::new(caught as u64, rows.len() as u64)
                    })
                    .collect(),
                attacks_found: (0..rules.len())
                    .map(|index| Proportion::new(found(index) as u64, n_attacks))
                    .collect(),
            }
        })
        .collect()
}

fn benign_falling(observations: &Observations) -> Vec<f64> {
    let benign = observations.rows.iter().filter(|row| row.attack.is_none());
    let mut scores: Vec<f64> = benign.map(|row| row.score).collect();
    sort_falling(&mut scores);
    scores
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::observation::{Observation, Truth};

    /// Windows of two seconds; the attack runs from window 10 to 14 and is seen from window 12.
    fn observations() -> Observations {
        let mut observations = Observations::new();
        let mut push = |window: i64, peer: u8, score: f64, p: f64, truth| {
            let row = Observation {
                start_ns: window * 2_000_000_000,
                end_ns: (window + 1) * 2_000_000_000,
                entity: IpAddr::from([198, 51, 100, peer]).into(),
                score,
                p_value: Some(p),
                truth,
            };
            observations.push(row).unwrap();
        };
        for window in 0..100 {
            push(window, 1, 0.001 * window as f64, 0.5, Truth::Benign);
        }
        let scan = Truth::Attack { class: "scan", name: Some("first") };
        for window in 10..15 {
            let seen = window >= 12;
            push(window, 7, if seen { 0.9 } else { 0.05 }, if seen { 0.001 } else { 0.4 }, scan);
        }
        // The attacker, a window after its attack.
        push(15, 7, 0.7, 0.005, Truth::Benign);
        push(20, 8, 0.01, 0.9, Truth::Attack { class: "scan", name: Some("second") });
        observations
    }

    fn results() -> (Vec<OperatingPoint>, Vec<Attack>, Vec<Class>) {
        let observations = observations();
        let cases = crate::discrimination::cases(&observations, crate::Unit::Row);
        let rows = Discrimination::of(crate::Unit::Row, &cases);
        let rules = rules(&observations, &rows);
        let attacks = attacks(&observations, &rules);
        let classes = classes(&observations, &rules, &attacks);
        (operating_points(&observations, &rules, &attacks), attacks, classes)
    }

    #[test]
    fn an_attack_is_detected_when_the_window_that_shows_it_ends() {
        let (points, attacks, _) = results();
        let at_p = points.iter().position(|at| at.rule == Rule::PValue { alpha: 1e-3 }).unwrap();
        let first = &attacks[0].detections[at_p];
        assert_eq!((first.delay_s, first.delay_windows), (Some(6.0), Some(3)));
        assert_eq!((first.caught.count, first.caught.of), (3, 5));
        let second = &attacks[1].detections[at_p];
        assert_eq!((second.delay_s, second.delay_windows), (None, None));
        assert_eq!(points[at_p].attacks_found, Proportion::new(1, 2));
        assert_eq!(points[at_p].median_delay_s, Some(6.0));
    }

    #[test]
    fn a_row_of_a_minute_hides_no_earlier_alarm_of_a_second() {
        let mut observations = Observations::new();
        let mut push = |from: i64, to: i64, p: f64, truth| {
            let row = Observation {
                start_ns: from * 1_000_000_000,
                end_ns: to * 1_000_000_000,
                entity: IpAddr::from([198, 51, 100, 7]).into(),
                score: 1.0 - p,
                p_value: Some(p),
                truth,
            };
            observations.push(row).unwrap();
        };
        push(0, 60, 0.5, Truth::Benign);
        let scan = Truth::Attack { class: "scan", name: None };
        // It begins at 70 s, is seen a second later, and colours the minute that began before it.
        push(70, 71, 0.4, scan);
        push(71, 72, 0.001, scan);
        push(60, 120, 0.001, scan);
        let rules = [Rule::PValue { alpha: 1e-3 }];
        let attacks = attacks(&observations, &rules);
        let detection = &attacks[0].detections[0];
        assert_eq!((detection.delay_s, detection.delay_windows), (Some(2.0), Some(2)));
        assert_eq!(attacks[0].first, instant(70_000_000_000));
        assert_eq!(attacks[0].last, instant(120_000_000_000));
        // Two minutes, however many windows overlap in them.
        let points = operating_points(&observations, &rules, &attacks);
        assert_eq!(points[0].false_alarms_per_hour, Some(0.0));
        assert!((hours(&observations.windows.values) - 120.0 / 3_600.0).abs() < 1e-12);
    }

    #[test]
    fn only_rules_that_the_data_supports_are_listed() {
        let (points, ..) = results();
        let rules: Vec<Rule> = points.iter().map(|at| at.rule).collect();
        // 101 benign rows measure one in a hundred, and no p-value lies below 0.001.
        assert_eq!(
            rules,
            [
                Rule::FalsePositiveRate { rate: 1e-2, threshold: Some(0.7) },
                Rule::PValue { alpha: 1e-2 },
                Rule::PValue { alpha: 1e-3 },
            ]
        );
    }

    #[test]
    fn false_alarms_are_counted_per_row_hour_and_peer() {
        let (points, ..) = results();
        assert_eq!(points[0].false_positives, Proportion::new(1, 101));
        assert_eq!(points[0].false_positives_of_attackers, 1);
        // An alarm in 1 of 100 windows of two seconds: 18 an hour.
        assert!((points[0].false_alarms_per_hour.unwrap() - 18.0).abs() < 1e-9);
        assert_eq!(points[0].benign_peers_alarmed, Proportion::new(0, 1));
    }

    #[test]
    fn a_class_sums_its_attacks() {
        let (_, _, classes) = results();
        let [scan] = &classes[..] else { panic!("{classes:?}") };
        assert_eq!((scan.rows, scan.peers, scan.attacks), (6, 2, 2));
        assert_eq!(scan.caught[0], Proportion::new(3, 6));
        assert_eq!(scan.attacks_found[0], Proportion::new(1, 2));
    }
}
