//! Claims: the error rate of a decision.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Share, words::words};

words! {
    /// Scope of `policy.wrong_blocks`.
    #[derive(Default)]
    ProcedureChoice {
        /// Of each window by itself.
        #[default]
        PerWindow = "per-window",
        /// Of all windows that `policy.expert.memory` spans.
        Online = "online",
    }
}

words! {
    /// P-values that decide.
    #[derive(Default)]
    PValues {
        /// Those that hold for this model's calibration.
        #[default]
        Conditional = "conditional",
        /// Those that hold on average over calibrations.
        Marginal = "marginal",
    }
}

impl PValues {
    /// The verdict, as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Conditional => "for this calibration",
            Self::Marginal => "on average over calibrations",
        }
    }
}

/// Claim of a decision: at most this share of such decisions is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Claim {
    /// The configured rate.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "1 in 10"))]
    pub rate: Share,
    /// Scope of the rate.
    pub procedure: ProcedureChoice,
    /// P-values that decided.
    pub p_values: PValues,
    /// The peer's p-value.
    pub p_value: f64,
    /// Level that it must not exceed for the rate to hold.
    pub level: f64,
    /// Rows of the smallest of the calibrations; `None` where they are not known.
    pub held_out: Option<u64>,
    /// Rows with which a peer beyond all of them reaches the level.
    pub needed: u64,
    /// The p-value reaches the level, and no benign traffic of late contradicts the calibration:
    /// the rate may be claimed.
    pub supported: bool,
    /// Contradiction by benign traffic of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contradicted: Option<Contradiction>,
}

/// Contradiction of a calibration: more benign peers than chance explains have low p-values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Contradiction {
    /// Benign peers, of each one window, with a p-value at or below the level.
    pub low: u64,
    /// Benign peers in all.
    pub peers: u64,
    /// The level, and the share of benign peers that may be at or below it.
    pub level: f64,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, held_out, needed, .. } = self;
        if let Some(Contradiction { low, peers, level }) = self.contradicted {
            return write!(
                f,
                "{rate} withheld: {low} of {peers} benign peers of the last hour have p ≤ {level}; \
                 learn here"
            );
        }
        match (self.supported, held_out) {
            (true, Some(rows)) => write!(f, "{rate} wrong at most, by {rows} held-out rows"),
            (true, None) => write!(f, "{rate} wrong at most"),
            (false, Some(rows)) => {
                write!(f, "{rate} not supported: needs {needed} held-out rows, has {rows}")
            }
            (false, None) => write!(f, "{rate} not supported: needs {needed} held-out rows"),
        }
    }
}
