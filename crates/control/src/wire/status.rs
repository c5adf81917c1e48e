//! The node as it is now.

use std::collections::BTreeMap;

use events::word_set;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Check, Learning, Mode, Origin, ServiceState};

/// The node as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// weir's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Time of the status.
    pub time: Timestamp,
    /// Seconds since the node started.
    pub uptime_s: u64,
    /// The most that may be done about an anomaly.
    pub mode: Mode,
    /// Mode that waits to be confirmed, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<Confirm>,
    /// State of the breaker, which suspends automatic blocks.
    pub breaker: Breaker,
    /// Drift of the traffic away from the training.
    pub drift: Drift,
    /// The scoring model; none where the node only counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelInfo>,
    /// Support of the configured error rate at the traffic of late; none without a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<LiveClaim>,
    /// The last window that was decided; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowInfo>,
    /// Blocks, and how many there may be.
    pub blocks: BlockTotals,
    /// Blocks in force in the kernel, whoever made them, by origin and list.
    #[serde(default)]
    pub held: Vec<HeldBlocks>,
    /// Frames come in past the guard, whose hook was taken.
    #[serde(default)]
    pub guard_passed_by: bool,
    /// Services that something is the matter with: floods, outages, maintenance.
    #[serde(default)]
    pub services: Vec<ServiceState>,
    /// Open incidents, by what they are about: a remote, a service, an outage, a site.
    #[serde(default)]
    pub incidents: BTreeMap<String, u64>,
    /// Anomalous peers that were not acted on since the start, by the guard's code.
    pub refusals: BTreeMap<String, u64>,
    /// Packets that are in no flow since the start, by cause; those that were not seen (`unseen`), too.
    pub losses: BTreeMap<String, u64>,
    /// Peers that the kernel's tables had no room for since the start.
    #[serde(default)]
    pub evicted_peers: u64,
    /// Windows that were put off since the start because a stage was slow.
    pub late_windows: u64,
    /// Events since the start that found no room, or that a sink could not take.
    #[serde(default)]
    pub lost_events: u64,
    /// The store of decisions.
    pub ledger: LedgerHealth,
    /// The interfaces that are watched.
    pub interfaces: Vec<Interface>,
    /// Interfaces that were selected, are there and are not watched, each with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_watched: BTreeMap<String, String>,
    /// Network namespaces that are gone and whose pins are still on the BPF filesystem: the next start
    /// removes them.
    #[serde(default)]
    pub gone_namespaces: u64,
    /// Packets that the kernel dropped since the start, by its reasons, where `capture.kernel_drops` asks
    /// for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernel_drops: BTreeMap<String, u64>,
}

/// Asks for the status. It has no fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatusQuery {}

impl Check for StatusQuery {}

/// An enforcement that falls back by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Confirm {
    /// Time at which it falls back.
    pub until: Timestamp,
    /// Seconds until then.
    pub left_s: u64,
    /// Mode that it falls back to.
    pub falls_back_to: Mode,
}

/// The breaker. Closed is the normal state; while it is open, automatic blocks only shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Breaker {
    /// Automatic blocks are suspended.
    pub open: bool,
    /// Cause of its opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of its opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Time at which it closes by itself; without it, a person has to re-arm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rearms: Option<Timestamp>,
}

word_set! {
    /// State of the drift watch.
    #[derive(ToSchema)]
    DriftState {
        /// Nobody watches.
        Off = "off",
        /// Too few windows to tell.
        Gathering = "gathering",
        /// The traffic is what the model learned.
        Steady = "steady",
        /// It is not; a model is learnt anew.
        Relearning = "relearning",
        /// It is not; automatic blocks are suspended.
        Drifting = "drifting",
    }
}

/// Drift of the traffic away from the training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// State of the watch.
    pub state: DriftState,
    /// Since when it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The features that moved, the furthest first.
    pub moved: Vec<MovedFeature>,
}

/// A feature whose distribution moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MovedFeature {
    /// Owner of the feature: `peer` or `flow`.
    pub subject: String,
    /// The feature's name.
    pub feature: String,
    /// Population stability index against the training data; above 0.25 it has moved.
    pub psi: f64,
}

/// Support of the configured error rate at the traffic of late.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveClaim {
    /// Ordinary peers in a window, of late.
    pub peers_per_window: f64,
    /// The same when the model was trained, as far as it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_at: Option<f64>,
    /// Held-out rows that the rate takes.
    pub needed: u64,
    /// Held-out rows that the model has.
    pub held_out: u64,
    /// The rate may be claimed.
    pub supported: bool,
    /// The answer, and what to do where it is no.
    pub advice: String,
}

/// A model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelInfo {
    /// The file.
    pub path: String,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
    /// Time of its making, as the file has it.
    pub created: String,
    /// Number of the version in force; 0 is the configured file.
    #[serde(default)]
    pub version: u32,
    /// Whether it is learnt on.
    #[serde(default)]
    pub learning: Learning,
    /// Words on remotes since the start that were too many at once for learning to hear: what came
    /// then was not learnt.
    #[serde(default)]
    pub unheard: u64,
}

/// A window that was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowInfo {
    /// Its number, from 1.
    pub number: u64,
    /// End.
    pub ended: Timestamp,
    /// Its length.
    pub length_ms: u64,
    /// From its end to the last decision on it.
    pub decided_after_ms: f64,
    /// Flows in it.
    pub flows: u64,
    /// Peers in it.
    pub peers: u64,
    /// Packets a second in it, both ways.
    pub packets_per_second: f64,
    /// It lost flows or packets, and claims less.
    pub lossy: bool,
}

/// Blocks, and how many there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockTotals {
    /// That stand.
    pub active: u64,
    /// That may stand (`policy.max_blocks`).
    pub limit: u64,
    /// That fit into the kernel's tables (`tables.blocks`).
    pub capacity: u64,
    /// Made in the last minute.
    pub made_last_minute: u64,
    /// That may be made in a minute.
    pub limit_per_minute: u64,
    /// Packets that the guard dropped since the start.
    pub dropped_packets: u64,
    /// Packets that shadow passed and enforcing would have dropped.
    pub would_drop_packets: u64,
}

/// Blocks in force in the kernel, of one origin or list, by what is done about their packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldBlocks {
    /// Who made them.
    pub origin: Origin,
    /// The list that they are of, where that has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Of which all packets are dropped.
    pub drop: u64,
    /// Of which what exceeds a rate is dropped.
    pub rate_limit: u64,
    /// Of which nothing is dropped.
    pub shadow: u64,
}

word_set! {
    /// Health of a part.
    #[derive(ToSchema)]
    Health {
        /// It is not configured.
        Off = "off",
        /// It works.
        Ok = "ok",
        /// It works, but has fallen behind or lost something.
        Degraded = "degraded",
        /// It does not work.
        Failed = "failed",
    }
}

/// The store of decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerHealth {
    /// Health.
    pub health: Health,
    /// Fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Records that could not be written since the start.
    pub lost: u64,
}

/// An interface that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Hook that counts flows: `TCX` or `clsact`.
    pub flows: String,
    /// Hook of the guard, as a person reads it: `XDP (native, shared)`.
    pub guard: String,
    /// Packets that crossed it unseen since it is watched: another program ended their way before
    /// weir's.
    #[serde(default)]
    pub unseen_packets: u64,
    /// Programs of others on it, in the order in which a packet meets them: `TCX egress name (program
    /// 7), before weir's`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}
