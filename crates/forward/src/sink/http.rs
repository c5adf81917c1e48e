//! HTTP: a webhook, and the OpenTelemetry protocol.

use std::{io, net::IpAddr, path::Path};

use serde_json::{Value, json};
use ureq::{
    Agent,
    http::Uri,
    tls::{Certificate, RootCerts, TlsConfig},
};

use super::{PATIENCE, SendError, Sink, tls};
use crate::{
    format::{Observer, Record},
    told::Severity,
};

/// Bytes of an answer that are looked at.
const ANSWER_SHOWN: usize = 200;

/// Posts to one URL.
struct Post {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Post {
    fn new(url: &str, authorities: Option<&Path>, token: Option<&str>) -> Result<Self, SendError> {
        if token.is_some() && !url.starts_with("https:") && !is_this_host(url) {
            return Err(SendError::Never(format!(
                "the token would go to {url} unencrypted, for whoever is on the way to read; use \
                 https://, or leave --token-file out"
            )));
        }
        let mut config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            // One who answers with another place is not the one that was named.
            .max_redirects(0)
            .max_redirects_will_error(false);
        if url.starts_with("https:") {
            let certificates = tls::authorities(authorities)?;
            let certificates = certificates.iter().map(|one| Certificate::from_der(one).to_owned());
            let roots = RootCerts::from(certificates.collect::<Vec<_>>());
            let tls = TlsConfig::builder()
                .root_certs(roots)
                .unversioned_rustls_crypto_provider(tls::provider());
            config = config.tls_config(tls.build());
        }
        let agent = Agent::new_with_config(config.build());
        Ok(Self { agent, url: url.to_owned(), token: token.map(str::to_owned) })
    }

    fn post(&self, content_type: &str, body: &[u8]) -> Result<(), SendError> {
        let mut request = self.agent.post(&self.url).header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request
            .send(body)
            .map_err(|error| io::Error::other(format!("{}: {error}", self.url)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let said = response.body_mut().read_to_string().unwrap_or_default();
        let said: String =
            said.chars().filter(|one| !one.is_control()).take(ANSWER_SHOWN).collect();
        let text = format!("{} answered {status}: {said}", self.url);
        // What it cannot read it will not read later either.
        match status.as_u16() {
            400 | 413 | 415 | 422 => Err(SendError::Never(text)),
            _ => Err(SendError::Later(io::Error::other(text))),
        }
    }
}

fn is_this_host(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Posts records as lines.
pub(super) struct Webhook {
    post: Post,
    content_type: &'static str,
}

impl Webhook {
    pub(super) fn new(
        url: &str,
        is_json: bool,
        authorities: Option<&Path>,
        token: Option<&str>,
    ) -> Result<Self, SendError> {
        let content_type =
            if is_json { "application/x-ndjson" } else { "text/plain; charset=utf-8" };
        Ok(Self { post: Post::new(url, authorities, token)?, content_type })
    }
}

impl Sink for Webhook {
    fn send(&mut self, records: &[Record]) -> Result<(), SendError> {
        let lines: String = records.iter().flat_map(|one| [one.text.as_str(), "\n"]).collect();
        self.post.post(self.content_type, lines.as_bytes())
    }
}

/// Posts records as those of OTLP, one an event.
pub(super) struct Otlp {
    post: Post,
    host: String,
}

impl Otlp {
    pub(super) fn new(
        url: &str,
        observer: &Observer,
        authorities: Option<&Path>,
        token: Option<&str>,
    ) -> Result<Self, SendError> {
        Ok(Self { post: Post::new(url, authorities, token)?, host: observer.host.clone() })
    }
}

impl Sink for Otlp {
    fn send(&mut self, records: &[Record]) -> Result<(), SendError> {
        let body = otlp(&self.host, records).to_string();
        self.post.post("application/json", body.as_bytes())
    }
}

/// `ExportLogsServiceRequest` in OTLP's JSON.
fn otlp(host: &str, records: &[Record]) -> Value {
    let attribute =
        |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let record = |record: &Record| {
        let (number, text) = match record.severity {
            Severity::Informational => (9, "INFO"),
            Severity::Low => (10, "INFO2"),
            Severity::Medium => (13, "WARN"),
            Severity::High => (17, "ERROR"),
        };
        json!({
            "timeUnixNano": record.time.as_nanosecond().to_string(),
            "observedTimeUnixNano": record.time.as_nanosecond().to_string(),
            "severityNumber": number,
            "severityText": text,
            "eventName": format!("weir.{}", record.name),
            "body": { "stringValue": record.text },
        })
    };
    json!({
        "resourceLogs": [{
            "resource": { "attributes": [
                attribute("service.name", "weir"),
                attribute("service.version", env!("CARGO_PKG_VERSION")),
                attribute("host.name", host),
            ] },
            "scopeLogs": [{
                "scope": { "name": "weir" },
                "logRecords": records.iter().map(record).collect::<Vec<_>>(),
            }],
        }]
    })
}
