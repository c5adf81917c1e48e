//! What was read, what was left out and why, and what the calibration is good for.

use std::fmt;

use model::Calibration;
use serde::Serialize;

use crate::contamination::TrimBy;
use crate::sieve::Survey;
use crate::split::Boundaries;
use crate::train::percent;

/// What became of the rows that a detector was made from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The schema of the rows.
    pub schema: String,
    /// What was fitted, in words.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// The features that the detector reads.
    pub features: Vec<String>,
    /// Those that it does not, and why.
    pub left_out: Vec<LeftOut>,
    /// Those it reads that never varied over the training rows.
    pub constant: Vec<String>,
    /// How many rows there were.
    pub rows: RowCounts,
    /// Rows that took no part, by cause.
    pub dropped: Dropped,
    /// What was trimmed as possibly not benign.
    pub trimmed: Option<Trimmed>,
    /// When they were.
    pub time: TimeRange,
    /// Which error rates the calibration supports.
    pub rates: SupportedRates,
    /// Bytes of rows and scores that were kept in memory.
    pub memory_bytes: u64,
}

/// A feature that is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub feature: String,
    /// Why not.
    pub why: String,
}

/// How many rows there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Rows read.
    pub read: u64,
    /// Rows that the detector was fitted to.
    pub trained: u64,
    /// Rows that it was calibrated on.
    pub held_out: u64,
}

/// Rows that took no part, each counted once, by the first cause in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// From windows that had lost flows.
    pub lossy: u64,
    /// Labelled as an attack.
    pub attack: u64,
    /// From windows that only filled the features' memory.
    pub warm_up: u64,
    /// Too near to the boundary between training and calibration.
    pub gap: u64,
    /// Among the most anomalous, where the rows may not all be benign.
    pub trimmed: u64,
}

/// What was trimmed as possibly not benign.
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

/// When the rows were.
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

/// Which error rates a calibration supports.
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
    /// How much was trimmed, in words.
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

    /// What trimming costs, in words.
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

impl TrimBy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Peers => "peers",
        }
    }
}

impl Report {
    /// What a row is, for people: `peer-windows`.
    fn unit(&self) -> &'static str {
        if self.schema.starts_with("weir.peer.") {
            "peer-windows"
        } else if self.schema.starts_with("weir.flow.") {
            "flow-windows"
        } else {
            "rows"
        }
    }

    /// Which error rates the calibration supports, in words.
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

impl fmt::Display for Dropped {
    /// In words, without what never happened: `3 labelled as attacks, 20 in the gap`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lossy, attack, warm_up, gap, trimmed } = *self;
        let parts: Vec<String> = [
            (lossy, "from lossy windows"),
            (attack, "labelled as attacks"),
            (warm_up, "in the warm-up"),
            (gap, "in the gap"),
            (trimmed, "trimmed as possibly not benign"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, cause)| format!("{count} {cause}"))
        .collect();
        f.write_str(if parts.is_empty() { "none left out" } else { "" })?;
        f.write_str(&parts.join(", "))
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
