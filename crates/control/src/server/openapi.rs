//! The interface's own description: OpenAPI 3.1, from the same definitions that answer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema, openapi::path::ParameterIn};

use super::{access::Need, endpoint::Endpoint, endpoints::endpoints};
use crate::wire::{Kind, Problem};

/// Documentation of an endpoint.
pub(super) struct Documented {
    pub(super) summary: &'static str,
    pub(super) parameters: Value,
    pub(super) body: Option<Shape>,
    pub(super) answer: Option<Shape>,
    pub(super) content_type: &'static str,
}

impl Documented {
    pub(super) const fn new(summary: &'static str) -> Self {
        let parameters = Value::Null;
        Self { summary, parameters, body: None, answer: None, content_type: "text/plain" }
    }
}

/// A type's schema, and those it refers to.
pub(super) struct Shape {
    name: String,
    schemas: Vec<(String, Value)>,
}

impl Shape {
    pub(super) fn of<T: ToSchema>() -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        let name = T::name().into_owned();
        schemas.push((name.clone(), T::schema()));
        let schemas = schemas.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
        Self { name, schemas }
    }

    fn reference(&self) -> Value {
        json!({ "$ref": format!("#/components/schemas/{}", self.name) })
    }
}

/// The parameters of a query.
pub(super) fn parameters<Q: IntoParams>() -> Value {
    json!(Q::into_params(|| Some(ParameterIn::Query)))
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let endpoints = endpoints();
    let problem = Shape::of::<Problem>();
    let mut schemas: BTreeMap<String, Value> = problem.schemas.iter().cloned().collect();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for endpoint in &endpoints {
        let shapes = [&endpoint.documented.body, &endpoint.documented.answer];
        for shape in shapes.into_iter().flatten() {
            schemas.extend(shape.schemas.iter().cloned());
        }
        let method = endpoint.method.as_str().to_ascii_lowercase();
        paths.entry(endpoint.path).or_default().insert(method, operation(endpoint, &problem));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "weir",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A running weir node: what it sees, what it blocks, and how to steer \
                it. At the Unix socket the kernel says who asks, and root and the node's own user \
                may change it. Over HTTP a change needs a token with the scope `write`; reading \
                needs one with the scope `read`, unless the node is told to answer reads at a \
                loopback address without (`api.reads_open`).",
            "license": { "name": "Apache-2.0 OR MIT" }
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } }
        }
    })
}

fn operation(endpoint: &Endpoint, problem: &Shape) -> Value {
    let documented = &endpoint.documented;
    let schema = documented
        .answer
        .as_ref()
        .map_or_else(|| json!({ "type": if documented.content_type.contains("json") { "object" } else { "string" } }), Shape::reference);
    let mut operation = json!({
        "operationId": operation_id(endpoint),
        "summary": documented.summary,
        "responses": {
            "200": {
                "description": "Done.",
                "content": { media_type(documented.content_type): { "schema": schema } }
            },
            "default": {
                "description": format!("Not done, and why: {}.", kinds()),
                "content": { "application/problem+json": { "schema": problem.reference() } }
            }
        },
        "security": match endpoint.need {
            Need::Write => json!([{ "token": ["write"] }]),
            // Without a token where that is asked for, at a loopback address.
            Need::Read | Need::Monitor => json!([{ "token": ["read"] }, {}]),
        }
    });
    if documented.parameters.as_array().is_some_and(|parameters| !parameters.is_empty()) {
        operation["parameters"] = documented.parameters.clone();
    }
    if let Some(body) = &documented.body {
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": body.reference() } } });
    }
    operation
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or(content_type)
}

/// `get_v1_status`.
fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.trim_start_matches('/').replace(['/', '.'], "_");
    format!("{}_{path}", endpoint.method.as_str().to_ascii_lowercase())
}

fn kinds() -> String {
    let mut kinds = Kind::ALL;
    kinds.sort_by_key(|kind| kind.status());
    kinds.map(|kind| format!("{} {}", kind.status(), kind.title())).join(", ")
}
