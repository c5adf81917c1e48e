//! What a SIEM is told of an event, before it is in any format.

use std::net::IpAddr;

use collector::event_text;
use events::{
    ActionTaken, Change, DecisionRecord, Entity, Event, Incident, Prefix, Reason, Refusal, Service,
    Site,
};
use jiff::Timestamp;

/// Kind of what is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Something stands out, and what was done about it.
    Finding,
    /// A block or a limit was made, or came to its end.
    Remediation,
    /// The node itself changed: its mode, model, configuration.
    State,
    /// Something was not seen, or did not work.
    Loss,
}

/// Urgency, in the words of the formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing to do.
    Informational,
    /// To be seen some day.
    Low,
    /// To be seen today.
    Medium,
    /// To be seen now.
    High,
}

/// What a SIEM is told of an event.
#[derive(Clone, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) event: &'a Event,
    pub(crate) time: Timestamp,
    /// The event's name.
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) severity: Severity,
    pub(crate) title: &'static str,
    pub(crate) message: String,
    pub(crate) remote: Option<Prefix>,
    /// An address of the host itself.
    pub(crate) local: Option<IpAddr>,
    pub(crate) service: Option<Service>,
    pub(crate) packets: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) incident: Option<Incident>,
    /// Number of the record in the node's ledger.
    pub(crate) number: Option<u64>,
    pub(crate) outcome: Option<ActionTaken>,
    pub(crate) refusal: Option<Refusal>,
    /// Length of a block, in seconds.
    pub(crate) ttl_s: Option<u64>,
    pub(crate) surprise: Option<f64>,
    pub(crate) reasons: &'a [Reason],
    /// Somebody who did it.
    pub(crate) who: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// What is told of an event that came at this time; nothing of a window without a loss and of
    /// an incident that only goes on.
    pub(crate) fn of(event: &'a Event, came: Timestamp) -> Option<Self> {
        if !event.is_news() {
            return None;
        }
        let told =
            |name, class, severity, title| Self::named(event, came, name, class, severity, title);
        let low = Severity::Low;
        Some(match event {
            Event::Window(window) => {
                let message = loss(window)?;
                let title = "Traffic was not counted";
                Self { message, ..told("window", Class::Loss, Severity::Medium, title) }
            }
            Event::Anomaly(record) => Self::of_remote(event, record),
            Event::Service(service) => Self {
                time: service.time,
                service: Some(service.limit.service),
                packets: Some(service.limit.packets),
                number: number(service.id),
                outcome: Some(service.outcome),
                ..told("service", Class::Finding, Severity::High, "Flood of unproven sources")
                    .of_incident(service.incident)
            },
            Event::Outage(outage) => Self {
                time: outage.time,
                service: Some(outage.outage.service),
                number: number(outage.id),
                ..told("outage", Class::Finding, Severity::Medium, "A service fails its clients")
                    .of_incident(outage.incident)
            },
            Event::Site(site) => Self {
                time: site.time,
                number: number(site.id),
                surprise: Some(site.surprise),
                reasons: &site.reasons,
                ..told("site", Class::Finding, Severity::High, "Anomalous traffic of this host")
                    .of_incident(site.incident)
                    .about(Entity::Site(site.site))
            },
            Event::Closed(closed) => {
                told("closed", Class::Finding, Severity::Informational, "Incident closed")
                    .of_incident(Some(closed.incident))
                    .about(closed.entity)
            }
            Event::Expired(expired) => Self {
                remote: Some(expired.peer),
                packets: Some(expired.dropped_packets),
                bytes: Some(expired.dropped_bytes),
                ..told("expired", Class::Remediation, Severity::Informational, "Block expired")
            },
            Event::Notice(_) => told("notice", Class::State, Severity::High, "Policy changed"),
            Event::Drift(change) => {
                let suspended = change.drift.suspended;
                let severity = if suspended { Severity::High } else { Severity::Medium };
                told("drift", Class::State, severity, "Benign traffic changed")
            }
            Event::Model(_) => told("model", Class::State, low, "Model changed"),
            Event::Act(act) => {
                let target = act.arguments.get("target").and_then(|one| one.as_str());
                let blocks = matches!(&*act.what, "block" | "unblock");
                let class = if blocks { Class::Remediation } else { Class::State };
                Self {
                    remote: target.and_then(|target| target.parse().ok()),
                    who: Some(&act.who),
                    ..told("act", class, Severity::Informational, "A person acted")
                }
            }
            Event::Difference(one) => Self {
                remote: one.target,
                ..told("difference", Class::State, low, "State differed at start")
            },
            Event::Failure(_) => told("failure", Class::Loss, Severity::High, "Something failed"),
            Event::Other => return None,
        })
    }

    /// What every event has.
    fn named(
        event: &'a Event,
        time: Timestamp,
        name: &'static str,
        class: Class,
        severity: Severity,
        title: &'static str,
    ) -> Self {
        Self {
            event,
            time,
            name,
            class,
            severity,
            title,
            message: event_text::describe(event).unwrap_or_default(),
            remote: None,
            local: None,
            service: None,
            packets: None,
            bytes: None,
            incident: None,
            number: None,
            outcome: None,
            refusal: None,
            ttl_s: None,
            surprise: None,
            reasons: &[],
            who: None,
        }
    }

    fn of_remote(event: &'a Event, record: &'a DecisionRecord) -> Self {
        let seen = &record.evidence;
        let refused = record.outcome == ActionTaken::Refused;
        let severity = if refused { Severity::Low } else { Severity::High };
        let title = "Anomalous traffic of a remote";
        Self {
            remote: Some(Prefix::of_host(seen.address)),
            service: seen.service,
            packets: Some(seen.packets),
            bytes: Some(seen.bytes),
            incident: record.incident,
            number: number(record.id),
            outcome: Some(record.outcome),
            refusal: record.refusal,
            ttl_s: (record.ttl_s > 0).then_some(record.ttl_s),
            surprise: Some(seen.surprise),
            reasons: &record.reasons,
            ..Self::named(event, record.time, "anomaly", Class::Finding, severity, title)
        }
    }

    fn of_incident(self, incident: Option<Incident>) -> Self {
        let (packets, bytes) = (incident.map(|one| one.packets), incident.map(|one| one.bytes));
        Self { packets, bytes, incident, ..self }
    }

    fn about(self, entity: Entity) -> Self {
        match entity {
            Entity::Remote { host, .. } => Self { remote: Some(host), ..self },
            Entity::Service(service)
            | Entity::Outage(service)
            | Entity::Site(Site::Service(service)) => Self { service: Some(service), ..self },
            Entity::Site(Site::Host(address)) => Self { local: Some(address), ..self },
            Entity::Site(Site::Net) => self,
        }
    }

    /// Change of the incident, where it has one: what is no incident's is opened.
    pub(crate) fn change(&self) -> Change {
        self.incident.and_then(|incident| incident.change).unwrap_or(Change::Opened)
    }

    /// True of what comes in; what this host's own side does goes out.
    pub(crate) const fn is_inbound(&self) -> bool {
        match self.event {
            Event::Site(_) => false,
            Event::Closed(closed) => !matches!(closed.entity, Entity::Site(_)),
            _ => true,
        }
    }

    /// A block came to its end, by its lease or by a person.
    pub(crate) fn ends_a_block(&self) -> bool {
        match self.event {
            Event::Expired(_) => true,
            Event::Act(act) => act.what == "unblock",
            _ => false,
        }
    }

    /// A block or a limit is in the kernel for it.
    pub(crate) fn made_entry(&self) -> bool {
        self.outcome.is_some_and(ActionTaken::made_entry)
    }

    /// Address of the remote, of a prefix its first.
    pub(crate) fn remote_address(&self) -> Option<IpAddr> {
        self.remote.map(|remote| remote.net().addr())
    }
}

/// Number of a record, where it was recorded.
fn number(id: u64) -> Option<u64> {
    (id > 0).then_some(id)
}

/// The part of a window that was lost, in words.
fn loss(window: &events::WindowEvent) -> Option<String> {
    let events::WindowEvent { number, evicted: [flows, packets], .. } = window;
    let lost = [
        (*flows > 0).then(|| format!("{flows} flows with {packets} packets were evicted")),
        (window.evicted_peers > 0).then(|| format!("{} peers were evicted", window.evicted_peers)),
        (window.unseen > 0).then(|| format!("{} packets were not seen", window.unseen)),
        (window.imbalance != 0).then(|| format!("the count is off by {}", window.imbalance)),
        (window.late > 0).then(|| format!("{} windows were drained late", window.late)),
    ];
    let lost: Vec<String> = lost.into_iter().flatten().collect();
    (!lost.is_empty()).then(|| format!("window {number}: {}", lost.join(", ")))
}
