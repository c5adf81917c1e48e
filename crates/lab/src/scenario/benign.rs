//! Benign traffic of a scenario.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::raw::{duration, within};
use crate::Family;

/// A kind of benign traffic, by some clients, for some of the time.
#[derive(Clone, Debug, PartialEq)]
pub struct Benign {
    /// Kind of traffic, with its parameters.
    pub does: BenignPlan,
    /// Clients that take part.
    pub clients: Clients,
    /// Over which families; each client does it once per family, each with its own address.
    pub families: Vec<Family>,
    /// Start, counted from the start of the traffic.
    pub start: Duration,
    /// Duration; without one it goes on until the traffic is stopped.
    pub duration: Option<Duration>,
}

/// Selection of benign clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clients {
    /// All there are.
    All,
    /// Those of these indices.
    Some(Vec<usize>),
}

impl Clients {
    /// True where the client of this index takes part.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(indices) => indices.contains(&index),
        }
    }
}

/// The kinds of benign traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BenignKind {
    /// Sessions of requests and responses with think times.
    Web,
    /// A datagram asked, a datagram answered.
    Dns,
    /// Large transfers at a bounded rate, in both directions in turn.
    Bulk,
    /// Keystrokes and their echoes in a long-lived connection.
    Interactive,
    /// Reports of the protected host to a client's collector, on its own initiative.
    Telemetry,
}

impl BenignKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Web, Self::Dns, Self::Bulk, Self::Interactive, Self::Telemetry];

    /// The name used in scenarios and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Dns => "dns",
            Self::Bulk => "bulk",
            Self::Interactive => "interactive",
            Self::Telemetry => "telemetry",
        }
    }
}

/// A kind of benign traffic with its measures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BenignPlan {
    /// Connections of a few requests each; response sizes are heavy-tailed (Pareto, shape 1.2).
    Web {
        /// 80, or 443 for one that starts with a TLS-like exchange.
        #[serde(default = "http")]
        port: u16,
        /// Mean think time between two requests (exponential).
        #[serde(with = "duration", default = "third_of_a_second")]
        pause: Duration,
    },
    /// Queries to port 53, each from a fresh port.
    Dns {
        /// Mean time between two queries (exponential).
        #[serde(with = "duration", default = "half_a_second")]
        pause: Duration,
    },
    /// An upload, then a download, and so on.
    Bulk {
        /// Mean bytes of a transfer (exponential).
        #[serde(default = "half_a_megabyte")]
        bytes: u64,
        /// The rate a transfer is held to.
        #[serde(default = "quarter_of_a_megabyte")]
        bytes_per_second: u64,
        /// Mean pause between two transfers (exponential).
        #[serde(with = "duration", default = "two_seconds")]
        pause: Duration,
    },
    /// A session on port 22 that stays open.
    Interactive {
        /// Mean time between two keystrokes (exponential).
        #[serde(with = "duration", default = "third_of_a_second")]
        pause: Duration,
    },
    /// Reports to the client's port 4317.
    Telemetry {
        /// Time between two reports, give or take a tenth.
        #[serde(with = "duration", default = "two_seconds")]
        period: Duration,
    },
}

impl BenignPlan {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> BenignKind {
        match self {
            Self::Web { .. } => BenignKind::Web,
            Self::Dns { .. } => BenignKind::Dns,
            Self::Bulk { .. } => BenignKind::Bulk,
            Self::Interactive { .. } => BenignKind::Interactive,
            Self::Telemetry { .. } => BenignKind::Telemetry,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match *self {
            Self::Web { port, pause } => {
                if !matches!(port, 80 | 443) {
                    return Err(format!("`port` of web traffic must be 80 or 443, got {port}"));
                }
                check_pause("pause", pause)
            }
            Self::Dns { pause } | Self::Interactive { pause } => check_pause("pause", pause),
            Self::Telemetry { period } => check_pause("period", period),
            Self::Bulk { bytes, bytes_per_second, pause } => {
                within("bytes", bytes, 1_000, 1_000_000_000)?;
                within("bytes_per_second", bytes_per_second, 1_000, 20_000_000)?;
                check_pause("pause", pause)
            }
        }
    }
}

fn check_pause(name: &str, pause: Duration) -> Result<(), String> {
    let bounds = Duration::from_millis(1)..=Duration::from_mins(10);
    if bounds.contains(&pause) {
        Ok(())
    } else {
        Err(format!("`{name}` must be 1ms to 10m, got {}", humantime::format_duration(pause)))
    }
}

fn http() -> u16 {
    80
}

fn third_of_a_second() -> Duration {
    Duration::from_millis(350)
}

fn half_a_second() -> Duration {
    Duration::from_millis(500)
}

fn two_seconds() -> Duration {
    Duration::from_secs(2)
}

fn half_a_megabyte() -> u64 {
    500_000
}

fn quarter_of_a_megabyte() -> u64 {
    250_000
}
