//! Why nothing is done about an anomalous peer.

use serde::Serialize;

/// Why an anomalous peer is not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The address is one of the host's own.
    OwnAddress,
    /// The address is no host that could be blocked: link-local, multicast, broadcast, loopback or
    /// unspecified. Neighbour discovery lives there.
    NoHost,
    /// An allowed prefix holds it.
    Allowed,
    /// Anomalous, but not by enough to act on.
    BelowMargin,
    /// Not enough anomalous windows yet.
    TooFewWindows,
    /// Too few packets to go by.
    TooFewPackets,
    /// Too many unverified sources at once: their addresses are likely forged.
    ForgedSources,
    /// Its address may be forged, and the configuration refuses such.
    Unverified,
    /// As many blocks stand as may.
    MaxBlocks,
    /// The window lost flows, and the evidence is not decisive without them.
    LossyWindow,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::OwnAddress,
        Self::NoHost,
        Self::Allowed,
        Self::BelowMargin,
        Self::TooFewWindows,
        Self::TooFewPackets,
        Self::ForgedSources,
        Self::Unverified,
        Self::MaxBlocks,
        Self::LossyWindow,
    ];

    /// The reason as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OwnAddress => "one of this host's own addresses",
            Self::NoHost => "a link-local, multicast or broadcast address",
            Self::Allowed => "on the allowlist",
            Self::BelowMargin => "anomalous, but not by enough to act on",
            Self::TooFewWindows => "not anomalous in enough windows yet",
            Self::TooFewPackets => "too few packets to go by",
            Self::ForgedSources => "one of many unverified sources at once: likely forged",
            Self::Unverified => "unverified source, and policy.unverified = refuse",
            Self::MaxBlocks => "policy.max_blocks blocks stand",
            Self::LossyWindow => "the window lost flows",
        }
    }
}
