//! Events as a person reads them.

use events::{Entity, Incident, Service};
use policy::{Notice, Reason, ServiceLimit};
use report::text::short_number;

use crate::event::{ClosedEvent, DecisionRecord, ServiceEvent};

/// An anomaly as a person reads it.
#[must_use]
pub fn describe_anomaly(anomaly: &DecisionRecord) -> String {
    let seen = &anomaly.evidence;
    let reasons: Vec<String> = anomaly.reasons.iter().map(explain_reason).collect();
    let why = anomaly.refusal.map(|refusal| format!(" ({})", refusal.text())).unwrap_or_default();
    let lasts = if anomaly.ttl_s > 0 { format!(" for {} s", anomaly.ttl_s) } else { String::new() };
    let claim = anomaly.claim.map(|claim| format!("p {:.4} ({claim}), ", claim.p_value));
    format!(
        "window {}{} {} {}{lasts}{why}: {}surprise {:.1}, score {:.3}, tail score {:.1}; {}",
        anomaly.window,
        incident(anomaly.incident),
        seen.address,
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
    let service = datapath::Service { protocol: service.protocol, port: service.port };
    format!(
        "window {window}{} {service} {what} a flood of {sources} unproven sources ({packets} \
         packets): {}, {packets_per_second} packets a second left to them together",
        incident(event.incident),
        event.outcome.text()
    )
}

/// The end of an incident as a person reads it.
#[must_use]
pub fn describe_closed(event: &ClosedEvent) -> String {
    let Incident { id, opened, windows, packets, blocks, .. } = event.incident;
    let entity = match event.entity {
        Entity::Remote { host, standing } => format!("{host} ({})", standing.name()),
        Entity::Service(Service { protocol, port }) => {
            datapath::Service { protocol, port }.to_string()
        }
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
