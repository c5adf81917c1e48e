//! Refusals: reasons for which nothing is done about an anomalous peer.

use crate::words::words;

/// Declares the refusals once: variant, word, what the documentation says, and the person's text.
macro_rules! refusals {
    ($($(#[$meta:meta])* $variant:ident = $word:tt: $text:literal,)*) => {
        words! {
            /// Reason for which an anomalous peer is not acted on, in the order in which the guards
            /// are asked.
            Refusal {
                $($(#[$meta])* $variant = $word,)*
            }
        }

        impl Refusal {
            /// The reason as a person reads it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

refusals! {
    /// Anomalous, but not by enough to act on.
    BelowMargin = "below_margin":
        "anomalous, but not by enough to act on",
    /// A start a moment ago: everything is new to weir.
    WarmingUp = "warming_up":
        "weir has just started, and everything is new to it",
    /// The address is one of the host's own.
    OwnAddress = "own_address":
        "one of this host's own addresses",
    /// The address is no host that could be blocked: this network, link-local, multicast, broadcast,
    /// loopback or unspecified. Neighbour discovery lives there.
    NoHost = "no_host":
        "no host's address (link-local, multicast, broadcast, loopback or unspecified)",
    /// An allowed prefix holds it: of the configuration, of a file, or a person's.
    Allowed = "allowed":
        "on the allowlist",
    /// The next hop of a route: without it nothing leaves this network.
    Gateway = "gateway":
        "a gateway of this host",
    /// A name server of the host.
    Resolver = "resolver":
        "a name server of this host",
    /// An administrator of this host: a client of the API, a remote log-in.
    Administrator = "administrator":
        "administers this host now",
    /// A person took a block of it back not long ago.
    Grace = "grace":
        "unblocked by a person lately (policy.expert.grace)",
    /// A person said that its service would fail, and it was ordinary before.
    Maintenance = "maintenance":
        "its service is under maintenance (`weir maintenance`)",
    /// It was ordinary before, and most of its service's ordinary peers stand out with it.
    ServiceOutage = "service_outage":
        "most ordinary peers of its service stand out at once: the service's own trouble",
    /// The host opened flows to it: a block would cut off the answers.
    LocallyInitiated = "locally_initiated":
        "this host opened flows to it",
    /// Too many unverified sources at once: their addresses are likely forged. The limit of what they
    /// come for, a service or all closed ports, holds them together.
    ForgedSources = "forged_sources":
        "one of many unverified sources at once: likely forged",
    /// An address that may be forged, where the configuration refuses such.
    Unverified = "unverified":
        "unverified source, and policy.unverified = refuse",
    /// The machine was suspended during the window, or it is several windows long.
    Interrupted = "interrupted":
        "the machine slept through a part of the window",
    /// Traffic that is no longer as in training.
    Drifting = "drifting":
        "the traffic has drifted away from the training",
    /// The calibration has too few rows to support the configured rates.
    RateUnsupported = "rate_unsupported":
        "too few held-out rows for the configured error rate",
    /// The window lost flows, and the evidence is not decisive without them; or packets crossed an
    /// interface unseen.
    LossyWindow = "lossy_window":
        "the window lost flows",
    /// The leading features tell only that it is new or that it moves much, and not decisively.
    NewOrLarge = "new_or_large":
        "new here, or a large transfer, and not odd by anything else",
    /// Not enough anomalous windows yet.
    TooFewWindows = "too_few_windows":
        "not anomalous in enough windows yet",
    /// Too few packets.
    TooFewPackets = "too_few_packets":
        "too few packets to go by",
    /// The limit of active blocks.
    MaxBlocks = "max_blocks":
        "policy.max_blocks blocks stand",
    /// The limit of blocks in a minute.
    BlocksPerMinute = "blocks_per_minute":
        "policy.expert.max_blocks_per_minute blocks were made in the last minute",
    /// Blocks would hit too large a share of the ordinary peers.
    ShareOfPeers = "share_of_peers":
        "blocks would hit too many ordinary peers",
    /// Blocks would hit too large a share of the ordinary bytes.
    ShareOfBytes = "share_of_bytes":
        "blocks would hit too much ordinary traffic",
    /// A guard that this version has no name for: the record is another version's.
    #[serde(other)]
    Unknown = "unknown":
        "a guard that this version of weir does not know",
}
