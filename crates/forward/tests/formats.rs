//! Each kind of event in each format, against what the format allows.

use std::collections::BTreeSet;

use events::Event;
use jiff::Timestamp;
use ocsf_types::{BaseEvent, DetectionFinding, NetworkRemediationActivity};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use weir_forward::{Format, Observer};

const CAME: &str = "2026-11-28T19:00:01Z";

fn events() -> Vec<Event> {
    let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let events: Vec<Event> = include_str!("data/events.jsonl").lines().map(read).collect();
    assert!(!events.contains(&Event::Other));
    events
}

fn texts(format: Format, event: &Event) -> Vec<String> {
    let observer = Observer { host: "gate.example".to_owned() };
    let records = format.records(event, CAME.parse::<Timestamp>().unwrap(), &observer);
    records.into_iter().map(|record| record.text).collect()
}

fn all(format: Format) -> Vec<Value> {
    let texts = events().iter().flat_map(|event| texts(format, event)).collect::<Vec<_>>();
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

fn name(event: &Event) -> String {
    serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned()
}

#[test]
fn each_kind_in_each_format_is_what_it_was() {
    for format in Format::ALL {
        let mut lines = String::new();
        for event in events() {
            lines.extend(["# ", &name(&event), "\n"]);
            for text in texts(format, &event) {
                let value: Result<Value, _> = serde_json::from_str(&text);
                lines += &value.map_or(text, |value| serde_json::to_string_pretty(&value).unwrap());
                lines += "\n";
            }
        }
        let lines = lines.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(format!("{format:?}").to_lowercase(), lines);
    }
}

#[test]
fn nothing_is_told_of_a_window_without_a_loss_and_of_what_only_goes_on() {
    let mut silent = 0;
    for event in events() {
        let told = texts(Format::Json, &event);
        match &event {
            Event::Window(window) if window.imbalance == 0 => assert!(told.is_empty()),
            Event::Anomaly(record) if record.incident.unwrap().change.is_none() => {
                assert!(told.is_empty());
            }
            _ => {
                assert_eq!(told, [serde_json::to_string(&event).unwrap()]);
                continue;
            }
        }
        silent += 1;
    }
    assert_eq!(silent, 2);
}

/// The event as the schema's own types read and write it: an attribute that they do not know, or
/// of another type, does not come back.
fn through<T: Serialize + DeserializeOwned>(event: &Value) -> Value {
    let typed: T =
        serde_json::from_value(event.clone()).unwrap_or_else(|error| panic!("{error}: {event}"));
    serde_json::to_value(typed).unwrap()
}

fn assert_has(event: &Value, pointers: &[&str]) {
    for pointer in pointers {
        assert!(event.pointer(pointer).is_some(), "{pointer} is not in {event}");
    }
}

#[test]
fn ocsf_is_of_its_schema() {
    let mut classes = BTreeSet::new();
    for event in all(Format::Ocsf) {
        let class = event["class_uid"].as_u64().unwrap();
        classes.insert(class);
        // Required of every class, by the schema.
        assert_has(&event, &["/activity_id", "/category_uid", "/severity_id", "/time"]);
        assert_has(&event, &["/metadata/product/name", "/metadata/version", "/device/type_id"]);
        let uid = class * 100 + event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"], uid);
        let read = match class {
            2004 => {
                assert_has(&event, &["/finding_info/uid", "/evidences/0/connection_info"]);
                for analysis in event["anomaly_analyses"].as_array().into_iter().flatten() {
                    assert_has(analysis, &["/analysis_targets/0/name", "/anomalies/0"]);
                    let named = ["anomalies", "baselines"].map(|of| analysis[of].as_array());
                    for one in named.into_iter().flatten().flatten() {
                        assert_has(one, &["/observation_parameter", "/observations/0/value"]);
                    }
                }
                through::<DetectionFinding>(&event)
            }
            7004 => {
                assert_has(&event, &["/command_uid", "/connection_info/direction_id"]);
                assert_has(&event, &["/remediation/desc"]);
                through::<NetworkRemediationActivity>(&event)
            }
            0 => through::<BaseEvent>(&event),
            other => panic!("class {other}"),
        };
        assert_eq!(read, event);
    }
    assert_eq!(classes, BTreeSet::from([0, 2004, 7004]));
}

#[test]
fn what_is_blocked_is_a_finding_and_a_remediation_of_one_incident() {
    let blocked = events().into_iter().find(|event| match event {
        Event::Anomaly(record) => record.outcome.made_entry(),
        _ => false,
    });
    let texts = texts(Format::Ocsf, &blocked.unwrap());
    let [finding, remediation]: [Value; 2] =
        [0, 1].map(|at| serde_json::from_str(&texts[at]).unwrap());
    assert_eq!(finding["finding_info"]["uid"], remediation["command_uid"]);
    assert_eq!(finding["metadata"]["correlation_uid"], remediation["metadata"]["correlation_uid"]);
}

/// Leaves of a document, dotted.
fn leaves(value: &Value, name: &str, to: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(fields) => {
            for (field, value) in fields {
                let dot = if name.is_empty() { "" } else { "." };
                leaves(value, &format!("{name}{dot}{field}"), to);
            }
        }
        None => {
            to.insert(name.to_owned());
        }
    }
}

#[test]
fn ecs_has_fields_and_values_of_its_tables() {
    let known = [
        "@timestamp",
        "destination.address",
        "destination.ip",
        "destination.port",
        "ecs.version",
        "event.action",
        "event.category",
        "event.dataset",
        "event.id",
        "event.kind",
        "event.module",
        "event.provider",
        "event.reason",
        "event.severity",
        "event.start",
        "event.type",
        "host.name",
        "message",
        "network.bytes",
        "network.direction",
        "network.iana_number",
        "network.packets",
        "network.transport",
        "observer.hostname",
        "observer.product",
        "observer.type",
        "observer.vendor",
        "observer.version",
        "related.ip",
        "rule.category",
        "rule.name",
        "source.address",
        "source.ip",
        "source.port",
        "user.name",
    ];
    // The values that the tables allow of `event.type`, by `event.category`.
    let types = |category: &str| match category {
        "intrusion_detection" => ["allowed", "denied", "info"].as_slice(),
        "network" => {
            ["access", "allowed", "connection", "denied", "end", "info", "protocol", "start"]
                .as_slice()
        }
        "configuration" => ["access", "change", "creation", "deletion", "info"].as_slice(),
        "host" => ["access", "change", "end", "info", "start"].as_slice(),
        other => panic!("category {other}"),
    };
    for document in all(Format::Ecs) {
        let mut fields = BTreeSet::new();
        leaves(&document, "", &mut fields);
        for field in fields {
            assert!(known.contains(&&*field) || field.starts_with("Weir."), "{field}");
        }
        let event = &document["event"];
        assert!(["alert", "event"].contains(&event["kind"].as_str().unwrap()));
        for category in event["category"].as_array().unwrap() {
            for one in event["type"].as_array().unwrap() {
                assert!(types(category.as_str().unwrap()).contains(&one.as_str().unwrap()));
            }
        }
        assert!(document["@timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }
}

#[test]
fn eve_is_an_alert_of_suricatas_schema() {
    let alerts = all(Format::Eve);
    assert!(alerts.len() > 3);
    for alert in alerts {
        let mut fields = BTreeSet::new();
        leaves(&alert, "", &mut fields);
        for field in fields {
            let known = [
                "alert.action",
                "alert.category",
                "alert.gid",
                "alert.metadata.signature_severity",
                "alert.metadata.tag",
                "alert.rev",
                "alert.severity",
                "alert.signature",
                "alert.signature_id",
                "dest_ip",
                "dest_port",
                "event_type",
                "host",
                "proto",
                "src_ip",
                "timestamp",
            ];
            assert!(known.contains(&&*field), "{field}");
        }
        // `\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+[+\-]\d+`, of its schema.
        let time = alert["timestamp"].as_str().unwrap();
        let form: String =
            time.chars().map(|one| if one.is_ascii_digit() { '9' } else { one }).collect();
        assert_eq!(form, "9999-99-99T99:99:99.999999+9999");
    }
}

/// Header fields and extensions of a line, by the rules of the format.
fn parse_cef(line: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut header, mut field, mut escaped) = (Vec::new(), String::new(), false);
    let mut rest = line.chars();
    while header.len() < 7 {
        match rest.next().expect("seven fields") {
            one if std::mem::take(&mut escaped) => field.push(one),
            '\\' => escaped = true,
            '|' => header.push(std::mem::take(&mut field)),
            one => field.push(one),
        }
    }
    let mut extensions: Vec<(String, String)> = Vec::new();
    let mut text = String::new();
    for one in rest {
        match one {
            'n' if std::mem::take(&mut escaped) => text.push('\n'),
            one if std::mem::take(&mut escaped) => text.push(one),
            '\\' => escaped = true,
            '=' => {
                let (value, key) = text.rsplit_once(' ').unwrap_or(("", &text));
                if let Some(last) = extensions.last_mut() {
                    value.clone_into(&mut last.1);
                }
                extensions.push((key.to_owned(), String::new()));
                text.clear();
            }
            one => text.push(one),
        }
    }
    if let Some(last) = extensions.last_mut() {
        last.1 = text;
    }
    (header, extensions)
}

#[test]
fn cef_reads_back_by_its_own_rules() {
    let keys = [
        "act",
        "cat",
        "cfp1",
        "cfp1Label",
        "cn1",
        "cn1Label",
        "cnt",
        "cs1",
        "cs1Label",
        "deviceDirection",
        "dpt",
        "dst",
        "dvchost",
        "externalId",
        "msg",
        "proto",
        "reason",
        "rt",
        "src",
        "start",
        "suser",
    ];
    let mut messages = Vec::new();
    for event in events() {
        for line in texts(Format::Cef, &event) {
            let (header, extensions) = parse_cef(&line);
            assert_eq!(header[..3], ["CEF:0", "weir", "weir"]);
            assert_eq!(header[4], name(&event));
            assert!((0..=10).contains(&header[6].parse().unwrap()));
            for (key, value) in &extensions {
                assert!(keys.contains(&&**key), "{key}");
                assert!(!value.is_empty(), "{key} of {line}");
            }
            messages.extend(extensions.into_iter().filter(|(key, _)| key == "msg"));
        }
    }
    // What a person wrote does not end the value.
    assert!(messages.iter().any(|(_, message)| message.contains("a=b|c")), "{messages:?}");
}
