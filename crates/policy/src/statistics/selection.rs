//! Which peers of a window are anomalous, and what may be claimed of each.

use super::{
    Basis, Batch, Claim, HeldOut, PValues, Procedure, ProcedureChoice, Share, Traffic,
    held_out::rows_for, procedure::procedure,
};
use crate::{Evidence, config::PolicyConfig, window::WindowFacts};

/// Sums of logarithms are equal up to this.
const ROUNDING: f64 = 1e-9;

/// Chooses the anomalous peers of each window by the configured rates.
#[derive(Debug)]
pub struct Selector {
    rates: Rates,
    false_alarms_a_day: Option<f64>,
    procedure: Box<dyn Procedure>,
    traffic: Traffic,
    held_out: Option<HeldOut>,
}

#[derive(Clone, Copy, Debug)]
struct Rates {
    rate: Share,
    choice: ProcedureChoice,
    p_values: PValues,
}

/// What one window's peers are held against.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    rates: Rates,
    level: f64,
    /// The smallest p-value to be expected of this calibration; 0 where nobody told.
    finest: f64,
    held_out: Option<u64>,
}

impl Rates {
    const fn of(config: &PolicyConfig) -> Self {
        Self { rate: config.wrong_blocks, choice: config.procedure, p_values: config.p_values }
    }
}

impl Selector {
    /// By a configuration, knowing nothing of the calibration and of past traffic.
    #[must_use]
    pub fn new(config: &PolicyConfig) -> Self {
        Self {
            rates: Rates::of(config),
            false_alarms_a_day: config.false_alarms.map(super::Frequency::per_day),
            procedure: procedure(config),
            traffic: Traffic::default(),
            held_out: None,
        }
    }

    /// Takes a new configuration over. What is known of calibration and traffic stays; an online
    /// procedure begins anew, for what it spent was spent on another rate.
    pub fn reconfigure(&mut self, before: &PolicyConfig, config: &PolicyConfig) {
        self.rates = Rates::of(config);
        self.false_alarms_a_day = config.false_alarms.map(super::Frequency::per_day);
        let asked = |config: &PolicyConfig| (config.procedure, config.wrong_blocks, config.memory);
        if asked(before) != asked(config) {
            self.procedure = procedure(config);
        }
    }

    /// Tells it what the model rests on. Without this no peer is held to be beyond what the
    /// calibration can tell.
    pub fn calibrate(&mut self, basis: &Basis) {
        self.held_out = Some(basis.held_out);
        self.traffic = Traffic::expecting(basis.peers_per_window);
    }

    /// Looks at a window's peers: each is then to be asked about by [`Selection::claim`].
    pub fn look(&mut self, evidence: &[Evidence], window: &WindowFacts) -> Selection {
        let p_values: Vec<f64> = evidence.iter().map(|peer| peer.p(self.rates.p_values)).collect();
        let seconds = window.span_s();
        let whole = !window.lossy && !window.interrupted;
        let present = p_values.len();
        let expected = self.traffic.expected(present);
        let batch = Batch { p_values: &p_values, expected, seconds, whole };
        let mut level = self.procedure.anomalous(&batch);
        if let Some(a_day) = self.false_alarms_a_day {
            level = level.min(a_day / self.traffic.peer_windows_a_day(present, seconds));
        }
        let selection = Selection {
            rates: self.rates,
            level,
            finest: self.held_out.map_or(0.0, |held_out| held_out.finest(self.rates.p_values)),
            held_out: self.held_out.as_ref().map(HeldOut::fewest),
        };
        if whole {
            let ordinary = p_values.iter().filter(|p| !selection.is_anomalous(**p)).count();
            self.traffic.note(ordinary, seconds);
        }
        selection
    }
}

impl Selection {
    /// What may be claimed of an anomalous peer; `None` of an ordinary one.
    ///
    /// A peer is anomalous where its p-value reaches the level; or where the calibration has too
    /// few rows for any p-value to reach it, and the peer is as far out as it can tell. Of the
    /// latter no rate is claimed.
    #[must_use]
    pub fn claim(&self, peer: &Evidence) -> Option<Claim> {
        let p_value = peer.p(self.rates.p_values);
        self.is_anomalous(p_value).then(|| Claim {
            rate: self.rates.rate,
            procedure: self.rates.choice,
            p_values: self.rates.p_values,
            p_value,
            level: self.level,
            held_out: self.held_out,
            needed: rows_for(self.level, self.rates.p_values),
            supported: p_value <= self.level,
        })
    }

    fn is_anomalous(&self, p_value: f64) -> bool {
        p_value <= self.level.max(self.finest * (1.0 + ROUNDING))
    }
}
