//! Learning that goes on: changes of the model in force, as a node tells of them.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// What became of the model in force.
    ModelAct {
        /// One that was learnt on the way took its place.
        Learnt = "learnt",
        /// One that was learnt on the way was not put in force.
        Refused = "refused",
        /// A person took an earlier one back.
        RolledBack = "rolled_back",
        /// A person had its file read again.
        Reloaded = "reloaded",
    }
}

/// A change of the model in force, or of learning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelEvent {
    /// Time of it, in ns of the boot clock.
    pub at_ns: u64,
    /// What became of it.
    pub act: ModelAct,
    /// Number of the version in force from here on; 0 is the configured file.
    pub version: u32,
    /// Hash of the model in force from here on.
    pub digest: String,
    /// What a model that was learnt on the way changes, or would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ModelChange>,
    /// Why one was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a model that was learnt on the way changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelChange {
    /// Rows of peers over a window that it was fitted to.
    pub rows: u64,
    /// Such rows that it was calibrated on.
    pub held_out: u64,
    /// The smallest error rate that these support.
    pub smallest_rate: f64,
    /// The same of the model before.
    pub smallest_rate_before: f64,
    /// Features of peers over a window whose benign range moved most, the farthest first.
    pub moved: Vec<RangeMoved>,
    /// Remotes of late that it was tried on.
    pub remotes: u64,
    /// Of these, those that it finds unusual.
    pub unusual: u64,
    /// Those that the model before does.
    pub unusual_before: u64,
    /// Remotes that were reported of late and nobody called benign, which the model before finds
    /// clearly unusual.
    pub reported: u64,
    /// Of these, those that it still does.
    pub still_unusual: u64,
}

/// A benign range that moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeMoved {
    /// The feature.
    pub feature: String,
    /// Value that 99 % of the rows before did not exceed.
    pub before: f32,
    /// Value that 99 % of the rows now do not exceed.
    pub now: f32,
}

impl ModelChange {
    /// The change, as a person reads it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { rows, held_out, smallest_rate, smallest_rate_before, .. } = self;
        let mut text = format!(
            "{} rows, smallest rate {smallest_rate:.1e} (before: {smallest_rate_before:.1e}), \
             {} of {} remotes of late unusual (before: {})",
            rows + held_out,
            self.unusual,
            self.remotes,
            self.unusual_before
        );
        for (at, RangeMoved { feature, before, now }) in self.moved.iter().enumerate() {
            let lead = if at == 0 { "; usual up to now, and before: " } else { ", " };
            // A string takes whatever is written.
            let _ = write!(text, "{lead}{feature} {now:.4} ({before:.4})");
        }
        text
    }
}
