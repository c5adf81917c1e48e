//! Support: the calibration that the configured rates need at some traffic.

use std::time::Duration;

use serde::Serialize;

use super::{
    Basis, Batch, MEASURES, PValues, ProcedureChoice, Traffic, held_out::rows_for,
    procedure::procedure,
};
use crate::config::PolicyConfig;

/// Support of the configured rates by a calibration, and the rows that they need.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Support {
    /// The calibration.
    pub basis: Basis,
    /// Ordinary peers in a window, as assumed.
    pub peers_per_window: f64,
    /// Length of a window, in seconds.
    pub window_s: f64,
    /// P-values that decide.
    pub p_values: PValues,
    /// The smallest p-value of a peer that is beyond every held-out row by one of two measures.
    pub smallest_p: f64,
    /// The smallest rate of wrong blocks that this p-value supports.
    pub smallest_rate: f64,
    /// False alarms a day if every peer as far out as the calibration can tell were reported.
    pub false_alarms_a_day: f64,
    /// Answer about `policy.wrong_blocks`.
    pub wrong_blocks: Answer,
    /// Answer about `policy.false_alarms`, where it is set.
    pub false_alarms: Option<Answer>,
}

/// Rows that one rate needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The rate, as configured.
    pub rate: String,
    /// The p-value that one anomalous peer in a window has to reach.
    pub level: f64,
    /// Held-out rows with which it can.
    pub needed: u64,
    /// The model has them.
    pub supported: bool,
    /// Length of learning for that many at this traffic, in seconds; `None` where they are more
    /// than a model keeps.
    pub learn_for_s: Option<f64>,
}

impl Support {
    /// The calibration, the traffic and the answers, line by line, as a person reads them.
    #[must_use]
    pub fn to_text(&self) -> String {
        let rows = self.basis.held_out.fewest();
        let (p, what) = (self.smallest_p, self.p_values.text());
        let window = self.window_text();
        let mut lines = vec![
            format!("held-out rows: {rows} of peers over a window"),
            format!("traffic: {:.1} ordinary peers in a window of {window}", self.peers_per_window),
            format!(
                "smallest p-value of a peer: {p:.2e} ({what}; Simes' rule over {MEASURES} measures)"
            ),
            self.wrong_blocks_text(),
        ];
        match &self.false_alarms {
            Some(answer) => {
                lines.push(format!("false alarms, {}", answer.to_text(p, self.basis.most_rows)));
            }
            None => lines.push("false alarms: no bound is set (`policy.false_alarms`)".to_owned()),
        }
        lines.push(format!(
            "reporting every peer as far out as this calibration can tell makes {} false alarms a \
             day at most, on average",
            rounded(self.false_alarms_a_day)
        ));
        lines.join("\n") + "\n"
    }

    /// The answer about `policy.wrong_blocks`, as a person reads it.
    #[must_use]
    pub fn wrong_blocks_text(&self) -> String {
        format!(
            "wrong blocks, {}",
            self.wrong_blocks.to_text(self.smallest_p, self.basis.most_rows)
        )
    }

    /// The answer about `policy.wrong_blocks` at this traffic, with what to do where it is no.
    #[must_use]
    pub fn advice(&self) -> String {
        let trained = self.basis.peers_per_window;
        let trained = trained.map(|peers| format!(" ({peers:.1} in training)")).unwrap_or_default();
        let (peers, answer) = (self.peers_per_window, self.wrong_blocks_text());
        let or = if self.wrong_blocks.supported {
            ""
        } else {
            "; or a larger `policy.wrong_blocks`, or `policy.unsupported = \"act\"`"
        };
        format!("at {peers:.1} ordinary peers a window{trained}: {answer}{or}")
    }

    fn window_text(&self) -> String {
        humantime::format_duration(Duration::from_secs_f64(self.window_s)).to_string()
    }

    /// Every configured rate is supported.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.wrong_blocks.supported && self.false_alarms.as_ref().is_none_or(|one| one.supported)
    }
}

/// Support of the configured rates by a calibration, at this many ordinary peers per window.
///
/// - `wrong_blocks`, per window: one anomalous peer among m has to reach `rate / m` (Benjamini and
///   Hochberg's first step; several at once reach a multiple of it).
/// - `wrong_blocks`, online: `rate / 2 · (1 − exp(−window / memory)) / m`, the level with no alarm
///   in memory.
/// - `false_alarms`: as many a day as there are peers in windows of a day, times the level, for
///   each benign p-value is at most a level with that probability. So `level = a day / (m · windows
///   a day)`, however they depend on each other.
///
/// Conditional p-values are 1 − δ^(2/n) at least, δ = 0.1, about 4.6/n; Simes' rule over two
/// measures makes that twice as much, and more in windows that end a longer horizon. k of n windows do not divide the level by much: under
/// arbitrary dependence the chance that at least k of n windows are at or below α is n·α/k at
/// most, and no less can be promised of a peer that is the same in each.
#[must_use]
pub fn support(
    config: &PolicyConfig,
    basis: &Basis,
    peers_per_window: f64,
    window: Duration,
) -> Support {
    let peers = peers_per_window.max(1.0);
    let window_s = window.as_secs_f64();
    let traffic = Traffic::expecting(Some(peers));
    let a_day = traffic.peer_windows_a_day(0, window_s);
    let smallest_p = basis.held_out.finest(config.expert.p_values);
    let answer = |rate: String, level: f64| {
        let needed = rows_for(level, config.expert.p_values);
        Answer {
            rate,
            level,
            needed,
            supported: smallest_p <= level,
            learn_for_s: (needed <= basis.most_rows)
                .then(|| needed as f64 / basis.held_out_share * window_s / peers),
        }
    };
    let level = match config.expert.procedure {
        ProcedureChoice::PerWindow => config.wrong_blocks.value() / peers,
        ProcedureChoice::Online => {
            let calm = Batch { p_values: &[], expected: peers, seconds: window_s, whole: true };
            procedure(config).anomalous(&calm)
        }
    };
    Support {
        basis: *basis,
        peers_per_window: peers,
        window_s,
        p_values: config.expert.p_values,
        smallest_p,
        smallest_rate: config.wrong_blocks.value() * smallest_p / level,
        false_alarms_a_day: smallest_p * a_day,
        wrong_blocks: answer(config.wrong_blocks.to_string(), level),
        false_alarms: config
            .false_alarms
            .map(|budget| answer(budget.to_string(), budget.per_day() / a_day)),
    }
}

impl Answer {
    fn to_text(&self, smallest_p: f64, most_rows: u64) -> String {
        let Self { rate, level, needed, supported, learn_for_s } = self;
        let reach = format!("one anomalous peer has to reach {level:.2e}");
        if *supported {
            return format!("{rate}: supported; {reach}, which takes {needed} held-out rows");
        }
        let learn = match learn_for_s {
            Some(seconds) => {
                let minutes = (seconds / 60.0).ceil().max(1.0) * 60.0;
                let length = humantime::format_duration(Duration::from_secs_f64(minutes));
                format!("learn for {length} at this traffic")
            }
            None => format!("more than the {most_rows} that a model keeps"),
        };
        format!(
            "{rate}: not supported; {reach} and none can be below {smallest_p:.2e}; needs {needed} \
             held-out rows: {learn}"
        )
    }
}

/// A number of about three digits, for people.
fn rounded(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyConfig;
    use crate::statistics::HeldOut;

    fn asked(rows: u64, change: impl FnOnce(&mut PolicyConfig)) -> Support {
        let mut config = PolicyConfig::default();
        change(&mut config);
        let basis = Basis { held_out: HeldOut::each(rows), most_rows: 1 << 20, ..Basis::default() };
        support(&config, &basis, 10.0, Duration::from_secs(1))
    }

    #[test]
    fn the_defaults_take_about_a_thousand_rows_at_ten_peers() {
        let support = asked(330, |_| ());
        assert!((support.wrong_blocks.level - 0.01).abs() < 1e-12);
        assert_eq!((support.wrong_blocks.needed, support.is_whole()), (920, false));
        // At four held-out rows a second.
        assert!(support.wrong_blocks.learn_for_s.is_some_and(|s| (s - 230.0).abs() < 1.0));
        assert!(asked(920, |_| ()).is_whole());
    }

    #[test]
    fn one_false_alarm_a_day_takes_more_rows_than_a_model_keeps() {
        let support = asked(100_000, |raw| raw.false_alarms = "1 a day".parse().ok());
        let answer = support.false_alarms.as_ref().expect("it is set");
        assert!((answer.level - 1.0 / 864_000.0).abs() < 1e-15);
        assert!(answer.needed > 7_500_000 && answer.learn_for_s.is_none(), "{answer:?}");
        assert!(support.wrong_blocks.supported && !support.is_whole());
        assert!((50.0..100.0).contains(&support.false_alarms_a_day), "{support:?}");
    }

    #[test]
    fn the_online_procedure_takes_about_twice_its_memory_in_windows_times_as_many() {
        let online = asked(330, |raw| raw.expert.procedure = ProcedureChoice::Online).wrong_blocks;
        let ratio = online.needed as f64 / asked(330, |_| ()).wrong_blocks.needed as f64;
        assert!((118.0..125.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn on_average_over_calibrations_less_is_needed() {
        let marginal = asked(330, |raw| raw.expert.p_values = PValues::Marginal);
        assert_eq!(marginal.wrong_blocks.needed, 199);
    }
}
