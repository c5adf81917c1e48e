//! Elastic Common Schema 9.

use serde_json::{Value, json};

use super::{Observer, port, transport, without_null};
use crate::told::{Class, Severity, Told};

const SCHEMA: &str = "9.0.0";

/// The document of a record.
pub(super) fn document(told: &Told<'_>, observer: &Observer) -> Value {
    let (kind, category) = match told.class {
        Class::Finding => ("alert", ["intrusion_detection", "network"].as_slice()),
        Class::Remediation => ("event", ["network"].as_slice()),
        Class::State => ("event", ["configuration"].as_slice()),
        Class::Loss => ("event", ["host"].as_slice()),
    };
    let types = match told.class {
        Class::Finding if told.outcome == Some(events::ActionTaken::Blocked) => ["denied"],
        Class::Remediation if told.name == "expired" => ["end"],
        Class::Finding | Class::Loss | Class::Remediation => ["info"],
        Class::State => ["change"],
    };
    let severity = match told.severity {
        Severity::Informational => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
    };
    let direction = (told.class == Class::Finding)
        .then(|| if told.is_inbound() { "ingress" } else { "egress" });
    let host = json!({ "ip": told.local, "port": told.service.and_then(port) });
    let remote = json!({ "ip": told.remote_address(), "address": told.remote });
    let (source, destination) = if told.is_inbound() { (remote, host) } else { (host, json!({})) };
    let of = told.service.map_or_else(|| told.name.to_owned(), |service| service.to_string());
    without_null(json!({
        "@timestamp": told.time,
        "ecs": { "version": SCHEMA },
        "message": told.message,
        "event": {
            "kind": kind,
            "category": category,
            "type": types,
            "module": "weir",
            "dataset": format!("weir.{}", told.name),
            "provider": "weir",
            "action": told.outcome.map_or(told.name, events::ActionTaken::name),
            "id": told.number.map(|number| format!("{}/{number}", observer.host)),
            "reason": told.refusal.map(events::Refusal::text),
            "severity": severity,
            "start": told.incident.map(|incident| incident.opened),
        },
        "source": source,
        "destination": destination,
        "network": {
            "direction": direction,
            "transport": told.service.and_then(transport),
            "iana_number": told.service.map(|service| service.protocol.to_string()),
            "packets": told.packets,
            "bytes": told.bytes,
        },
        "related": { "ip": told.remote_address().or(told.local).map(|address| [address]) },
        "host": { "name": observer.host },
        "observer": {
            "type": "ips",
            "vendor": "weir",
            "product": "weir",
            "version": env!("CARGO_PKG_VERSION"),
            "hostname": observer.host,
        },
        "rule": (told.class == Class::Finding).then(|| json!({
            "name": told.title,
            "category": of,
        })),
        "user": told.who.map(|who| json!({ "name": who })),
        // Fields of weir's own have a capital, as ECS asks of what it does not define.
        "Weir": {
            "Incident": told.incident,
            "Surprise": told.surprise,
            "Reasons": (!told.reasons.is_empty()).then_some(told.reasons),
            "Ttl_s": told.ttl_s,
        },
    }))
}
