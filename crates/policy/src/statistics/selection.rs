//! Selection of the anomalous peers of a window, with a claim for each.

use super::{
    Basis, Batch, Claim, Contradiction, HeldOut, PValues, Procedure, ProcedureChoice, Share,
    Traffic, held_out::rows_for, procedure::procedure, witnesses::Witnesses,
};
use crate::{Evidence, config::PolicyConfig, window::WindowFacts};

/// Sums of logarithms are equal up to this.
const ROUNDING: f64 = 1e-9;

/// Selector of the anomalous peers of each window, by the configured rates.
#[derive(Debug)]
pub struct Selector {
    rates: Rates,
    false_alarms_a_day: Option<f64>,
    procedure: Box<dyn Procedure>,
    traffic: Traffic,
    held_out: Option<HeldOut>,
    witnesses: Witnesses,
}

#[derive(Clone, Copy, Debug)]
struct Rates {
    rate: Share,
    choice: ProcedureChoice,
    p_values: PValues,
}

/// Level that one window's peers are held against.
#[derive(Clone, Copy, Debug)]
pub struct Selection {
    rates: Rates,
    level: f64,
    /// The smallest p-value to be expected of this calibration; 0 where it is not known.
    finest: f64,
    held_out: Option<u64>,
    contradicted: Option<Contradiction>,
    /// Rows over more than this are over a longer time than the window's, in ms.
    longer_ms: f64,
}

impl Rates {
    const fn of(config: &PolicyConfig) -> Self {
        Self {
            rate: config.wrong_blocks,
            choice: config.expert.procedure,
            p_values: config.expert.p_values,
        }
    }
}

impl Selector {
    /// A selector without calibration and past traffic.
    #[must_use]
    pub fn new(config: &PolicyConfig) -> Self {
        Self {
            rates: Rates::of(config),
            false_alarms_a_day: config.false_alarms.map(super::Frequency::per_day),
            procedure: procedure(config),
            traffic: Traffic::default(),
            held_out: None,
            witnesses: Witnesses::new(config.expert.seed),
        }
    }

    /// Takes a new configuration over. Calibration and traffic stay; an online procedure begins
    /// anew, for its budget was spent on another rate.
    pub fn reconfigure(&mut self, before: &PolicyConfig, config: &PolicyConfig) {
        self.rates = Rates::of(config);
        self.false_alarms_a_day = config.false_alarms.map(super::Frequency::per_day);
        let asked = |config: &PolicyConfig| {
            (config.expert.procedure, config.wrong_blocks, config.expert.memory)
        };
        if asked(before) != asked(config) {
            self.procedure = procedure(config);
        }
    }

    /// Adds the calibration. Without it no peer is held to be beyond every held-out row.
    pub fn calibrate(&mut self, basis: &Basis) {
        self.held_out = Some(basis.held_out);
        self.traffic = Traffic::expecting(basis.peers_per_window);
    }

    /// Ordinary peers that the next window lets expect, by the traffic of late.
    #[must_use]
    pub fn expected_peers(&self) -> f64 {
        self.traffic.expected(0)
    }

    /// Hears a peer that did not stand out in a window.
    pub fn hear(&mut self, peer: &Evidence, window: &WindowFacts) {
        if !(window.lossy || window.interrupted || window.warming_up) {
            self.witnesses.hear(peer, self.rates.p_values, window.end_ns);
        }
    }

    /// Takes a window's peers; [`Selection::claim`] then answers for each.
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
            contradicted: self.witnesses.contradiction(),
            longer_ms: 1_500.0 * seconds,
        };
        if whole {
            let ordinary = p_values.iter().filter(|p| !selection.is_anomalous(**p)).count();
            self.traffic.note(ordinary, seconds);
        }
        selection
    }
}

impl Selection {
    /// Claim of an anomalous peer; `None` of an ordinary one.
    ///
    /// A peer is anomalous where its p-value reaches the level; or where the calibration has too
    /// few rows for any p-value to reach it, and the peer is as far out as it can tell. Rows over a
    /// longer time than a window are seldom enough for a p-value that small: where one of them is
    /// the peer's most surprising, its surprise alone is asked. Both carry a claim that is not
    /// supported.
    #[must_use]
    pub fn claim(&self, peer: &Evidence) -> Option<Claim> {
        let by_longer = f64::from(peer.horizon_ms) > self.longer_ms;
        let is_anomalous = by_longer || self.is_anomalous(peer.p(self.rates.p_values));
        is_anomalous.then(|| self.claim_anyway(peer))
    }

    /// What may be claimed of a peer that is acted on for another reason than its p-value.
    #[must_use]
    pub fn claim_anyway(&self, peer: &Evidence) -> Claim {
        let p_value = peer.p(self.rates.p_values);
        Claim {
            rate: self.rates.rate,
            procedure: self.rates.choice,
            p_values: self.rates.p_values,
            p_value,
            level: self.level,
            held_out: self.held_out,
            needed: rows_for(self.level, self.rates.p_values),
            supported: p_value <= self.level && self.contradicted.is_none(),
            contradicted: self.contradicted,
        }
    }

    fn is_anomalous(&self, p_value: f64) -> bool {
        p_value <= self.level.max(self.finest * (1.0 + ROUNDING))
    }
}
