//! Feature tables as a stream of evidence, as far as they tell.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use ::model::{Feature as _, FlowFeature, ModelFile, PeerFeature, assess::PeerAssessment};
use arrow_array::cast::AsArray as _;
use dataset::{Columns, Dataset, Selection, TableKind};
use policy::{Evidence, Service, WindowFacts};

use super::{inputs::input, truth::TruthFiles};
use crate::cli::reading::{Level, Piece, read_with_services};
use experiment::{
    report::Input,
    stream::{Row, Stream},
};

/// Whether the paths are tables: folders and `.parquet` files.
pub(super) fn are_tables(paths: &[PathBuf]) -> anyhow::Result<bool> {
    let is_table =
        |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|end| end == "parquet");
    let tables = paths.iter().filter(|path| is_table(path)).count();
    anyhow::ensure!(
        tables == 0 || tables == paths.len(),
        "captures and feature tables cannot be mixed: an experiment is on one or the other"
    );
    Ok(tables > 0)
}

/// Scores tables window by window; tells whether their own labels were taken.
pub(super) fn read(
    paths: &[PathBuf],
    model: &ModelFile,
    truth: &TruthFiles,
    stream: &mut Stream,
    inputs: &mut Vec<Input>,
) -> anyhow::Result<bool> {
    let dataset = Dataset::open(paths)?;
    for table in [TableKind::Peer, TableKind::Flow, TableKind::Window] {
        for file in dataset.files(table) {
            inputs.push(input("table", &file.path).map(|one| named(one, paths, &file.path))?);
        }
    }
    let labelled = !truth.is_given() && dataset.is_labelled(TableKind::Peer);
    let lossy = lossy_windows(&dataset)?;
    let mut windows: BTreeMap<(i64, u64), (WindowFacts, Vec<Row>)> = BTreeMap::new();
    read_with_services(&dataset, &Selection::default(), &mut |piece| {
        let Some(&start) = piece.starts_ns.first() else { return Ok(()) };
        let facts = facts(piece, &lossy);
        let assessment = piece.assess(Level::Decision, model.flow(), model.peer());
        let known = truth.at(start, piece.ends_ns[0]);
        let mut rows = Vec::with_capacity(piece.len());
        for (index, assessed) in assessment.peers().iter().enumerate() {
            let label =
                if labelled { piece.labels[index].clone() } else { known.of(piece.remote[index]) };
            rows.push(Row {
                evidence: evidence(piece, index, assessed, &facts),
                first_ns: facts.start_ns,
                label: stream.label(&label),
            });
        }
        windows.entry((start, facts.end_ns)).or_insert_with(|| (facts, Vec::new())).1.extend(rows);
        Ok(())
    })?;
    for (facts, rows) in windows.into_values() {
        stream.push(facts, rows)?;
    }
    Ok(labelled)
}

/// A file under the name it was found by, not the machine's own.
fn named(mut input: Input, paths: &[PathBuf], file: &Path) -> Input {
    for path in paths {
        let Ok(root) = path.canonicalize() else { continue };
        if let Ok(rest) = file.strip_prefix(&root) {
            let whole = if rest.as_os_str().is_empty() { path.clone() } else { path.join(rest) };
            input.path = whole.display().to_string();
            return input;
        }
    }
    input
}

/// The windows that lost flows, by their start in unix time, as the window table tells.
fn lossy_windows(dataset: &Dataset) -> anyhow::Result<HashSet<i64>> {
    let selection = Selection { columns: Columns::All, ..Selection::default() };
    let mut lossy = HashSet::new();
    for block in dataset.blocks(TableKind::Window, &selection) {
        let block = block?;
        let Some(column) = block.batch.column_by_name("lossy") else { continue };
        let Some(flags) = column.as_boolean_opt() else { continue };
        let starts = block.time_ns.iter().zip(flags.values());
        lossy.extend(starts.filter(|(_, lossy)| *lossy).map(|(start_ns, _)| *start_ns));
    }
    Ok(lossy)
}

/// A window on the clock of unix time.
fn facts(piece: &Piece, lossy: &HashSet<i64>) -> WindowFacts {
    let unix = |ns: i64| u64::try_from(ns).unwrap_or_default();
    WindowFacts {
        start_ns: unix(piece.starts_ns[0]),
        end_ns: unix(piece.ends_ns[0]),
        lossy: lossy.contains(&piece.starts_ns[0]),
        ..WindowFacts::default()
    }
}

/// The evidence of a row, as far as its features tell.
fn evidence(
    piece: &Piece,
    index: usize,
    assessed: &PeerAssessment,
    facts: &WindowFacts,
) -> Evidence {
    let width = PeerFeature::ALL.len();
    let row = &piece.rows[index * width..(index + 1) * width];
    let natural = |feature: PeerFeature| f64::from(feature.natural(row[feature.index()]));
    let span_s = facts.end_ns.saturating_sub(facts.start_ns) as f64 / 1e9;
    let packets = whole(natural(PeerFeature::IngressPacketRate) * span_s)
        + whole(natural(PeerFeature::EgressPacketRate) * span_s);
    let bytes = whole(natural(PeerFeature::IngressByteRate) * span_s)
        + whole(natural(PeerFeature::EgressByteRate) * span_s);
    let flows: Vec<Flow> = piece.flows_of[index]
        .clone()
        .map(|place| {
            let width = FlowFeature::ALL.len();
            Flow::of(&piece.flow_rows[place * width..(place + 1) * width], span_s)
        })
        .collect();
    Evidence {
        address: piece.remote[index],
        p_value: assessed.p_value,
        conditional_p_value: assessed.conditional_p_value,
        peer_score: assessed.peer_score,
        flow_score: assessed.flow_score,
        novelty: assessed.novelty,
        excess: assessed.excess,
        packets,
        bytes,
        verified: is_verified(&flows),
        initiated: flows.iter().any(Flow::is_initiated),
        service: service(piece, index, &flows),
    }
}

/// What a flow's features tell of it.
struct Flow {
    ingress: u64,
    egress: u64,
    /// Packets with ACK, both ways.
    acks: u64,
    /// Any RST, either way.
    reset: bool,
    from_remote: bool,
    /// A UDP flow, or a TCP flow whose SYN was seen: who opened it is certain.
    opening_seen: bool,
}

impl Flow {
    fn of(row: &[f32], span_s: f64) -> Self {
        let natural = |feature: FlowFeature| f64::from(feature.natural(row[feature.index()]));
        let ingress = whole(natural(FlowFeature::IngressPacketRate) * span_s);
        let egress = whole(natural(FlowFeature::EgressPacketRate) * span_s);
        let tcp = natural(FlowFeature::IsTcp) > 0.5;
        let acks = whole(natural(FlowFeature::AckRatio) * (ingress + egress) as f64);
        Self {
            ingress,
            egress,
            acks: if tcp { acks } else { 0 },
            reset: natural(FlowFeature::RstRatio) > 0.0,
            from_remote: natural(FlowFeature::RemoteInitiated) > 0.5,
            opening_seen: natural(FlowFeature::IsUdp) > 0.5
                || tcp && natural(FlowFeature::HandshakeOutcome) > 0.5,
        }
    }

    /// As [`engine::detector`] has it.
    const fn is_initiated(&self) -> bool {
        self.opening_seen && !self.from_remote && self.ingress > 0
    }

    /// The remote surely sent an ACK and the host answered: more ACKs than the host has packets.
    const fn is_verified(&self) -> bool {
        self.egress > 0 && self.acks > self.egress && !self.reset
    }
}

/// As [`engine::detector`] has it, where the flags' directions can be told.
fn is_verified(flows: &[Flow]) -> bool {
    let sent: u64 = flows.iter().map(|flow| flow.ingress).sum();
    let verified: u64 =
        flows.iter().filter(|flow| flow.is_verified()).map(|flow| flow.ingress).sum();
    sent > 0 && verified >= sent.div_ceil(2)
}

/// The service that most packets of a peer went to, among the flows that it opened itself.
fn service(piece: &Piece, index: usize, flows: &[Flow]) -> Option<Service> {
    let services = piece.services.get(piece.flows_of[index].clone())?;
    let mut packets: BTreeMap<Service, u64> = BTreeMap::new();
    for (flow, &(protocol, port)) in flows.iter().zip(services) {
        if flow.from_remote {
            *packets.entry(Service { protocol, port }).or_default() += flow.ingress;
        }
    }
    packets.into_iter().rev().max_by_key(|&(_, packets)| packets).map(|(service, _)| service)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count made of a rate, none below 0"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}
