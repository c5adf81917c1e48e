//! Evaluation of detectors: discrimination of attacks from benign traffic, and calibration.
//!
//! # What it is
//!
//! Measures on plain rows (window, entity, score, p-value, label), with the formulas' sources, and
//! three ways to show them: text for a terminal, JSON, and one self-contained HTML page.
//!
//! ```text
//! Observation ─► Observations ─► Evaluation::of ─► Report ─► to_text, to_json, to_html
//!                FeatureDrift ──────▲              (several detectors side by side)
//! ```
//!
//! # What it never does
//!
//! No I/O, no clock, no randomness: the same rows give the same bytes. It knows no detector, no
//! feature and no file. It never makes a number up: a false-positive rate that the benign rows
//! are too few for is absent, with the number that it would take.
//!
//! # In what order
//!
//! ```
//! use evaluation::{Detector, Entity, Evaluation, Observation, Observations, Truth};
//!
//! let mut rows = Observations::new();
//! for second in 0..200_i64 {
//!     let attack = second >= 190;
//!     rows.push(Observation {
//!         start_ns: second * 1_000_000_000,
//!         end_ns: (second + 1) * 1_000_000_000,
//!         entity: Entity::Address(if attack { "203.0.113.9" } else { "192.0.2.1" }.parse()?),
//!         score: if attack { 0.9 } else { 0.001 * second as f64 },
//!         p_value: None,
//!         truth: if attack {
//!             Truth::Attack { class: "syn_flood", name: None }
//!         } else {
//!             Truth::Benign
//!         },
//!     })?;
//! }
//! let evaluation = Evaluation::of(Detector::default(), &rows, Vec::new())?;
//! assert_eq!(evaluation.rows.auroc, Some(1.0));
//! // 190 benign rows measure one false alarm in 100, but not one in 1,000.
//! assert!(evaluation.rows.at(1e-2).is_some_and(|at| at.measured.is_some()));
//! assert!(evaluation.rows.at(1e-3).is_some_and(|at| at.measured.is_none()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod budget;
mod calibration;
mod caveat;
mod detection;
mod discrimination;
mod drift;
mod evaluation;
mod interval;
mod observation;
#[cfg(feature = "page")]
mod page;
mod picture;
mod proportion;
mod ranking;
#[cfg(test)]
mod reference;
mod report;
mod table;
mod time;

pub use self::report::{REPORT_FORMAT, Report};
pub use budget::{BUDGETS, Budget, FeatureCheck, Peaks};
pub use calibration::{CLAIMS, CalibrationCheck, Claim, Verdict};
pub use caveat::Caveat;
pub use detection::{Attack, Class, Detection, OperatingPoint, P_VALUES, Rule};
pub use discrimination::{AtRate, Caught, Discrimination, FALSE_POSITIVE_RATES, Unit};
pub use drift::{DriftError, FeatureDrift, READINGS, Reading, SHARE_FLOOR, bin_of};
pub use evaluation::{Counts, Detector, Evaluation, EvaluationError, Fact};
pub use observation::{Entity, Observation, ObservationError, Observations, Truth};
pub use picture::{Moment, MomentSpan, ScoreHistogram, Timeline};
pub use proportion::{Interval, Proportion};
pub use ranking::{Point, Ranking, Step};
pub use time::TimeSpan;
