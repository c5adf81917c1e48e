//! `[policy]`: as written ([`PolicyConfig`]), and checked once ([`ValidPolicy`]).
//!
//! The section holds what a person answers from knowing the network and the errors it can bear;
//! `[policy.expert]` holds what takes the statistics of docs/decisions.md or an experiment.

mod bound;
mod expert;
mod prefix;
mod section;

use std::{ops::Deref, path::PathBuf, time::Duration};

pub use events::Mode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::statistics::{Frequency, OnDrift, Share, Unsupported, frequency_or_none};

pub use bound::BoundError;
pub use expert::{ALERT_SURPRISE, ExpertConfig, MovedKey};
pub(crate) use section::section;

/// The treatment of a source that may be spoofed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unverified {
    /// Limit its rate: a third party whose address was forged keeps a trickle.
    #[default]
    RateLimit,
    /// Drop all of it.
    Drop,
    /// Do nothing.
    Refuse,
}

/// The treatment of a peer that the host opened flows to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocallyInitiated {
    /// Report it: a block would cut off the answers to what the host asked for.
    #[default]
    Refuse,
    /// Treat it like any other.
    Act,
}

/// The network that a remote host of IPv6 takes its addresses of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ipv6Hosts {
    /// A /64.
    #[default]
    #[serde(rename = "/64")]
    Net64,
    /// A /56: where that is what each customer of the networks around is given.
    #[serde(rename = "/56")]
    Net56,
    /// A /48.
    #[serde(rename = "/48")]
    Net48,
    /// A /64; where several of a /56, and then of a /48, were blocked, that.
    #[serde(rename = "widening")]
    Widening,
}

impl Ipv6Hosts {
    /// Length that evidence is gathered by.
    #[must_use]
    pub const fn length(self) -> u8 {
        match self {
            Self::Net64 | Self::Widening => 64,
            Self::Net56 => 56,
            Self::Net48 => 48,
        }
    }
}

section! {
    /// `[policy]` as written; unknown keys are errors.
    PolicyConfig {
        /// The most that may be done about an anomaly.
        mode: Mode = Mode::Observe,
        /// Share of the peers called anomalous that may be benign: `"1 in 10"`, `"1 %"` or `0.01`.
        wrong_blocks: Share = Share::TENTH,
        /// Benign peers that may be called anomalous at this traffic: `"1 a day"`, `"2 per week"`;
        /// `"none"` sets no bound.
        #[serde(with = "frequency_or_none")]
        false_alarms: Option<Frequency> = None,
        /// Treatment of a peer beyond every held-out row where those are too few for the rates.
        unsupported: Unsupported = Unsupported::Refuse,
        /// Reaction to traffic that is no longer as in training.
        drift: OnDrift = OnDrift::Suspend,
        /// Length of a first block.
        #[serde(with = "humantime_serde")]
        ttl: Duration = Duration::from_mins(5),
        /// Longest length of a repeated block; each one doubles.
        #[serde(with = "humantime_serde")]
        max_ttl: Duration = Duration::from_hours(24),
        /// Blocks that may be active at once.
        max_blocks: u32 = 1_000,
        /// Treatment of a source that may be spoofed.
        unverified: Unverified = Unverified::RateLimit,
        /// Treatment of a peer that this host opened flows to.
        locally_initiated: LocallyInitiated = LocallyInitiated::Refuse,
        /// The network that a remote host of IPv6 takes its addresses of, by which evidence, history
        /// and blocks go: `"/64"`, `"/56"`, `"/48"`, or `"widening"`, from the first to the others on
        /// repetition. A change of the length takes a restart.
        ipv6_hosts: Ipv6Hosts = Ipv6Hosts::Net64,
        /// Packets a second that a service under a flood from forged sources takes from unproven
        /// sources together; 0 limits none.
        service_limit_pps: u32 = 500,
        /// Addresses and prefixes that are never blocked.
        #[serde(deserialize_with = "prefix::deserialize_all")]
        allow: Vec<IpNet> = Vec::new(),
        /// Files of addresses and prefixes that are never blocked, one a line, `#` begins a comment;
        /// read at start and by `weir reload`.
        allow_files: Vec<PathBuf> = Vec::new(),
        /// `[policy.expert]`
        expert: ExpertConfig = ExpertConfig::default(),
    }
}

impl PolicyConfig {
    /// Checks every bound; `block_capacity` is the number of addresses that the kernel's table
    /// holds.
    ///
    /// # Errors
    /// The first value out of bounds, with the bound.
    pub fn check(self, block_capacity: u32) -> Result<ValidPolicy, BoundError> {
        let month = Duration::from_hours(24 * 30);
        BoundError::check("policy.ttl", self.ttl, Duration::from_secs(1), month)?;
        let year = Duration::from_hours(24 * 365);
        BoundError::check("policy.max_ttl", self.max_ttl, self.ttl, year)?;
        if self.max_blocks > block_capacity {
            let most = format!("at most `tables.blocks` ({block_capacity})");
            return Err(BoundError::new("policy.max_blocks", most, self.max_blocks));
        }
        self.expert.check()?;
        Ok(ValidPolicy(self))
    }
}

/// A [`PolicyConfig`] whose every value is within its bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidPolicy(PolicyConfig);

impl Deref for ValidPolicy {
    type Target = PolicyConfig;

    fn deref(&self) -> &PolicyConfig {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PolicyConfig, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_and_prefixes_are_read_and_anything_else_is_named() {
        let config = read(r#"{"allow": ["192.0.2.1", "2001:db8::/32"]}"#).expect("valid");
        let expected: [IpNet; 2] =
            ["192.0.2.1/32", "2001:db8::/32"].map(|net| net.parse().expect("a prefix"));
        assert_eq!(config.allow, expected);
        let error = read(r#"{"allow": ["192.0.2.300"]}"#).expect_err("no address");
        assert!(error.contains("`192.0.2.300` is neither an address nor a prefix"), "{error}");
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_its_place_and_bound() {
        type Change = fn(&mut PolicyConfig);
        let cases: [(Change, &str); 5] = [
            (|c| c.ttl = Duration::ZERO, "`policy.ttl` must be between 1s and 30days"),
            (
                |c| c.max_blocks = 8,
                "`policy.max_blocks` must be at most `tables.blocks` (7), got 8",
            ),
            (
                |c| c.expert.windows = 4,
                "`policy.expert.windows` must be between 1 and `policy.expert.of_windows` (3), got 4",
            ),
            (
                |c| c.expert.act_surprise = 2.5,
                "`policy.expert.act_surprise` must be at least `policy.expert.alert_surprise` (3) and \
                 at most 300, got 2.5",
            ),
            (
                |c| c.expert.early_release = f64::NAN,
                "`policy.expert.early_release` must be between 0 and 1, got NaN",
            ),
        ];
        for (change, expect) in cases {
            let mut config = PolicyConfig { max_blocks: 7, ..PolicyConfig::default() };
            change(&mut config);
            let error = config.check(7).expect_err(expect).to_string();
            assert!(error.starts_with(expect), "{error}");
        }
    }
}
