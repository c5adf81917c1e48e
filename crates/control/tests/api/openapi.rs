//! The document that describes the interface.

use std::time::Duration;

use control::Limits;
use serde_json::Value;

use crate::support::{Bench, ask, generous};

#[test]
fn the_document_is_what_it_was() {
    insta::assert_snapshot!(outline(&control::openapi()));
}

#[test]
fn every_documented_path_answers() {
    // The stream of events ends at once.
    let bench = Bench::with(Limits { connection_time: Duration::from_secs(4), ..generous() });
    let served = ask(bench.tcp(), "GET /openapi.json", &[], "").json();
    assert_eq!(served, control::openapi());
    let mut operations = 0;
    for (path, methods) in served["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            operations += 1;
            let line = format!("{} {path}", method.to_uppercase());
            let reply = ask(bench.unix(), &line, &["Content-Type: application/json"], "");
            let body = &reply.body;
            assert!(![0, 404, 405, 500].contains(&reply.status), "{line}: {} {body}", reply.status);
        }
        let undocumented = ["get", "put", "post", "delete", "patch"];
        for method in undocumented.iter().filter(|&&method| methods.get(method).is_none()) {
            let line = format!("{} {path}", method.to_uppercase());
            assert_eq!(ask(bench.unix(), &line, &[], "").status, 405, "{line}");
        }
    }
    assert_eq!(operations, 24);
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = control::openapi();
    let mut references = std::collections::BTreeSet::new();
    collect(&document, &mut references);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for reference in &references {
        let name = reference.strip_prefix("#/components/schemas/").expect("a schema");
        assert!(schemas.contains_key(name), "{reference} leads nowhere");
    }
    for name in schemas.keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(references.contains(&reference), "{name} is not used");
    }
}

/// The document without its prose, a line for each operation and each field.
fn outline(document: &Value) -> String {
    let mut lines = vec![format!("openapi {}", text(&document["openapi"]))];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let (kind, answer) = operation["responses"]["200"]["content"]
                .as_object()
                .unwrap()
                .iter()
                .next()
                .unwrap();
            let needs = &operation["security"];
            lines.push(format!("{} {path} {needs}", method.to_uppercase()));
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let mark = if parameter["required"] == true { "" } else { "?" };
                let name = text(&parameter["name"]);
                lines.push(format!("    {name}{mark}: {}", shape(&parameter["schema"])));
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            if !body.is_null() {
                lines.push(format!("    body: {}", shape(body)));
            }
            lines.push(format!("    answer: {} as {kind}", shape(&answer["schema"])));
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        lines.push(format!("{name}: {}", shape(schema)));
        // A part that is flattened into the type is named, and has its own fields below its name.
        let alone = std::slice::from_ref(schema);
        for part in schema["allOf"].as_array().map_or(alone, Vec::as_slice) {
            let required = part["required"].as_array().cloned().unwrap_or_default();
            for (field, schema) in part["properties"].as_object().into_iter().flatten() {
                let mark = if required.contains(&Value::from(field.as_str())) { "" } else { "?" };
                lines.push(format!("    {field}{mark}: {}", shape(schema)));
            }
        }
    }
    lines.join("\n")
}

fn shape(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if let Some(any) = schema["oneOf"].as_array() {
        return any.iter().map(shape).collect::<Vec<_>>().join(" or ");
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().map(shape).collect::<Vec<_>>().join(" and ");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(text).collect::<Vec<_>>().join(" | ");
    }
    let kind = schema["type"].to_string().replace('"', "");
    match (schema["format"].as_str(), &schema["items"], &schema["additionalProperties"]) {
        (_, Value::Object(_), _) => format!("{kind} of {}", shape(&schema["items"])),
        (_, _, Value::Object(_)) => {
            format!("{kind} of {}", shape(&schema["additionalProperties"]))
        }
        (_, _, Value::Bool(false)) => format!("{kind}, no other fields"),
        (Some(format), _, _) => format!("{kind} ({format})"),
        _ => kind,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn collect(value: &Value, references: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                references.insert(reference.to_owned());
            }
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
