//! Services, and what is the matter with them.

use std::net::IpAddr;

use events::{Service, word_set};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Check, Refused};

/// The longest maintenance, in seconds: a day.
const LONGEST_S: u64 = 86_400;

/// Says that a service, or all of them, will fail for a while: nobody is blocked for what it does
/// to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceRequest {
    /// The service; without it all that this node saw serve anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Seconds from now on; 0 ends it.
    pub for_s: u64,
}

impl Check for MaintenanceRequest {
    fn check(&self) -> Result<(), Refused> {
        if self.for_s <= LONGEST_S {
            return Ok(());
        }
        let text = format!("`for_s` must be at most {LONGEST_S} (a day), got {}", self.for_s);
        Err(Refused::invalid(text))
    }
}

word_set! {
    /// What is the matter with a service, or with another part of this host's own side.
    #[derive(ToSchema)]
    Condition {
        /// It is under a flood of unproven sources, which share a rate.
        Limited = "limited",
        /// It fails its clients.
        Outage = "outage",
        /// A person said that it would fail.
        Maintenance = "maintenance",
        /// It is unusual: an address of this host that scans, a service that is worn down.
        Alarm = "alarm",
    }
}

/// A service, or another part of this host's own side, that something is the matter with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceState {
    /// The service; none for all of them, or where it is no service's matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The address of this host that it is about; with neither it is about all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub host: Option<IpAddr>,
    /// The matter.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
    /// Until when, if it does not go on.
    pub until: Timestamp,
    /// Number of its incident, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// Remotes that had part in it in its last window: sources of a flood, clients that were failed.
    pub remotes: u64,
    /// Packets of a flood, flows that were failed, in its last window.
    pub count: u64,
    /// Packets a second that are left to unproven sources together, where it is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pps: Option<u64>,
    /// What the kernel does about it, where it is limited; the person who said so; or what is unusual
    /// most of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Services under maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    /// Each of them.
    pub services: Vec<ServiceState>,
}
