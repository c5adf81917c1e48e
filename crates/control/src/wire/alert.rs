//! Alerts: anomalous peers, and what was done about them.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Action, Check, Refused, page::check_limit};

/// What was done about an anomalous peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Observe mode: nothing, and this is what the policy would have done.
    WouldBlock,
    /// An entry that counts and passes.
    Shadowed,
    /// An entry that drops above a rate.
    RateLimited,
    /// An entry that drops.
    Blocked,
    /// A guard refused.
    Refused,
    /// The entry could not be made.
    Failed,
}

impl Outcome {
    /// The outcome as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::WouldBlock => "would block",
            Self::Shadowed => "shadowed",
            Self::RateLimited => "rate-limited",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Why a guard refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalText {
    /// For a program: `snake_case`, the same as in `refusals` of the status.
    pub code: String,
    /// For a person.
    pub text: String,
}

/// A feature that made the score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Whose feature: `peer` or `flow`.
    pub subject: String,
    /// The feature's name.
    pub feature: String,
    /// Its value.
    pub value: f64,
    /// The value's unit; empty for a share or a count.
    pub unit: String,
    /// The 1 % quantile among benign rows.
    pub benign_low: f64,
    /// The 99 % quantile among them.
    pub benign_high: f64,
    /// How much of the score it made, 0 to 1.
    pub share: f64,
}

/// An anomalous peer in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Its number in the ledger; later ones are higher.
    pub id: u64,
    /// When it was decided.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Number of the window.
    pub window: u64,
    /// The remote address.
    #[schema(value_type = String, example = "192.0.2.7")]
    pub peer: IpAddr,
    /// The chance of a score as high in a benign window.
    pub p_value: f64,
    /// The peer model's score, 0 to 1.
    pub peer_score: f64,
    /// The highest score among its flows, 0 to 1.
    pub flow_score: f64,
    /// How far the peer or its flows lie beyond the training range; 0 within it.
    pub novelty: f64,
    /// How far above the calibration's highest score, as a share of the way to 1.
    pub excess: f64,
    /// Packets from and to it in the window.
    pub packets: u64,
    /// The address is not forged: it completed handshakes.
    pub verified: bool,
    /// What was done.
    pub outcome: Outcome,
    /// Why a guard refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalText>,
    /// What the kernel does with its packets, where an entry was made or would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Seconds that the block lasts; 0 for none.
    pub ttl_s: u64,
    /// The features that made the score, the strongest first.
    pub reasons: Vec<Reason>,
}

/// Which alerts to list: the newest first, or with `after` the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertQuery {
    /// Only those with a higher number, the oldest first: to follow them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only those with a lower number: the last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Only those from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// Only those of this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    /// How many at the most, 1 to 1000; 100 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl Check for AlertQuery {
    fn check(&self) -> Result<(), Refused> {
        if self.after.is_some() && self.before.is_some() {
            return Err(Refused::invalid("`after` and `before` exclude each other"));
        }
        check_limit(self.limit)
    }
}
