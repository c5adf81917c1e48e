//! Data of the plots, small however many rows there are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{detection::Attack, observation::Observations, time::instant};

/// Bins of the score histogram.
const BINS: usize = 50;
/// Points of the timeline at most.
const MOMENTS: usize = 300;

/// Spread of benign and attack scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreHistogram {
    /// The least score of all.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Benign rows per bin, bins of equal width from `low` to `high`.
    pub benign: Vec<u64>,
    /// Attack rows per bin.
    pub attack: Vec<u64>,
}

/// The course of scores over the windows, in the order of time. Time without windows takes no
/// room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Windows side by side, a few to the moment if there are many.
    pub moments: Vec<Moment>,
    /// Spans of the attacks, in the order of [`Evaluation::attacks`](crate::Evaluation).
    pub spans: Vec<MomentSpan>,
}

/// The extremes of one window, or of a few successive ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Start of the first window.
    pub from: Timestamp,
    /// Highest score of a benign row.
    pub benign_score: Option<f64>,
    /// Highest score of an attack row.
    pub attack_score: Option<f64>,
    /// Smallest p-value of a benign row.
    pub benign_p: Option<f64>,
    /// Smallest p-value of an attack row.
    pub attack_p: Option<f64>,
}

/// The moments of an attack, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MomentSpan {
    /// Its first.
    pub first: usize,
    /// Its last.
    pub last: usize,
}

impl ScoreHistogram {
    pub(crate) fn of(observations: &Observations) -> Self {
        let scores = || observations.rows.iter().map(|row| row.score);
        let low = scores().fold(f64::INFINITY, f64::min);
        let high = scores().fold(f64::NEG_INFINITY, f64::max);
        let mut counts = [vec![0; BINS], vec![0; BINS]];
        for row in &observations.rows {
            counts[usize::from(row.attack.is_some())][bin(low, high, row.score)] += 1;
        }
        let [benign, attack] = counts;
        Self { low, high, benign, attack }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the number of bins; a width of 0 gives NaN, which becomes 0"
)]
fn bin(low: f64, high: f64, score: f64) -> usize {
    // Halves, so that the width of the widest range of f64 stays finite.
    let place = (score / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    ((place * BINS as f64) as usize).min(BINS - 1)
}

impl Timeline {
    pub(crate) fn of(observations: &Observations, attacks: &[Attack]) -> Self {
        let windows = &observations.windows.values;
        let mut order: Vec<usize> = (0..windows.len()).collect();
        order.sort_unstable_by_key(|&index| windows[index]);
        let per_moment = windows.len().div_ceil(MOMENTS).max(1);
        let mut moment_of = vec![0; windows.len()];
        let mut moments: Vec<Moment> = Vec::new();
        for (place, index) in order.into_iter().enumerate() {
            if place % per_moment == 0 {
                let from = instant(windows[index].0);
                let [benign_score, attack_score, benign_p, attack_p] = [None; 4];
                moments.push(Moment { from, benign_score, attack_score, benign_p, attack_p });
            }
            moment_of[index] = moments.len() - 1;
        }
        let mut spans: BTreeMap<(&str, &str), MomentSpan> = BTreeMap::new();
        for row in &observations.rows {
            let place = moment_of[row.window as usize];
            let moment = &mut moments[place];
            let (score, p_value) = if let Some(attack) = row.attack {
                let named = &observations.attacks.values[attack as usize];
                let span = spans
                    .entry((&named.class, &named.name))
                    .or_insert(MomentSpan { first: place, last: place });
                span.first = span.first.min(place);
                span.last = span.last.max(place);
                (&mut moment.attack_score, &mut moment.attack_p)
            } else {
                (&mut moment.benign_score, &mut moment.benign_p)
            };
            *score = Some(score.map_or(row.score, |highest| highest.max(row.score)));
            if let Some(p) = row.p_value {
                *p_value = Some(p_value.map_or(p, |smallest| smallest.min(p)));
            }
        }
        let spans = attacks
            .iter()
            .map(|attack| spans[&(attack.class.as_str(), attack.name.as_str())])
            .collect();
        Self { moments, spans }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::observation::{Observation, Truth};

    #[test]
    fn a_histogram_holds_every_row_at_any_scale() {
        for (low, high) in [(0.0, 1.0), (3.0, 3.0), (f64::MIN, f64::MAX), (-1.0, 1e-300)] {
            let mut observations = Observations::new();
            for score in [low, high, low / 2.0 + high / 2.0] {
                let row = Observation {
                    start_ns: 0,
                    end_ns: 1,
                    entity: IpAddr::from([192, 0, 2, 1]).into(),
                    score,
                    p_value: None,
                    truth: Truth::Benign,
                };
                observations.push(row).unwrap();
            }
            let histogram = ScoreHistogram::of(&observations);
            assert_eq!(histogram.benign.iter().sum::<u64>(), 3, "{low} to {high}");
        }
    }

    #[test]
    fn a_timeline_of_many_windows_is_short_and_keeps_the_extremes() {
        let mut observations = Observations::new();
        for window in (0..10_000_i64).rev() {
            let attack = (2_000..2_100).contains(&window);
            let row = Observation {
                start_ns: window * 1_000,
                end_ns: window * 1_000 + 1_000,
                entity: IpAddr::from([192, 0, 2, 1]).into(),
                score: window as f64,
                p_value: Some(1.0 / (window + 1) as f64),
                truth: if attack {
                    Truth::Attack { class: "flood", name: None }
                } else {
                    Truth::Benign
                },
            };
            observations.push(row).unwrap();
        }
        let attacks = crate::detection::attacks(&observations, &[]);
        let timeline = Timeline::of(&observations, &attacks);
        assert!(timeline.moments.len() <= MOMENTS);
        assert!(timeline.moments.is_sorted_by_key(|moment| moment.from));
        assert_eq!(timeline.moments.last().unwrap().benign_score, Some(9_999.0));
        let [span] = timeline.spans[..] else { panic!("{:?}", timeline.spans) };
        let highest = timeline.moments[span.first..=span.last]
            .iter()
            .filter_map(|moment| moment.attack_score)
            .fold(0.0, f64::max);
        assert!((highest - 2_099.0).abs() < 1e-9);
    }
}
