//! Choices of a configuration about the rates.

use serde::{Deserialize, Serialize};

/// Scope of `policy.wrong_blocks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcedureChoice {
    /// Each window by itself: [`PerWindow`](super::PerWindow).
    #[default]
    PerWindow,
    /// All windows that `policy.expert.memory` spans: [`Online`](super::Online).
    Online,
}

/// P-values that decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PValues {
    /// Calibration-conditional ones, which hold for this model's calibration.
    #[default]
    Conditional,
    /// Marginal ones, which hold on average over calibrations.
    Marginal,
}

impl PValues {
    /// Their scope, as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Conditional => "for this calibration",
            Self::Marginal => "on average over calibrations",
        }
    }
}

/// Treatment of a peer as far above every held-out row as the calibration can tell, where it has
/// too few rows to support the configured rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsupported {
    /// Report it, and refuse to act.
    #[default]
    Refuse,
    /// Treat it as any other anomalous peer, claiming no rate.
    Act,
}

/// Reaction to traffic that is no longer as in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// Report anomalies, and block nobody.
    #[default]
    Suspend,
    /// Say so, and go on.
    Report,
}
