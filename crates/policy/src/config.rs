//! `[policy]` as written ([`RawPolicy`]) and as valid ([`PolicyConfig`]).

use std::{net::IpAddr, path::PathBuf, time::Duration};

pub use events::Mode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::statistics::{
    Frequency, OnDrift, PValues, ProcedureChoice, Share, Unsupported, frequency_or_none,
};

/// What is done about a source that may be spoofed.
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

/// What is done about a peer that the host opened flows to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocallyInitiated {
    /// Report it: a block would cut off the answers to what the host asked for.
    #[default]
    Refuse,
    /// Treat it like any other.
    Act,
}

/// How verdicts become blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPolicy {
    /// What may be done.
    pub mode: Mode,
    /// Share of the peers called anomalous that may be benign: `"1 in 10"`, `"1 %"` or `0.01`.
    pub wrong_blocks: Share,
    /// Benign peers that may be called anomalous at this traffic: `"1 a day"`, `"2 per week"`;
    /// `"none"` sets no bound.
    #[serde(with = "frequency_or_none")]
    pub false_alarms: Option<Frequency>,
    /// Whether `wrong_blocks` holds of each window by itself or over `memory`.
    pub procedure: ProcedureChoice,
    /// The span that the online procedure keeps the rate over.
    #[serde(with = "humantime_serde")]
    pub memory: Duration,
    /// Which p-values are decided by.
    pub p_values: PValues,
    /// What is done about a peer beyond every held-out row where those are too few for the rates.
    pub unsupported: Unsupported,
    /// What is done while the traffic is no longer as in training.
    pub drift: OnDrift,
    /// How far above the highest calibration score a peer must score to be reported, as a share
    /// of the way from there to 1.
    pub alert_margin: f64,
    /// How far above it a peer must score to be acted on, likewise.
    pub margin: f64,
    /// How far above it one window alone is enough, likewise.
    pub decisive_margin: f64,
    /// Anomalous windows needed...
    pub windows: u32,
    /// ...among this many.
    pub of_windows: u32,
    /// Packets from or to a peer in those windows, below which it is not acted on.
    pub min_packets: u64,
    /// How long a first block lasts.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// How long a repeated block lasts at most; each one doubles.
    #[serde(with = "humantime_serde")]
    pub max_ttl: Duration,
    /// Blocks that may stand at once.
    pub max_blocks: u32,
    /// What is done about a source that may be spoofed.
    pub unverified: Unverified,
    /// Packets per second left to a rate-limited source.
    pub rate_limit_pps: u32,
    /// New unverified anomalous sources in one window above which none of them is acted on: a
    /// flood with forged sources.
    pub max_unverified_sources: u32,
    /// Addresses and prefixes that are never blocked.
    pub allow: Vec<RawPrefix>,
    /// Files of addresses and prefixes that are never blocked, one a line, `#` begins a comment;
    /// read at start and by `weir reload`.
    pub allow_files: Vec<PathBuf>,
    /// What is done about a peer that this host opened flows to.
    pub locally_initiated: LocallyInitiated,
    /// Blocks that may be made in a minute.
    pub max_blocks_per_minute: u32,
    /// Share of the ordinary peers (seen before without standing out) that may be blocked at
    /// once; beyond it the breaker opens and weir only shadows.
    pub max_share_of_peers: f64,
    /// Share of the ordinary traffic's bytes that blocked peers may have carried, likewise.
    pub max_share_of_bytes: f64,
    /// How long the breaker stays open; 0s: until `weir rearm`.
    #[serde(with = "humantime_serde")]
    pub rearm_after: Duration,
    /// How long a peer is left alone after a person took its block back.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// Share of the blocks, drawn by lot, that end early, to see what the peer does then.
    pub early_release: f64,
    /// Sources a second without a completed handshake at one service, above which, and above ten
    /// times what the service ordinarily sees, it is under a flood from forged sources.
    pub flood_sources: u32,
    /// How long services are watched for what is ordinary before one can be limited.
    #[serde(with = "humantime_serde")]
    pub flood_baseline: Duration,
    /// Packets a second that such a service takes from unproven sources together; 0 limits none.
    pub service_limit_pps: u32,
    /// Seed of what is drawn by lot.
    pub seed: u64,
}

impl Default for RawPolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            wrong_blocks: Share::TENTH,
            false_alarms: None,
            procedure: ProcedureChoice::PerWindow,
            memory: Duration::from_mins(1),
            p_values: PValues::Conditional,
            unsupported: Unsupported::Refuse,
            drift: OnDrift::Suspend,
            alert_margin: 0.1,
            margin: 0.5,
            decisive_margin: 0.75,
            windows: 2,
            of_windows: 3,
            min_packets: 4,
            ttl: Duration::from_mins(5),
            max_ttl: Duration::from_hours(24),
            max_blocks: 1_000,
            unverified: Unverified::RateLimit,
            rate_limit_pps: 5,
            max_unverified_sources: 8,
            allow: Vec::new(),
            allow_files: Vec::new(),
            locally_initiated: LocallyInitiated::Refuse,
            max_blocks_per_minute: 60,
            max_share_of_peers: 0.25,
            max_share_of_bytes: 0.25,
            rearm_after: Duration::from_mins(15),
            grace: Duration::from_hours(1),
            early_release: 0.02,
            flood_sources: 200,
            flood_baseline: Duration::from_mins(1),
            service_limit_pps: 500,
            seed: 0,
        }
    }
}

/// An address or a prefix, as people write either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawPrefix {
    /// `192.0.2.0/24`
    Net(IpNet),
    /// `192.0.2.1`
    Address(IpAddr),
}

impl From<RawPrefix> for IpNet {
    fn from(raw: RawPrefix) -> Self {
        match raw {
            RawPrefix::Net(net) => net,
            RawPrefix::Address(address) => address.into(),
        }
    }
}

/// The valid form of `[policy]`; see [`RawPolicy`] for what each key means.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    /// What may be done.
    pub mode: Mode,
    /// Share of the peers called anomalous that may be benign.
    pub wrong_blocks: Share,
    /// Benign peers that may be called anomalous, if that is bounded.
    pub false_alarms: Option<Frequency>,
    /// What `wrong_blocks` holds of.
    pub procedure: ProcedureChoice,
    /// The span that the online procedure keeps the rate over.
    pub memory: Duration,
    /// Which p-values are decided by.
    pub p_values: PValues,
    /// What is done where the calibration is too small.
    pub unsupported: Unsupported,
    /// What is done while the traffic is no longer as in training.
    pub drift: OnDrift,
    /// Excess needed to be reported, in [0, 1).
    pub alert_margin: f64,
    /// Excess needed to be acted on, at least `alert_margin`.
    pub margin: f64,
    /// Excess at which one window is enough, at least `margin`.
    pub decisive_margin: f64,
    /// Anomalous windows needed, at least 1.
    pub windows: u32,
    /// Among this many, 64 at most.
    pub of_windows: u32,
    /// Packets needed in those windows.
    pub min_packets: u64,
    /// How long a first block lasts.
    pub ttl: Duration,
    /// How long any block lasts at most.
    pub max_ttl: Duration,
    /// Blocks that may stand at once.
    pub max_blocks: u32,
    /// What is done about a source that may be spoofed.
    pub unverified: Unverified,
    /// Packets per second left to a rate-limited source, at least 1.
    pub rate_limit_pps: u32,
    /// Unverified anomalous sources in one window above which none is acted on.
    pub max_unverified_sources: u32,
    /// Prefixes that are never blocked.
    pub allow: Vec<IpNet>,
    /// Files of such prefixes.
    pub allow_files: Vec<PathBuf>,
    /// What is done about a peer that the host opened flows to.
    pub locally_initiated: LocallyInitiated,
    /// Blocks that may be made in a minute.
    pub max_blocks_per_minute: u32,
    /// Share of the ordinary peers that may be blocked at once, in [0, 1].
    pub max_share_of_peers: f64,
    /// Share of the ordinary bytes that blocked peers may have carried, in [0, 1].
    pub max_share_of_bytes: f64,
    /// How long the breaker stays open; `None` until a person closes it.
    pub rearm_after: Option<Duration>,
    /// How long a peer is left alone after a person took its block back.
    pub grace: Duration,
    /// Share of the blocks that end early, in [0, 1].
    pub early_release: f64,
    /// Unproven sources a second at one service above which it may be limited.
    pub flood_sources: u32,
    /// How long services are watched before one can be limited.
    pub flood_baseline: Duration,
    /// Packets a second left to all unproven sources of a limited service; 0 limits none.
    pub service_limit_pps: u32,
    /// Seed of what is drawn by lot.
    pub seed: u64,
}

impl PolicyConfig {
    fn from_raw(raw: &RawPolicy) -> Self {
        Self {
            mode: raw.mode,
            wrong_blocks: raw.wrong_blocks,
            false_alarms: raw.false_alarms,
            procedure: raw.procedure,
            memory: raw.memory,
            p_values: raw.p_values,
            unsupported: raw.unsupported,
            drift: raw.drift,
            alert_margin: raw.alert_margin,
            margin: raw.margin,
            decisive_margin: raw.decisive_margin,
            windows: raw.windows,
            of_windows: raw.of_windows,
            min_packets: raw.min_packets,
            ttl: raw.ttl,
            max_ttl: raw.max_ttl,
            max_blocks: raw.max_blocks,
            unverified: raw.unverified,
            rate_limit_pps: raw.rate_limit_pps,
            max_unverified_sources: raw.max_unverified_sources,
            allow: raw.allow.iter().map(|&prefix| prefix.into()).collect(),
            allow_files: raw.allow_files.clone(),
            locally_initiated: raw.locally_initiated,
            max_blocks_per_minute: raw.max_blocks_per_minute,
            max_share_of_peers: raw.max_share_of_peers,
            max_share_of_bytes: raw.max_share_of_bytes,
            rearm_after: (!raw.rearm_after.is_zero()).then_some(raw.rearm_after),
            grace: raw.grace,
            early_release: raw.early_release,
            flood_sources: raw.flood_sources,
            flood_baseline: raw.flood_baseline,
            service_limit_pps: raw.service_limit_pps,
            seed: raw.seed,
        }
    }
}

/// A value of `[policy]` that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` must be {bound}, got {got}")]
pub struct BoundError {
    /// The key, as `policy.key`.
    pub key: &'static str,
    /// What it must be.
    pub bound: String,
    /// What it is.
    pub got: String,
}

impl RawPolicy {
    /// Checks every bound; `block_capacity` is how many addresses the kernel's table holds.
    ///
    /// # Errors
    /// The first value out of bounds, with the bound.
    pub fn check(&self, block_capacity: u32) -> Result<PolicyConfig, BoundError> {
        for (key, value) in [
            ("policy.alert_margin", self.alert_margin),
            ("policy.margin", self.margin),
            ("policy.decisive_margin", self.decisive_margin),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(bound(key, "at least 0 and below 1".into(), value));
            }
        }
        if self.margin < self.alert_margin {
            let least = format!("at least `policy.alert_margin` ({})", self.alert_margin);
            return Err(bound("policy.margin", least, self.margin));
        }
        if self.decisive_margin < self.margin {
            let least = format!("at least `policy.margin` ({})", self.margin);
            return Err(bound("policy.decisive_margin", least, self.decisive_margin));
        }
        if self.windows == 0 || self.windows > self.of_windows {
            let most = format!("between 1 and `policy.of_windows` ({})", self.of_windows);
            return Err(bound("policy.windows", most, self.windows));
        }
        if self.of_windows > 64 {
            return Err(bound("policy.of_windows", "at most 64".into(), self.of_windows));
        }
        within("policy.memory", self.memory, Duration::from_secs(1), Duration::from_hours(24))?;
        within("policy.ttl", self.ttl, Duration::from_secs(1), Duration::from_hours(24 * 30))?;
        within("policy.max_ttl", self.max_ttl, self.ttl, Duration::from_hours(24 * 365))?;
        if self.max_blocks > block_capacity {
            let most = format!("at most `tables.blocks` ({block_capacity})");
            return Err(bound("policy.max_blocks", most, self.max_blocks));
        }
        for (key, value) in [
            ("policy.max_share_of_peers", self.max_share_of_peers),
            ("policy.max_share_of_bytes", self.max_share_of_bytes),
            ("policy.early_release", self.early_release),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(bound(key, "between 0 and 1".into(), value));
            }
        }
        if self.max_blocks_per_minute == 0 {
            let least = "at least 1 (`mode = \"shadow\"` blocks nothing)".into();
            return Err(bound("policy.max_blocks_per_minute", least, 0));
        }
        if self.rate_limit_pps == 0 {
            return Err(bound("policy.rate_limit_pps", "at least 1".into(), 0));
        }
        let day = Duration::from_hours(24);
        within("policy.rearm_after", self.rearm_after, Duration::ZERO, day * 30)?;
        within("policy.flood_baseline", self.flood_baseline, Duration::ZERO, day)?;
        within("policy.grace", self.grace, Duration::ZERO, day * 365)?;
        Ok(PolicyConfig::from_raw(self))
    }
}

fn within(
    key: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), BoundError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let [least, most] = [least, most].map(humantime::format_duration);
    Err(bound(key, format!("between {least} and {most}"), humantime::format_duration(value)))
}

fn bound(key: &'static str, bound: String, got: impl std::fmt::Display) -> BoundError {
    BoundError { key, bound, got: got.to_string() }
}
