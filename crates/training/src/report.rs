//! Report of a training: rows read, rows left out by cause, and error rates that the calibration
//! supports.

use std::fmt;

use model::Calibration;
use serde::Serialize;

use crate::bounds::Setters;
use crate::contamination::TrimBy;
use crate::row_filter::{Dropped, Survey};
use crate::split::Boundaries;

/// Report of the rows that a detector was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The schema of the rows.
    pub schema: String,
    /// Method fitted, in words.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// The features that the detector reads.
    pub features: Vec<String>,
    /// Those that it does not, and why.
    pub left_out: Vec<LeftOut>,
    /// Those it reads that never varied over the training rows.
    pub constant: Vec<String>,
    /// Numbers of rows.
    pub rows: RowCounts,
    /// Rows that took no part, by cause.
    pub dropped: Dropped,
    /// Rows trimmed as possibly not benign.
    pub trimmed: Option<Trimmed>,
    /// Remotes that set bounds of what is ordinary; none where the source knows no remotes.
    pub bounds: Vec<Setters>,
    /// Time of the rows.
    pub time: TimeRange,
    /// Error rates that the calibration supports.
    pub rates: SupportedRates,
    /// Bytes of rows and scores that were kept in memory.
    pub memory_bytes: u64,
}

/// A feature that is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub feature: String,
    /// Reason.
    pub why: String,
}

/// Numbers of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// Rows that the detector was fitted to.
    pub trained: u64,
    /// Rows that it was calibrated on.
    pub held_out: u64,
}

/// Rows trimmed as possibly not benign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trimmed {
    /// The share asked for.
    pub asked: f64,
    /// `rows` or `peers`.
    pub by: String,
    /// Times the detector was fitted again.
    pub rounds: u32,
    /// Training rows left out in the last round.
    pub training_rows: u64,
    /// Held-out rows left out.
    pub held_out_rows: u64,
}

/// Time of the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimeRange {
    /// Start of the first window, ns of the stream's clock.
    pub from_ns: i64,
    /// End of the last window.
    pub to_ns: i64,
    /// Windows that start until here train, later ones calibrate.
    pub boundary_ns: i64,
    /// Windows read.
    pub windows: u64,
    /// `from_ns` in RFC 3339, where the clock is unix time.
    pub from: Option<String>,
    /// `to_ns` in RFC 3339, where the clock is unix time.
    pub to: Option<String>,
}

/// Error rates that a calibration supports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SupportedRates {
    /// Scores that it holds.
    pub scores: usize,
    /// The smallest p-value that holds on average over calibrations: 1 / (scores + 1).
    pub marginal: f64,
    /// The smallest that holds for this calibration with a confidence of 90 %.
    pub conditional: f64,
}

/// Before this, a time is no unix time of a capture: 1980, in ns.
const UNIX_TIME_FROM: i64 = 315_532_800_000_000_000;

impl TimeRange {
    pub(crate) fn of(survey: &Survey, boundaries: &Boundaries) -> Self {
        let text = |ns: i64| {
            let time = jiff::Timestamp::from_nanosecond(ns.into()).ok()?;
            (ns >= UNIX_TIME_FROM).then(|| time.to_string())
        };
        Self {
            from_ns: survey.first_ns,
            to_ns: survey.end_ns,
            boundary_ns: boundaries.boundary,
            windows: survey.windows,
            from: text(survey.first_ns),
            to: text(survey.end_ns),
        }
    }
}

impl SupportedRates {
    pub(crate) fn of(calibration: &Calibration) -> Self {
        let scores = calibration.held_out();
        Self {
            scores,
            marginal: 1.0 / (scores as f64 + 1.0),
            conditional: calibration.smallest_p(),
        }
    }
}

impl Trimmed {
    /// Amount trimmed, in words.
    fn amount(&self) -> String {
        let Self { training_rows, held_out_rows, by, rounds, .. } = self;
        if *training_rows == 0 && by == TrimBy::Peers.name() {
            return "no training rows: the most anomalous peer alone has more of them than that \
                    share; allow a larger one, or trim by rows"
                .to_owned();
        }
        format!(
            "{training_rows} training and {held_out_rows} held-out rows, by {by}, {rounds} rounds"
        )
    }

    /// Cost of trimming, in words.
    #[must_use]
    pub fn consequence(&self) -> String {
        format!(
            "up to {} of the held-out rows were left out as possibly not benign, so they are not \
             exchangeable with benign rows to come: if they were benign, a false alarm at an \
             error rate α has a probability of up to α + {}",
            percent(self.asked),
            percent(self.asked)
        )
    }
}

impl Report {
    /// Name of the rows, for people: `peer-windows`.
    fn unit(&self) -> &'static str {
        if self.schema.starts_with("weir.peer.") {
            "peer-windows"
        } else if self.schema.starts_with("weir.flow.") {
            "flow-windows"
        } else {
            "rows"
        }
    }

    /// Error rates that the calibration supports, in words.
    #[must_use]
    pub fn supported(&self) -> String {
        let one_in = |rate: f64| (1.0 / rate).round();
        format!(
            "one false alarm in {} {unit} at best on average; one in {} {unit} with 90 % \
             confidence",
            one_in(self.rates.marginal),
            one_in(self.rates.conditional).max(1.0),
            unit = self.unit()
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, time, .. } = self;
        writeln!(f, "{}: {}", self.schema, self.method)?;
        write!(f, "  rows      {} read in {} windows", rows.read, time.windows)?;
        if let (Some(from), Some(to)) = (&time.from, &time.to) {
            write!(f, ", {from} to {to}")?;
        }
        writeln!(f)?;
        writeln!(f, "            {} trained on, {} held out", rows.trained, rows.held_out)?;
        writeln!(f, "  left out  {}", self.dropped)?;
        writeln!(f, "  features  {}", self.features.len())?;
        for LeftOut { feature, why } in &self.left_out {
            writeln!(f, "            without {feature} ({why})")?;
        }
        if !self.constant.is_empty() {
            writeln!(f, "            constant in training: {}", self.constant.join(", "))?;
        }
        writeln!(f, "  supports  {}", self.supported())?;
        if let Some(trimmed) = &self.trimmed {
            writeln!(f, "  trimmed   {}", trimmed.amount())?;
            writeln!(f, "  caution   {}", trimmed.consequence())?;
        }
        write!(f, "  memory    {:.1} MB of rows and scores", self.memory_bytes as f64 / 1e6)
    }
}

/// A share as a percentage of at most two decimals.
pub(crate) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}
