//! `weir maintenance`: services that will fail for a while.

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Args;
use collector::event_text::service_name;
use control::wire::{Condition, Maintenance, MaintenanceRequest, ServiceState};
use events::Service;
use jiff::Timestamp;
use report::text::{count, plain};

use super::{
    Layers,
    node::{AskArgs, seconds},
    status::until,
};

/// IP protocol numbers that a service may be named with.
const PROTOCOLS: [(&str, u8); 2] = [("tcp", 6), ("udp", 17)];

#[derive(Debug, Args)]
pub(super) struct MaintenanceArgs {
    /// The service: `443` or `tcp/443`; without it all that the node saw serve anybody.
    #[arg(value_name = "SERVICE", value_parser = service)]
    service: Option<Service>,
    /// How long from now on.
    #[arg(long, value_name = "DURATION", required_unless_present = "end")]
    r#for: Option<humantime::Duration>,
    /// End it.
    #[arg(long, conflicts_with = "for")]
    end: bool,
    #[command(flatten)]
    ask: AskArgs,
}

impl MaintenanceArgs {
    pub(super) fn run(&self, layers: &Layers) -> anyhow::Result<ExitCode> {
        let for_s = self.r#for.map_or(0, |length| seconds(length.into()));
        let request = MaintenanceRequest { service: self.service, for_s };
        let maintained = self.ask.client(layers)?.maintain(&request)?;
        self.ask.print(&maintained, |Maintenance { services }| {
            if services.is_empty() {
                return "no service is under maintenance\n".to_owned();
            }
            services.iter().fold(String::new(), |mut text, one| {
                let _ = writeln!(text, "{}", describe(one, Timestamp::now()));
                text
            })
        })
    }
}

/// What is the matter with a service, as a person reads it.
pub(super) fn describe(state: &ServiceState, now: Timestamp) -> String {
    let service = state.service.map_or_else(|| "all services".to_owned(), service_name);
    let note = state.note.as_deref().map(plain).unwrap_or_default();
    let incident = state.incident.map(|id| format!(", incident {id}")).unwrap_or_default();
    let (remotes, number) = (count(state.remotes), count(state.count));
    let left = until(state.until, now);
    match state.condition {
        Condition::Limited => format!(
            "{service} under a flood of {remotes} unproven sources ({number} packets){incident}: {note}, {} \
             packets/s left to them together, for {left} more",
            count(state.pps.unwrap_or(0))
        ),
        Condition::Outage if state.count > 0 => {
            format!(
                "{service} FAILS {remotes} clients ({number} flows){incident}: nobody is blocked for it"
            )
        }
        Condition::Outage => format!(
            "{service} has {remotes} of its ordinary clients stand out{incident}: nobody is blocked for it"
        ),
        Condition::Maintenance => {
            format!("{service} under maintenance for {left} more, says {note}")
        }
    }
}

fn service(text: &str) -> anyhow::Result<Service> {
    let (protocol, port) = text.split_once('/').unwrap_or(("tcp", text));
    let known = PROTOCOLS.iter().find(|(name, _)| *name == protocol);
    let (_, protocol) =
        known.with_context(|| format!("`{protocol}` is neither `tcp` nor `udp`"))?;
    let port = port.parse().ok().filter(|port| *port > 0);
    let port = port.with_context(|| format!("`{text}` has no port between 1 and 65535"))?;
    Ok(Service { protocol: *protocol, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_port_or_a_protocol_and_a_port() {
        let read = |text| service(text).map_err(|error| error.to_string());
        assert_eq!(read("443"), Ok(Service { protocol: 6, port: 443 }));
        assert_eq!(read("udp/53"), Ok(Service { protocol: 17, port: 53 }));
        assert_eq!(read("https"), Err("`https` has no port between 1 and 65535".to_owned()));
        assert_eq!(read("icmp/1"), Err("`icmp` is neither `tcp` nor `udp`".to_owned()));
    }
}
