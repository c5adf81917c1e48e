//! Choices of a configuration about the rates.

use serde::{Deserialize, Serialize};

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
