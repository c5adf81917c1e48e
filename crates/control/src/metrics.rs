//! Metrics of a running weir, as Prometheus scrapes them: each is named once, in [`Metric`].
//!
//! One prefix, base units, counters that end in `_total`; labels have values of closed sets, never
//! an address. What a scrape asks of the node is kept already: it walks no table.

use std::{collections::BTreeSet, fmt::Write as _, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A count since the node started.
    Counter,
    /// A state.
    Gauge,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

macro_rules! metrics {
    ($($name:ident: $kind:ident $word:literal [$($label:literal),*] = $help:literal;)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $help] $name,)*
        }

        impl Metric {
            /// All of them, in the order of the documentation.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$name),*];

            /// Its kind.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$name => Kind::$kind,)*
                }
            }

            /// Its labels.
            #[must_use]
            pub const fn labels(self) -> &'static [&'static str] {
                match self {
                    $(Self::$name => &[$($label),*],)*
                }
            }

            /// Its meaning.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$name => $help,)*
                }
            }

            const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

metrics! {
    BuildInfo: Gauge "build_info" ["version"] = "weir's version";
    UptimeSeconds: Gauge "uptime_seconds" [] = "Time since the node started";
    ModelInfo: Gauge "model_info" ["hash"] = "The model that scores; absent without one";
    ModelCreated: Gauge "model_created_timestamp_seconds" [] = "Time of the model's making";
    ModelVersion: Gauge "model_version" [] = "Number of the version in force, learnt on the way; 0 is the configured file";
    Learning: Gauge "learning" ["state"] = "1 for whether the model is learnt on";
    LearningUnheard: Counter "learning_unheard_total" [] = "Words on remotes that were too many at once for learning to hear: what came then was not learnt";
    Mode: Gauge "mode" ["mode"] = "What may be done about an anomaly: 1 for the mode in force";
    ConfiguredMode: Gauge "configured_mode" ["mode"] = "1 for the mode that the configuration asks for";
    ModeOnTrial: Gauge "mode_on_trial" [] = "1 while a mode waits to be confirmed";
    BreakerOpen: Gauge "breaker_open" [] = "1 while the breaker holds the node to shadow";
    DriftState: Gauge "drift_state" ["state"] = "1 for the state of the drift watch";
    ClaimSupported: Gauge "claim_supported" [] = "1 where the calibration supports the configured rate of wrong blocks at the traffic of late";
    ClaimSmallestRate: Gauge "claim_smallest_rate" [] = "The smallest rate of wrong blocks that the calibration supports at the traffic of late";
    ClaimHeldOutRows: Gauge "claim_held_out_rows" [] = "Held-out rows of the calibration";
    InterfaceInfo: Gauge "interface_info" ["interface", "flows", "guard"] = "An interface that is watched, with the hooks of the flow programs and of the guard";
    InterfacesNotWatched: Gauge "interfaces_not_watched" [] = "Interfaces that were selected, are there and are not watched";
    UnseenPackets: Counter "unseen_packets_total" ["interface"] = "Packets that the interface counted and no flow program saw";
    GuardPassedBy: Gauge "guard_passed_by" [] = "1 while frames come in past the guard, whose hook was taken";
    Windows: Counter "windows_total" [] = "Windows decided";
    WindowEnded: Gauge "window_ended_timestamp_seconds" [] = "End of the last window decided: the heartbeat of the whole way from the kernel's tables to a decision";
    WindowFlows: Gauge "window_flows" [] = "Flows of the last window";
    WindowPeers: Gauge "window_peers" [] = "Peers of the last window";
    WindowPacketsPerSecond: Gauge "window_packets_per_second" [] = "Packets a second in the last window, both ways";
    WindowLossy: Gauge "window_lossy" [] = "1 where the last window lost flows or packets, and claims less";
    DecidedAfterSeconds: Gauge "decided_after_seconds" [] = "From the last window's end to its decisions";
    StageBusySeconds: Counter "stage_busy_seconds_total" ["stage"] = "Time that a stage of the pipeline worked";
    QueuedEvents: Gauge "queued_events" [] = "Events that wait for the sinks";
    QueuedEventsLimit: Gauge "queued_events_limit" [] = "How many may wait";
    LostPackets: Counter "lost_packets_total" ["cause"] = "Packets in no flow";
    EvictedPeers: Counter "evicted_peers_total" [] = "Peers that the kernel's tables had no room for";
    LateWindows: Counter "late_windows_total" [] = "Windows put off because a stage was slow";
    LostEvents: Counter "lost_events_total" ["at"] = "Events that found the queue full, or that a sink could not take";
    LedgerUp: Gauge "ledger_up" [] = "1 where the ledger takes records; absent without one";
    LedgerBytes: Gauge "ledger_bytes" [] = "Size of the ledger's file";
    LedgerLostRecords: Counter "ledger_lost_records_total" [] = "Records lost to the ledger";
    Services: Gauge "services" ["condition"] = "Parts of this host's own side that something is the matter with: services under a flood, failing their clients, maintained; and what is unusual";
    OpenIncidents: Gauge "open_incidents" ["about"] = "Incidents that are open, by what they are about";
    Refusals: Counter "refusals_total" ["reason"] = "Anomalous peers that a guard kept from being blocked";
    Blocks: Gauge "blocks" [] = "Blocks of the model's that stand";
    BlocksLimit: Gauge "blocks_limit" [] = "How many may stand";
    BlocksMadeLastMinute: Gauge "blocks_made_last_minute" [] = "Blocks made in the last minute";
    BlocksFailed: Counter "blocks_failed_total" [] = "Blocks that could not be made";
    BlocksLifted: Counter "blocks_lifted_total" [] = "Blocks of the model's that people ended before their time";
    HeldBlocks: Gauge "held_blocks" ["origin", "list", "action"] = "Blocks in force in the kernel, whoever made them";
    TableEntries: Gauge "table_entries" ["table"] = "Entries of a kernel table";
    TableCapacity: Gauge "table_capacity" ["table"] = "Entries that a kernel table has room for";
    GuardFrames: Counter "guard_frames_total" ["direction", "outcome"] = "Frames by what the guard did about them";
    DroppedPackets: Counter "dropped_packets_total" ["direction"] = "Packets that the guard dropped: of a super-packet all segments";
    KernelDroppedPackets: Counter "kernel_dropped_packets_total" ["reason"] = "Packets that the kernel dropped in this network namespace, by its own reasons, where `capture.kernel_drops` asks for it; what programs drop (weir's guard at TC or generic XDP) is among them";
    ClockOffset: Gauge "clock_offset_seconds" [] = "The wall clock less the boot clock, on which leases end: it changes where the wall clock is set";
    ApiResponses: Counter "api_responses_total" ["class"] = "Answers of the API, by class of status";
    ApiRefused: Counter "api_refused_total" ["reason"] = "Connections and requests that the API turned away";
}

impl Metric {
    /// Its name, as it is scraped.
    #[must_use]
    pub fn name(self) -> String {
        format!("{PREFIX}_{}", self.word())
    }
}

/// All metrics as a table in Markdown.
#[must_use]
pub fn table() -> String {
    let mut text = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in Metric::ALL {
        let labels: Vec<String> = metric.labels().iter().map(|name| format!("`{name}`")).collect();
        let (kind, labels) = (metric.kind().name(), labels.join(", "));
        // Writing to a string does not fail.
        let _ = writeln!(text, "| `{}` | {kind} | {labels} | {} |", metric.name(), metric.help());
    }
    text
}

/// The first part of each name.
const PREFIX: &str = "weir";
/// The last part of a counter's name, which the encoder writes.
const TOTAL: &str = "_total";

/// A gauge of any number.
type Number = Gauge<f64, AtomicU64>;
/// A counter of any number: some count seconds.
type Sum = Counter<f64, AtomicU64>;
type Labels = Vec<(&'static str, String)>;

/// Samples of one scrape.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
}

impl Default for Exposition {
    fn default() -> Self {
        Self { registry: Registry::with_prefix(PREFIX) }
    }
}

impl Exposition {
    /// Tells a metric without labels.
    pub fn tell(&mut self, metric: Metric, value: impl Into<f64>) {
        self.tell_each(metric, [([], value.into())]);
    }

    /// Tells a metric once for each set of its labels' values.
    pub fn tell_each<const N: usize>(
        &mut self,
        metric: Metric,
        samples: impl IntoIterator<Item = ([String; N], f64)>,
    ) {
        debug_assert_eq!(metric.labels().len(), N, "labels of {metric:?}");
        let samples = samples.into_iter().map(|(values, value)| {
            (metric.labels().iter().copied().zip(values).collect::<Labels>(), value)
        });
        let (word, help) = (metric.word(), metric.help());
        match metric.kind() {
            Kind::Counter => {
                let family = Family::<Labels, Sum>::default();
                for (labels, value) in samples {
                    family.get_or_create(&labels).inc_by(value);
                }
                self.registry.register(word.strip_suffix(TOTAL).unwrap_or(word), help, family);
            }
            Kind::Gauge => {
                let family = Family::<Labels, Number>::default();
                for (labels, value) in samples {
                    family.get_or_create(&labels).set(value);
                }
                self.registry.register(word, help, family);
            }
        }
    }

    /// Tells which member of a closed set is in force.
    pub fn tell_state<T: Copy + PartialEq, const N: usize>(
        &mut self,
        metric: Metric,
        all: [T; N],
        name: impl Fn(T) -> &'static str,
        now: Option<T>,
    ) {
        let value = |one| f64::from(u8::from(Some(one) == now));
        self.tell_each(metric, all.map(|one| ([name(one).to_owned()], value(one))));
    }

    /// All samples in Prometheus' text format 0.0.4.
    #[must_use]
    pub fn into_text(self) -> String {
        let mut open = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut open, &self.registry);
        to_text_format(&open)
    }
}

/// `OpenMetrics` as the text format has it: a counter is named as its samples are, and nothing marks
/// the end. Samples are in order, and whole numbers without a fraction.
fn to_text_format(open: &str) -> String {
    let counters: BTreeSet<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let (mut text, mut samples) = (String::with_capacity(open.len()), BTreeSet::new());
    for line in open.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        if !line.starts_with('#') {
            let sample = line.replacen("{} ", " ", 1);
            samples.insert(sample.strip_suffix(".0").unwrap_or(&sample).to_owned() + "\n");
            continue;
        }
        text.extend(std::mem::take(&mut samples));
        // Writing to a string does not fail.
        let _ = match words[..] {
            ["#", "EOF"] => Ok(()),
            ["#", kind, name, rest] if counters.contains(name) => {
                writeln!(text, "# {kind} {name}{TOTAL} {rest}")
            }
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_prometheus_wants_and_gauges_are_not() {
        let mut names = BTreeSet::new();
        for metric in Metric::ALL {
            let name = metric.name();
            assert_eq!(metric.kind() == Kind::Counter, name.ends_with(TOTAL), "{name}");
            assert!(names.insert(name), "{metric:?} has another's name");
            assert!(!metric.help().ends_with('.'), "{metric:?}: the encoder writes the full stop");
        }
    }

    #[test]
    fn samples_are_written_in_the_text_format() {
        let mut exposition = Exposition::default();
        exposition.tell(Metric::Windows, 3_u32);
        exposition.tell_each(Metric::LostEvents, [(["queue".to_owned()], 2.0)]);
        exposition.tell_state(
            Metric::Mode,
            [1, 2],
            |n| if n == 1 { "one" } else { "two" },
            Some(2),
        );
        assert_eq!(
            exposition.into_text(),
            "# HELP weir_windows_total Windows decided.\n\
             # TYPE weir_windows_total counter\n\
             weir_windows_total 3\n\
             # HELP weir_lost_events_total Events that found the queue full, or that a sink could \
             not take.\n\
             # TYPE weir_lost_events_total counter\n\
             weir_lost_events_total{at=\"queue\"} 2\n\
             # HELP weir_mode What may be done about an anomaly: 1 for the mode in force.\n\
             # TYPE weir_mode gauge\n\
             weir_mode{mode=\"one\"} 0\n\
             weir_mode{mode=\"two\"} 1\n"
        );
    }
}
