//! The node as people see it.

use std::{collections::BTreeMap, time::Duration};

use control::wire::{
    BlockTotals, Breaker, Confirm, Drift, DriftState, Health, HeldBlocks, Interface, LedgerHealth,
    LiveClaim, ModeState, ModelInfo, Refused, Status,
};
use flows_common::Direction;
use jiff::Timestamp;
use ledger::Moment;

use super::{Inner, Node, bypass::PASSED_BY, journal::moment};
use crate::live::{Watched, guard_name};
use datapath::TcHook;

/// Under this name stand those whose entry the kernel refused, for want of room for example.
const ENTRY_FAILED: &str = "entry_failed";

/// Age of the counts of the kernel's blocks that a status may have.
const HELD_FOR: Duration = Duration::from_secs(1);
/// The same as a multiple of the time that counting takes.
const HELD_TIMES: u32 = 3;

/// A wall-clock time in ns as RFC 3339 has it.
pub(super) fn timestamp(wall_ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(wall_ns.into()).unwrap_or_default()
}

/// A boot-clock time in ns as RFC 3339 has it.
pub(super) fn boot_timestamp(now: Moment, boot_ns: u64) -> Timestamp {
    timestamp(now.wall_ns_at(boot_ns))
}

/// Whole seconds until a boot-clock time.
pub(super) fn seconds_until(now_ns: u64, then_ns: u64) -> u64 {
    then_ns.saturating_sub(now_ns).div_ceil(1_000_000_000)
}

impl Node {
    /// The node as it is now.
    pub(super) fn read_status(&self) -> Result<Status, Refused> {
        self.status_with(self.held(HELD_FOR, HELD_TIMES)?)
    }

    /// The node as it is now, with these counts of the kernel's blocks.
    pub(super) fn status_with(&self, held: Vec<HeldBlocks>) -> Result<Status, Refused> {
        let now = moment();
        let guard = self.guard_totals()?;
        let health = self.journal.health();
        let watched = (self.interfaces)();
        let (learning, version, unheard) = self.learning_state();
        let mut inner = self.inner();
        let losses: BTreeMap<String, u64> =
            inner.losses.iter().map(|(cause, &lost)| (cause.to_string(), lost)).collect();
        let mut refusals: BTreeMap<String, u64> = inner
            .policy
            .refusals()
            .iter()
            .map(|(refusal, &count)| (refusal.name().to_owned(), count))
            .collect();
        if inner.failed > 0 {
            refusals.insert(ENTRY_FAILED.to_owned(), inner.failed);
        }
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            time: timestamp(now.wall_ns),
            uptime_s: self.started.elapsed().as_secs(),
            mode: inner.policy.mode(),
            confirm: inner.confirm(now),
            breaker: inner.breaker(now),
            drift: inner.drift(),
            model: (!inner.model.hash.is_empty()).then(|| ModelInfo {
                path: inner.model.path.display().to_string(),
                hash: inner.model.hash.clone(),
                created: inner.model.created.clone(),
                version,
                learning,
                unheard,
            }),
            claim: inner.claim(),
            window: inner.window.clone(),
            blocks: inner.block_totals(now.boot_ns, guard),
            held,
            guard_passed_by: inner.bypass.passed_by,
            services: inner.service_states(now),
            incidents: inner
                .incidents
                .by_kind()
                .into_iter()
                .map(|(kind, open)| (kind.to_owned(), open))
                .collect(),
            refusals,
            losses,
            evicted_peers: inner.evicted_peers,
            late_windows: inner.late,
            lost_events: self.progress.lost_events().iter().sum(),
            ledger: ledger_health(health.as_ref(), self.journal.path(), inner.unrecorded),
            gone_namespaces: watched.gone_namespaces as u64,
            kernel_drops: watched.kernel_drops,
            not_watched: watched
                .refused
                .iter()
                .map(|(name, refused)| (name.to_string(), refused.why.clone()))
                .collect(),
            interfaces: watched
                .attached
                .iter()
                .map(|attached| Interface {
                    name: attached.interface.to_string(),
                    flows: match attached.tc {
                        TcHook::Tcx => "TCX",
                        TcHook::Clsact => "clsact",
                    }
                    .to_owned(),
                    guard: guard_name(attached),
                    unseen_packets: attached.unseen[0].saturating_add(attached.unseen[1]),
                    others: attached.neighbours.iter().map(ToString::to_string).collect(),
                })
                .collect(),
        })
    }

    /// Packets that the guard dropped, and would have dropped, in both directions.
    fn guard_totals(&self) -> Result<[u64; 2], Refused> {
        let Some(guard) = &self.guard else { return Ok([0; 2]) };
        let mut totals = [0_u64; 2];
        for way in Direction::ALL {
            let ledger = guard
                .guard_counters(way)
                .map_err(|error| Refused::internal(format!("the guard's counters: {error}")))?;
            totals[0] = totals[0].saturating_add(ledger.dropped);
            totals[1] = totals[1].saturating_add(ledger.shadowed);
        }
        Ok(totals)
    }

    /// Readiness: a window was decided recently, each interface that is named is watched, the guard
    /// sees what comes in, and the ledger can be written.
    pub(super) fn check_ready(&self) -> Result<(), Refused> {
        self.check_watched()?;
        if self.inner().bypass.passed_by {
            return Err(Refused::unavailable(PASSED_BY));
        }
        if let Some(error) = self.journal.health().and_then(|health| health.failing) {
            return Err(Refused::unavailable(format!("the ledger cannot be written: {error}")));
        }
        let inner = self.inner();
        if inner.decided.is_none() {
            return Err(Refused::unavailable("no window has been decided yet"));
        }
        match self.overdue(&inner) {
            Some(age) => Err(Refused::unavailable(format!(
                "the last window was decided {} s ago",
                age.as_secs()
            ))),
            None => Ok(()),
        }
    }

    /// True where windows come all the way to a decision in time.
    pub(super) fn is_alive(&self) -> bool {
        self.overdue(&self.inner()).is_none()
    }

    /// Time since the last window's decisions, or since the start, where that is too long.
    fn overdue(&self, inner: &Inner) -> Option<Duration> {
        let length = match (&inner.window, &inner.config) {
            (Some(window), _) => Duration::from_millis(window.length_ms),
            (None, Some(config)) => config.window,
            (None, None) => Duration::ZERO,
        };
        let age = inner.decided.unwrap_or(self.started).elapsed();
        // Twice, for a window may be late; and a few seconds for short ones.
        (age > length * 2 + Duration::from_secs(5)).then_some(age)
    }

    fn check_watched(&self) -> Result<(), Refused> {
        let Some(config) = self.inner().config.clone() else { return Ok(()) };
        let Watched { attached: watched, refused, .. } = (self.interfaces)();
        // One that no weir reads is told by the status alone: a pattern means it, and will.
        if let Some((name, refused)) = refused.iter().find(|(_, refused)| !refused.by_type) {
            return Err(Refused::unavailable(format!("`{name}` is not watched: {}", refused.why)));
        }
        let is_watched = |name: &str| watched.iter().any(|one| one.interface.as_str() == name);
        let mut named = config.interfaces.iter().filter(|one| !one.contains(['*', '?']));
        if let Some(gone) = named.find(|name| !is_watched(name)) {
            return Err(Refused::unavailable(format!("`{gone}` is not watched: it is gone")));
        }
        if watched.is_empty() && !config.interfaces.is_empty() {
            let patterns = config.interfaces.join("`, `");
            return Err(Refused::unavailable(format!("no interface matches `{patterns}` now")));
        }
        Ok(())
    }

    pub(super) fn mode_state(&self) -> ModeState {
        let inner = self.inner();
        ModeState { mode: inner.policy.mode(), confirm: inner.confirm(moment()) }
    }
}

impl Inner {
    fn drift(&self) -> Drift {
        let of = |state| Drift { state, since: None, moved: Vec::new() };
        if self.model.hash.is_empty() {
            return of(DriftState::Off);
        }
        self.drift.clone().unwrap_or_else(|| of(DriftState::Gathering))
    }

    fn confirm(&self, now: Moment) -> Option<Confirm> {
        self.policy.commit_confirm().map(|pending| Confirm {
            until: boot_timestamp(now, pending.until_ns),
            left_s: seconds_until(now.boot_ns, pending.until_ns),
            falls_back_to: pending.fall_back,
        })
    }

    fn claim(&self) -> Option<LiveClaim> {
        let window = self.config.as_ref()?.window;
        let support = self.policy.support(window)?;
        Some(LiveClaim {
            peers_per_window: support.peers_per_window,
            trained_at: support.basis.peers_per_window,
            needed: support.wrong_blocks.needed,
            held_out: support.basis.held_out.fewest(),
            supported: support.wrong_blocks.supported,
            advice: support.advice(),
        })
    }

    fn breaker(&self, now: Moment) -> Breaker {
        let Some(open) = self.policy.breaker().open() else {
            return Breaker { open: false, reason: None, since: None, rearms: None };
        };
        Breaker {
            open: true,
            reason: Some(open.trip.text().to_owned()),
            since: Some(boot_timestamp(now, open.since_ns)),
            rearms: open.rearms_ns.map(|at_ns| boot_timestamp(now, at_ns)),
        }
    }

    fn block_totals(&mut self, now_ns: u64, [dropped, would_drop]: [u64; 2]) -> BlockTotals {
        let limits = self.policy.config();
        let (limit, per_minute) = (limits.max_blocks, limits.expert.max_blocks_per_minute);
        let capacity = self.config.as_ref().map_or(0, |config| config.tables.blocks);
        BlockTotals {
            active: self.policy.active_blocks(now_ns) as u64,
            limit: limit.into(),
            capacity: capacity.into(),
            made_last_minute: self.policy.made_last_minute(now_ns) as u64,
            limit_per_minute: per_minute.into(),
            dropped_packets: dropped,
            would_drop_packets: would_drop,
        }
    }
}

fn ledger_health(
    health: Option<&ledger::Health>,
    path: Option<&std::path::Path>,
    unrecorded: u64,
) -> LedgerHealth {
    let Some(health) = health else {
        return LedgerHealth { health: Health::Off, error: None, path: None, bytes: 0, lost: 0 };
    };
    let lost = health.dropped + health.rejected + health.abandoned + unrecorded;
    let state = match (&health.failing, lost) {
        (Some(_), _) => Health::Failed,
        (None, 0) => Health::Ok,
        (None, _) => Health::Degraded,
    };
    LedgerHealth {
        health: state,
        error: health.failing.clone().or_else(|| health.retention_failing.clone()),
        path: path.map(|path| path.display().to_string()),
        bytes: path.and_then(|path| path.metadata().ok()).map_or(0, |facts| facts.len()),
        lost,
    }
}
