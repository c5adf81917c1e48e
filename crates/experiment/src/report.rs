//! The report: what each setting does, with everything that is needed to make it again.

mod outcome;

use policy::Refusal;
use serde::Serialize;
use serde_json::Value;

use super::{
    Absent,
    effect::{Effect, Refused},
    grid::{Axis, Grid, Setting},
    stream::{Amount, Extent, Stream},
    trade_off::{self, TradeOff},
};

pub(super) use outcome::median;
pub use outcome::{
    AttackOutcome, AttackTotals, BlockOutcome, ClassOutcome, ServiceOutcome, StoppedShares,
};

/// The version of the JSON form; raised when a field changes its meaning or goes.
pub const SCHEMA: &str = "weir.experiment.v1";

/// Blocks that are listed of each setting at most; the sums are of all.
pub const BLOCKS_LISTED: usize = 1_000;

/// Source of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Captures that were replayed.
    Captures,
    /// Feature tables.
    Tables,
    /// Record that a node wrote while it ran.
    NodeRecord,
}

/// A file that the report is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Role: `capture`, `table`, `truth`, `model`, `grid`, `events`.
    pub role: &'static str,
    /// Path at the time of reading.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Inputs and options of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// Source of the evidence.
    pub source: Source,
    /// The files, in the order of their naming.
    pub inputs: Vec<Input>,
    /// The digest that decisions are recorded under, where a model scored.
    pub model_sha256: Option<String>,
    /// The seed, where anything is drawn.
    pub seed: Option<u64>,
    /// True where a truth was given.
    pub has_truth: bool,
}

/// Contents of the windows, independent of the setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Traffic {
    /// Windows.
    pub windows: u64,
    /// Windows that lost flows.
    pub lossy_windows: u64,
    /// Addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<u64>,
    /// Addresses in windows.
    pub peer_windows: u64,
    /// Start of the first window, in ns: unix time in captures and tables, the boot clock in a
    /// node's record.
    pub start_ns: u64,
    /// From there to the end of the last window.
    pub duration_s: f64,
    /// All of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<Class>,
    /// Attacks' part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<Class>,
    /// The benign part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benign: Option<Class>,
    /// Unlabelled part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<Class>,
}

/// A part of the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Addresses.
    pub peers: u64,
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes on the wire, both ways.
    pub bytes: u64,
}

/// A guard that refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusalCount {
    /// Its name, as events spell it.
    pub reason: String,
    /// Its reason as a person reads it.
    pub text: String,
    /// Anomalous peers in windows that it spared.
    pub peer_windows: u64,
    /// Those of attacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack_peer_windows: Option<u64>,
    /// Those of benign peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benign_peer_windows: Option<u64>,
    /// Addresses.
    pub peers: u64,
}

/// Effect of one setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingReport {
    /// Its number, from 1.
    pub number: usize,
    /// The varied keys with their values.
    pub name: String,
    /// The same, by key.
    pub varied: Value,
    /// Blocks that drop, limit or, where the policy says so by itself, shadow.
    pub blocks: u64,
    /// Blocks that drop.
    pub drops: u64,
    /// Blocks that limit a rate.
    pub rate_limits: u64,
    /// Blocks that only count.
    pub shadows: u64,
    /// Limits on services under a flood from forged sources.
    pub service_limits: Vec<ServiceOutcome>,
    /// Times that the breaker opened.
    pub breaker_openings: u64,
    /// The most blocks that stood at once.
    pub peak_active_blocks: u64,
    /// The most blocks made within 60 seconds.
    pub peak_blocks_per_minute: u64,
    /// Traffic stopped in all.
    pub stopped: Amount,
    /// Blocks of peers that are no attackers at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_blocks: Option<u64>,
    /// Attack traffic stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<AttackTotals>,
    /// Harm to benign peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub benign: Option<ClassOutcome>,
    /// Harm to unlabelled peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<ClassOutcome>,
    /// Each attack.
    pub attacks: Vec<AttackOutcome>,
    /// The guards that refused, in their order.
    pub refusals: Vec<RefusalCount>,
    /// The first blocks, in the order of time.
    pub block_list: Vec<BlockOutcome>,
    /// Blocks beyond the list.
    pub blocks_not_listed: u64,
}

/// Effects of all settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Software that made the report.
    pub software: String,
    /// Inputs and options.
    #[serde(flatten)]
    pub origin: Origin,
    /// Contents of the windows.
    pub traffic: Traffic,
    /// `[policy]` where it is not varied.
    pub policy: Value,
    /// The varied keys.
    pub axes: Vec<Axis>,
    /// In the order of the grid.
    pub settings: Vec<SettingReport>,
    /// Settings that no other one beats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trade_off: Option<TradeOff>,
    /// Facts that the input does not contain.
    pub absent: Vec<Absent>,
    /// Notes on reading the numbers.
    pub caveats: Vec<String>,
}

impl Report {
    /// Puts together what every setting does.
    #[must_use]
    pub fn of(
        origin: Origin,
        stream: &Stream,
        grid: &Grid,
        settings: &[Setting],
        effects: &[Effect],
    ) -> Self {
        let extent = Extent::of(stream);
        let settings: Vec<SettingReport> = (1..)
            .zip(settings.iter().zip(effects))
            .map(|(number, (setting, effect))| {
                let mut told = SettingReport::of(stream, &extent, effect, origin.has_truth);
                told.number = number;
                told.name.clone_from(&setting.name);
                told.varied = json(&setting.varied);
                told
            })
            .collect();
        let trade_off = origin.has_truth.then(|| trade_off::of(&settings)).flatten();
        Self {
            schema: SCHEMA,
            software: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
            traffic: Traffic::of(&extent, origin.has_truth),
            policy: json(&grid.fixed()),
            axes: grid.axes().to_vec(),
            settings,
            trade_off,
            absent: super::absent::of(origin.source, origin.has_truth),
            caveats: super::absent::caveats(origin.source),
            origin,
        }
    }

    /// As indented JSON with a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // It holds nothing that JSON could not.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The setting that the rule prefers, or the only one.
    #[must_use]
    pub fn chosen(&self) -> Option<&SettingReport> {
        let best = self.trade_off.as_ref().map(|trade_off| trade_off.best);
        match (best, &self.settings[..]) {
            (Some(best), settings) => settings.get(best - 1),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

impl Traffic {
    fn of(extent: &Extent, has_truth: bool) -> Self {
        let (amounts, addresses) = (&extent.amounts, &extent.addresses);
        let class = |peers: u64, amount: Amount| Class {
            peers,
            packets: amount.packets,
            bytes: amount.bytes,
        };
        let known = |class: Class| has_truth.then_some(class);
        Self {
            windows: extent.windows,
            lossy_windows: extent.lossy_windows,
            peers: Some(extent.peers),
            peer_windows: extent.rows,
            start_ns: extent.start_ns,
            duration_s: seconds(extent.end_ns.saturating_sub(extent.start_ns)),
            all: Some(class(extent.peers, amounts.all())),
            attack: known(class(addresses.attack, amounts.attack)),
            benign: known(class(addresses.benign, amounts.benign)),
            unlabelled: known(class(addresses.unlabelled, amounts.unlabelled)),
        }
    }
}

impl RefusalCount {
    fn of(refusal: Refusal, refused: &Refused, has_truth: bool) -> Self {
        let rows = &refused.rows;
        let reason = serde_json::to_value(refusal).ok();
        Self {
            reason: reason.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
            text: refusal.text().to_owned(),
            peer_windows: rows.attack + rows.benign + rows.unlabelled,
            attack_peer_windows: has_truth.then_some(rows.attack),
            benign_peer_windows: has_truth.then_some(rows.benign),
            peers: refused.peers.len() as u64,
        }
    }
}

/// A span as seconds.
#[must_use]
pub(super) fn seconds(span_ns: u64) -> f64 {
    span_ns as f64 / 1e9
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
