//! How the rates are kept, as a configuration chooses it.

use serde::{Deserialize, Serialize};

/// What `policy.wrong_blocks` holds of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcedureChoice {
    /// Of each window by itself: [`PerWindow`](super::PerWindow).
    #[default]
    PerWindow,
    /// Of all windows that `policy.memory` spans: [`Online`](super::Online).
    Online,
}

/// Which p-values are decided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PValues {
    /// Those that hold for this model's calibration ([`model::PValue::conditional`]).
    #[default]
    Conditional,
    /// Those that hold on average over calibrations ([`model::PValue::marginal`]).
    Marginal,
}

impl PValues {
    /// As a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Conditional => "for this calibration",
            Self::Marginal => "on average over calibrations",
        }
    }
}

/// What is done about a peer as far above every held-out row as the calibration can tell, where
/// it has too few rows to support the configured rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsupported {
    /// Report it, and refuse to act.
    #[default]
    Refuse,
    /// Treat it as any other anomalous peer, claiming no rate.
    Act,
}

/// What is done while the traffic is no longer as it was in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// Report anomalies, and block nobody.
    #[default]
    Suspend,
    /// Say so, and go on.
    Report,
}
