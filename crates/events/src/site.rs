//! Alarms on this host's own side: an address of it that scans, a service that many share in
//! wearing down. Nobody is blocked by them.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Incident, Reason, Service};

/// A part of this host's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Site {
    /// An address of it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "192.0.2.1"))]
    Host(IpAddr),
    /// A service of it, on whatever address.
    Service(Service),
    /// All of it.
    Net,
}

/// A part of this host's side was unusual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteEvent {
    /// Its number, of one row with those of decisions; 0 where it was not recorded.
    #[serde(default)]
    pub id: u64,
    /// Time of it: by the wall clock, in replay by the capture's.
    #[serde(default)]
    pub time: Timestamp,
    /// Number of the window.
    pub window: u64,
    /// End of the window, in ns of the boot clock.
    pub at_ns: u64,
    /// The part.
    pub site: Site,
    /// −log10 of the chance of its most surprising row.
    pub surprise: f64,
    /// Horizon of that row, in ms: the time that was unusual.
    pub horizon_ms: u32,
    /// Features that made it, the largest share first.
    pub reasons: Vec<Reason>,
    /// Incident that it belongs to, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
}

impl SiteEvent {
    /// True where people are to be told: it did not only go on.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.incident.is_none_or(|incident| incident.change.is_some())
    }
}

impl Site {
    /// What a person may do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Host(_) => "look at which process opens these flows (`ss -tunp`)",
            Self::Service(_) => "look at its log; a limit at the service itself is for it to set",
            Self::Net => "look at which address and process open these flows (`ss -tunp`)",
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => write!(f, "this host's {address}"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Net => write!(f, "this host's side"),
        }
    }
}
