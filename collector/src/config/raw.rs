//! The configuration as written: every key, its default, nothing checked but its shape.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The whole file; unknown keys are errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// `[capture]`
    pub capture: RawCapture,
    /// `[tables]`
    pub tables: RawTables,
    /// `[model]`
    pub model: RawModel,
    /// `[policy]`
    pub policy: RawPolicy,
    /// `[guard]`
    pub guard: RawGuard,
    /// `[events]`
    pub events: RawEvents,
}

/// What is watched, and in windows of what length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawCapture {
    /// Interface names or globs.
    pub interfaces: Vec<String>,
    /// Length of a tumbling window.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
}

impl Default for RawCapture {
    fn default() -> Self {
        Self { interfaces: Vec::new(), window: Duration::from_secs(1) }
    }
}

/// How much the kernel tables hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTables {
    /// Flows in one window, over all CPUs.
    pub flows: u32,
    /// Peers in one window, over all CPUs.
    pub peers: u32,
    /// Blocked addresses of each family.
    pub blocks: u32,
    /// Blocks with hit counters of their own.
    pub stats_slots: u32,
}

impl Default for RawTables {
    fn default() -> Self {
        Self { flows: 65_536, peers: 16_384, blocks: 1_000_000, stats_slots: 4_096 }
    }
}

/// The model that scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawModel {
    /// A `.weir` file.
    pub path: Option<PathBuf>,
}

/// What may be done about an anomaly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Report; no entry is made.
    #[default]
    Observe,
    /// Make entries that only count what they would drop.
    Shadow,
    /// Make entries that drop.
    Enforce,
}

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

/// How verdicts become blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPolicy {
    /// What may be done.
    pub mode: Mode,
    /// Share of the peers called anomalous in a window that may be benign (Benjamini–Hochberg).
    pub false_discovery_rate: f64,
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
}

impl Default for RawPolicy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            false_discovery_rate: 0.1,
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

/// Where the guard hooks in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum XdpChoice {
    /// In the driver where it can, else generic, else at TC ingress.
    #[default]
    Auto,
    /// In the driver or not at all.
    Native,
    /// In the stack's generic hook.
    Generic,
    /// At TC ingress.
    Off,
}

/// The guard and what outlives the process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGuard {
    /// Where it hooks in.
    pub xdp: XdpChoice,
    /// Drop what goes out towards blocked remotes too.
    pub egress: bool,
    /// Keep guard and blocks in place when the process ends, until their leases run out.
    pub persist: bool,
    /// The BPF file system that holds them.
    pub bpffs: PathBuf,
}

impl Default for RawGuard {
    fn default() -> Self {
        Self {
            xdp: XdpChoice::Auto,
            egress: true,
            persist: true,
            bpffs: PathBuf::from("/sys/fs/bpf"),
        }
    }
}

/// Where events go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvents {
    /// A file that gets one JSON object a line; none for standard output only.
    pub path: Option<PathBuf>,
}
