//! The configuration as written: every key, its default, nothing checked but its shape.

use std::{path::PathBuf, time::Duration};

use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use policy::{PolicyConfig, section};
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
    /// `[log_ins]`
    pub log_ins: RawLogIns,
    /// `[ledger]`
    pub ledger: RawLedger,
    /// `[api]`
    pub api: RawApi,
}

section! {
    /// Interfaces that are watched, and the length of a window.
    RawCapture {
        /// Interface names or globs.
        interfaces: Vec<String> = Vec::new(),
        /// Length of a tumbling window.
        #[serde(with = "humantime_serde")]
        window: Duration = Duration::from_secs(1),
        /// Count what the kernel drops, by its reasons, for the metrics.
        kernel_drops: bool = false,
    }
}

section! {
    /// Capacities of the kernel tables.
    RawTables {
        /// Flows in one window, over all CPUs.
        flows: u32 = KernelOptions::default().flow_capacity,
        /// Peers in one window, over all CPUs.
        peers: u32 = KernelOptions::default().peer_capacity,
        /// Blocked addresses of each family.
        blocks: u32 = KernelOptions::default().block_capacity,
        /// Blocked prefixes of both families.
        prefixes: u32 = KernelOptions::default().prefix_capacity,
        /// Blocks with hit counters of their own.
        stats_slots: u32 = KernelOptions::default().stats_slots,
    }
}

section! {
    /// The model that scores.
    RawModel {
        /// A `.weir` file.
        path: Option<PathBuf> = None,
        /// Go on learning while it scores; the versions are kept beside the ledger.
        learn: bool = true,
    }
}

/// Where the guard hooks in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum XdpChoice {
    /// In the driver where it can, else at TC ingress.
    #[default]
    Auto,
    /// In the driver or not at all.
    Native,
    /// The same, with no other program beside it.
    Exclusive,
    /// In the stack's generic hook.
    Generic,
    /// At TC ingress.
    Off,
}

/// The packaged service's own BPF file system, so that whoever asks about its guard need not name it.
const OF_THE_SERVICE: &str = "/run/weir-bpf";

fn default_bpffs() -> PathBuf {
    let is_mounted =
        statfs(OF_THE_SERVICE).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC);
    PathBuf::from(if is_mounted { OF_THE_SERVICE } else { "/sys/fs/bpf" })
}

section! {
    /// The guard and what outlives the process.
    RawGuard {
        /// Where it hooks in.
        xdp: XdpChoice = XdpChoice::Auto,
        /// Drop what goes out towards blocked remotes too.
        egress: bool = KernelOptions::default().guard_at_egress,
        /// Keep guard and blocks in place when the process ends, until their leases run out.
        persist: bool = true,
        /// The BPF file system that holds them; where `weir-bpf.service` has mounted one, that by
        /// default.
        bpffs: PathBuf = default_bpffs(),
    }
}

section! {
    /// Destination of events.
    RawEvents {
        /// A file that gets one JSON object a line; none for standard output only.
        path: Option<PathBuf> = None,
    }
}

section! {
    /// Failed log-ins as evidence.
    #[derive(Eq)]
    RawLogIns {
        /// Read what sshd says of wrong passwords from the system's journal (`journalctl`).
        journal: bool = false,
    }
}

section! {
    /// The record of decisions, blocks and acts of people.
    #[derive(Eq)]
    RawLedger {
        /// Keep one.
        enabled: bool = true,
        /// The SQLite file; its folder is made where it is not there. What people allowed is kept
        /// beside it.
        path: PathBuf = PathBuf::from("/var/lib/weir/ledger.db"),
        /// Longest time that records are kept.
        #[serde(with = "humantime_serde")]
        max_age: Duration = Duration::from_hours(24 * 30),
        /// Largest size of the file, in bytes.
        max_bytes: u64 = 4 << 30,
    }
}
