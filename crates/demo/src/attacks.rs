//! Joining what was told with what really happened.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use lab::{AttackTruth, Sources};
use model::ModelFile;
use policy::statistics::support;

use super::{
    incidents::{is_block, tells_of},
    report::{AttackReport, Learning},
    watch::Log,
};
use collector::{config::Config, event::DecisionRecord};
use training::Learnt;

/// Time behind an attack's last packet in which what is decided is on it: the longest horizon that a
/// demo fills lags by so much.
const AFTERWARDS_NS: u64 = 3_000_000_000;

/// First drop, in ns of the boot clock, and number of drops of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drops {
    pub(super) first_ns: u64,
    pub(super) packets: u64,
}

/// Report of an attack that began at `began_ns` of the log's clock.
pub(super) fn attack_report(
    truth: &AttackTruth,
    began_ns: u64,
    log: &Log,
    drops: &[Drops],
) -> AttackReport {
    let lasted_ns = truth.ended.boot_ns.saturating_sub(truth.began.boot_ns);
    let is_its = |at_ns: u64| (began_ns..began_ns + lasted_ns + AFTERWARDS_NS).contains(&at_ns);
    let its: Vec<&DecisionRecord> = log
        .anomalies
        .iter()
        .filter(|anomaly| truth.sources.contains(anomaly.peer()) && is_its(anomaly.at_ns))
        .collect();
    let alarm = log.sites.iter().find(|alarm| tells_of(truth, alarm) && is_its(alarm.at_ns));
    let acted = its.iter().find(|anomaly| is_block(anomaly.outcome));
    let refusals: BTreeSet<_> = its.iter().filter_map(|anomaly| anomaly.refusal).collect();
    let windows: BTreeSet<u64> = its.iter().map(|anomaly| anomaly.window).collect();
    let after_ms = |ns: u64| ns.saturating_sub(began_ns) as f64 / 1e6;
    AttackReport {
        name: truth.name.clone(),
        class: truth.class.name().to_owned(),
        source: source_text(&truth.sources),
        spoofed: truth.sources.are_spoofed(),
        from_within: truth.initiated_by_the_victim,
        sent: sent_text(truth),
        anomalous_windows: windows.len() as u64,
        alarmed_after_ms: alarm.map(|alarm| after_ms(alarm.at_ns)),
        outcome: acted.map(|anomaly| anomaly.outcome),
        refusals: refusals.into_iter().collect(),
        to_block_ms: acted.map(|anomaly| after_ms(anomaly.at_ns)),
        to_drop_ms: drops.iter().map(|drop| drop.first_ns).min().map(after_ms),
        dropped: drops.iter().map(|drop| drop.packets).sum(),
        reasons: acted
            .or(its.first())
            .map(|one| &one.reasons)
            .or_else(|| alarm.map(|one| &one.reasons))
            .cloned()
            .unwrap_or_default(),
    }
}

/// Benign addresses that were blocked, or would have been.
pub(super) fn benign_blocked(benign: &[IpAddr], log: &Log) -> Vec<IpAddr> {
    let blocked: BTreeSet<IpAddr> = log
        .anomalies
        .iter()
        .filter(|anomaly| is_block(anomaly.outcome) && benign.contains(&anomaly.peer()))
        .map(DecisionRecord::peer)
        .collect();
    blocked.into_iter().collect()
}

/// Report of the learning.
pub(super) fn learning(
    seconds: f64,
    learnt: Learnt,
    fit: Duration,
    model: &ModelFile,
    config: &Config,
) -> Learning {
    let basis = engine::basis(model);
    let peers = basis.peers_per_window.unwrap_or(1.0);
    Learning {
        support: support(&config.policy, &basis, peers, config.window),
        seconds,
        learnt,
        fit_ms: fit.as_secs_f64() * 1e3,
        smallest_p: 1.0 / (model.peer().calibration().held_out() as f64 + 1.0),
        model: model.digest().to_owned(),
    }
}

/// Packets or connections of an attack, as text.
pub(super) fn sent_text(truth: &AttackTruth) -> String {
    match (truth.sent.frames, truth.sent.connections) {
        (0, connections) => format!("{connections} conn"),
        (frames, _) => format!("{frames} pkt"),
    }
}

fn source_text(sources: &Sources) -> String {
    match sources {
        Sources::Real { address } => address.to_string(),
        Sources::Spoofed { network, prefix, .. } => format!("{network}/{prefix} (forged)"),
        Sources::Network { network, prefix } => format!("{network}/{prefix}"),
    }
}
