//! The evaluation of one detector.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    budget::Budget,
    calibration::CalibrationCheck,
    caveat::{self, Caveat},
    detection::{self, Attack, Class, OperatingPoint},
    discrimination::{self, Discrimination, Unit},
    drift::FeatureDrift,
    observation::Observations,
    picture::{ScoreHistogram, Timeline},
    time::TimeSpan,
};

/// Identity of the evaluated detector, as its caller knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    /// Name beside other detectors.
    pub name: String,
    /// Further identification: kind, file, digest, schema hash, …
    pub facts: Vec<Fact>,
    /// Time of the training and calibration rows, if known.
    pub trained: Option<TimeSpan>,
    /// True where the training rows came from the same place as the evaluated ones, as far as is
    /// known: an overlap in time matters only then.
    pub same_source: bool,
}

/// Something known, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

impl Fact {
    /// A fact by name.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// Evaluation of a detector on labelled rows: everything that table, JSON and page show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The detector.
    pub detector: Detector,
    /// Numbers of the rows.
    pub counts: Counts,
    /// Row by row.
    pub rows: Discrimination,
    /// Peer by peer.
    pub peers: Discrimination,
    /// Window by window.
    pub windows: Discrimination,
    /// Catch of the measurable operating points.
    pub operating_points: Vec<OperatingPoint>,
    /// Attacks found where so few benign peers may ever alarm.
    pub budgets: [Budget; 2],
    /// Per attack class, by name.
    pub classes: Vec<Class>,
    /// Per attack, in the order of time.
    pub attacks: Vec<Attack>,
    /// Check of the p-values' claims; none without benign p-values.
    pub calibration: Option<CalibrationCheck>,
    /// Drift since training, the greatest first; empty if it was not measured.
    pub drift: Vec<FeatureDrift>,
    /// Spread of the scores.
    pub histogram: ScoreHistogram,
    /// The course of time.
    pub timeline: Timeline,
    /// Caveats from the data itself.
    pub caveats: Vec<Caveat>,
}

/// Numbers of the evaluated rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Benign rows.
    pub benign: u64,
    /// Attack rows.
    pub attack: u64,
    /// Rows left out for want of a label.
    pub unlabelled: u64,
    /// Peers of labelled rows.
    pub peers: u64,
    /// Windows of labelled rows.
    pub windows: u64,
    /// From the first window to the last.
    pub span: TimeSpan,
}

/// Reason for which there is nothing to evaluate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvaluationError {
    /// No rows at all.
    #[error("there are no rows: check the files, the time range and the filters")]
    NoRows,
    /// No row says what it was.
    #[error("none of the {rows} rows is labelled: join the ground truth first, with `weir label`")]
    NoLabels {
        /// Rows without a label.
        rows: u64,
    },
}

impl Evaluation {
    /// Evaluates a detector on what it said of labelled rows.
    ///
    /// O(n log n) time; memory as [`Observations`] plus 50 bytes a row. Without benign or
    /// without attack rows the measures that need both are absent, and a caveat says so.
    pub fn of(
        detector: Detector,
        observations: &Observations,
        mut drift: Vec<FeatureDrift>,
    ) -> Result<Self, EvaluationError> {
        let counts = Counts::of(observations)?;
        let told = |unit| Discrimination::of(unit, &discrimination::cases(observations, unit));
        let rows = told(Unit::Row);
        let rules = detection::rules(observations, &rows);
        let attacks = detection::attacks(observations, &rules);
        let classes = detection::classes(observations, &rules, &attacks);
        let p_values = || observations.rows.iter().filter_map(|row| row.p_value);
        let smallest_p = p_values().fold(1.0, f64::min);
        let benign = observations.rows.iter().filter(|row| row.attack.is_none());
        let calibration =
            CalibrationCheck::of(benign.filter_map(|row| row.p_value).collect(), smallest_p);
        drift.sort_by(|a, b| b.index.total_cmp(&a.index).then_with(|| a.feature.cmp(&b.feature)));
        let mut evaluation = Self {
            operating_points: detection::operating_points(observations, &rules, &attacks),
            budgets: Budget::all(observations),
            timeline: Timeline::of(observations, &attacks),
            histogram: ScoreHistogram::of(observations),
            peers: told(Unit::Peer),
            windows: told(Unit::Window),
            caveats: Vec::new(),
            detector,
            counts,
            rows,
            classes,
            attacks,
            calibration,
            drift,
        };
        evaluation.caveats = caveat::all(&evaluation, observations);
        Ok(evaluation)
    }
}

impl Counts {
    fn of(observations: &Observations) -> Result<Self, EvaluationError> {
        let spans = &observations.windows.values;
        let from = spans.iter().map(|span| span.0).min();
        let to = spans.iter().map(|span| span.1).max();
        let (Some(from), Some(to)) = (from, to) else {
            return Err(match observations.unlabelled {
                0 => EvaluationError::NoRows,
                rows => EvaluationError::NoLabels { rows },
            });
        };
        let attack = observations.rows.iter().filter(|row| row.attack.is_some()).count() as u64;
        Ok(Self {
            benign: observations.rows.len() as u64 - attack,
            attack,
            unlabelled: observations.unlabelled,
            peers: observations.peers.values.len() as u64,
            windows: spans.len() as u64,
            span: TimeSpan::of_ns(from, to),
        })
    }
}
