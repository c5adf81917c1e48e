//! The configuration as written: every key, its default, nothing checked but its shape.

use std::{path::PathBuf, time::Duration};

use policy::PolicyConfig;
use serde::{Deserialize, Serialize};

use super::RawApi;
use datapath::KernelOptions;

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
    pub policy: PolicyConfig,
    /// `[guard]`
    pub guard: RawGuard,
    /// `[events]`
    pub events: RawEvents,
    /// `[ledger]`
    pub ledger: RawLedger,
    /// `[api]`
    pub api: RawApi,
}

/// Interfaces that are watched, and the length of a window.
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

/// Capacities of the kernel tables.
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
        let kernel = KernelOptions::default();
        Self {
            flows: kernel.flow_capacity,
            peers: kernel.peer_capacity,
            blocks: kernel.block_capacity,
            stats_slots: kernel.stats_slots,
        }
    }
}

/// The model that scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawModel {
    /// A `.weir` file.
    pub path: Option<PathBuf>,
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
    /// Local TCP ports that people administer this host by: whoever is connected to one is not
    /// blocked.
    pub admin_ports: Vec<u16>,
}

impl Default for RawGuard {
    fn default() -> Self {
        Self {
            xdp: XdpChoice::Auto,
            egress: KernelOptions::default().guard_at_egress,
            persist: true,
            bpffs: PathBuf::from("/sys/fs/bpf"),
            admin_ports: vec![22],
        }
    }
}

/// Destination of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawEvents {
    /// A file that gets one JSON object a line; none for standard output only.
    pub path: Option<PathBuf>,
}

/// The record of decisions, blocks and acts of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLedger {
    /// Keep one.
    pub enabled: bool,
    /// The SQLite file; its folder is made where it is not there. What people allowed is kept
    /// beside it.
    pub path: PathBuf,
    /// Longest time that records are kept.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Largest size of the file, in bytes.
    pub max_bytes: u64,
}

impl Default for RawLedger {
    fn default() -> Self {
        Self {
            enabled: true,
            path: PathBuf::from("/var/lib/weir/ledger.db"),
            max_age: Duration::from_hours(24 * 30),
            max_bytes: 4 << 30,
        }
    }
}
