//! Journal: what the node does, as records of the ledger.
//!
//! Decisions never wait for a disk: batches are put into the ledger's queue, and what finds no
//! room is counted there. Acts of people do wait, until their record is durable.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use events::{DecisionRecord, OwnAlert};
use ipnet::IpNet;
use jiff::Timestamp;
use ledger::{
    Act, Actor, Block, Decision, Difference, Ending, Health, How, Ids, Ledger, Moment, News,
    NotDurable, Options, PreviousEnd, Reader, Record, Run, Stop, Window, Writer, WriterHandle,
    WriterOptions,
};

use super::known::KnownBlock;
use crate::{
    clock::boot_ns,
    config::RawLedger,
    event::{ActEvent, DifferenceEvent, ExpiredEvent, WindowEvent},
};
use datapath::Target;

/// Decisions of one window that are recorded at most, those of the smallest p-values: a flood is
/// no reason to fill a disk. The rest are counted.
pub(super) const DECISIONS_RECORDED: usize = 256;
/// Interval at which the state of the writer is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for the record of a person's act to become durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);

/// Writer of the ledger's records, and the source of their numbers.
#[derive(Debug)]
pub struct Journal {
    numbers: Mutex<Numbers>,
    run: u64,
    /// When the run began.
    start: Moment,
    handle: Option<WriterHandle>,
    /// Taken when it is stopped.
    writer: Mutex<Option<Writer>>,
    path: Option<PathBuf>,
}

/// Numbers of decisions and blocks: the ledger's, or counted from 1 where there is none.
#[derive(Debug)]
enum Numbers {
    Ledger(Ids),
    Counted { decision: u64, block: u64 },
}

/// State that an earlier run left in the ledger, read before this one writes.
#[derive(Debug, Default)]
pub struct Before {
    /// Blocks in force by the ledger.
    pub active: Vec<Block>,
    /// Addresses that were blocked before.
    pub offenders: Vec<(std::net::IpAddr, ledger::Offences)>,
    /// End of the previous run.
    pub ended: Option<PreviousEnd>,
}

/// Facts recorded of a run.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// A digest of the configuration.
    pub config: String,
    /// The model's hash.
    pub model: String,
    /// The mode it starts in.
    pub mode: &'static str,
}

impl Journal {
    /// Records nothing, and only counts.
    #[must_use]
    pub fn none() -> Self {
        Self {
            numbers: Mutex::new(Numbers::Counted { decision: 0, block: 0 }),
            run: 0,
            start: Moment::default(),
            handle: None,
            writer: Mutex::new(None),
            path: None,
        }
    }

    /// Opens the ledger, reads what an earlier run left, and begins a run; kernel entries carry
    /// numbers up to `taken`.
    ///
    /// # Errors
    /// It is held by another weir, foreign, of a newer version, or cannot be written.
    pub fn open(
        config: &RawLedger,
        facts: &RunFacts,
        taken: u32,
    ) -> anyhow::Result<(Self, Before)> {
        if !config.enabled {
            return Ok((Self::none(), Before::default()));
        }
        if let Some(folder) = config.path.parent() {
            std::fs::create_dir_all(folder).with_context(|| {
                format!(
                    "cannot make `{}` for the ledger; name another in `ledger.path`",
                    folder.display()
                )
            })?;
        }
        let options =
            Options { max_age: config.max_age, max_bytes: config.max_bytes, ..Options::default() };
        let mut ledger = Ledger::open(&config.path, &options)?;
        let now = moment();
        let boot_id = boot_id();
        let reader = ledger.reader();
        let since_ns = now.wall_ns.saturating_sub(OFFENCES_FOR_NS);
        let before = Before {
            active: reader.active(now.wall_ns)?,
            offenders: reader.offenders(since_ns, OFFENDERS_LIMIT)?,
            ended: reader.last_run()?.map(|last| last.ended(&boot_id)),
        };
        let mut ids = ledger.ids()?;
        ids.skip_blocks_to(u64::from(taken));
        ids.skip_decisions_to(last_own_alert(reader)?);
        let run = ids.run();
        ledger.append(&[Record::Run(Run {
            id: run,
            start: now,
            boot_id: boot_id.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            config: facts.config.clone().into(),
            model: facts.model.clone().into(),
            mode: facts.mode.into(),
            previous: before.ended.unwrap_or(PreviousEnd::None),
        })])?;
        let writer = Writer::start(ledger, WriterOptions::default(), report)?;
        let journal = Self {
            numbers: Mutex::new(Numbers::Ledger(ids)),
            run,
            start: now,
            handle: Some(writer.handle()),
            writer: Mutex::new(Some(writer)),
            path: Some(config.path.clone()),
        };
        Ok((journal, before))
    }

    /// Takes another beginning of the run.
    #[cfg(test)]
    pub(super) fn began(&mut self, start: Moment) {
        self.start = start;
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// State of the writer; `None` where nothing is recorded.
    pub fn health(&self) -> Option<Health> {
        self.handle.as_ref().map(WriterHandle::health)
    }

    /// A separate connection to read the ledger with.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn reader(&self) -> Result<Option<Reader>, ledger::LedgerError> {
        self.path.as_deref().map(Ledger::read).transpose()
    }

    /// A number for a decision.
    pub(super) fn next_decision(&self) -> u64 {
        match &mut *self.numbers() {
            Numbers::Ledger(ids) => ids.next_decision(),
            Numbers::Counted { decision, .. } => {
                *decision += 1;
                *decision
            }
        }
    }

    /// A number for a block.
    pub(super) fn next_block(&self) -> u64 {
        match &mut *self.numbers() {
            Numbers::Ledger(ids) => ids.next_block(),
            Numbers::Counted { block, .. } => {
                *block += 1;
                *block
            }
        }
    }

    /// Puts records into the queue; what finds no room is counted in [`Journal::health`].
    pub(super) fn put(&self, records: Vec<Record>) {
        if let Some(handle) = &self.handle
            && !records.is_empty()
            && let Err(error) = handle.put(records)
        {
            tracing::warn!(%error, "records are lost to the ledger");
        }
    }

    /// Puts the record of a person's act, with what it led to, and waits until it is durable.
    ///
    /// # Errors
    /// It is not within five seconds, or sooner where the ledger cannot be written: a full disk
    /// makes nobody wait. What was done is done all the same.
    pub(super) fn put_durably(&self, records: Vec<Record>) -> anyhow::Result<()> {
        let Some(handle) = &self.handle else { return Ok(()) };
        let ticket = handle.put(records)?;
        let start = Instant::now();
        loop {
            match handle.wait(ticket, LOOK_EVERY) {
                Ok(()) => return Ok(()),
                Err(NotDurable::Late { failing: None, .. }) if start.elapsed() < DURABLE_WITHIN => {
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks for what is too old, or too much, to be removed. What is too old is told by the wall
    /// clock as it was when the run began: one that jumps ahead makes nothing old.
    pub(super) fn retain(&self) {
        if let Some(handle) = &self.handle {
            handle.retain(self.start.wall_ns_at(boot_ns()));
        }
    }

    /// Records the end of the run and waits until all is written.
    pub(super) fn stop(&self, why: &str) {
        let taken = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = taken else { return };
        let stop = Stop { run: self.run, at: moment(), why: why.to_owned().into() };
        if let Err(error) = writer.handle().put(vec![stop.into()]) {
            tracing::warn!(%error, "the end of this run is not in the ledger");
        }
        let (_, health) = writer.stop();
        if health.abandoned + health.dropped > 0 {
            tracing::error!(
                dropped = health.dropped,
                abandoned = health.abandoned,
                "records are not in the ledger"
            );
        }
    }

    pub(super) fn window(
        &self,
        event: &WindowEvent,
        lossy: bool,
        drifting: bool,
        mode: &'static str,
    ) -> Record {
        let now = moment();
        let at = |boot_ns| Moment { wall_ns: now.wall_ns_at(boot_ns), boot_ns };
        let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, one| sum.saturating_add(*one));
        Window {
            run: self.run,
            number: event.number,
            start: at(event.start_ns),
            end: at(event.end_ns),
            flows: event.flows as u64,
            peers: event.peers as u64,
            packets: sum(&event.packets),
            losses: event.losses.iter().fold(0, |sum, (_, lost)| sum.saturating_add(*lost)),
            lossy,
            drifting,
            mode: mode.into(),
        }
        .into()
    }

    pub(super) fn decision(&self, record: DecisionRecord, model: &str) -> Record {
        Decision { run: self.run, model: model.to_owned().into(), record }.into()
    }

    pub(super) fn block(&self, target: Target, known: &KnownBlock) -> Record {
        Block {
            id: known.id,
            run: self.run,
            target: IpNet::from(target).into(),
            action: known.action,
            made: known.made,
            expires: known.expires,
            origin: known.origin,
            decision: known.decision,
            who: known.who.clone().map(Into::into),
            reason: known.reason.clone().map(Into::into),
        }
        .into()
    }

    pub(super) fn ending(
        &self,
        block: u64,
        target: Target,
        how: How,
        hits: &ExpiredEvent,
    ) -> Record {
        Ending {
            block,
            run: self.run,
            at_ns: moment().wall_ns_at(hits.at_ns),
            target: IpNet::from(target).into(),
            how,
            dropped_packets: hits.dropped_packets.saturating_add(hits.would_drop_packets),
            dropped_bytes: hits.dropped_bytes.saturating_add(hits.would_drop_bytes),
            passed_packets: hits.passed_packets,
            passed_bytes: 0,
        }
        .into()
    }

    pub(super) fn act(&self, event: &ActEvent, who: Actor) -> Record {
        Act {
            run: self.run,
            at_ns: moment().wall_ns_at(event.at_ns),
            who,
            what: event.what.clone(),
            arguments: event.arguments.to_string().into(),
            outcome: event.outcome.clone().into(),
        }
        .into()
    }

    pub(super) fn difference(&self, event: &DifferenceEvent) -> Record {
        Difference {
            run: self.run,
            at_ns: moment().wall_ns_at(event.at_ns),
            kind: event.kind.clone(),
            target: event.target,
            detail: event.detail.clone().into(),
            done: event.done.clone(),
        }
        .into()
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lifetime of an offence, in ns: that of the policy's memory.
const OFFENCES_FOR_NS: i64 = 7 * 86_400_000_000_000;
/// Offenders taken over from an earlier run at most.
const OFFENDERS_LIMIT: usize = 10_000;

/// Now, on both clocks.
pub(super) fn moment() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ns = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    Moment { wall_ns, boot_ns: boot_ns() }
}

/// A wall-clock time in ns, as the ledger has it.
pub(super) fn wall_ns(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// The highest number of what was told of this host's own side: of one row with decisions' numbers.
fn last_own_alert(reader: &Reader) -> Result<u64, ledger::LedgerError> {
    let span = ledger::Span { limit: usize::MAX, ..ledger::Span::default() };
    let name = Some(super::services::OWN_NAME.to_owned());
    let acts = reader.acts(&ledger::ActQuery { span, what: None, name })?.rows;
    let told = acts.iter().filter_map(|act| serde_json::from_str(&act.arguments).ok());
    Ok(told.map(|alert: OwnAlert| alert.id()).max().unwrap_or(0))
}

pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[expect(clippy::needless_pass_by_value, reason = "the writer hands each over")]
fn report(news: News<'_>) {
    match news {
        News::Failing(error) => tracing::error!(%error, "the ledger cannot be written"),
        News::Recovered { failures } => tracing::info!(failures, "the ledger is written again"),
        News::Rejected(why) => tracing::error!(why, "a record was refused by the ledger"),
        News::RetentionFailing(error) => tracing::warn!(%error, "old records are not removed"),
        _ => {}
    }
}
