//! The node's metrics.

use std::collections::BTreeMap;

use control::{
    metrics::{Exposition, Metric},
    wire::{
        Action, BlockTotals, Condition, DriftState, Health, HeldBlocks, Learning, Mode, Status,
    },
};
use events::Refusal;
use flows_common::{Direction, GuardCounters, Loss};

use super::Node;
use crate::{clock::boot_ns, pipeline::EVENT_QUEUE, progress::Stage};

impl Node {
    /// Tells all metrics.
    pub(super) fn expose(&self, to: &mut Exposition) {
        // A counter that cannot be read leaves out what follows from it, and says so in the log.
        match self.status_with(self.held_lately()) {
            Ok(status) => {
                expose_state(to, &status);
                expose_window(to, &status);
                expose_losses(to, &status);
                expose_kernel(to, &status);
                expose_blocks(to, &status.blocks, &status.held);
            }
            Err(error) => tracing::warn!(%error, "metrics are incomplete"),
        }
        self.expose_policy(to);
        self.expose_tables(to);
        self.expose_progress(to);
    }

    fn expose_policy(&self, to: &mut Exposition) {
        let inner = self.inner();
        if let Some(config) = &inner.config {
            let asked = Some(config.policy.mode);
            to.tell_state(Metric::ConfiguredMode, Mode::ALL, Mode::name, asked);
            if let Some(support) = inner.policy.support(config.window) {
                let supported = support.wrong_blocks.supported;
                to.tell(Metric::ClaimSupported, u8::from(supported));
                to.tell(Metric::ClaimSmallestRate, support.smallest_rate);
                to.tell(Metric::ClaimHeldOutRows, support.basis.held_out.fewest() as f64);
            }
        }
        to.tell(Metric::BlocksFailed, inner.failed as f64);
        to.tell(Metric::BlocksLifted, inner.lifted as f64);
    }

    fn expose_tables(&self, to: &mut Exposition) {
        let Some(guard) = &self.guard else { return };
        let (held, room) = (guard.held(), guard.capacity());
        let tables = [
            ("blocks_ipv4", held.v4, room.v4),
            ("blocks_ipv6", held.v6, room.v6),
            ("blocks_prefix", held.prefixes, room.prefixes),
        ];
        let named = |name: &str, value: usize| ([name.to_owned()], value as f64);
        to.tell_each(Metric::TableEntries, tables.map(|(name, held, _)| named(name, held)));
        to.tell_each(Metric::TableCapacity, tables.map(|(name, _, room)| named(name, room)));
        let (mut frames, mut packets) = (Vec::new(), Vec::new());
        for direction in Direction::ALL {
            match guard.guard_counters(direction) {
                Ok(counters) => {
                    let way = match direction {
                        Direction::Ingress => "ingress",
                        Direction::Egress => "egress",
                    }
                    .to_owned();
                    frames.extend(
                        outcomes(&counters).map(|(outcome, count)| {
                            ([way.clone(), outcome.to_owned()], count as f64)
                        }),
                    );
                    packets.push(([way], counters.dropped as f64));
                }
                Err(error) => tracing::warn!(%error, "metrics are incomplete"),
            }
        }
        to.tell_each(Metric::GuardFrames, frames);
        to.tell_each(Metric::DroppedPackets, packets);
    }

    fn expose_progress(&self, to: &mut Exposition) {
        let progress = &self.progress;
        let busy = |stage: Stage| ([stage.name().to_owned()], progress.busy(stage).as_secs_f64());
        to.tell_each(Metric::StageBusySeconds, Stage::ALL.map(busy));
        to.tell(Metric::QueuedEvents, progress.queued_events() as f64);
        to.tell(Metric::QueuedEventsLimit, EVENT_QUEUE as f64);
        let [queue, sink] = progress.lost_events();
        let lost = [("queue", queue), ("sink", sink)];
        to.tell_each(Metric::LostEvents, lost.map(|(at, lost)| ([at.to_owned()], lost as f64)));
    }
}

fn expose_state(to: &mut Exposition, status: &Status) {
    to.tell_each(Metric::BuildInfo, [([status.version.clone()], 1.0)]);
    to.tell(Metric::UptimeSeconds, status.uptime_s as f64);
    let wall_s = status.time.as_nanosecond() as f64 / 1e9;
    to.tell(Metric::ClockOffset, wall_s - boot_ns() as f64 / 1e9);
    if let Some(model) = &status.model {
        to.tell_each(Metric::ModelInfo, [([model.hash.clone()], 1.0)]);
        to.tell(Metric::ModelVersion, model.version);
        to.tell_state(Metric::Learning, Learning::ALL, Learning::name, Some(model.learning));
        to.tell(Metric::LearningUnheard, model.unheard as f64);
        if let Ok(created) = model.created.parse::<jiff::Timestamp>() {
            to.tell(Metric::ModelCreated, created.as_second() as f64);
        }
    }
    to.tell_state(Metric::Mode, Mode::ALL, Mode::name, Some(status.mode));
    to.tell(Metric::ModeOnTrial, u8::from(status.confirm.is_some()));
    to.tell(Metric::BreakerOpen, u8::from(status.breaker.open));
    let drift = Some(status.drift.state);
    to.tell_state(Metric::DriftState, DriftState::ALL, DriftState::name, drift);
    let interfaces = status.interfaces.iter();
    to.tell_each(
        Metric::InterfaceInfo,
        interfaces.clone().map(|one| ([&one.name, &one.flows, &one.guard].map(Clone::clone), 1.0)),
    );
    to.tell_each(
        Metric::UnseenPackets,
        interfaces.map(|one| ([one.name.clone()], one.unseen_packets as f64)),
    );
    to.tell(Metric::InterfacesNotWatched, status.not_watched.len() as f64);
    to.tell(Metric::GuardPassedBy, u8::from(status.guard_passed_by));
    to.tell_each(
        Metric::Services,
        Condition::ALL.map(|condition| {
            let of = status.services.iter().filter(|one| one.condition == condition).count();
            ([condition.name().to_owned()], of as f64)
        }),
    );
    let open = status.incidents.iter();
    to.tell_each(Metric::OpenIncidents, open.map(|(about, &n)| ([about.clone()], n as f64)));
}

fn expose_kernel(to: &mut Exposition, status: &Status) {
    let dropped = status.kernel_drops.iter();
    let dropped = dropped.map(|(reason, &packets)| ([reason.clone()], packets as f64));
    to.tell_each(Metric::KernelDroppedPackets, dropped);
}

fn expose_window(to: &mut Exposition, status: &Status) {
    let Some(window) = &status.window else { return };
    to.tell(Metric::Windows, window.number as f64);
    to.tell(Metric::WindowEnded, window.ended.as_nanosecond() as f64 / 1e9);
    to.tell(Metric::WindowFlows, window.flows as f64);
    to.tell(Metric::WindowPeers, window.peers as f64);
    to.tell(Metric::WindowPacketsPerSecond, window.packets_per_second);
    to.tell(Metric::WindowLossy, u8::from(window.lossy));
    to.tell(Metric::DecidedAfterSeconds, window.decided_after_ms / 1e3);
}

fn expose_losses(to: &mut Exposition, status: &Status) {
    // What did not come about yet is told as 0, so that its first time is an increase.
    let causes = Loss::ALL.iter().map(|loss| loss.name());
    to.tell_each(Metric::LostPackets, from_zero(causes, &status.losses));
    let reasons = Refusal::ALL.iter().map(|refusal| refusal.name());
    to.tell_each(Metric::Refusals, from_zero(reasons, &status.refusals));
    to.tell(Metric::EvictedPeers, status.evicted_peers as f64);
    to.tell(Metric::LateWindows, status.late_windows as f64);
    let ledger = &status.ledger;
    // One that lost records takes them still.
    let up = match ledger.health {
        Health::Ok | Health::Degraded => true,
        Health::Failed => false,
        Health::Off => return,
    };
    to.tell(Metric::LedgerUp, u8::from(up));
    to.tell(Metric::LedgerBytes, ledger.bytes as f64);
    to.tell(Metric::LedgerLostRecords, ledger.lost as f64);
}

fn expose_blocks(to: &mut Exposition, blocks: &BlockTotals, held: &[HeldBlocks]) {
    to.tell(Metric::Blocks, blocks.active as f64);
    to.tell(Metric::BlocksLimit, blocks.limit as f64);
    to.tell(Metric::BlocksMadeLastMinute, blocks.made_last_minute as f64);
    let held = held.iter().flat_map(|one| {
        let by_action = [
            (Action::Drop, one.drop),
            (Action::RateLimit, one.rate_limit),
            (Action::Shadow, one.shadow),
        ];
        by_action.map(|(action, count)| {
            let list = one.list.clone().unwrap_or_default();
            ([one.origin.name().to_owned(), list, action.name().to_owned()], count as f64)
        })
    });
    to.tell_each(Metric::HeldBlocks, held);
}

fn from_zero<'a>(
    names: impl Iterator<Item = &'a str>,
    counts: &BTreeMap<String, u64>,
) -> impl Iterator<Item = ([String; 1], f64)> {
    let mut all: BTreeMap<String, u64> = names.map(|name| (name.to_owned(), 0)).collect();
    all.extend(counts.clone());
    all.into_iter().map(|(name, count)| ([name], count as f64))
}

/// Frames by outcome, each in one.
fn outcomes(counters: &GuardCounters) -> impl Iterator<Item = (&'static str, u64)> {
    let below_rate = counters.below_rate.saturating_add(counters.service_below_rate);
    let others = [
        ("passed", counters.passed),
        ("allowed", counters.allowed),
        ("spared", counters.spared),
        ("expired", counters.expired),
        ("known", counters.service_known),
        ("below_rate", below_rate),
        ("would_drop", counters.shadowed),
        ("service_would_drop", counters.service_shadowed),
        ("rate_limited", counters.limited),
        ("service_limited", counters.service_limited),
    ];
    // `GuardCounters::dropped` counts packets, of which a frame may hold many.
    let told = others.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let dropped = ("dropped", counters.frames.saturating_sub(told));
    others.into_iter().chain([dropped])
}
