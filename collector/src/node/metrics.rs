//! The node's metrics, as Prometheus scrapes them: one prefix, base units, never an address.

use std::{cell::RefCell, collections::BTreeSet, fmt::Write as _, sync::atomic::AtomicU64};

use control::wire::{Action, Condition, Health, HeldBlocks, Mode, Status};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Node;
use crate::clock::boot_ns;

/// Labels of one metric: names that this file spells, values from closed sets.
type Labels = Vec<(&'static str, String)>;
/// A gauge of any number.
type Number = Gauge<f64, AtomicU64>;

impl Node {
    /// All metrics in Prometheus' text format.
    pub(super) fn encode_metrics(&self) -> String {
        let mut text = String::new();
        // A counter that cannot be read leaves out what follows from it, and says so in the log.
        let status = match self.status_with(self.held_lately()) {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(%error, "metrics are incomplete");
                return text;
            }
        };
        let exposition = Exposition::default();
        exposition.describe(&status);
        exposition.describe_held(&status.held);
        exposition.describe_drop_totals(&status, self.inner().failed);
        let registry = exposition.registry.into_inner();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        prometheus(&text)
    }
}

/// `OpenMetrics` as Prometheus' text format 0.0.4 has it: a counter is named as its samples are, and
/// nothing marks the end.
fn prometheus(open: &str) -> String {
    let counters: BTreeSet<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| *line != "# EOF") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", kind, name, rest] if counters.contains(name) => {
                let _ = writeln!(text, "# {kind} {name}_total {rest}");
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// Metrics made anew for each scrape from what the node knows anyway.
struct Exposition {
    registry: RefCell<Registry>,
}

impl Default for Exposition {
    fn default() -> Self {
        Self { registry: RefCell::new(Registry::with_prefix("weir")) }
    }
}

impl Exposition {
    fn counter(&self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.registry.borrow_mut().register(name, help, family);
    }

    fn gauge(&self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Number>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.registry.borrow_mut().register(name, help, family);
    }

    fn describe(&self, status: &Status) {
        let none = Labels::new;
        let model = status.model.as_ref();
        self.gauge(
            "build_info",
            "weir and the model that it scores with",
            [(
                vec![
                    ("version", status.version.clone()),
                    ("model", model.map(|model| model.hash.clone()).unwrap_or_default()),
                ],
                1.0,
            )],
        );
        self.gauge("uptime_seconds", "Since the node started", [(none(), status.uptime_s as f64)]);
        self.gauge(
            "mode",
            "What may be done about an anomaly: 1 for the mode it is in",
            Mode::ALL.map(|mode| {
                (vec![("mode", mode.name().to_owned())], f64::from(u8::from(mode == status.mode)))
            }),
        );
        let flag = |on: bool| [(none(), f64::from(u8::from(on)))];
        self.gauge("mode_on_trial", "A mode waits to be confirmed", flag(status.confirm.is_some()));
        self.gauge(
            "breaker_open",
            "The breaker holds the node to shadow",
            flag(status.breaker.open),
        );
        let passed_by = flag(status.guard_passed_by);
        self.gauge("guard_passed_by", "Frames come in past the guard", passed_by);
        let drifting = status.drift.state == control::wire::DriftState::Drifting;
        self.gauge("drifting", "The traffic is no longer what the model learnt", flag(drifting));
        if let Some(window) = &status.window {
            let number = |value: f64| [(none(), value)];
            self.counter("windows", "Windows decided", [(none(), window.number)]);
            self.gauge("window_flows", "Flows of the last window", number(window.flows as f64));
            self.gauge("window_peers", "Peers of the last window", number(window.peers as f64));
            self.gauge(
                "window_packets_per_second",
                "Packets a second in the last window",
                number(window.packets_per_second),
            );
            self.gauge(
                "decided_after_seconds",
                "From the last window's end to its decisions",
                number(window.decided_after_ms / 1e3),
            );
        }
        self.gauge(
            "services",
            "Parts of this host's own side that something is the matter with: services under a flood, failing their clients, maintained; and what is unusual",
            Condition::ALL.map(|condition| {
                let of = status.services.iter().filter(|one| one.condition == condition).count();
                (vec![("condition", condition.name().to_owned())], of as f64)
            }),
        );
        let open = status.incidents.iter();
        self.gauge(
            "open_incidents",
            "Incidents that are open, by what they are about",
            open.map(|(kind, &open)| (vec![("about", kind.clone())], open as f64)),
        );
        self.counter(
            "refusals",
            "Anomalous peers that a guard kept from being blocked",
            by(&status.refusals, "reason"),
        );
        self.counter("lost_packets", "Packets in no flow", by(&status.losses, "cause"));
        self.counter(
            "evicted_peers",
            "Peers that the kernel's tables had no room for",
            [(none(), status.evicted_peers)],
        );
        self.counter("late_windows", "Windows put off", [(none(), status.late_windows)]);
        self.counter(
            "lost_events",
            "Events that found no room, or that a sink could not take",
            [(none(), status.lost_events)],
        );
        let ledger = &status.ledger;
        self.gauge("ledger_up", "The ledger takes records", flag(ledger.health == Health::Ok));
        self.gauge("ledger_bytes", "Size of the ledger's file", [(none(), ledger.bytes as f64)]);
        self.counter("ledger_lost_records", "Records lost to the ledger", [(none(), ledger.lost)]);
    }

    fn describe_held(&self, held: &[HeldBlocks]) {
        let values = held.iter().flat_map(|one| {
            let of = |action: Action, count: u64| {
                let labels = vec![
                    ("origin", one.origin.name().to_owned()),
                    ("list", one.list.clone().unwrap_or_default()),
                    ("action", action.name().to_owned()),
                ];
                (labels, count as f64)
            };
            [
                of(Action::Drop, one.drop),
                of(Action::RateLimit, one.rate_limit),
                of(Action::Shadow, one.shadow),
            ]
        });
        self.gauge("held_blocks", "Blocks in force in the kernel, whoever made them", values);
    }

    fn describe_drop_totals(&self, status: &Status, failed: u64) {
        let none = Labels::new;
        let blocks = &status.blocks;
        self.gauge("blocks", "Blocks of the model's that stand", [(none(), blocks.active as f64)]);
        self.gauge("blocks_limit", "How many may", [(none(), blocks.limit as f64)]);
        self.gauge(
            "blocks_made_last_minute",
            "Blocks made in the last minute",
            [(none(), blocks.made_last_minute as f64)],
        );
        self.counter("blocks_failed", "Blocks that could not be made", [(none(), failed)]);
        self.counter("dropped_packets", "Packets dropped", [(none(), blocks.dropped_packets)]);
        self.counter(
            "would_drop_packets",
            "Packets that shadow would have dropped",
            [(none(), blocks.would_drop_packets)],
        );
        self.gauge(
            "boot_clock_seconds",
            "The clock that leases end on",
            [(none(), boot_ns() as f64 / 1e9)],
        );
    }
}

fn by<'a>(
    counts: &'a std::collections::BTreeMap<String, u64>,
    label: &'static str,
) -> impl Iterator<Item = (Labels, u64)> + 'a {
    counts.iter().map(move |(name, &count)| (vec![(label, name.clone())], count))
}
