//! Suricata's EVE: an alert for what stands out. Releases, changes and losses have no form there.

use events::ActionTaken;
use serde_json::{Value, json};

use super::{Observer, port, transport, without_null};
use crate::told::{Class, Severity, Told};

/// Generator of these alerts: one that no rule of Suricata's has.
const GENERATOR: u32 = 8_763;

/// The record of a finding.
pub(super) fn record(told: &Told<'_>, observer: &Observer) -> Option<Value> {
    if told.class != Class::Finding {
        return None;
    }
    let signature = match told.name {
        "anomaly" => 1,
        "service" => 2,
        "outage" => 3,
        "site" => 4,
        _ => return None,
    };
    let (severity, word) = match told.severity {
        Severity::High => (1, "Critical"),
        Severity::Medium => (2, "Major"),
        Severity::Low | Severity::Informational => (3, "Minor"),
    };
    let blocked = matches!(told.outcome, Some(ActionTaken::Blocked | ActionTaken::RateLimited));
    let tags = told.reasons.iter().map(|reason| format!("{}={}", reason.feature, reason.value));
    let (source, destination) =
        if told.is_inbound() { (told.remote_address(), told.local) } else { (told.local, None) };
    Some(without_null(json!({
        "timestamp": told.time.strftime("%Y-%m-%dT%H:%M:%S%.6f%z").to_string(),
        "event_type": "alert",
        "host": observer.host,
        "src_ip": source,
        "dest_ip": destination,
        "dest_port": told.service.and_then(port),
        "proto": told.service.and_then(transport).map(str::to_uppercase),
        "alert": {
            "action": if blocked { "blocked" } else { "allowed" },
            "gid": GENERATOR,
            "signature_id": signature,
            "rev": 1,
            "signature": format!("weir: {}", told.message),
            "category": told.title,
            "severity": severity,
            "metadata": {
                "signature_severity": [word],
                "tag": tags.collect::<Vec<_>>(),
            },
        },
    })))
}
