//! How the rates are kept, as a configuration chooses it.

use serde::{Deserialize, Serialize};

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
