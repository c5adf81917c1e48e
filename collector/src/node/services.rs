//! Services that something is the matter with: floods, outages, and what people said beforehand.

use std::{collections::BTreeMap, time::Duration};

use control::{
    Who,
    wire::{Condition, Maintenance, MaintenanceRequest, Refused, ServiceState},
};
use events::{ActEvent, OutageEvent, Service, ServiceEvent, Site, SiteEvent};
use ledger::{Actor, Moment, Record};
use serde::Serialize;

use super::{Inner, Node, acts::Done, journal::moment, status::boot_timestamp};
use crate::{
    clock::{boot_ns, nanos},
    event_text::explain_reason,
};

/// Time after the last window with it after which an outage is over, in ns.
const OVER_NS: u64 = 60_000_000_000;
/// Services remembered at most: beyond it those that end first go.
const SERVICES_LIMIT: usize = 1_024;

/// Name that what weir tells by itself is recorded under.
pub(super) const OWN_NAME: &str = "weir";

/// Matters of this host's own side, by the part of it; of all services for all of it.
pub(super) type Services = BTreeMap<(Site, Condition), Matter>;

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Matter {
    since_ns: u64,
    until_ns: u64,
    incident: Option<u64>,
    remotes: u64,
    count: u64,
    pps: Option<u64>,
    note: Option<String>,
}

/// The service that a part of the host's own side is.
const fn service(site: Site) -> Option<Service> {
    match site {
        Site::Service(service) => Some(service),
        Site::Host(_) | Site::Net => None,
    }
}

impl Inner {
    pub(super) fn note_limit(&mut self, event: &ServiceEvent) {
        let limit = &event.limit;
        self.note_matter(
            (Site::Service(limit.service), Condition::Limited),
            Matter {
                since_ns: event.at_ns,
                until_ns: limit.expires_ns,
                incident: event.incident.map(|incident| incident.id),
                remotes: limit.sources,
                count: limit.packets,
                pps: Some(limit.packets_per_second.into()),
                note: Some(event.outcome.text().to_owned()),
            },
        );
    }

    pub(super) fn note_outage(&mut self, event: &OutageEvent) {
        let outage = &event.outage;
        self.note_matter(
            (Site::Service(outage.service), Condition::Outage),
            Matter {
                since_ns: event.at_ns,
                until_ns: event.at_ns.saturating_add(OVER_NS),
                incident: event.incident.map(|incident| incident.id),
                remotes: outage.clients,
                count: outage.flows,
                pps: None,
                note: None,
            },
        );
    }

    pub(super) fn note_alarm(&mut self, event: &SiteEvent) {
        let lasts_ns = OVER_NS.max(u64::from(event.horizon_ms) * 1_000_000);
        self.note_matter(
            (event.site, Condition::Alarm),
            Matter {
                since_ns: event.at_ns,
                until_ns: event.at_ns.saturating_add(lasts_ns),
                incident: event.incident.map(|incident| incident.id),
                remotes: 0,
                count: 0,
                pps: None,
                note: event.reasons.first().map(explain_reason),
            },
        );
    }

    /// Takes a matter over; one that goes on keeps its beginning.
    fn note_matter(&mut self, key: (Site, Condition), matter: Matter) {
        let now_ns = boot_ns();
        self.services.retain(|_, one| one.until_ns > now_ns);
        let since_ns = self.services.get(&key).map_or(matter.since_ns, |before| before.since_ns);
        self.services.insert(key, Matter { since_ns, ..matter });
        if self.services.len() > SERVICES_LIMIT
            && let Some(first) =
                self.services.iter().min_by_key(|(_, one)| one.until_ns).map(|(key, _)| *key)
        {
            self.services.remove(&first);
        }
    }

    /// Services that something is the matter with now, in their order.
    pub(super) fn service_states(&self, now: Moment) -> Vec<ServiceState> {
        let lasts = self.services.iter().filter(|(_, one)| one.until_ns > now.boot_ns);
        lasts
            .map(|(&(site, condition), one)| ServiceState {
                service: service(site),
                host: match site {
                    Site::Host(address) => Some(address),
                    Site::Service(_) | Site::Net => None,
                },
                condition,
                since: boot_timestamp(now, one.since_ns),
                until: boot_timestamp(now, one.until_ns),
                incident: one.incident,
                remotes: one.remotes,
                count: one.count,
                pps: one.pps,
                note: one.note.clone(),
            })
            .collect()
    }
}

impl Node {
    /// The record of what became of a service or of the host's own side: an act of weir's own, with
    /// the event as its arguments.
    pub(super) fn own_act(&self, what: &'static str, event: &impl Serialize) -> Record {
        let act = ActEvent {
            at_ns: boot_ns(),
            who: OWN_NAME.to_owned(),
            what: what.into(),
            arguments: serde_json::to_value(event).unwrap_or_default(),
            outcome: "done".to_owned(),
        };
        self.journal.act(&act, Actor { name: OWN_NAME.into(), ..Actor::default() })
    }

    /// Services that people said may fail, for the detector.
    #[must_use]
    pub fn maintained(&self) -> Vec<model::Maintained> {
        let inner = self.inner();
        let told = inner.services.iter().filter(|((_, what), _)| *what == Condition::Maintenance);
        told.map(|(&(site, _), one)| model::Maintained {
            service: service(site)
                .map(|Service { protocol, port }| model::LocalService { protocol, port }),
            until_ns: one.until_ns,
        })
        .collect()
    }

    /// A remote failed to log in, by what nobody but this host's own services can write.
    pub fn failed_log_in(&self, peer: std::net::IpAddr) {
        self.inner().policy.failed_log_in(peer, boot_ns());
    }

    pub(super) fn take_maintenance(
        &self,
        who: &Who,
        request: &MaintenanceRequest,
    ) -> Result<Maintenance, Refused> {
        let now = moment();
        let site = request.service.map_or(Site::Net, Site::Service);
        let key = (site, Condition::Maintenance);
        let until_ns = now.boot_ns.saturating_add(nanos(Duration::from_secs(request.for_s)));
        let mut inner = self.inner();
        if request.for_s > 0 {
            inner.note_matter(
                key,
                Matter {
                    since_ns: now.boot_ns,
                    until_ns,
                    incident: None,
                    remotes: 0,
                    count: 0,
                    pps: None,
                    note: Some(who.to_string()),
                },
            );
            inner.policy.maintain(request.service, until_ns);
        } else {
            if inner.services.remove(&key).is_none() {
                return Err(Refused::not_found("no such maintenance; `weir status` lists them"));
            }
            inner.policy.maintain(request.service, 0);
        }
        let mut services = inner.service_states(now);
        services.retain(|one| one.condition == Condition::Maintenance);
        let arguments = serde_json::to_value(request);
        self.record(inner, who, Done { what: "maintenance", arguments, records: Vec::new() })?;
        Ok(Maintenance { services })
    }
}
