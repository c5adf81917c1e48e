//! Incidents: all that is seen of one entity without a long pause, and how it goes on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Prefix, Service, Site, Standing, words::words};

words! {
    /// Change of an incident that people are told of.
    Change {
        /// Its first anomalous window.
        Opened = "opened",
        /// A stronger answer than before, or a new block.
        Escalated = "escalated",
        /// It goes on: ten, a hundred, a thousand windows.
        Updated = "updated",
        /// Nothing was seen of it for ten minutes, and nothing holds it back.
        Closed = "closed",
    }
}

/// Subject of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// A remote host, in one standing: what others forge in its name is an incident of its own.
    Remote {
        /// Its address, or in IPv6 the /64 that it takes addresses of.
        host: Prefix,
        /// Whose packets these are.
        standing: Standing,
    },
    /// A service of this host, under a flood of unproven sources.
    Service(Service),
    /// A service of this host that fails its clients.
    Outage(Service),
    /// A part of this host's own side that is unusual.
    Site(Site),
}

impl Entity {
    /// Names of what incidents are about, in the order of [`Self::kind`].
    pub const KINDS: [&str; 4] = ["remote", "service", "outage", "site"];

    /// What it is: one of [`Self::KINDS`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Remote { .. } => Self::KINDS[0],
            Self::Service(_) => Self::KINDS[1],
            Self::Outage(_) => Self::KINDS[2],
            Self::Site(_) => Self::KINDS[3],
        }
    }
}

/// State of an incident as of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Incident {
    /// Number of the decision that opened it.
    pub id: u64,
    /// Change with this window; none where it only goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Time at which it was opened.
    pub opened: Timestamp,
    /// Anomalous windows so far.
    pub windows: u64,
    /// Packets in them.
    pub packets: u64,
    /// Bytes in them, on the wire.
    pub bytes: u64,
    /// Blocks and limits made, in observe mode those that would have been.
    pub blocks: u32,
}

/// An incident that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedEvent {
    /// Number of the window at whose end it was closed.
    pub window: u64,
    /// End of that window, in ns of the windows' clock.
    pub at_ns: u64,
    /// Subject.
    #[serde(flatten)]
    pub entity: Entity,
    /// Its last state.
    pub incident: Incident,
}
