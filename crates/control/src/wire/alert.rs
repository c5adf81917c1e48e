//! Alerts: news of incidents, of remotes and of this host's own side.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{Alert, Check, Refused, page::check_limit};

/// Filter of alerts: the newest first, or with `after` the oldest first.
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
    pub since: Option<Timestamp>,
    /// Only those of this address: of a remote, or of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    /// Limit of the page, 1 to 4096; 100 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl AlertQuery {
    /// True of an alert of this address and time.
    #[must_use]
    pub fn fits(&self, alert: &Alert) -> bool {
        self.since.is_none_or(|since| alert.time() >= since)
            && self.peer.is_none_or(|peer| alert.peer() == Some(peer.to_canonical()))
    }
}

impl Check for AlertQuery {
    fn check(&self) -> Result<(), Refused> {
        if self.after.is_some() && self.before.is_some() {
            return Err(Refused::invalid("`after` and `before` exclude each other"));
        }
        check_limit(self.limit)
    }
}
