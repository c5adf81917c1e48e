//! Open Cybersecurity Schema Framework 1.9: what stands out is a Detection Finding (2004), what is
//! done about it a Network Remediation Activity (7004), the rest a Base Event (0).

use events::{ActionTaken, Change, Reason};
use serde_json::{Value, json};

use super::{Observer, port, transport, without_null};
use crate::told::{Class, Severity, Told};

const SCHEMA: &str = "1.9.0";

/// `activity_id` of a finding.
const CREATE: (u32, &str) = (1, "Create");
const UPDATE: (u32, &str) = (2, "Update");
const CLOSE: (u32, &str) = (3, "Close");
/// `activity_id` of a remediation.
const ISOLATE: (u32, &str) = (1, "Isolate");
const RESTORE: (u32, &str) = (3, "Restore");
/// `activity_id` of what has none of its own.
const OTHER: (u32, &str) = (99, "Other");

/// The events that a record becomes.
pub(super) fn events(told: &Told<'_>, observer: &Observer) -> Vec<Value> {
    match told.class {
        Class::Finding => {
            let made = told.made_entry().then(|| remediation(told, observer, ISOLATE));
            [finding(told, observer)].into_iter().chain(made).collect()
        }
        Class::Remediation => {
            vec![remediation(told, observer, if told.ends_a_block() { RESTORE } else { ISOLATE })]
        }
        Class::State | Class::Loss => vec![other(told, observer)],
    }
}

fn finding(told: &Told<'_>, observer: &Observer) -> Value {
    let (activity, status) = match told.change() {
        Change::Opened => (CREATE, (1, "New")),
        Change::Escalated | Change::Updated => (UPDATE, (2, "In Progress")),
        Change::Closed => (CLOSE, (4, "Resolved")),
    };
    let uid = uid(told, observer);
    let mut event = base(told, observer, (2, "Findings"), (2004, "Detection Finding"), activity);
    let (action, disposition) = answer(told.outcome);
    extend(
        &mut event,
        json!({
            "status_id": status.0,
            "status": status.1,
            "action_id": action.0,
            "action": action.1,
            "disposition_id": disposition.0,
            "disposition": disposition.1,
            "is_alert": told.severity > Severity::Low,
            "finding_info": {
                "uid": uid,
                "title": told.title,
                "desc": told.message,
                "types": [told.name],
                "analytic": {
                    "type_id": 4,
                    "type": "Learning (ML/DL)",
                    "name": "isolation forest and tails over flow features",
                },
                "data_sources": ["eBPF flow telemetry"],
                "first_seen_time": told.incident.map(|one| one.opened.as_millisecond()),
                "last_seen_time": told.time.as_millisecond(),
            },
            "anomaly_analyses": (!told.reasons.is_empty()).then(|| json!([analysis(told)])),
            "evidences": [evidence(told, observer)],
            "observables": told.remote_address().map(|address| json!([{
                "name": "evidences[].src_endpoint.ip",
                "type_id": 2,
                "type": "IP Address",
                "value": address,
            }])),
        }),
    );
    without_null(event)
}

/// Why: each feature with its value, and its range in benign traffic.
fn analysis(told: &Told<'_>) -> Value {
    let target = match (told.remote, told.local, told.service) {
        (Some(remote), ..) => (remote.to_string(), "IP Address"),
        (None, Some(local), _) => (local.to_string(), "IP Address"),
        (None, None, Some(service)) => (service.to_string(), "Service"),
        (None, None, None) => ("all local addresses".to_owned(), "Host"),
    };
    let kind = |reason: &Reason| (!matches!(&*reason.unit, "" | "1")).then(|| reason.unit.clone());
    let anomaly = |reason: &Reason| {
        json!({
            "observation_parameter": reason.feature,
            "observation_type": kind(reason),
            "observations": [{ "value": reason.value.to_string() }],
            "observed_pattern": format!("{:.0} % of the score", 100.0 * reason.share),
        })
    };
    let baseline = |reason: &Reason| {
        let ends = [reason.benign_low, reason.benign_high];
        json!({
            "observation_parameter": reason.feature,
            "observation_type": kind(reason),
            "observations": ends.map(|end| json!({ "value": end.to_string() })),
            "observed_pattern": "1st and 99th percentile of benign traffic",
        })
    };
    json!({
        "analysis_targets": [{ "name": target.0, "type": target.1 }],
        "anomalies": told.reasons.iter().map(anomaly).collect::<Vec<_>>(),
        "baselines": told.reasons.iter().map(baseline).collect::<Vec<_>>(),
    })
}

fn evidence(told: &Told<'_>, observer: &Observer) -> Value {
    let remote = told.remote_address().map(|address| json!({ "ip": address }));
    let host = json!({
        "hostname": observer.host,
        "ip": told.local,
        "port": told.service.and_then(port),
    });
    let (source, destination) =
        if told.is_inbound() { (remote, Some(host)) } else { (Some(host), None) };
    json!({
        "src_endpoint": source,
        "dst_endpoint": destination,
        "connection_info": connection(told),
        "data": {
            "packets": told.packets,
            "bytes": told.bytes,
            "surprise": told.surprise,
            "refusal": told.refusal.map(events::Refusal::name),
        },
    })
}

fn connection(told: &Told<'_>) -> Value {
    let (id, name) = if told.is_inbound() { (1, "Inbound") } else { (2, "Outbound") };
    json!({
        "direction_id": id,
        "direction": name,
        "protocol_num": told.service.map(|service| service.protocol),
        "protocol_name": told.service.and_then(transport),
    })
}

/// Action and disposition of an answer.
fn answer(outcome: Option<ActionTaken>) -> ((u32, &'static str), (u32, &'static str)) {
    match outcome {
        Some(ActionTaken::Blocked) => ((2, "Denied"), (2, "Blocked")),
        Some(ActionTaken::RateLimited) => ((4, "Modified"), (7, "Custom Action")),
        Some(ActionTaken::Shadowed) => ((3, "Observed"), (20, "Count")),
        Some(ActionTaken::WouldBlock) => ((3, "Observed"), (15, "Detected")),
        Some(ActionTaken::Refused) => ((1, "Allowed"), (16, "No Action")),
        Some(ActionTaken::Failed) => ((1, "Allowed"), (27, "Error")),
        None => ((3, "Observed"), (19, "Alert")),
    }
}

fn remediation(told: &Told<'_>, observer: &Observer, activity: (u32, &str)) -> Value {
    let category = (7, "Remediation");
    let class = (7004, "Network Remediation Activity");
    let mut event = base(told, observer, category, class, activity);
    let target = told.remote.map(|remote| remote.to_string());
    extend(
        &mut event,
        json!({
            "command_uid": uid(told, observer),
            "status_id": 1,
            "status": "Success",
            "connection_info": connection(told),
            "remediation": { "desc": told.message },
            "unmapped": {
                "target": target.or_else(|| told.service.map(|service| service.to_string())),
                "ttl_s": told.ttl_s,
                "dropped_packets": (activity == RESTORE).then_some(told.packets).flatten(),
                "who": told.who,
            },
        }),
    );
    without_null(event)
}

fn other(told: &Told<'_>, observer: &Observer) -> Value {
    let mut event = base(told, observer, (0, "Uncategorized"), (0, "Base Event"), OTHER);
    let (status, name) = if told.class == Class::Loss { (2, "Failure") } else { (1, "Success") };
    let said = serde_json::to_value(told.event).unwrap_or_default();
    extend(&mut event, json!({ "status_id": status, "status": name, "unmapped": said }));
    without_null(event)
}

/// What every class has.
fn base(
    told: &Told<'_>,
    observer: &Observer,
    category: (u32, &str),
    class: (u32, &str),
    activity: (u32, &str),
) -> Value {
    let (severity, name) = match told.severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
    };
    let profiles =
        if class.0 == 2004 { json!(["host", "security_control"]) } else { json!(["host"]) };
    json!({
        "category_uid": category.0,
        "category_name": category.1,
        "class_uid": class.0,
        "class_name": class.1,
        "activity_id": activity.0,
        "activity_name": activity.1,
        "type_uid": class.0 * 100 + activity.0,
        "type_name": format!("{}: {}", class.1, activity.1),
        "time": told.time.as_millisecond(),
        "severity_id": severity,
        "severity": name,
        "message": told.message,
        "metadata": {
            "version": SCHEMA,
            "log_name": told.name,
            "correlation_uid": told.incident.map(|incident| incident.id.to_string()),
            "product": {
                "name": "weir",
                "vendor_name": "weir",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "profiles": profiles,
        },
        "device": { "hostname": observer.host, "type_id": 1, "type": "Server" },
    })
}

/// Id of a finding: that of its incident, so that its changes are of one.
fn uid(told: &Told<'_>, observer: &Observer) -> String {
    let Observer { host } = observer;
    match (told.incident, told.number) {
        (Some(incident), _) => format!("{host}/incident/{}", incident.id),
        (None, Some(number)) => format!("{host}/record/{number}"),
        (None, None) => format!("{host}/{}/{}", told.name, told.time.as_nanosecond()),
    }
}

fn extend(event: &mut Value, more: Value) {
    if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
        event.extend(more);
    }
}
