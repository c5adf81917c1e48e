//! What a SIEM is told of an event, before it is in any format.

use std::net::IpAddr;

use collector::event_text;
use events::{
    ActionTaken, Change, Entity, Event, Incident, Prefix, Reason, Refusal, Service, Site,
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
        let told = |name, class, severity, title| Self {
            event,
            time: came,
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
        };
        let number = |id: u64| (id > 0).then_some(id);
        let traffic = |incident: Option<Incident>| {
            (incident.map(|one| one.packets), incident.map(|one| one.bytes))
        };
        Some(match event {
            Event::Window(window) => {
                let message = loss(window)?;
                let severity = Severity::Medium;
                Self { message, ..told("window", Class::Loss, severity, "Traffic was not counted") }
            }
            Event::Anomaly(record) => {
                let seen = &record.evidence;
                let severity = match record.outcome {
                    ActionTaken::Refused => Severity::Low,
                    _ => Severity::High,
                };
                Self {
                    time: record.time,
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
                    ..told("anomaly", Class::Finding, severity, "Anomalous traffic of a remote")
                }
            }
            Event::Service(service) => Self {
                time: service.time,
                service: Some(service.limit.service),
                packets: Some(service.limit.packets),
                incident: service.incident,
                number: number(service.id),
                outcome: Some(service.outcome),
                ..told("service", Class::Finding, Severity::High, "Flood of unproven sources")
            },
            Event::Outage(outage) => {
                let (packets, bytes) = traffic(outage.incident);
                let title = "A service fails its clients";
                Self {
                    time: outage.time,
                    service: Some(outage.outage.service),
                    packets,
                    bytes,
                    incident: outage.incident,
                    number: number(outage.id),
                    ..told("outage", Class::Finding, Severity::Medium, title)
                }
            }
            Event::Site(site) => {
                let (packets, bytes) = traffic(site.incident);
                let title = "Anomalous traffic of this host";
                let (local, service) = of_site(site.site);
                Self {
                    time: site.time,
                    local,
                    service,
                    packets,
                    bytes,
                    incident: site.incident,
                    number: number(site.id),
                    surprise: Some(site.surprise),
                    reasons: &site.reasons,
                    ..told("site", Class::Finding, Severity::High, title)
                }
            }
            Event::Closed(closed) => {
                let told =
                    told("closed", Class::Finding, Severity::Informational, "Incident closed");
                let told = match closed.entity {
                    Entity::Remote { host, .. } => Self { remote: Some(host), ..told },
                    Entity::Service(service) | Entity::Outage(service) => {
                        Self { service: Some(service), ..told }
                    }
                    Entity::Site(site) => {
                        let (local, service) = of_site(site);
                        Self { local, service, ..told }
                    }
                };
                let (packets, bytes) = traffic(Some(closed.incident));
                Self { packets, bytes, incident: Some(closed.incident), ..told }
            }
            Event::Expired(expired) => Self {
                remote: Some(expired.peer),
                packets: Some(expired.dropped_packets),
                bytes: Some(expired.dropped_bytes),
                ..told("expired", Class::Remediation, Severity::Informational, "Block expired")
            },
            Event::Notice(_) => told("notice", Class::State, Severity::High, "Policy changed"),
            Event::Drift(change) => {
                let severity =
                    if change.drift.suspended { Severity::High } else { Severity::Medium };
                told("drift", Class::State, severity, "Benign traffic changed")
            }
            Event::Model(_) => told("model", Class::State, Severity::Low, "Model changed"),
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
                ..told("difference", Class::State, Severity::Low, "State differed at start")
            },
            Event::Failure(_) => told("failure", Class::Loss, Severity::High, "Something failed"),
            Event::Other => return None,
        })
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

    /// A block or a limit is in the kernel for it.
    pub(crate) fn made_entry(&self) -> bool {
        self.outcome.is_some_and(ActionTaken::made_entry)
    }

    /// Address of the remote, of a prefix its first.
    pub(crate) fn remote_address(&self) -> Option<IpAddr> {
        self.remote.map(|remote| remote.net().addr())
    }
}

fn of_site(site: Site) -> (Option<IpAddr>, Option<Service>) {
    match site {
        Site::Host(address) => (Some(address), None),
        Site::Service(service) => (None, Some(service)),
        Site::Net => (None, None),
    }
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
