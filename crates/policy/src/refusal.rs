//! Why nothing is done about an anomalous peer.

use serde::{Deserialize, Serialize};

/// Declares the refusals once: variant, what the documentation says, and the person's text.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why an anomalous peer is not acted on.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Refusal {
            $($(#[$doc])* $name,)*
        }

        impl Refusal {
            /// All of them, in the order in which the guards are asked.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The reason as a person reads it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

refusals! {
    /// Anomalous, but not by enough to act on.
    BelowMargin = "anomalous, but not by enough to act on",
    /// weir has just started, and everything is new to it.
    WarmingUp = "weir has just started, and everything is new to it",
    /// The address is one of the host's own.
    OwnAddress = "one of this host's own addresses",
    /// The address is no host that could be blocked: this network, link-local, multicast, broadcast,
    /// loopback or unspecified. Neighbour discovery lives there.
    NoHost = "no host's address (link-local, multicast, broadcast, loopback or unspecified)",
    /// An allowed prefix holds it: of the configuration, of a file, or a person's.
    Allowed = "on the allowlist",
    /// It is the next hop of a route: without it nothing leaves this network.
    Gateway = "a gateway of this host",
    /// It is one of the host's name servers.
    Resolver = "a name server of this host",
    /// It administers this host: a client of the API, a remote log-in.
    Administrator = "administers this host now",
    /// A person took a block of it back not long ago.
    Grace = "unblocked by a person lately (policy.grace)",
    /// The host opened flows to it: a block would cut off the answers.
    LocallyInitiated = "this host opened flows to it",
    /// Too many unverified sources at once: their addresses are likely forged.
    ForgedSources = "one of many unverified sources at once: likely forged",
    /// Its address may be forged, and the configuration refuses such.
    Unverified = "unverified source, and policy.unverified = refuse",
    /// The machine was suspended during the window, or it is several windows long.
    Interrupted = "the machine slept through a part of the window",
    /// The traffic is no longer what the model learnt.
    Drifting = "the traffic has drifted away from the training",
    /// The calibration has too few rows to support the configured rates.
    RateUnsupported = "too few held-out rows for the configured error rate",
    /// The window lost flows, and the evidence is not decisive without them.
    LossyWindow = "the window lost flows",
    /// Not enough anomalous windows yet.
    TooFewWindows = "not anomalous in enough windows yet",
    /// Too few packets to go by.
    TooFewPackets = "too few packets to go by",
    /// As many blocks stand as may.
    MaxBlocks = "policy.max_blocks blocks stand",
    /// As many blocks were made in the last minute as may be.
    BlocksPerMinute = "policy.max_blocks_per_minute blocks were made in the last minute",
    /// Blocks would hit too large a share of the ordinary peers; the breaker opened.
    ShareOfPeers = "blocks would hit too many ordinary peers; the breaker is open",
    /// Blocks would hit too large a share of the ordinary bytes; the breaker opened.
    ShareOfBytes = "blocks would hit too much ordinary traffic; the breaker is open",
}
