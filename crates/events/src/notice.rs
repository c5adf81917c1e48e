//! Notices: changes of the policy itself, for people to know.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Mode, Trip};

/// A change of the policy itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// Blocks would have hit too much ordinary traffic: the policy only shadows from here on.
    BreakerOpened {
        /// Cause.
        trip: Trip,
        /// Time at which it closes by itself, in ns of the boot clock; `None` waits for a person.
        rearms_ns: Option<u64>,
        /// Blocked peers, whose entries are to be turned to shadow.
        demoted: Vec<IpAddr>,
    },
    /// The breaker closed by itself: its time is over.
    BreakerClosed,
    /// Nobody confirmed the mode in time, and the policy fell back.
    FellBack {
        /// The mode it fell back from.
        from: Mode,
        /// Peers blocked meanwhile or before, whose entries are to be turned to shadow.
        demoted: Vec<IpAddr>,
    },
}
