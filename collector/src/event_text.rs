//! Events as a person reads them.

use std::time::Duration;

use control::wire::{Condition, ServiceState};
use events::{Entity, Incident, ModelAct, ModelEvent, Outage, Prefix, Site};
use jiff::Timestamp;
use policy::{Notice, Reason, Service, ServiceLimit};
use report::text::{count, plain, short_number};

use crate::event::{ClosedEvent, DecisionRecord, Event, OutageEvent, ServiceEvent, SiteEvent};

/// An event as a person reads it, where it is of interest to one.
#[must_use]
pub fn describe(event: &Event) -> Option<String> {
    if !event.is_news() {
        return None;
    }
    Some(match event {
        Event::Window(_) | Event::Other => return None,
        Event::Anomaly(anomaly) => describe_anomaly(anomaly),
        Event::Closed(closed) => describe_closed(closed),
        Event::Expired(expired) => format!(
            "{} expired: {} packets dropped, {} passed",
            expired.peer, expired.dropped_packets, expired.passed_packets
        ),
        Event::Service(limit) => describe_limit(limit),
        Event::Outage(outage) => describe_outage(outage),
        Event::Site(site) => describe_site(site),
        Event::Drift(change) => format!("window {}: {}", change.window, change.drift.to_text()),
        Event::Notice(change) => describe_notice(&change.notice),
        Event::Model(change) => describe_model(change),
        Event::Act(act) => {
            format!("{} by {}: {} {}", act.what, act.who, act.arguments, act.outcome)
        }
        Event::Difference(one) => format!(
            "at start{}: {}; {}",
            one.target.map(|target| format!(", {target}")).unwrap_or_default(),
            one.detail,
            one.done
        ),
        Event::Failure(failure) => format!("{}: {}", failure.what, failure.error),
    })
}

/// An anomaly as a person reads it.
#[must_use]
pub fn describe_anomaly(anomaly: &DecisionRecord) -> String {
    let seen = &anomaly.evidence;
    let reasons: Vec<String> = anomaly.reasons.iter().map(explain_reason).collect();
    let why = anomaly.refusal.map(|refusal| format!(" ({})", refusal.text())).unwrap_or_default();
    let lasts = if anomaly.ttl_s > 0 { format!(" for {} s", anomaly.ttl_s) } else { String::new() };
    let guessed = match (seen.failed_log_ins, seen.log_ins_alike) {
        (0, 0) => String::new(),
        (0, alike) => format!("{alike} short log-in sessions alike in ten minutes, "),
        (count, _) => format!("{count} failed log-ins by this host's own log, "),
    };
    let claim = anomaly.claim.map(|claim| format!("p {:.4} ({claim}), ", claim.p_value));
    format!(
        "window {}{} {} {}{lasts}{why}: {guessed}{}surprise {:.1}, score {:.3}, tail score {:.1}; {}",
        anomaly.window,
        incident(anomaly.incident),
        Prefix::of_host(seen.address),
        anomaly.outcome.text(),
        claim.unwrap_or_default(),
        seen.surprise,
        seen.peer_score,
        seen.tail_score,
        reasons.join("; ")
    )
}

/// A limit on a service as a person reads it.
#[must_use]
pub fn describe_limit(event: &ServiceEvent) -> String {
    let ServiceEvent { window, limit, .. } = event;
    let ServiceLimit { service, sources, packets, packets_per_second, .. } = limit;
    let what = if limit.renewed { "still under" } else { "under" };
    format!(
        "window {window}{} {service} {what} {} {sources} unproven sources ({packets} packets): {}, \
         {packets_per_second} packets a second left to them together",
        incident(event.incident),
        abuse(*service),
        event.outcome.text()
    )
}

/// What many unproven sources do to a service.
fn abuse(service: Service) -> &'static str {
    if service == Service::CLOSED_PORTS { "a scan by" } else { "a flood of" }
}

/// A service that fails its clients, as a person reads it.
#[must_use]
pub fn describe_outage(event: &OutageEvent) -> String {
    let Outage { service, clients, flows, told } = event.outage;
    let met = if flows > 0 {
        format!("fails {clients} clients ({flows} flows)")
    } else {
        format!("has {clients} of its ordinary clients stand out at once")
    };
    let said = if told { ", as was said (`weir maintenance`)" } else { "" };
    format!(
        "window {}{} {} {met}{said}: the service's own trouble, and nobody is blocked for it",
        event.window,
        incident(event.incident),
        service
    )
}

/// An alarm on this host's own side, as a person reads it.
#[must_use]
pub fn describe_site(event: &SiteEvent) -> String {
    let reasons: Vec<String> = event.reasons.iter().map(explain_reason).collect();
    let over = humantime::format_duration(Duration::from_millis(event.horizon_ms.into()));
    format!(
        "window {}{} {} is unusual over {over} (surprise {:.1}): {}; nobody is blocked for it: {}",
        event.window,
        incident(event.incident),
        event.site,
        event.surprise,
        reasons.join("; "),
        event.site.advice()
    )
}

/// What is the matter with a service at this time, as a person reads it.
#[must_use]
pub fn describe_service(state: &ServiceState, now: Timestamp) -> String {
    let service = match (state.service, state.host) {
        (Some(service), _) => service.to_string(),
        (None, Some(address)) => Site::Host(address).to_string(),
        (None, None) if state.condition == Condition::Alarm => Site::Net.to_string(),
        (None, None) => "all services".to_owned(),
    };
    let note = state.note.as_deref().map(plain).unwrap_or_default();
    let incident = state.incident.map(|id| format!(" (incident {id})")).unwrap_or_default();
    let (remotes, number) = (count(state.remotes), count(state.count));
    let left = u64::try_from(state.until.duration_since(now).as_secs()).unwrap_or(0);
    let left = humantime::format_duration(Duration::from_secs(left));
    match state.condition {
        Condition::Limited => format!(
            "{service} under {} {remotes} unproven sources ({number} packets){incident}: {note}, {} \
             packets/s left to them together, for {left} more",
            state.service.map_or("a flood of", abuse),
            count(state.pps.unwrap_or(0))
        ),
        Condition::Outage if state.count > 0 => {
            format!("{service} FAILS {remotes} clients ({number} flows){incident}")
        }
        Condition::Outage => {
            format!("{service} has {remotes} of its ordinary clients stand out{incident}")
        }
        Condition::Maintenance => format!("{service} under maintenance for {left} more, by {note}"),
        Condition::Alarm => format!("{service} is unusual{incident}: {note}"),
    }
}

/// The end of an incident as a person reads it.
#[must_use]
pub fn describe_closed(event: &ClosedEvent) -> String {
    let Incident { id, opened, windows, packets, blocks, .. } = event.incident;
    let entity = match event.entity {
        Entity::Remote { host, standing } => format!("{host} ({})", standing.name()),
        Entity::Service(service) => service.to_string(),
        Entity::Outage(service) => format!("{service} (outage)"),
        Entity::Site(site) => site.to_string(),
    };
    format!(
        "window {} incident {id} closed {entity}: opened {}, {windows} anomalous windows, {packets} \
         packets, {blocks} blocks",
        event.window,
        opened.strftime("%Y-%m-%d %H:%M:%S"),
    )
}

/// The incident and its change, where there is one.
fn incident(incident: Option<Incident>) -> String {
    let Some(Incident { id, change, windows, .. }) = incident else { return String::new() };
    let change = change.map(|change| format!(" {}", change.name())).unwrap_or_default();
    let windows = if windows > 1 { format!(" after {windows} windows") } else { String::new() };
    format!(" incident {id}{change}{windows}")
}

/// A change of the model in force as a person reads it.
#[must_use]
pub fn describe_model(event: &ModelEvent) -> String {
    let ModelEvent { act, version, change, why, .. } = event;
    let in_force = match version {
        0 => "the configured model".to_owned(),
        number => format!("model version {number}"),
    };
    let change = change.as_ref().map(|change| format!(": {}", change.to_text()));
    match act {
        ModelAct::Refused => format!(
            "{in_force} stays in force, what was learnt is not taken: {}",
            why.as_deref().unwrap_or("no reason given")
        ),
        ModelAct::Learnt => format!("{in_force} is in force{}", change.unwrap_or_default()),
        ModelAct::RolledBack => {
            format!("{in_force} is in force again; `weir model learn on` lets learning go on")
        }
        ModelAct::Reloaded => format!("{in_force} was read again and is in force"),
    }
}

/// A change of the policy as a person reads it.
#[must_use]
pub fn describe_notice(notice: &Notice) -> String {
    match notice {
        Notice::BreakerOpened { trip, demoted, .. } => format!(
            "breaker opened: {}; {} blocks turned to shadow; `weir rearm` closes it",
            trip.text(),
            demoted.len()
        ),
        Notice::BreakerClosed => "breaker closed: its time is over".to_owned(),
        Notice::FellBack { from, demoted } => format!(
            "nobody confirmed {} in time: {} blocks turned to shadow",
            from.name(),
            demoted.len()
        ),
    }
}

/// A reason as a person reads it: `syn_share 1 (benign 0.02 to 0.2)`.
#[must_use]
pub fn explain_reason(reason: &Reason) -> String {
    let unit = if reason.unit == "1" { String::new() } else { format!(" {}", reason.unit) };
    let [value, low, high] =
        [reason.value, reason.benign_low, reason.benign_high].map(short_number);
    format!("{} {value}{unit} (benign {low} to {high})", reason.feature)
}
