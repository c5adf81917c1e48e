//! Formats of events.

mod cef;
mod ecs;
mod eve;
mod ocsf;

use events::{Event, Service};
use jiff::Timestamp;

use crate::told::{Severity, Told};

/// Who tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observer {
    /// Name of the host.
    pub host: String,
}

/// An event in a format, and what the way to a sink has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Time of it.
    pub time: Timestamp,
    /// Urgency.
    pub severity: Severity,
    /// Name of the event.
    pub name: &'static str,
    /// One line.
    pub text: String,
}

/// Format of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As the node tells them.
    Json,
    /// Open Cybersecurity Schema Framework: Detection Finding, Network Remediation Activity.
    Ocsf,
    /// Elastic Common Schema.
    Ecs,
    /// Suricata's EVE: alerts; what is none has no form there.
    Eve,
    /// Common Event Format, `CEF:0`.
    Cef,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Json, Self::Ocsf, Self::Ecs, Self::Eve, Self::Cef];

    /// An event that came at this time, as records; none where there is nothing to tell of it.
    #[must_use]
    pub fn records(self, event: &Event, came: Timestamp, observer: &Observer) -> Vec<Record> {
        let Some(told) = Told::of(event, came) else { return Vec::new() };
        let texts = match self {
            // The events hold nothing that JSON could not.
            Self::Json => vec![serde_json::to_string(event).unwrap_or_default()],
            Self::Ocsf => texts(ocsf::events(&told, observer)),
            Self::Ecs => texts([ecs::document(&told, observer)]),
            Self::Eve => texts(eve::record(&told, observer)),
            Self::Cef => vec![cef::line(&told, observer)],
        };
        let Told { time, severity, name, .. } = told;
        texts.into_iter().map(|text| Record { time, severity, name, text }).collect()
    }

    /// True where a record is a JSON object.
    #[must_use]
    pub const fn is_json(self) -> bool {
        !matches!(self, Self::Cef)
    }
}

fn texts(values: impl IntoIterator<Item = serde_json::Value>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

/// Name of a service's protocol, in small letters; none of one without a name.
fn transport(service: Service) -> Option<&'static str> {
    match service.protocol {
        1 => Some("icmp"),
        6 => Some("tcp"),
        17 => Some("udp"),
        58 => Some("ipv6-icmp"),
        _ => None,
    }
}

/// Port of a service, where it has one.
fn port(service: Service) -> Option<u16> {
    (service.port > 0).then_some(service.port)
}

/// Takes out what is not known.
fn without_null(mut value: serde_json::Value) -> serde_json::Value {
    fn prune(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                fields.values_mut().for_each(prune);
                fields.retain(|_, field| {
                    !field.is_null() && field.as_object().is_none_or(|fields| !fields.is_empty())
                });
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(prune),
            _ => {}
        }
    }
    prune(&mut value);
    value
}
