//! Selection among many p-values at a stated error rate, and a watch over their validity.
//!
//! A configuration states the error rate in words ([`Share`], [`Frequency`]). A [`Procedure`]
//! makes of it a level for the p-values of each window; [`support`] computes the calibration that
//! such levels need, and each decision carries its [`Claim`].

mod choice;
mod drift;
mod fdr;
mod frequency;
mod held_out;
mod jumper;
mod online;
mod procedure;
mod selection;
mod support;
mod traffic;
mod witnesses;

pub use choice::{OnDrift, Unsupported};
pub use drift::{BETS, CALM, CALM_ENOUGH, DriftWatch, NAMED, SUSPENDS_AT};
pub use events::{Claim, Contradiction, Drift, Moved, PValues, ProcedureChoice, Share, ShareError};
pub use fdr::benjamini_hochberg;
pub(crate) use frequency::or_none as frequency_or_none;
pub use frequency::{Frequency, FrequencyError};
pub use held_out::{Basis, HeldOut, MEASURES};
pub use jumper::JumperMartingale;
pub use online::{LAG, Online};
pub use procedure::{Batch, PerWindow, Procedure};
pub use selection::{Selection, Selector};
pub use support::{Answer, Support, support};
pub use traffic::Traffic;
