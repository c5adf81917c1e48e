//! Pareto front of the settings, and the best setting on it.

use serde::Serialize;

use super::report::SettingReport;

/// Rule by which the best setting is found, in words.
const RULE: &str = "a setting is on the front if no other one stops at least as many attack \
    packets, loses at most as many benign packets and makes at most as many false blocks, and is \
    better in one of these; the best is the one on the front that loses the fewest benign packets, \
    then makes the fewest false blocks, then stops the most attack packets, then blocks the \
    soonest, then comes first: a wrong block costs more than a missed one";

/// Settings that no other one beats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TradeOff {
    /// [`RULE`].
    pub rule: &'static str,
    /// The numbers of settings on the front.
    pub front: Vec<usize>,
    /// The number of the best one.
    pub best: usize,
}

/// Quantities by which settings are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Merits {
    lost: u64,
    wrong: u64,
    stopped: u64,
}

impl Merits {
    fn of(setting: &SettingReport) -> Option<Self> {
        Some(Self {
            lost: setting.benign.as_ref()?.packets_lost,
            wrong: setting.false_blocks?,
            stopped: setting.attack.as_ref()?.stopped.packets,
        })
    }

    const fn beats(&self, other: &Self) -> bool {
        let no_worse =
            self.lost <= other.lost && self.wrong <= other.wrong && self.stopped >= other.stopped;
        let better =
            self.lost < other.lost || self.wrong < other.wrong || self.stopped > other.stopped;
        no_worse && better
    }
}

/// The front of settings that a truth was held against; none without settings or truth.
pub(super) fn of(settings: &[SettingReport]) -> Option<TradeOff> {
    let merits: Vec<Merits> = settings.iter().map(Merits::of).collect::<Option<_>>()?;
    let is_beaten = |one: &Merits| merits.iter().any(|other| other.beats(one));
    let front: Vec<usize> = (0..merits.len()).filter(|&at| !is_beaten(&merits[at])).collect();
    let delay = |at: usize| {
        let attack = settings[at].attack.as_ref();
        attack.and_then(|attack| attack.median_time_to_block_s).unwrap_or(f64::INFINITY)
    };
    let best = front.iter().copied().min_by(|&a, &b| {
        let (one, other) = (&merits[a], &merits[b]);
        (one.lost, one.wrong)
            .cmp(&(other.lost, other.wrong))
            .then(other.stopped.cmp(&one.stopped))
            .then(delay(a).total_cmp(&delay(b)))
            .then(a.cmp(&b))
    })?;
    let front = front.into_iter().map(|at| at + 1).collect();
    Some(TradeOff { rule: RULE, front, best: best + 1 })
}

#[cfg(test)]
mod tests {
    use crate::sample::report;

    #[test]
    fn the_front_holds_what_no_other_beats_and_the_best_hurts_nobody() {
        let report = report(&["expert.windows=1", "expert.act_surprise=3,4,5,6"]);
        let lost: Vec<u64> = report
            .settings
            .iter()
            .filter_map(|one| Some(one.benign.as_ref()?.packets_lost))
            .collect();
        assert_eq!(lost, [900, 0, 0, 0]);
        let stopped: Vec<u64> = report
            .settings
            .iter()
            .filter_map(|one| Some(one.attack.as_ref()?.stopped.packets))
            .collect();
        assert_eq!(stopped, [1_800, 1_800, 900, 900]);
        let trade_off = report.trade_off.expect("a truth");
        assert_eq!((trade_off.front, trade_off.best), (vec![2], 2));
    }

    #[test]
    fn equal_settings_share_the_front_and_the_first_is_best() {
        let trade_off =
            report(&["expert.windows=1", "expert.act_surprise=5,6"]).trade_off.expect("a truth");
        assert_eq!((trade_off.front, trade_off.best), (vec![1, 2], 1));
    }
}
