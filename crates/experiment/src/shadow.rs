//! The same report of a node's own record: what its entries counted, in shadow mode or enforcing.
//!
//! A record is what `weir run --events` writes, one [`Event`] a line. Events and fields of other
//! versions are passed over.

use std::{collections::BTreeMap, io::BufRead, net::IpAddr};

use dataset::{Active, Truth};
use events::{ActionTaken, DecisionRecord, Event, ExpiredEvent};
use flows_common::Action;
use policy::Refusal;

use super::{
    Absent, Report, SCHEMA,
    absent::{self, NOT_COUNTED},
    effect::most_within_a_minute,
    report::{
        AttackOutcome, AttackTotals, BLOCKS_LISTED, BlockOutcome, ClassOutcome, Origin,
        RefusalCount, SettingReport, Source, StoppedShares, Traffic, median, seconds,
    },
    stream::{Amount, AttackName},
};

/// Blocks and refusals that a record may hold.
const EVENTS_LIMIT: usize = 5_000_000;

/// Failure to make a report of a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be read.
    #[error("the record cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A line is no event.
    #[error("line {line} of the record is no event of `weir run --events`: {reason}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// Reason.
        reason: String,
    },
    /// There is no window in it.
    #[error("the record holds no window: give the file that `weir run --events FILE` wrote")]
    Empty,
    /// It is too long.
    #[error("the record has more than {EVENTS_LIMIT} decisions, which is the limit: split it")]
    Long,
}

/// A block of the record.
struct Block {
    told: DecisionRecord,
    action: Action,
    expires_ns: u64,
    counted: Option<Amount>,
}

/// Record that a node wrote while it ran.
#[derive(Default)]
pub struct Record {
    windows: u64,
    lossy_windows: u64,
    peer_windows: u64,
    span_ns: Option<(u64, u64)>,
    blocks: Vec<Block>,
    refused: Vec<DecisionRecord>,
    /// Blocks whose counters were not told yet, by address.
    open: BTreeMap<IpAddr, Vec<usize>>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("windows", &self.windows).finish_non_exhaustive()
    }
}

impl Record {
    /// Reads a record to its end.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn read(from: impl BufRead) -> Result<Self, RecordError> {
        let mut record = Self::default();
        for (line, text) in (1..).zip(from.lines()) {
            let text = text?;
            if text.trim().is_empty() {
                continue;
            }
            let told = serde_json::from_str(&text)
                .map_err(|error| RecordError::Line { line, reason: error.to_string() })?;
            record.take(told)?;
        }
        if record.windows == 0 { Err(RecordError::Empty) } else { Ok(record) }
    }

    fn take(&mut self, told: Event) -> Result<(), RecordError> {
        match told {
            Event::Window(window) => {
                self.windows += 1;
                let lossy = window.evicted != [0, 0] || window.imbalance != 0;
                self.lossy_windows += u64::from(lossy);
                self.peer_windows += window.peers as u64;
                let (start_ns, _) = self.span_ns.unwrap_or((window.start_ns, 0));
                self.span_ns = Some((start_ns, window.end_ns));
            }
            Event::Anomaly(told) => self.decided(told)?,
            Event::Expired(told) => self.expired(&told),
            _ => {}
        }
        Ok(())
    }

    fn decided(&mut self, told: DecisionRecord) -> Result<(), RecordError> {
        if self.blocks.len() + self.refused.len() >= EVENTS_LIMIT {
            return Err(RecordError::Long);
        }
        let would = (told.outcome == ActionTaken::WouldBlock).then_some(Action::Shadow);
        let Some(action) = told.outcome.entry().or(would) else {
            if told.refusal.is_some() {
                self.refused.push(told);
            }
            return Ok(());
        };
        self.open.entry(told.peer()).or_default().push(self.blocks.len());
        let expires_ns = told.at_ns.saturating_add(told.ttl_s.saturating_mul(1_000_000_000));
        self.blocks.push(Block { told, action, expires_ns, counted: None });
        Ok(())
    }

    /// Counters of one entry: the oldest whose counters have not been reported.
    fn expired(&mut self, told: &ExpiredEvent) {
        // A prefix is what a person blocked.
        let Some(peer) = told.peer.address() else { return };
        let Some(open) = self.open.get_mut(&peer) else { return };
        let Some(place) = open.iter().position(|&at| self.blocks[at].told.at_ns <= told.at_ns)
        else {
            return;
        };
        let block = &mut self.blocks[open.remove(place)];
        block.counted = Some(Amount {
            packets: told.dropped_packets.saturating_add(told.would_drop_packets),
            bytes: told.dropped_bytes.saturating_add(told.would_drop_bytes),
        });
    }

    /// The report; the truth's times are on the boot clock once `offset_ns` is added.
    #[must_use]
    pub fn report(&self, origin: Origin, truth: Option<&Truth>, offset_ns: i64) -> Report {
        let (start_ns, end_ns) = self.span_ns.unwrap_or_default();
        let known = Known { record: self, truth, offset_ns, start_ns, end_ns };
        let mut absent = absent::of(Source::NodeRecord, truth.is_some());
        if self.blocks.iter().any(|block| block.counted.is_none()) {
            absent.push(Absent { what: NOT_COUNTED.0, why: NOT_COUNTED.1 });
        }
        Report {
            schema: SCHEMA,
            software: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
            traffic: Traffic {
                windows: self.windows,
                lossy_windows: self.lossy_windows,
                peers: None,
                peer_windows: self.peer_windows,
                start_ns,
                duration_s: seconds(end_ns.saturating_sub(start_ns)),
                all: None,
                attack: None,
                benign: None,
                unlabelled: None,
            },
            policy: serde_json::Value::Null,
            axes: Vec::new(),
            settings: vec![known.setting()],
            trade_off: None,
            absent,
            caveats: absent::caveats(Source::NodeRecord),
            origin,
        }
    }
}

/// The record beside what is known of it.
struct Known<'a> {
    record: &'a Record,
    truth: Option<&'a Truth>,
    offset_ns: i64,
    start_ns: u64,
    end_ns: u64,
}

/// Label of a peer at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    Attack(AttackName),
    Benign,
    Unlabelled,
}

impl Label {
    const fn name(&self) -> &'static str {
        match self {
            Self::Attack(_) => "attack",
            Self::Benign => "benign",
            Self::Unlabelled => "unlabelled",
        }
    }
}

impl Known<'_> {
    fn label(&self, told: &DecisionRecord) -> Label {
        let Some(truth) = self.truth else { return Label::Unlabelled };
        let at_ns = i64::try_from(told.at_ns).unwrap_or(i64::MAX);
        let active = Active::of(truth, at_ns, at_ns.saturating_add(1), self.offset_ns);
        let interval = active.of_peer(told.peer()).map(|place| &truth.intervals[place]);
        match interval {
            Some(interval) if interval.is_attack() => Label::Attack(AttackName {
                name: interval.title().to_owned(),
                class: interval.class.clone(),
            }),
            Some(_) => Label::Benign,
            None if truth.rest == dataset::Rest::Benign => Label::Benign,
            None => Label::Unlabelled,
        }
    }

    fn setting(&self) -> SettingReport {
        let blocks: Vec<(&Block, Label)> =
            self.record.blocks.iter().map(|block| (block, self.label(&block.told))).collect();
        let count =
            |action| blocks.iter().filter(|(block, _)| block.action == action).count() as u64;
        let mut times: Vec<u64> = blocks.iter().map(|(block, _)| block.told.at_ns).collect();
        times.sort_unstable();
        let has_truth = self.truth.is_some();
        let attacks = self.attacks(&blocks);
        let is_false = |label: &Label| !matches!(label, Label::Attack(_));
        let other = |label: &Label| {
            let own = || blocks.iter().filter(|(_, one)| one == label);
            let lost = sum(own().map(|(block, _)| *block));
            let peers: std::collections::BTreeSet<IpAddr> =
                own().map(|(block, _)| block.told.peer()).collect();
            ClassOutcome {
                blocks: own().count() as u64,
                peers_blocked: peers.len() as u64,
                packets_lost: lost.packets,
                bytes_lost: lost.bytes,
                ..ClassOutcome::default()
            }
        };
        SettingReport {
            number: 1,
            name: "as the node ran".to_owned(),
            varied: serde_json::Value::Object(serde_json::Map::new()),
            blocks: blocks.len() as u64,
            drops: count(Action::Drop),
            rate_limits: count(Action::RateLimit),
            shadows: count(Action::Shadow),
            service_limits: Vec::new(),
            breaker_openings: 0,
            peak_active_blocks: self.peak_active(),
            peak_blocks_per_minute: most_within_a_minute(&times),
            stopped: sum(self.record.blocks.iter()),
            false_blocks: has_truth
                .then(|| blocks.iter().filter(|(_, label)| is_false(label)).count() as u64),
            attack: has_truth.then(|| totals(&attacks)),
            benign: has_truth.then(|| other(&Label::Benign)),
            unlabelled: has_truth.then(|| other(&Label::Unlabelled)),
            refusals: self.refusals(),
            block_list: blocks
                .iter()
                .take(BLOCKS_LISTED)
                .map(|(block, label)| self.listed(block, label))
                .collect(),
            blocks_not_listed: blocks.len().saturating_sub(BLOCKS_LISTED) as u64,
            attacks,
        }
    }

    fn listed(&self, block: &Block, label: &Label) -> BlockOutcome {
        let told = &block.told;
        BlockOutcome {
            peer: told.peer(),
            decided_after_s: seconds(told.at_ns.saturating_sub(self.start_ns)),
            ends_after_s: seconds(block.expires_ns.saturating_sub(self.start_ns)),
            action: block.action,
            offence: told.offence,
            label: self.truth.map(|_| label.name()),
            attack: match label {
                Label::Attack(attack) => Some(attack.name.clone()),
                _ => None,
            },
            p_value: told.evidence.p_value,
            surprise: told.evidence.surprise,
            standing: told.evidence.standing,
            stopped_packets: block.counted.map(|counted| counted.packets),
            stopped_bytes: block.counted.map(|counted| counted.bytes),
        }
    }

    /// The attacks of the truth that overlap the record.
    fn attacks(&self, blocks: &[(&Block, Label)]) -> Vec<AttackOutcome> {
        let Some(truth) = self.truth else { return Vec::new() };
        let clock = |time_ns: i64| {
            u64::try_from(time_ns.saturating_add(self.offset_ns)).unwrap_or_default()
        };
        let mut attacks: Vec<(AttackName, u64, u64)> = Vec::new();
        for interval in truth.intervals.iter().filter(|interval| interval.is_attack()) {
            let from_ns = clock(interval.from_ns).max(self.start_ns);
            let to_ns = clock(interval.to_ns).min(self.end_ns);
            if from_ns > to_ns {
                continue;
            }
            let name =
                AttackName { name: interval.title().to_owned(), class: interval.class.clone() };
            match attacks.iter_mut().find(|(one, ..)| *one == name) {
                Some((_, from, to)) => (*from, *to) = ((*from).min(from_ns), (*to).max(to_ns)),
                None => attacks.push((name, from_ns, to_ns)),
            }
        }
        attacks
            .into_iter()
            .map(|(name, from_ns, to_ns)| {
                let label = Label::Attack(name.clone());
                let own =
                    || blocks.iter().filter(|(_, one)| *one == label).map(|(block, _)| *block);
                let stopped = sum(own());
                let first_ns = own().map(|block| block.told.at_ns).min();
                let peers: std::collections::BTreeSet<IpAddr> =
                    own().map(|block| block.told.peer()).collect();
                let is_forged = name.is_forged();
                AttackOutcome {
                    forged: is_forged,
                    name: name.name,
                    class: name.class,
                    began_after_s: seconds(from_ns - self.start_ns),
                    ended_after_s: seconds(to_ns - self.start_ns),
                    sources: None,
                    by_service_limit: false,
                    sources_blocked: peers.len() as u64,
                    // A block of a forged source is a third party's, and stops nobody.
                    time_to_block_s: first_ns
                        .filter(|_| !is_forged)
                        .map(|at| seconds(at.saturating_sub(from_ns))),
                    packets: None,
                    bytes: None,
                    stopped_packets: stopped.packets,
                    stopped_bytes: stopped.bytes,
                    shares: StoppedShares::default(),
                }
            })
            .collect()
    }

    fn refusals(&self) -> Vec<RefusalCount> {
        let mut counts: BTreeMap<Refusal, [u64; 3]> = BTreeMap::new();
        let mut peers: BTreeMap<Refusal, std::collections::BTreeSet<IpAddr>> = BTreeMap::new();
        for told in &self.record.refused {
            let Some(reason) = told.refusal else { continue };
            let count = counts.entry(reason).or_default();
            count[0] += 1;
            match self.label(told) {
                Label::Attack(_) => count[1] += 1,
                Label::Benign => count[2] += 1,
                Label::Unlabelled => {}
            }
            peers.entry(reason).or_default().insert(told.peer());
        }
        let known = self.truth.is_some();
        counts
            .into_iter()
            .map(|(reason, [all, attack, benign])| RefusalCount {
                reason: reason.name().to_owned(),
                text: reason.text().to_owned(),
                peer_windows: all,
                attack_peer_windows: known.then_some(attack),
                benign_peer_windows: known.then_some(benign),
                peers: peers[&reason].len() as u64,
            })
            .collect()
    }

    fn peak_active(&self) -> u64 {
        let blocks = &self.record.blocks;
        let mut changes: Vec<(u64, i64)> = Vec::with_capacity(2 * blocks.len());
        for block in blocks {
            changes.extend([(block.told.at_ns, 1), (block.expires_ns, -1)]);
        }
        changes.sort_unstable();
        let mut active = 0_i64;
        let peak = changes.into_iter().map(|(_, change)| {
            active += change;
            active
        });
        u64::try_from(peak.max().unwrap_or(0)).unwrap_or(0)
    }
}

fn sum<'a>(blocks: impl Iterator<Item = &'a Block>) -> Amount {
    let mut sum = Amount::default();
    blocks.filter_map(|block| block.counted).for_each(|counted| sum.add(counted));
    sum
}

fn totals(attacks: &[AttackOutcome]) -> AttackTotals {
    let delays = attacks.iter().filter_map(|attack| attack.time_to_block_s);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds that were made of whole ns, none below 0"
    )]
    let mut delays: Vec<u64> = delays.map(|delay_s| (delay_s * 1e9).round() as u64).collect();
    delays.sort_unstable();
    let mut stopped = Amount::default();
    for attack in attacks {
        stopped.add(Amount { packets: attack.stopped_packets, bytes: attack.stopped_bytes });
    }
    let sources = |forged: bool| {
        let counted = attacks.iter().filter(|attack| attack.forged == forged);
        counted.map(|attack| attack.sources_blocked).sum()
    };
    AttackTotals {
        attacks: attacks.len() as u64,
        attacks_blocked: delays.len() as u64,
        attacks_never_blocked: (attacks.len() - delays.len()) as u64,
        sources_blocked: sources(false),
        forged_sources_blocked: sources(true),
        median_time_to_block_s: median(&delays).map(seconds),
        max_time_to_block_s: delays.last().copied().map(seconds),
        stopped,
        ..AttackTotals::default()
    }
}

#[cfg(test)]
mod tests;
