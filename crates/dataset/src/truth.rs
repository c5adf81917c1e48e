//! Ground truth: intervals of traffic with their class.
//!
//! # What it says
//!
//! A list of [`Interval`]s, each a time range with addresses, ports and a protocol, of which any
//! may be left open, and the class of what matches; and what everything else is ([`Rest`]).
//!
//! A flow row is of an interval when its window overlaps the interval and its addresses, ports and
//! protocol match. The first interval in the list that matches gives the label, so that the
//! special goes before the general. A `benign` interval labels what it matches benign.
//!
//! A peer row has a remote address and no ports. It is of an interval when its window overlaps and
//! its address matches the interval's remotes; attacks go before benign intervals, for one packet
//! of an attack makes its peer an attacker. An interval that names no remote (a flood whose
//! sources nobody knows) labels the peers of the flows that it labels.
//!
//! # CSV
//!
//! The first line names the columns, in any order; `class` must be there, others may be left out.
//! Empty fields are open. Lines that begin with `#` are left out.
//!
//! | column | |
//! |---|---|
//! | `from`, `to` | when: RFC 3339 (`2026-11-22T21:00:00.5Z`) or unix seconds (`1795384800.5`) |
//! | `remote`, `local` | addresses or prefixes, apart by spaces |
//! | `remote_port`, `local_port` | a port, or a range such as `1-1024` |
//! | `protocol` | `tcp`, `udp`, `icmp`, `icmpv6`, `sctp` or a number |
//! | `class` | what it is, such as `syn_scan`; or `benign` |
//! | `name` | which attack it is, to tell it from others of its class |
//!
//! # TOML
//!
//! The same names, in one `[[interval]]` each; addresses may be a list, times also TOML's own.
//!
//! ```toml
//! rest = "benign" # or "unlabelled", which it is when nothing is said
//!
//! [[interval]]
//! from = 2026-11-22T21:00:00Z
//! to = 2026-11-22T21:05:00Z
//! remote = ["203.0.113.0/25", "198.51.100.7"]
//! local_port = 80
//! protocol = "tcp"
//! class = "slow_http"
//! ```

mod active;
mod csv;
mod entry;
mod errors;
mod toml;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use ipnet::IpNet;

pub use errors::TruthError;

pub use active::Active;
pub(crate) use active::FlowEnds;

/// Intervals a truth may have; every window looks at all of them.
const MAX_INTERVALS: usize = 1 << 20;
/// Bytes a truth's file may have.
const MAX_BYTES: u64 = 256 << 20;

/// Intervals of what happened: the truth about a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    /// In the order of their precedence.
    pub intervals: Vec<Interval>,
    /// Label of the rows that match none of them.
    pub rest: Rest,
}

/// Label of the rows that match no interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Unknown: no label.
    #[default]
    Unlabelled,
    /// The truth lists every attack, so they are benign.
    Benign,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// From then on, in ns of unix time; `i64::MIN` for ever before.
    pub from_ns: i64,
    /// To then, included, in ns of unix time; `i64::MAX` for ever after.
    pub to_ns: i64,
    /// The remotes; any where there are none.
    pub remote: Vec<IpNet>,
    /// The local addresses; any where there are none.
    pub local: Vec<IpNet>,
    /// The remote ports.
    pub remote_ports: RangeInclusive<u16>,
    /// The local ports.
    pub local_ports: RangeInclusive<u16>,
    /// The IP protocol number.
    pub protocol: Option<u8>,
    /// Class: [`BENIGN`](crate::BENIGN), or an attack's.
    pub class: String,
    /// Name of the attack.
    pub name: Option<String>,
}

impl Truth {
    /// The single remotes that intervals name, an address or a /64 of IPv6 each; true for those of any
    /// attack.
    #[must_use]
    pub fn remotes(&self) -> BTreeMap<IpNet, bool> {
        let is_one = |net: &&IpNet| match net {
            IpNet::V4(v4) => v4.prefix_len() == 32,
            IpNet::V6(v6) => v6.prefix_len() >= 64,
        };
        let mut remotes = BTreeMap::new();
        for interval in &self.intervals {
            for net in interval.remote.iter().filter(is_one) {
                *remotes.entry(*net).or_default() |= interval.is_attack();
            }
        }
        remotes
    }
}

impl Interval {
    /// Something at any time, between any, of a class.
    #[must_use]
    pub fn of_class(class: impl Into<String>) -> Self {
        Self {
            from_ns: i64::MIN,
            to_ns: i64::MAX,
            remote: Vec::new(),
            local: Vec::new(),
            remote_ports: 0..=u16::MAX,
            local_ports: 0..=u16::MAX,
            protocol: None,
            class: class.into(),
            name: None,
        }
    }

    /// True of an attack, false of benign traffic.
    #[must_use]
    pub fn is_attack(&self) -> bool {
        self.class != crate::BENIGN
    }

    /// Its name where it has one, else its class.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.class)
    }
}

impl Truth {
    /// Reads a CSV or TOML file, told apart by its name's end.
    pub fn read(path: &Path) -> Result<Self, TruthError> {
        let failed = |source| TruthError::Io { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        if bytes > MAX_BYTES {
            return Err(TruthError::Large { path: path.to_owned(), bytes, limit: MAX_BYTES });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        match path.extension().and_then(|end| end.to_str()) {
            Some("csv") => Self::from_csv(path, &text),
            Some("toml") => Self::from_toml(path, &text),
            _ => Err(TruthError::Kind { path: path.to_owned() }),
        }
    }

    /// Reads CSV; `path` is for the errors.
    pub fn from_csv(path: &Path, text: &str) -> Result<Self, TruthError> {
        csv::read(path, text)
    }

    /// Reads TOML; `path` is for the errors.
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, TruthError> {
        toml::read(path, text)
    }
}
