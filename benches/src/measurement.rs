//! Row of the table: a measurement, and the value that it was to reach.

use serde::{Serialize, Serializer};

use crate::statistics::Spread;

/// Unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nanoseconds for each packet.
    NanosecondsPerPacket,
    /// Rows scored each second.
    RowsPerSecond,
    /// Flows each second.
    FlowsPerSecond,
    /// Packets each second.
    PacketsPerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Instructions.
    Instructions,
    /// Ratio of two measured values.
    Ratio,
}

/// Bound that DESIGN sets to a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// It is to be no more than this.
    AtMost(f64),
    /// It is to be no less than this.
    AtLeast(f64),
}

impl Reach {
    /// True for a value within it.
    #[must_use]
    pub fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

/// Outcome of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Met {
    /// The median is within the reach.
    Yes,
    /// It is not.
    No,
    /// Nothing was asked of it.
    NotAsked,
    /// It was not measured.
    NotMeasured,
}

/// Samples, or the reason why there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A number, in the unit beside it.
    Measured {
        /// The samples.
        spread: Spread,
        /// Unit of the samples.
        unit: Unit,
    },
    /// The machine lacks something; `why` names it.
    Skipped {
        /// Missing part.
        why: String,
    },
    /// It was tried and did not work.
    Failed {
        /// Error, in words.
        error: String,
    },
}

/// Row of the table. In JSON it also says whether its reach is [`met`](Self::met).
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Measured quantity, in words.
    pub what: String,
    /// Outcome.
    pub outcome: Outcome,
    /// Bound that DESIGN sets, if any.
    pub reach: Option<Reach>,
    /// Remark without which the number would be misread; empty for none.
    pub note: String,
}

impl Measurement {
    /// A number.
    #[must_use]
    pub fn of(what: impl Into<String>, unit: Unit, spread: Spread) -> Self {
        Self::new(what, Outcome::Measured { spread, unit })
    }

    /// A row that says why there is no number.
    #[must_use]
    pub fn skipped(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(what, Outcome::Skipped { why: why.into() })
    }

    /// A row that says what went wrong.
    #[must_use]
    pub fn failed(what: impl Into<String>, error: impl Into<String>) -> Self {
        Self::new(what, Outcome::Failed { error: error.into() })
    }

    /// Adds what DESIGN asks of it.
    #[must_use]
    pub fn reach(mut self, reach: Reach) -> Self {
        self.reach = Some(reach);
        self
    }

    /// Adds what a reader must know.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// True where the median is within the reach.
    #[must_use]
    pub fn met(&self) -> Met {
        match (&self.outcome, self.reach) {
            (Outcome::Measured { spread, .. }, Some(reach)) => {
                if reach.is_met_by(spread.median) {
                    Met::Yes
                } else {
                    Met::No
                }
            }
            (Outcome::Measured { .. }, None) => Met::NotAsked,
            _ => Met::NotMeasured,
        }
    }

    fn new(what: impl Into<String>, outcome: Outcome) -> Self {
        Self { what: what.into(), outcome, reach: None, note: String::new() }
    }
}

impl Serialize for Measurement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            what: &'a str,
            #[serde(flatten)]
            outcome: &'a Outcome,
            reach: Option<Reach>,
            met: Met,
            note: &'a str,
        }
        let Self { what, outcome, reach, note } = self;
        Row { what, outcome, reach: *reach, met: self.met(), note }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(median: f64) -> Measurement {
        Measurement::of("x", Unit::Seconds, Spread { min: 0.0, median, max: 9.0, samples: 3 })
    }

    #[test]
    fn the_median_is_held_against_the_reach() {
        assert_eq!(of(2.0).reach(Reach::AtMost(2.0)).met(), Met::Yes);
        assert_eq!(of(2.1).reach(Reach::AtMost(2.0)).met(), Met::No);
        assert_eq!(of(2.0).reach(Reach::AtLeast(2.0)).met(), Met::Yes);
        assert_eq!(of(1.9).reach(Reach::AtLeast(2.0)).met(), Met::No);
    }

    #[test]
    fn what_was_not_asked_or_not_measured_is_neither_met_nor_missed() {
        assert_eq!(of(2.0).met(), Met::NotAsked);
        let skipped = Measurement::skipped("x", "no root").reach(Reach::AtMost(1.0));
        assert_eq!(skipped.met(), Met::NotMeasured);
        assert_eq!(Measurement::failed("x", "no").met(), Met::NotMeasured);
    }
}
