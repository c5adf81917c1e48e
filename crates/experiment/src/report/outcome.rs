//! Numbers of one setting.

use std::net::IpAddr;

use flows_common::{Action, Standing};
use serde::Serialize;

use super::{BLOCKS_LISTED, RefusalCount, SettingReport, seconds};
use crate::{
    effect::{AttackEffect, BlockEffect, Effect},
    stream::{Amount, AttackName, Extent, RowLabel, SentByAttack, Stream},
};

/// A block, and what it stopped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlockOutcome {
    /// The blocked address.
    pub peer: IpAddr,
    /// Time of the decision, from the start of the first window.
    pub decided_after_s: f64,
    /// End of the block, likewise.
    pub ends_after_s: f64,
    /// Action on its packets.
    pub action: Action,
    /// Ordinal of the block among this peer's, from 1.
    pub offence: u32,
    /// `attack`, `benign` or `unlabelled`, where there is a truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'static str>,
    /// Name of the attack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<String>,
    /// The chance of such a score in a benign window.
    pub p_value: f64,
    /// Distance above the calibration's highest score, as a share of the way to 1.
    pub surprise: f64,
    /// Whose packets it was decided on.
    pub standing: Standing,
    /// Packets it stopped, both ways; none where its counters were never told.
    pub stopped_packets: Option<u64>,
    /// Bytes it stopped.
    pub stopped_bytes: Option<u64>,
}

/// A limit on the unproven sources of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceOutcome {
    /// The IP protocol number.
    pub protocol: u8,
    /// The host's port.
    pub port: u16,
    /// Time of the first limit, from the start of the first window.
    pub decided_after_s: f64,
    /// End of the limit, with its renewals.
    pub ends_after_s: f64,
    /// Packets it stopped, both ways.
    pub stopped_packets: u64,
    /// Bytes it stopped.
    pub stopped_bytes: u64,
}

/// Outcome of one attack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttackOutcome {
    /// Its name.
    pub name: String,
    /// Class of the attack.
    pub class: String,
    /// Its sources are forged: each block of one hits a third party.
    pub forged: bool,
    /// Time of its first packet, from the start of the first window.
    pub began_after_s: f64,
    /// End of its last window, likewise.
    pub ended_after_s: f64,
    /// Addresses it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<u64>,
    /// Of these, how many were blocked.
    pub sources_blocked: u64,
    /// The service that it aims at was limited.
    pub by_service_limit: bool,
    /// From its first packet to the first block of one of its sources, or limit on its service;
    /// none for never.
    pub time_to_block_s: Option<f64>,
    /// Packets of the whole attack, both ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Bytes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Packets that were stopped.
    pub stopped_packets: u64,
    /// Bytes that were stopped.
    pub stopped_bytes: u64,
    /// What was stopped, as shares.
    #[serde(flatten)]
    pub shares: StoppedShares,
}

/// What was stopped of attacks, as shares of what they sent; none where nobody counted that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StoppedShares {
    /// Of all packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_packet_share: Option<f64>,
    /// Of all bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_byte_share: Option<f64>,
    /// Of the packets that came after the first block was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_packet_share_after_decision: Option<f64>,
    /// Of the bytes that came after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_byte_share_after_decision: Option<f64>,
}

impl StoppedShares {
    fn of(stopped: Amount, sent: Amount, sent_after: Amount) -> Self {
        Self {
            stopped_packet_share: share(stopped.packets, sent.packets),
            stopped_byte_share: share(stopped.bytes, sent.bytes),
            stopped_packet_share_after_decision: share(stopped.packets, sent_after.packets),
            stopped_byte_share_after_decision: share(stopped.bytes, sent_after.bytes),
        }
    }
}

/// All attacks together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AttackTotals {
    /// Attacks.
    pub attacks: u64,
    /// Attacks of which a source was blocked that is its own, or whose service was limited.
    pub attacks_blocked: u64,
    /// The others.
    pub attacks_never_blocked: u64,
    /// Sources that were blocked, and are the attackers' own.
    pub sources_blocked: u64,
    /// Addresses that were blocked, and were forged: third parties.
    pub forged_sources_blocked: u64,
    /// The middle time to block, over attacks that were blocked.
    pub median_time_to_block_s: Option<f64>,
    /// The longest one.
    pub max_time_to_block_s: Option<f64>,
    /// Traffic stopped.
    pub stopped: Amount,
    /// What was stopped, as shares.
    #[serde(flatten)]
    pub shares: StoppedShares,
}

/// Harm of a setting to peers of a class that are no attackers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassOutcome {
    /// Blocks that were decided on them.
    pub blocks: u64,
    /// Addresses that were blocked or lost packets.
    pub peers_blocked: u64,
    /// Packets they lost, both ways.
    pub packets_lost: u64,
    /// Bytes they lost.
    pub bytes_lost: u64,
    /// As a share of all their addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_share: Option<f64>,
    /// As a share of all their packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_share: Option<f64>,
    /// As a share of all their bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte_share: Option<f64>,
}

impl SettingReport {
    pub(super) fn of(stream: &Stream, extent: &Extent, effect: &Effect, has_truth: bool) -> Self {
        let count =
            |action| effect.blocks.iter().filter(|block| block.action == action).count() as u64;
        let attacks: Vec<AttackOutcome> = (0..stream.attacks().len())
            .map(|number| attack(stream, extent, effect, number))
            .collect();
        let enforced = || effect.blocks.iter().filter(|block| block.action != Action::Shadow);
        // A forged source is somebody else's address.
        let is_false = |block: &&BlockEffect| match block.label {
            RowLabel::Attack(number) => stream.attacks()[number].is_forged(),
            RowLabel::Benign | RowLabel::Unlabelled => true,
        };
        let class = |label| {
            let (lost, sent) = (effect.stopped.get(label), extent.amounts.get(label));
            let own = || enforced().filter(move |block| block.label == label);
            let mut hit = effect.hit.get(label).clone();
            hit.extend(own().map(|block| block.decision.evidence.address));
            ClassOutcome {
                blocks: own().count() as u64,
                peers_blocked: hit.len() as u64,
                packets_lost: lost.packets,
                bytes_lost: lost.bytes,
                peer_share: share(hit.len() as u64, *extent.addresses.get(label)),
                packet_share: share(lost.packets, sent.packets),
                byte_share: share(lost.bytes, sent.bytes),
            }
        };
        let listed = effect.blocks.iter().take(BLOCKS_LISTED);
        Self {
            number: 0,
            name: String::new(),
            varied: serde_json::Value::Null,
            blocks: effect.blocks.len() as u64,
            drops: count(Action::Drop),
            rate_limits: count(Action::RateLimit),
            shadows: count(Action::Shadow),
            service_limits: effect
                .services
                .iter()
                .map(|service| ServiceOutcome {
                    protocol: service.service.protocol,
                    port: service.service.port,
                    decided_after_s: seconds(service.decided_ns.saturating_sub(extent.start_ns)),
                    ends_after_s: seconds(service.expires_ns.saturating_sub(extent.start_ns)),
                    stopped_packets: service.stopped.packets,
                    stopped_bytes: service.stopped.bytes,
                })
                .collect(),
            breaker_openings: effect.breaker_openings,
            peak_active_blocks: effect.peak_active,
            peak_blocks_per_minute: effect.peak_per_minute(),
            stopped: effect.stopped.all(),
            false_blocks: has_truth.then(|| enforced().filter(is_false).count() as u64),
            attack: has_truth.then(|| totals(stream, extent, effect, &attacks)),
            benign: has_truth.then(|| class(RowLabel::Benign)),
            unlabelled: has_truth.then(|| class(RowLabel::Unlabelled)),
            attacks,
            refusals: effect
                .refused
                .iter()
                .map(|(refusal, refused)| RefusalCount::of(*refusal, refused, has_truth))
                .collect(),
            block_list: listed.map(|block| one(stream, extent, block, has_truth)).collect(),
            blocks_not_listed: effect.blocks.len().saturating_sub(BLOCKS_LISTED) as u64,
        }
    }
}

fn one(stream: &Stream, extent: &Extent, block: &BlockEffect, has_truth: bool) -> BlockOutcome {
    let evidence = &block.decision.evidence;
    let after = |time_ns: u64| seconds(time_ns.saturating_sub(extent.start_ns));
    let (label, attack) = match block.label {
        RowLabel::Attack(number) => ("attack", Some(stream.attacks()[number].name.clone())),
        RowLabel::Benign => ("benign", None),
        RowLabel::Unlabelled => ("unlabelled", None),
    };
    BlockOutcome {
        peer: evidence.address,
        decided_after_s: after(block.decided_ns),
        ends_after_s: after(block.expires_ns),
        action: block.action,
        offence: block.offence,
        label: has_truth.then_some(label),
        attack,
        p_value: evidence.p_value,
        surprise: evidence.surprise,
        standing: evidence.standing,
        stopped_packets: Some(block.stopped.packets),
        stopped_bytes: Some(block.stopped.bytes),
    }
}

fn attack(stream: &Stream, extent: &Extent, effect: &Effect, number: usize) -> AttackOutcome {
    let name = &stream.attacks()[number];
    let (sent, met) = (&extent.attacks[number], &effect.attacks[number]);
    let after = |time_ns: u64| seconds(time_ns.saturating_sub(extent.start_ns));
    AttackOutcome {
        name: name.name.clone(),
        class: name.class.clone(),
        forged: name.is_forged(),
        began_after_s: after(sent.first_ns),
        ended_after_s: after(sent.last_ns),
        sources: Some(sent.sources.len() as u64),
        sources_blocked: met.blocked.len() as u64,
        by_service_limit: met.first_limit_ns.is_some(),
        time_to_block_s: delay_ns(name, sent, met).map(seconds),
        packets: Some(sent.amount.packets),
        bytes: Some(sent.amount.bytes),
        stopped_packets: met.stopped.packets,
        stopped_bytes: met.stopped.bytes,
        shares: StoppedShares::of(met.stopped, sent.amount, met.sent_after),
    }
}

/// A block of a forged source is a third party's and stops nobody: such an attack is met by a limit
/// on its service alone.
fn delay_ns(name: &AttackName, sent: &SentByAttack, met: &AttackEffect) -> Option<u64> {
    let first_ns = if name.is_forged() { met.first_limit_ns } else { met.first_block_ns };
    first_ns.map(|first_ns| first_ns.saturating_sub(sent.first_ns))
}

fn totals(
    stream: &Stream,
    extent: &Extent,
    effect: &Effect,
    attacks: &[AttackOutcome],
) -> AttackTotals {
    let names = stream.attacks().iter();
    let delays = names.zip(extent.attacks.iter().zip(&effect.attacks));
    let mut delays: Vec<u64> =
        delays.filter_map(|(name, (sent, met))| delay_ns(name, sent, met)).collect();
    delays.sort_unstable();
    let mut after = Amount::default();
    effect.attacks.iter().for_each(|attack| after.add(attack.sent_after));
    let stopped = effect.stopped.attack;
    let blocked = delays.len() as u64;
    let sources = |forged: bool| {
        let counted = attacks.iter().filter(|attack| attack.forged == forged);
        counted.map(|attack| attack.sources_blocked).sum()
    };
    AttackTotals {
        attacks: attacks.len() as u64,
        attacks_blocked: blocked,
        attacks_never_blocked: attacks.len() as u64 - blocked,
        sources_blocked: sources(false),
        forged_sources_blocked: sources(true),
        median_time_to_block_s: median(&delays).map(seconds),
        max_time_to_block_s: delays.last().copied().map(seconds),
        stopped,
        shares: StoppedShares::of(stopped, extent.amounts.attack, after),
    }
}

/// The middle of sorted times; of an even number, what lies between the two in the middle.
pub(crate) fn median(sorted: &[u64]) -> Option<u64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(sorted[middle - 1].midpoint(sorted[middle])),
    }
}

/// A share, where there is anything to share.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use crate::sample::{Sample, report_on};

    #[test]
    fn a_block_of_a_forged_source_stops_no_attacker_and_is_a_false_one() {
        let forged = Sample::new().unverified(1, 0..6).unverified(2, 0..6);
        let report = report_on(&forged, &["expert.windows=1"]);
        let setting = &report.settings[0];
        let attack = setting.attack.as_ref().expect("a truth");
        assert!(setting.blocks > 0 && setting.service_limits.is_empty());
        assert_eq!((attack.attacks_blocked, attack.attacks_never_blocked), (0, 1));
        assert_eq!((attack.sources_blocked, attack.forged_sources_blocked), (0, setting.blocks));
        assert_eq!(setting.false_blocks, Some(setting.blocks));
        assert!(!report.to_html().contains("nobody else"));
    }

    #[test]
    fn where_nobody_is_known_to_be_benign_nothing_is_said_of_whom_a_setting_hurts() {
        let attack = Sample::new().attack(1, 0..10, 0.9);
        let page = report_on(&attack, &["expert.windows=1"]).to_html();
        assert!(page.contains("says nothing of whom it would hurt"));
        let page = report_on(&attack.benign(9, 0..10, -0.5), &["expert.windows=1"]).to_html();
        assert!(page.contains("blocks none of 1 benign peer and nobody else"));
    }
}
