//! `weir label`: ground truth joined to captured feature tables.

use std::{
    fmt::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use control::{
    Client, ClientError,
    wire::{Kind, Verdict, VerdictRequest},
};
use dataset::{BENIGN, Dataset, Interval, LabelOptions, Labelled, Rest, Truth};
use ipnet::IpNet;
use lab::{AttackTruth, GroundTruth, Moment, Sources, Transport};

use super::{IN_PART, Layers, NOTHING, emit, end_with, node::NodeArgs, table};

#[derive(Debug, Args)]
pub(super) struct LabelArgs {
    /// Output of `weir capture` or `weir replay`: folders or files.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// Ground truth: CSV, TOML, or the lab's `.truth.json`. Of several files, an earlier one takes
    /// precedence over a later one.
    ///
    /// The first line of CSV names its columns, of which only `class` must be there: from, to (RFC
    /// 3339 or unix seconds), remote, local (addresses or prefixes, apart by spaces),
    /// `remote_port`, `local_port` (a port or 1-1024), protocol (tcp, udp, icmp, icmpv6 or a
    /// number), class (`benign`, or an attack's), name. What is empty is open. The first line that
    /// matches a row labels it. TOML has the same keys, in one `[[interval]]` each.
    #[arg(long, required = true, value_name = "FILE")]
    truth: Vec<PathBuf>,
    /// Offset added to the truth's clock to give the data's, such as 500ms or -2s.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = offset, allow_hyphen_values = true)]
    offset: i64,
    /// Label of rows that no truth covers; without it, as the truth says, else unlabelled.
    #[arg(long, value_enum)]
    rest: Option<RestChoice>,
    /// Write a labelled copy into this folder; without it, the files themselves are labelled.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Tell the running node too, for what it learns from: of each remote that the truth names as an
    /// attacker nothing is learnt, and what one did that was reported and is benign is.
    #[arg(long)]
    tell_node: bool,
    #[command(flatten)]
    node: NodeArgs,
    /// Print the summary as a JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum RestChoice {
    Benign,
    Unlabelled,
}

/// Which of the lab's two clocks a truth's times are taken from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// The wall clock, that of captures and tables.
    Unix,
    /// The boot clock, that of a node's own record.
    Boot,
}

impl LabelArgs {
    pub(super) fn run(self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let truth = read_truths(&self.truth, self.rest, Clock::Unix)?;
        if self.tell_node {
            tell(&self.node.client(layers)?, &truth)?;
        }
        let dataset = Dataset::open(&self.data)?;
        let options =
            LabelOptions { offset_ns: self.offset, out: self.out, ..LabelOptions::default() };
        let summary = Summary::of(&truth, &dataset::label(&dataset, &truth, &options)?);
        emit(&if self.json {
            format!("{}\n", serde_json::to_string_pretty(&summary)?)
        } else {
            summary.text()
        })?;
        let why = || format!("{} matched no row", summary.unmatched.join(", "));
        Ok(match (summary.unmatched.is_empty(), summary.matched) {
            (true, _) => ExitCode::SUCCESS,
            (false, 0) => end_with(NOTHING, &why()),
            (false, _) => end_with(IN_PART, &why()),
        })
    }
}

/// Tells a node who is an attacker and who is not.
fn tell(client: &Client, truth: &Truth) -> anyhow::Result<()> {
    let (mut heard, mut unreported) = ([0_u64; 2], 0_u64);
    for (net, is_attacker) in truth.remotes() {
        let verdict = if is_attacker { Verdict::Attack } else { Verdict::Benign };
        let request = VerdictRequest { remote: net.into(), verdict, reason: None };
        match client.vouch(&request) {
            Ok(_) => heard[usize::from(is_attacker)] += 1,
            // Nothing is to be taken back of it.
            Err(ClientError::Refused(refused)) if refused.kind == Kind::NotFound => unreported += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let [benign, attackers] = heard;
    eprintln!(
        "weir: the node heard of {attackers} attackers and of {benign} who are benign; nothing was \
         ever reported of {unreported} more"
    );
    Ok(())
}

/// Labelled rows, and the truths that match none.
#[derive(Debug, serde::Serialize)]
struct Summary {
    files: u64,
    rows: Vec<ClassRows>,
    /// Truths that match no row: their times or addresses are wrong, or the data lacks them.
    unmatched: Vec<String>,
    /// Truths that match some row.
    #[serde(skip)]
    matched: usize,
}

#[derive(Debug, serde::Serialize)]
struct ClassRows {
    table: &'static str,
    /// None for what is unlabelled.
    class: Option<String>,
    rows: u64,
}

impl Summary {
    fn of(truth: &Truth, labelled: &Labelled) -> Self {
        let mut titles: Vec<(&str, u64)> = Vec::new();
        // A truth may be told in several intervals, from the exact to the general.
        for (interval, &rows) in truth.intervals.iter().zip(&labelled.matched) {
            match titles.iter_mut().find(|(title, _)| *title == interval.title()) {
                Some((_, sum)) => *sum += rows,
                None => titles.push((interval.title(), rows)),
            }
        }
        let matched = titles.iter().filter(|(_, rows)| *rows > 0).count();
        let unmatched = titles.into_iter().filter(|(_, rows)| *rows == 0);
        Self {
            files: labelled.files,
            rows: labelled
                .classes
                .iter()
                .map(|one| ClassRows {
                    table: one.table.name(),
                    class: one.class.clone(),
                    rows: one.rows,
                })
                .collect(),
            unmatched: unmatched.map(|(title, _)| title.to_owned()).collect(),
            matched,
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![["table", "label", "rows"].map(str::to_owned).to_vec()];
        for one in &self.rows {
            let class = one.class.clone().unwrap_or_else(|| "(unlabelled)".to_owned());
            lines.push(vec![one.table.to_owned(), class, one.rows.to_string()]);
        }
        let mut text = format!("labelled {} files\n{}", self.files, table(&lines));
        if !self.unmatched.is_empty() {
            let _ = writeln!(
                text,
                "matched no row: {}; check their times (--offset) and addresses",
                self.unmatched.join(", ")
            );
        }
        text
    }
}

/// Reads truths as one; what an earlier file says goes before what a later one says.
pub(super) fn read_truths(
    files: &[PathBuf],
    rest: Option<RestChoice>,
    clock: Clock,
) -> anyhow::Result<Truth> {
    let mut truth = Truth::default();
    for path in files {
        let one = read_truth(path, clock)?;
        truth.intervals.extend(one.intervals);
        if one.rest == Rest::Benign {
            truth.rest = Rest::Benign;
        }
    }
    match rest {
        Some(RestChoice::Benign) => truth.rest = Rest::Benign,
        Some(RestChoice::Unlabelled) => truth.rest = Rest::Unlabelled,
        None => {}
    }
    Ok(truth)
}

fn read_truth(path: &Path, clock: Clock) -> anyhow::Result<Truth> {
    if path.extension().is_some_and(|end| end == "json") {
        let truth = GroundTruth::read(path)
            .with_context(|| format!("`{}` is no ground truth of the lab", path.display()))?;
        return Ok(of_lab(&truth, clock));
    }
    Ok(Truth::read(path)?)
}

/// The lab's truth as intervals of a clock.
///
/// Each attack stands twice: exactly, with its victim, ports and transport; and, after all exact
/// ones, by its sources alone, for what they draw belongs to it too (the victim's port-unreachable
/// answers to a UDP flood are ICMP). What the clients do is benign at any time. Everything else,
/// such as the last answers to spoofed sources after an attack's end, is nobody's: unlabelled.
fn of_lab(truth: &GroundTruth, clock: Clock) -> Truth {
    let exact = truth.attacks.iter().map(|attack| exact_interval(attack, clock));
    let by_source = truth.attacks.iter().map(|attack| Interval {
        local: Vec::new(),
        remote_ports: 0..=u16::MAX,
        local_ports: 0..=u16::MAX,
        protocol: None,
        ..exact_interval(attack, clock)
    });
    let clients = Interval {
        remote: truth.clients.iter().copied().map(IpNet::from).collect(),
        ..Interval::of_class(BENIGN)
    };
    // Without clients it would be about everybody.
    let clients = (!truth.clients.is_empty()).then_some(clients);
    Truth { intervals: exact.chain(by_source).chain(clients).collect(), rest: Rest::Unlabelled }
}

fn exact_interval(attack: &AttackTruth, clock: Clock) -> Interval {
    let source = match attack.sources {
        Sources::Real { address } => IpNet::from(address),
        Sources::Spoofed { network, prefix, .. } | Sources::Network { network, prefix } => {
            IpNet::new(network, prefix).map_or_else(|_| IpNet::from(network), |net| net.trunc())
        }
    };
    let any = 0..=u16::MAX;
    let ports = attack.ports.map_or_else(|| any.clone(), |[first, last]| first..=last);
    let (remote_ports, local_ports) =
        if attack.initiated_by_the_victim { (ports, any) } else { (any, ports) };
    let instant = |moment: Moment| {
        let ns = match clock {
            Clock::Unix => moment.unix_ns,
            Clock::Boot => moment.boot_ns,
        };
        i64::try_from(ns).unwrap_or(i64::MAX)
    };
    Interval {
        from_ns: instant(attack.began),
        to_ns: instant(attack.ended),
        remote: vec![source],
        local: vec![IpNet::from(attack.victim)],
        remote_ports,
        local_ports,
        protocol: Some(protocol(attack.transport, attack.victim)),
        class: attack.class.name().to_owned(),
        name: Some(attack.name.clone()),
    }
}

const fn protocol(transport: Transport, victim: IpAddr) -> u8 {
    match transport {
        Transport::Tcp => ::model::record::TCP,
        Transport::Udp => ::model::record::UDP,
        Transport::Icmp if victim.is_ipv4() => ::model::record::ICMP,
        Transport::Icmp => ::model::record::ICMP_V6,
    }
}

/// A duration with a sign, in ns.
pub(super) fn offset(text: &str) -> Result<i64, String> {
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let wrong = || format!("`{text}` is no duration such as 500ms or -2s");
    let length: humantime::Duration = length.parse().map_err(|_| wrong())?;
    i64::try_from(length.as_nanos()).map(|ns| sign * ns).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_has_a_sign() {
        assert_eq!(offset("500ms"), Ok(500_000_000));
        assert_eq!(offset("+1s"), Ok(1_000_000_000));
        assert_eq!(offset("-1m 2s"), Ok(-62_000_000_000));
        assert!(offset("1").is_err() && offset("--1s").is_err() && offset("").is_err());
    }

    const TRUTH: &str = r#"{
        "scenario": "s", "seed": 1, "host": ["192.0.2.1"], "clients": ["192.0.2.10"],
        "attacks": [
            {
                "name": "flood", "class": "spoofed_syn_flood",
                "sources": {
                    "kind": "spoofed", "network": "203.0.113.0", "prefix": 25,
                    "attacker": "198.51.100.10"
                },
                "victim": "192.0.2.1", "transport": "tcp", "ports": [80, 80],
                "initiated_by_the_victim": false, "vlan": null,
                "began": { "boot_ns": 1, "unix_ns": 1000 },
                "ended": { "boot_ns": 2, "unix_ns": 2000 },
                "sent": { "frames": 1, "refused_frames": 0, "connections": 0, "bytes": 0 }
            },
            {
                "name": "leak", "class": "exfiltration",
                "sources": { "kind": "real", "address": "2001:db8::10" },
                "victim": "2001:db8::1", "transport": "icmp", "ports": [443, 443],
                "initiated_by_the_victim": true, "vlan": null,
                "began": { "boot_ns": 1, "unix_ns": 3000 },
                "ended": { "boot_ns": 2, "unix_ns": 4000 },
                "sent": { "frames": 1, "refused_frames": 0, "connections": 0, "bytes": 0 }
            }
        ]
    }"#;

    #[test]
    fn the_labs_truth_stands_exactly_then_by_source_then_the_clients() {
        let truth = of_lab(&serde_json::from_str(TRUTH).expect("a ground truth"), Clock::Unix);
        let [flood, leak, flood_at_all, leak_at_all, clients] = &truth.intervals[..] else {
            panic!("two attacks, twice, and the clients: {truth:?}");
        };
        assert_eq!(flood.remote, ["203.0.113.0/25".parse::<IpNet>().expect("a prefix")]);
        assert_eq!((flood.from_ns, flood.to_ns, flood.protocol), (1_000, 2_000, Some(6)));
        assert_eq!((&flood.local_ports, &flood.remote_ports), (&(80..=80), &(0..=u16::MAX)));
        assert_eq!((&leak.local_ports, &leak.remote_ports), (&(0..=u16::MAX), &(443..=443)));
        assert_eq!(leak.protocol, Some(58), "ICMPv6");
        assert_eq!(flood_at_all.remote, flood.remote);
        assert!(flood_at_all.local.is_empty() && flood_at_all.protocol.is_none());
        assert_eq!(leak_at_all.title(), "leak");
        assert_eq!((clients.class.as_str(), clients.from_ns), (BENIGN, i64::MIN));
        assert_eq!(truth.rest, Rest::Unlabelled);
    }

    #[test]
    fn the_labs_truth_is_also_of_the_boot_clock() {
        let truth = of_lab(&serde_json::from_str(TRUTH).expect("a ground truth"), Clock::Boot);
        assert_eq!((truth.intervals[0].from_ns, truth.intervals[0].to_ns), (1, 2));
    }
}
