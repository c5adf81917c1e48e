//! Alerts: news of incidents, whatever they are about, as people and programs are told.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ActionTaken, DecisionRecord, Incident, OutageEvent, ServiceEvent, Site, SiteEvent};

/// News of an incident: of a remote, as the record of the decision; of this host's own side, as the
/// event, with its kind as `event`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Alert {
    /// Of this host's own side.
    Own(OwnAlert),
    /// Of a remote.
    Remote(Box<DecisionRecord>),
}

/// News of this host's own side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum OwnAlert {
    /// A service is under a flood of unproven sources.
    Service(ServiceEvent),
    /// A service fails its clients.
    Outage(OutageEvent),
    /// An address, a service or all of it is unusual.
    Site(SiteEvent),
}

impl OwnAlert {
    /// Its number; those of decisions are of the same row.
    #[must_use]
    pub const fn id(&self) -> u64 {
        match self {
            Self::Service(event) => event.id,
            Self::Outage(event) => event.id,
            Self::Site(event) => event.id,
        }
    }

    /// When it was told.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        match self {
            Self::Service(event) => event.time,
            Self::Outage(event) => event.time,
            Self::Site(event) => event.time,
        }
    }

    /// Number of the window.
    #[must_use]
    pub const fn window(&self) -> u64 {
        match self {
            Self::Service(event) => event.window,
            Self::Outage(event) => event.window,
            Self::Site(event) => event.window,
        }
    }

    /// Incident that it belongs to.
    #[must_use]
    pub const fn incident(&self) -> Option<Incident> {
        match self {
            Self::Service(event) => event.incident,
            Self::Outage(event) => event.incident,
            Self::Site(event) => event.incident,
        }
    }

    /// The part of this host's side.
    #[must_use]
    pub const fn site(&self) -> Site {
        match self {
            Self::Service(event) => Site::Service(event.limit.service),
            Self::Outage(event) => Site::Service(event.outage.service),
            Self::Site(event) => event.site,
        }
    }

    /// What it is called among the acts of the ledger.
    #[must_use]
    pub const fn act(&self) -> &'static str {
        match self {
            Self::Service(_) => "limit",
            Self::Outage(_) => "outage",
            Self::Site(_) => "alarm",
        }
    }
}

impl Alert {
    /// Its number; later ones are higher.
    #[must_use]
    pub fn id(&self) -> u64 {
        match self {
            Self::Own(own) => own.id(),
            Self::Remote(record) => record.id,
        }
    }

    /// When it was told.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Own(own) => own.time(),
            Self::Remote(record) => record.time,
        }
    }

    /// Incident that it belongs to.
    #[must_use]
    pub fn incident(&self) -> Option<Incident> {
        match self {
            Self::Own(own) => own.incident(),
            Self::Remote(record) => record.incident,
        }
    }

    /// Answer; to what this host's own side does there is none.
    #[must_use]
    pub fn outcome(&self) -> ActionTaken {
        match self {
            Self::Own(OwnAlert::Service(event)) => event.outcome,
            Self::Own(_) => ActionTaken::Refused,
            Self::Remote(record) => record.outcome,
        }
    }

    /// The record of the decision, of a remote.
    #[must_use]
    pub fn decision(&self) -> Option<&DecisionRecord> {
        match self {
            Self::Own(_) => None,
            Self::Remote(record) => Some(record),
        }
    }

    /// The address that it is about: of a remote, or of this host.
    #[must_use]
    pub fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Own(own) => match own.site() {
                Site::Host(address) => Some(address),
                Site::Service(_) | Site::Net => None,
            },
            Self::Remote(record) => Some(record.peer()),
        }
    }
}

impl From<DecisionRecord> for Alert {
    fn from(record: DecisionRecord) -> Self {
        Self::Remote(Box::new(record))
    }
}
