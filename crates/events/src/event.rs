//! Events, as records: one JSON object a line for machines, one line for people.

use std::borrow::Cow;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActionTaken, Alert, ClosedEvent, DecisionRecord, Drift, Incident, ModelEvent, Notice, Outage,
    OwnAlert, Prefix, ServiceLimit, SiteEvent,
};

/// A short text or code: a constant where it is written, owned where it is read.
pub type Text = Cow<'static, str>;

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A window was scored.
    Window(WindowEvent),
    /// A peer was anomalous, and what was done about it.
    Anomaly(DecisionRecord),
    /// A service is under a flood of unproven sources, and what was done about it.
    Service(ServiceEvent),
    /// A service of this host failed its clients.
    Outage(OutageEvent),
    /// A part of this host's own side was unusual.
    Site(SiteEvent),
    /// An incident came to its end.
    Closed(ClosedEvent),
    /// A block's lease ran out and its entry was removed.
    Expired(ExpiredEvent),
    /// The policy itself changed: the breaker, a mode that nobody confirmed.
    Notice(NoticeEvent),
    /// Benign traffic is no longer as in training, or is again.
    Drift(DriftEvent),
    /// The model in force changed, or was not changed.
    Model(ModelEvent),
    /// A person did something.
    Act(ActEvent),
    /// At start, kernel, ledger and configuration differed.
    Difference(DifferenceEvent),
    /// Something did not work, and the pipeline goes on without it.
    Failure(FailureEvent),
    /// Something that only another version knows; it is read, and never written.
    #[serde(other)]
    Other,
}

impl Event {
    /// True unless it tells of an incident that only goes on.
    #[must_use]
    pub fn is_news(&self) -> bool {
        match self {
            Self::Anomaly(record) => record.is_news(),
            Self::Service(event) => event.is_news(),
            Self::Outage(event) => event.is_news(),
            Self::Site(event) => event.is_news(),
            _ => true,
        }
    }

    /// The alert that it is, where it is one.
    #[must_use]
    pub fn into_alert(self) -> Option<Alert> {
        if !self.is_news() {
            return None;
        }
        Some(match self {
            Self::Anomaly(record) => record.into(),
            Self::Service(event) => Alert::Own(OwnAlert::Service(event)),
            Self::Outage(event) => Alert::Own(OwnAlert::Outage(event)),
            Self::Site(event) => Alert::Own(OwnAlert::Site(event)),
            _ => return None,
        })
    }
}

/// Blocking is suspended for drift from here on, or not any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftEvent {
    /// Number of the window.
    pub window: u64,
    /// End of the window, in ns of the boot clock.
    pub at_ns: u64,
    /// Verdict of the watch.
    #[serde(flatten)]
    pub drift: Drift,
}

/// A scored window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub losses: Vec<(Text, u64)>,
    /// Packets that are not IP, by what they carry; a part of the loss `not_ip`.
    pub not_ip: Vec<(Text, u64)>,
    /// Flows that the tables evicted, and the packets in them.
    pub evicted: [u64; 2],
    /// Packets that interfaces carried past the programs, beyond the tolerance: in none of the counts
    /// here.
    #[serde(default, skip_serializing_if = "crate::words::is_zero")]
    pub unseen: u64,
    /// Peers that the tables evicted.
    #[serde(default)]
    pub evicted_peers: u64,
    /// Anomalous sources that are no events of their own: beyond a few, a flood of unproven sources
    /// is its service's story. They are counted by what refused them.
    #[serde(default, skip_serializing_if = "crate::words::is_zero")]
    pub untold: u64,
    /// Packets seen less packets accounted for: 0, or something is wrong.
    pub imbalance: i64,
    /// From the window's end to the last decision on it, in µs; 0 in replay.
    pub decided_after_us: u64,
    /// Drains that were put off because a later stage was slow, before this window.
    pub late: u64,
}

/// A block that ended by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpiredEvent {
    /// Boot-clock ns at which its entry was removed.
    pub at_ns: u64,
    /// The address or prefix.
    pub peer: Prefix,
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
    pub fn nothing(peer: impl Into<IpNet>) -> Self {
        Self {
            at_ns: 0,
            peer: peer.into().into(),
            dropped_packets: 0,
            dropped_bytes: 0,
            passed_packets: 0,
            would_drop_packets: 0,
            would_drop_bytes: 0,
            first_drop_ns: 0,
        }
    }
}

/// A service under a flood of unproven sources, and what was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ServiceEvent {
    /// Its number, of one row with those of decisions; 0 where it was not recorded.
    #[serde(default)]
    pub id: u64,
    /// Time of it: by the wall clock, in replay by the capture's.
    #[serde(default)]
    pub time: Timestamp,
    /// Number of the window.
    pub window: u64,
    /// Boot-clock ns at which the limit was in the kernel, or the decision fell.
    pub at_ns: u64,
    /// The decision.
    #[serde(flatten)]
    pub limit: ServiceLimit,
    /// Answer.
    pub outcome: ActionTaken,
    /// Incident that it belongs to, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
}

impl ServiceEvent {
    /// True where people are to be told: the flood did not only go on.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.incident.is_none_or(|incident| incident.change.is_some())
    }
}

/// A service of this host failed its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OutageEvent {
    /// Its number, of one row with those of decisions; 0 where it was not recorded.
    #[serde(default)]
    pub id: u64,
    /// Time of it: by the wall clock, in replay by the capture's.
    #[serde(default)]
    pub time: Timestamp,
    /// Number of the window.
    pub window: u64,
    /// End of the window, in ns of the boot clock.
    pub at_ns: u64,
    /// The failure.
    #[serde(flatten)]
    pub outage: Outage,
    /// Incident that it belongs to, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Incident>,
}

impl OutageEvent {
    /// True where people are to be told: it did not only go on.
    #[must_use]
    pub fn is_news(&self) -> bool {
        self.incident.is_none_or(|incident| incident.change.is_some())
    }
}

/// The policy itself changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeEvent {
    /// Boot-clock ns of the window's end that brought it.
    pub at_ns: u64,
    /// The change.
    #[serde(flatten)]
    pub notice: Notice,
}

/// A person did something, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActEvent {
    /// Boot-clock ns.
    pub at_ns: u64,
    /// Actor.
    pub who: String,
    /// Act: `block`, `unblock`, `allow`, `mode`.
    pub what: Text,
    /// With which arguments.
    pub arguments: serde_json::Value,
    /// Outcome: `done`, or the reason for which it was not.
    pub outcome: String,
}

/// At start, kernel, ledger and configuration differed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceEvent {
    /// Boot-clock ns.
    pub at_ns: u64,
    /// Kind.
    pub kind: Text,
    /// Target, where a block or an allowed prefix is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Prefix>,
    /// Both sides of it.
    pub detail: String,
    /// Remedy taken.
    pub done: Text,
}

/// Something that did not work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureEvent {
    /// Action that failed.
    pub what: Text,
    /// Reason and remedy.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Action, Change, Claim, Entity, Evidence, Mode, Moved, PValues, ProcedureChoice, Reason,
        Refusal, Service, Share, Site, Standing, Subject, Trip,
    };
    use crate::{ModelAct, ModelChange, RangeMoved};

    fn incident() -> Incident {
        Incident {
            id: 40,
            change: Some(Change::Escalated),
            opened: "2026-11-28T18:59:00Z".parse().expect("a time"),
            windows: 3,
            packets: u64::MAX,
            bytes: 70_000,
            blocks: 1,
        }
    }

    fn record() -> DecisionRecord {
        DecisionRecord {
            id: 41,
            time: "2026-11-28T19:00:00.000000123Z".parse().expect("a time"),
            at_ns: 5_000_000_123,
            window: 7,
            incident: Some(incident()),
            evidence: Evidence {
                address: "203.0.113.7".parse().expect("an address"),
                p_value: 0.000_8,
                conditional_p_value: 0.001_234_567_890_123_456_7,
                peer_score: 0.71,
                horizon_ms: 1_000,
                tail_score: 12.5,
                surprise: 0.0,
                packets: u64::MAX,
                bytes: 25_000,
                new_or_large: false,
                failed_log_ins: 0,
                log_ins_alike: 0,
                row_packets: 0,
                standing: Standing::Proven,
                flows: 3,
                service: Some(Service { protocol: 6, port: 443 }),
            },
            claim: Some(Claim {
                contradicted: None,
                rate: Share::TENTH,
                procedure: ProcedureChoice::PerWindow,
                p_values: PValues::Conditional,
                p_value: 0.001,
                level: 0.000_3,
                held_out: None,
                needed: 9_000,
                supported: false,
            }),
            outcome: ActionTaken::RateLimited,
            action: Some(Action::RateLimit),
            scope: Some(crate::Scope::Unproven),
            refusal: Some(Refusal::BelowMargin),
            ttl_s: 600,
            offence: 2,
            early: true,
            reasons: vec![Reason {
                subject: Subject::Peer,
                feature: "distinct_local_ports".into(),
                unit: "ports".into(),
                value: 812.0,
                benign_low: 0.1,
                benign_high: 4.0,
                share: 0.7,
            }],
        }
    }

    #[expect(clippy::too_many_lines, reason = "one event of each kind")]
    fn events() -> Vec<Event> {
        let peer: Prefix = "2001:db8::/32".parse().expect("a prefix");
        let moved = Moved {
            subject: Subject::Net,
            feature: "bytes".into(),
            index: 0.4,
            share: 0.5,
            before: 10.0,
            now: 30.0,
        };
        let demoted = vec![record().peer()];
        vec![
            Event::Window(WindowEvent {
                number: 1,
                start_ns: 1,
                end_ns: 2,
                flows: 3,
                peers: 4,
                packets: [5, 6],
                frames: [7, 8],
                packets_in_flows: 9,
                losses: vec![("not_ip".into(), 10)],
                not_ip: vec![("arp".into(), 10)],
                evicted: [11, 12],
                untold: 3,
                evicted_peers: 16,
                unseen: 13,
                imbalance: -13,
                decided_after_us: 14,
                late: 15,
            }),
            Event::Anomaly(record()),
            Event::Service(ServiceEvent {
                id: 9,
                time: "2026-11-28T19:00:00Z".parse().expect("a time"),
                window: 1,
                at_ns: 2,
                limit: ServiceLimit {
                    service: Service { protocol: 17, port: 53 },
                    sources: 900,
                    packets: 1_800,
                    packets_per_second: 100,
                    expires_ns: 9,
                    renewed: true,
                    action: Action::Shadow,
                },
                outcome: ActionTaken::WouldBlock,
                incident: None,
            }),
            Event::Site(SiteEvent {
                id: 9,
                time: "2026-11-28T19:00:00Z".parse().expect("a time"),
                window: 1,
                at_ns: 2,
                site: Site::Host("192.0.2.1".parse().expect("an address")),
                surprise: 7.5,
                horizon_ms: 60_000,
                reasons: record().reasons,
                incident: Some(incident()),
            }),
            Event::Outage(OutageEvent {
                id: 9,
                time: "2026-11-28T19:00:00Z".parse().expect("a time"),
                window: 1,
                at_ns: 2,
                outage: Outage {
                    service: Service { protocol: 6, port: 443 },
                    clients: 5,
                    flows: 9,
                    told: true,
                },
                incident: Some(incident()),
            }),
            Event::Closed(ClosedEvent {
                window: 1,
                at_ns: 2,
                entity: Entity::Remote { host: peer, standing: Standing::Proven },
                incident: Incident { change: Some(Change::Closed), ..incident() },
            }),
            Event::Closed(ClosedEvent {
                window: 1,
                at_ns: 2,
                entity: Entity::Service(Service { protocol: 6, port: 443 }),
                incident: Incident { change: None, ..incident() },
            }),
            Event::Expired(ExpiredEvent {
                dropped_packets: 42,
                ..ExpiredEvent::nothing(peer.net())
            }),
            Event::Notice(NoticeEvent {
                at_ns: 1,
                notice: Notice::BreakerOpened {
                    trip: Trip::ShareOfBytes,
                    rearms_ns: Some(3),
                    demoted: demoted.clone(),
                },
            }),
            Event::Notice(NoticeEvent { at_ns: 1, notice: Notice::BreakerClosed }),
            Event::Notice(NoticeEvent {
                at_ns: 1,
                notice: Notice::FellBack { from: Mode::Enforce, demoted },
            }),
            Event::Drift(DriftEvent {
                window: 1,
                at_ns: 2,
                drift: Drift {
                    suspended: true,
                    relearning: true,
                    martingale: 1e7,
                    features: vec![moved],
                },
            }),
            Event::Model(ModelEvent {
                at_ns: 1,
                act: ModelAct::Refused,
                version: 2,
                digest: "ab".into(),
                change: Some(ModelChange {
                    moved: vec![RangeMoved { feature: "bytes".into(), before: 1.0, now: 2.0 }],
                    ..ModelChange::default()
                }),
                why: Some("it is blind".into()),
            }),
            Event::Act(ActEvent {
                at_ns: 1,
                who: "ada".into(),
                what: "block".into(),
                arguments: serde_json::json!({ "target": "192.0.2.7" }),
                outcome: "done".into(),
            }),
            Event::Difference(DifferenceEvent {
                at_ns: 1,
                kind: "unknown_block".into(),
                target: Some(peer),
                detail: "in the kernel".into(),
                done: "kept".into(),
            }),
            Event::Failure(FailureEvent { what: "sweep".into(), error: "no space".into() }),
        ]
    }

    #[test]
    fn every_event_reads_back_as_it_was_written() {
        for event in events() {
            let line = serde_json::to_string(&event).expect("JSON");
            let read: Event = serde_json::from_str(&line).expect(&line);
            assert_eq!(read, event);
            assert_eq!(serde_json::to_string(&read).expect("JSON"), line);
        }
    }

    #[test]
    fn what_another_version_writes_besides_is_passed_over() {
        let read = |text: &str| serde_json::from_str::<Event>(text).expect(text);
        assert_eq!(read(r#"{"event":"something_new","at_ns":1}"#), Event::Other);
        let mut line = serde_json::to_value(Event::Anomaly(record())).expect("JSON");
        line["something"] = "new".into();
        line["refusal"] = "a_new_guard".into();
        line["reasons"] = serde_json::json!(["syn_ratio", line["reasons"][0]]);
        let expected = DecisionRecord { refusal: Some(Refusal::Unknown), ..record() };
        assert_eq!(read(&line.to_string()), Event::Anomaly(expected));
    }

    proptest! {
        #[test]
        fn any_finite_number_survives(p in 0.0..1.0_f64, surprise in 0.0..300.0_f64, score: f32) {
            prop_assume!(score.is_finite());
            let mut one = record();
            one.evidence.p_value = p;
            one.evidence.surprise = surprise;
            one.evidence.tail_score = score;
            let text = serde_json::to_string(&one).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<DecisionRecord>(&text).expect("a record"), one);
        }
    }
}
