//! What happens, as records: one JSON object a line for machines, one line for people.

use std::net::IpAddr;

use flows_common::{Action, EtherClass, Ledger, Loss};
use policy::{
    Decision, Notice, Outcome, Reason, Refusal, Service, ServiceLimit,
    statistics::{Claim, Drift},
};
use serde::Serialize;

use datapath::Target;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A window was scored.
    Window(WindowEvent),
    /// A peer was anomalous, and what was done about it.
    Anomaly(AnomalyEvent),
    /// A service is under a flood of unproven sources, and what was done about it.
    Service(ServiceEvent),
    /// A block's lease ran out and its entry was removed.
    Expired(ExpiredEvent),
    /// The policy itself changed: the breaker, a mode that nobody confirmed.
    Notice(NoticeEvent),
    /// Benign traffic is no longer as in training, or is again.
    Drift(DriftEvent),
    /// A person did something.
    Act(ActEvent),
    /// At start, kernel, ledger and configuration differed.
    Difference(DifferenceEvent),
    /// Something did not work, and the pipeline goes on without it.
    Failure(FailureEvent),
}

/// Blocking is suspended for drift from here on, or not any more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DriftEvent {
    /// Number of the window.
    pub window: u64,
    /// When the window ended, in ns of the boot clock.
    pub at_ns: u64,
    /// What the watch makes of the traffic.
    #[serde(flatten)]
    pub drift: Drift,
}

/// A scored window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WindowEvent {
    /// Number of the window, from 1.
    pub number: u64,
    /// Boot-clock ns of its start (of the capture's clock in replay).
    pub start_ns: u64,
    /// Boot-clock ns of its end.
    pub end_ns: u64,
    /// Flows in it.
    pub flows: usize,
    /// Peers in it.
    pub peers: usize,
    /// Packets seen, by direction.
    pub packets: [u64; 2],
    /// Frames seen, by direction: what the interface counts.
    pub frames: [u64; 2],
    /// Packets in drained flows.
    pub packets_in_flows: u64,
    /// Packets in no flow, by cause; causes that did not occur are left out.
    pub losses: Vec<(&'static str, u64)>,
    /// Packets that are not IP, by what they carry; a part of the loss `not_ip`.
    pub not_ip: Vec<(&'static str, u64)>,
    /// Flows that the tables evicted, and the packets in them.
    pub evicted: [u64; 2],
    /// Packets seen less packets accounted for: 0, or something is wrong.
    pub imbalance: i64,
    /// From the window's end to the last decision on it, in µs; 0 in replay.
    pub decided_after_us: u64,
    /// Drains that were put off because a later stage was slow, before this window.
    pub late: u64,
}

impl WindowEvent {
    /// Describes a window; the caller fills in what it alone knows.
    #[must_use]
    pub fn of(number: u64, window: &model::Window) -> Self {
        Self {
            number,
            start_ns: window.start_ns,
            end_ns: window.end_ns,
            flows: window.flows.len(),
            peers: 0,
            packets: window.ledger.segments,
            frames: window.ledger.frames,
            packets_in_flows: window.drained_packets(),
            losses: losses(&window.ledger),
            not_ip: not_ip(&window.ledger),
            evicted: [window.evicted_flows, window.evicted_packets],
            imbalance: i64::try_from(window.imbalance()).unwrap_or(i64::MAX),
            decided_after_us: 0,
            late: 0,
        }
    }
}

fn losses(ledger: &Ledger) -> Vec<(&'static str, u64)> {
    Loss::ALL
        .iter()
        .map(|loss| (loss.name(), ledger.losses[loss.index()]))
        .filter(|&(_, packets)| packets > 0)
        .collect()
}

fn not_ip(ledger: &Ledger) -> Vec<(&'static str, u64)> {
    EtherClass::ALL
        .iter()
        .map(|class| (class.name(), ledger.not_ip[class.index()]))
        .filter(|&(_, packets)| packets > 0)
        .collect()
}

/// What was done about an anomalous peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Observe mode: nothing, and this is what the policy would have done.
    WouldBlock,
    /// An entry that counts and passes.
    Shadowed,
    /// An entry that drops above a rate.
    RateLimited,
    /// An entry that drops.
    Blocked,
    /// A guard refused.
    Refused,
    /// The entry could not be made.
    Failed,
}

/// An anomalous peer in one window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnomalyEvent {
    /// Number of the window.
    pub window: u64,
    /// Boot-clock ns at which the entry was in the kernel, or the decision fell.
    pub at_ns: u64,
    /// The remote address.
    pub peer: IpAddr,
    /// The chance of a score as high in a benign window.
    pub p_value: f64,
    /// The same, given this calibration set.
    pub conditional_p_value: f64,
    /// What may be claimed of calling it anomalous.
    pub claim: Claim,
    /// The peer model's score.
    pub peer_score: f32,
    /// The highest score among its flows.
    pub flow_score: f32,
    /// The highest novelty of the peer and its flows.
    pub novelty: f32,
    /// How far above the calibration's highest score, as a share of the way to 1.
    pub excess: f64,
    /// Packets from and to it in the window.
    pub packets: u64,
    /// Bytes from and to it in the window, on the wire.
    pub bytes: u64,
    /// The address is not forged: it completed handshakes.
    pub verified: bool,
    /// What was done.
    pub deed: Deed,
    /// Why a guard refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// How long the block lasts, in seconds; 0 for none.
    pub ttl_s: u64,
    /// Which block of this peer it is, from 1; 0 for none.
    pub offence: u32,
    /// Drawn by lot to end early.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// The features that made the score, the strongest first.
    pub reasons: Vec<Reason>,
}

impl AnomalyEvent {
    /// Describes a decision and the deed it led to.
    #[must_use]
    pub fn of(
        window: u64,
        at_ns: u64,
        decision: &Decision,
        deed: Deed,
        reasons: Vec<Reason>,
    ) -> Self {
        let evidence = &decision.evidence;
        let (refusal, ttl_s, offence, early) = match decision.outcome {
            Outcome::Refused(refusal) => (Some(refusal), 0, 0, false),
            Outcome::Block { ttl, offence, early, .. } => (None, ttl.as_secs(), offence, early),
        };
        Self {
            window,
            at_ns,
            peer: evidence.address,
            p_value: evidence.p_value,
            conditional_p_value: evidence.conditional_p_value,
            claim: decision.claim,
            peer_score: evidence.peer_score,
            flow_score: evidence.flow_score,
            novelty: evidence.novelty,
            excess: evidence.excess,
            packets: evidence.packets,
            bytes: evidence.bytes,
            verified: evidence.verified,
            deed,
            refusal,
            ttl_s,
            offence,
            early,
            reasons,
        }
    }
}

impl Deed {
    /// What an entry with this action does.
    #[must_use]
    pub const fn of(action: Action) -> Self {
        match action {
            Action::Shadow => Self::Shadowed,
            Action::RateLimit => Self::RateLimited,
            Action::Drop => Self::Blocked,
        }
    }

    /// The deed as a person reads it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::WouldBlock => "would block",
            Self::Shadowed => "shadowed",
            Self::RateLimited => "rate-limited",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// An entry was made in the kernel.
    #[must_use]
    pub const fn made_entry(self) -> bool {
        matches!(self, Self::Shadowed | Self::RateLimited | Self::Blocked)
    }
}

/// A block that ended by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExpiredEvent {
    /// Boot-clock ns at which its entry was removed.
    pub at_ns: u64,
    /// The address or prefix.
    pub peer: Target,
    /// Packets it dropped.
    pub dropped_packets: u64,
    /// Bytes it dropped.
    pub dropped_bytes: u64,
    /// Packets it passed: below its rate, or in shadow.
    pub passed_packets: u64,
    /// Packets it would have dropped, in shadow.
    pub would_drop_packets: u64,
    /// Bytes it would have dropped, in shadow.
    pub would_drop_bytes: u64,
    /// Boot-clock ns of its first drop or would-be drop, 0 for none.
    pub first_drop_ns: u64,
}

impl ExpiredEvent {
    /// The end of a block of which nothing else is known.
    #[must_use]
    pub const fn nothing(peer: Target) -> Self {
        Self {
            at_ns: 0,
            peer,
            dropped_packets: 0,
            dropped_bytes: 0,
            passed_packets: 0,
            would_drop_packets: 0,
            would_drop_bytes: 0,
            first_drop_ns: 0,
        }
    }
}

/// A service under a flood of unproven sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceEvent {
    /// Number of the window.
    pub window: u64,
    /// Boot-clock ns at which the limit was in the kernel, or the decision fell.
    pub at_ns: u64,
    /// The service of this host.
    pub service: Service,
    /// Sources that turned to it in the window and completed no handshake.
    pub sources: u64,
    /// Their packets.
    pub packets: u64,
    /// Packets a second that all unproven sources together keep.
    pub packets_per_second: u32,
    /// The service was limited already.
    pub renewed: bool,
    /// What was done.
    pub deed: Deed,
}

impl ServiceEvent {
    /// Describes a limit and the deed it led to.
    #[must_use]
    pub const fn of(window: u64, at_ns: u64, limit: &ServiceLimit, deed: Deed) -> Self {
        Self {
            window,
            at_ns,
            service: limit.service,
            sources: limit.sources,
            packets: limit.packets,
            packets_per_second: limit.packets_per_second,
            renewed: limit.renewed,
            deed,
        }
    }
}

/// The policy itself changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoticeEvent {
    /// Boot-clock ns of the window's end that brought it.
    pub at_ns: u64,
    /// What changed.
    #[serde(flatten)]
    pub notice: Notice,
}

/// A person did something, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActEvent {
    /// Boot-clock ns.
    pub at_ns: u64,
    /// Who.
    pub who: String,
    /// What: `block`, `unblock`, `allow`, `mode`.
    pub what: &'static str,
    /// With which arguments.
    pub arguments: serde_json::Value,
    /// What came of it: `done`, or why not.
    pub outcome: String,
}

/// At start, kernel, ledger and configuration differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DifferenceEvent {
    /// Boot-clock ns.
    pub at_ns: u64,
    /// Which kind.
    pub kind: &'static str,
    /// What it is about, where it is about a block or an allowed prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Both sides of it.
    pub detail: String,
    /// What was done about it.
    pub done: &'static str,
}

/// Something that did not work.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureEvent {
    /// What was tried.
    pub what: &'static str,
    /// Why it failed, and the remedy.
    pub error: String,
}
