//! `weir status`: the running node at a glance.

use std::{collections::BTreeMap, fmt::Write as _, process::ExitCode};

use clap::Args;
use collector::event_text::describe_service;
use control::wire::{Confirm, DriftState, Health, HeldBlocks, Learning, Status};
use jiff::Timestamp;
use report::text::{count, number, plain};

use super::{
    Layers,
    node::{AskArgs, lasting, roughly},
};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    ask: AskArgs,
}

impl StatusArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        self.ask.print(&self.ask.client(layers)?.status()?, text)
    }
}

/// The status for a person: a line for each thing, what is wrong in words.
pub(super) fn text(status: &Status) -> String {
    let mut lines = vec![
        ("weir", head(status)),
        ("mode", mode(status)),
        ("breaker", breaker(status)),
        ("drift", drift(status)),
        ("model", model(status)),
        ("window", window(status)),
        ("blocks", blocks(status)),
    ];
    if status.guard_passed_by {
        lines.push(("guard", "frames come in past it: its hook was taken; start weir anew".into()));
    }
    if let Some(live) = &status.claim {
        lines.push(("claim", plain(&live.advice)));
    }
    if !status.held.is_empty() {
        lines.push(("in kernel", held(&status.held)));
    }
    for service in &status.services {
        lines.push(("service", describe_service(service, status.time)));
    }
    for (name, number) in [("incidents", &status.incidents), ("refused", &status.refusals)] {
        if number.values().any(|number| *number > 0) {
            lines.push((name, counts(number)));
        }
    }
    if !status.losses.is_empty() {
        lines.push(("in no flow", format!("packets {}", counts(&status.losses))));
    }
    lines.push(("ledger", ledger(status)));
    for interface in &status.interfaces {
        let (name, flows, guard) =
            (plain(&interface.name), plain(&interface.flows), plain(&interface.guard));
        lines.push(("watches", format!("{name}: flows at {flows}, guard at {guard}")));
        if interface.unseen_packets > 0 {
            let unseen = count(interface.unseen_packets);
            lines
                .push(("UNSEEN", format!("{name}: {unseen} packets, for a program before weir's")));
        }
        for other in &interface.others {
            lines.push(("beside", format!("{name}: {}", plain(other))));
        }
    }
    for (name, why) in &status.not_watched {
        lines.push(("NOT WATCHED", format!(" {}: {}", plain(name), plain(why))));
    }
    if status.gone_namespaces > 0 {
        let gone = count(status.gone_namespaces);
        let text =
            format!("of {gone} network namespaces that are gone; the next start removes them");
        lines.push(("pins", text));
    }
    lines.into_iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<11}{value}");
        text
    })
}

fn head(status: &Status) -> String {
    let up = roughly(status.uptime_s);
    format!("{}, process {}, up {up}", plain(&status.version), status.pid)
}

/// The mode, and the confirmation it waits for.
fn mode(status: &Status) -> String {
    let mode = status.mode.name();
    status.confirm.map_or_else(|| mode.to_owned(), |confirm| format!("{mode}, {}", waits(&confirm)))
}

/// Pending confirmation and its deadline.
pub(super) fn waits(confirm: &Confirm) -> String {
    format!(
        "falls back to {} in {} unless confirmed: `weir confirm`",
        confirm.falls_back_to.name(),
        lasting(confirm.left_s)
    )
}

/// The breaker's state and the way out of it.
pub(super) fn breaker(status: &Status) -> String {
    let breaker = &status.breaker;
    if !breaker.open {
        return "closed".to_owned();
    }
    let reason = breaker.reason.as_deref().map_or_else(|| "no reason given".to_owned(), plain);
    let way_out = match breaker.rearms {
        Some(rearms) => format!("closes by itself in {}, or", until(rearms, status.time)),
        None => "stays open until".to_owned(),
    };
    format!("OPEN, blocks only shadow: {reason}; {way_out} `weir rearm`")
}

/// State of the drift watch, with the features that moved.
fn drift(status: &Status) -> String {
    let drift = &status.drift;
    let mut text = drift.state.name().to_owned();
    if drift.state == DriftState::Drifting {
        text.push_str(", blocks are suspended");
    }
    if let Some(since) = drift.since.filter(|_| drift.state == DriftState::Drifting) {
        let _ = write!(text, " for {}", until(status.time, since));
    }
    for (index, moved) in drift.moved.iter().take(5).enumerate() {
        let lead = if index == 0 { ": " } else { ", " };
        let (subject, feature) = (plain(&moved.subject), plain(&moved.feature));
        let _ = write!(text, "{lead}{subject} {feature} (PSI {})", number(moved.psi));
    }
    if drift.moved.len() > 5 {
        let _ = write!(text, " and {} more", drift.moved.len() - 5);
    }
    text
}

fn model(status: &Status) -> String {
    status.model.as_ref().map_or_else(
        || "none".to_owned(),
        |model| {
            let hash: String = model.hash.chars().take(12).collect();
            let (path, created) = (plain(&model.path), plain(&model.created));
            let version = match model.version {
                0 => String::new(),
                number => format!(", version {number}"),
            };
            let learning = match model.learning {
                Learning::On => "learns on",
                Learning::Paused => "learning is paused: `weir model learn on`",
                Learning::Off => "learns no more",
            };
            let unheard = match model.unheard {
                0 => String::new(),
                words => format!("; {} words on remotes UNHEARD", count(words)),
            };
            let hash = plain(&hash);
            format!("{path}, {hash}, made {created}{version}; {learning}{unheard}")
        },
    )
}

fn window(status: &Status) -> String {
    let Some(window) = &status.window else { return "none was decided yet".to_owned() };
    let lossy = if window.lossy { ", LOSSY" } else { "" };
    let late = match status.late_windows {
        0 => String::new(),
        late => format!("; {} put off since the start", count(late)),
    };
    format!(
        "{} of {}: decided after {} ms; {} flows, {} peers, {} packets/s{lossy}{late}",
        count(window.number),
        humantime::format_duration(std::time::Duration::from_millis(window.length_ms)),
        number(window.decided_after_ms),
        count(window.flows),
        count(window.peers),
        rate(window.packets_per_second),
    )
}

fn blocks(status: &Status) -> String {
    let blocks = &status.blocks;
    let mut text = format!(
        "{} of {} stand (room for {}); {} of {} made in the last minute; {} packets dropped",
        count(blocks.active),
        count(blocks.limit),
        count(blocks.capacity),
        count(blocks.made_last_minute),
        count(blocks.limit_per_minute),
        count(blocks.dropped_packets),
    );
    if blocks.would_drop_packets > 0 {
        let _ = write!(text, ", {} more would be", count(blocks.would_drop_packets));
    }
    text
}

/// What the kernel holds: `model 3 drop, 1 shadow; list feeds 516,000 drop`.
fn held(held: &[HeldBlocks]) -> String {
    let one = |of: &HeldBlocks| {
        let counts = [(of.drop, "drop"), (of.rate_limit, "limited"), (of.shadow, "shadow")];
        let counts: Vec<String> = counts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", count(*number)))
            .collect();
        let whose = match &of.list {
            Some(list) => format!("list {}", plain(list)),
            None => of.origin.name().to_owned(),
        };
        format!("{whose} {}", counts.join(", "))
    };
    held.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn ledger(status: &Status) -> String {
    let ledger = &status.ledger;
    let mut text = match ledger.health {
        Health::Failed | Health::Degraded => ledger.health.name().to_uppercase(),
        Health::Off | Health::Ok => ledger.health.name().to_owned(),
    };
    if let Some(error) = &ledger.error {
        let _ = write!(text, ": {}", plain(error));
    }
    if let Some(path) = &ledger.path {
        let _ = write!(text, ", {} ({} bytes)", plain(path), count(ledger.bytes));
    }
    if ledger.lost > 0 {
        let _ = write!(text, ", {} records lost", count(ledger.lost));
    }
    text
}

/// Counts by name, the highest first: `too_few_windows 118, allowed 3`.
pub(super) fn counts(counts: &BTreeMap<String, u64>) -> String {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let texts = sorted.iter().map(|(name, value)| format!("{} {}", plain(name), count(**value)));
    texts.collect::<Vec<_>>().join(", ")
}

/// Packets a second, in whole ones.
pub(super) fn rate(per_second: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded and not negative; beyond u64 it saturates"
    )]
    let whole = per_second.round().max(0.0) as u64;
    count(whole)
}

/// From one time to a later one, as a person reads it; nothing for what is over.
pub(super) fn until(end: Timestamp, now: Timestamp) -> String {
    roughly(u64::try_from(end.duration_since(now).as_secs()).unwrap_or(0))
}
