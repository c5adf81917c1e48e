//! Channel: what one detector measures.

use std::fmt;
use std::str::FromStr;

use features::{Horizon, Kind};
use serde::{Serialize, Serializer};
use thiserror::Error;

/// Rows of one kind over one horizon, which one detector measures: `peer-10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// What the rows are about; a kind that is scored.
    pub kind: Kind,
    /// The time that each covers.
    pub horizon: Horizon,
}

impl Serialize for Channel {
    /// As its text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that names no channel.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{got}` names no rows: give a kind and a horizon such as peer-10s")]
pub struct ChannelError {
    /// The text.
    pub got: String,
}

impl Channel {
    /// Channel of a kind and a horizon.
    #[must_use]
    pub const fn new(kind: Kind, horizon: Horizon) -> Self {
        Self { kind, horizon }
    }

    /// Name of its rows, for people: `peers over 10s`.
    #[must_use]
    pub fn rows(&self) -> String {
        format!("{}s over {}", self.kind, self.horizon)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.kind, self.horizon))
    }
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ChannelError { got: text.to_owned() };
        let (kind, horizon) = text.split_once('-').ok_or_else(refused)?;
        let kind = Kind::from_name(kind).filter(|kind| kind.is_scored()).ok_or_else(refused)?;
        Ok(Self { kind, horizon: horizon.parse().map_err(|_| refused())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_reads_back_as_it_is_written_and_flows_have_none() {
        for text in ["peer-1s", "net-600s", "host-100ms"] {
            assert_eq!(text.parse::<Channel>().map(|one| one.to_string()).as_deref(), Ok(text));
        }
        for text in ["peer", "peer-", "flow-1s", "peer-0s", "peers-1s"] {
            assert_eq!(text.parse::<Channel>(), Err(ChannelError { got: text.to_owned() }));
        }
        assert_eq!(Channel::new(Kind::Peer, Horizon::from_ms(10_000)).rows(), "peers over 10s");
    }
}
