//! Incidents: decisions on one entity, joined over windows.
//!
//! A host that misbehaves for a day is anomalous in tens of thousands of windows, and one incident:
//! opened with the first, escalated with each stronger answer and each block, updated at ten, a
//! hundred, a thousand windows, and closed after a quiet time.

use std::{collections::BTreeMap, net::IpAddr};

use events::{
    ActionTaken, Change, ClosedEvent, DecisionRecord, Entity, Incident, OutageEvent, Prefix,
    Refusal, ServiceEvent, SiteEvent, Standing,
};
use ipnet::IpNet;
use jiff::Timestamp;

use crate::WindowEnd;

/// Incidents open at most; beyond that those noted longest ago are closed. A flood from forged
/// sources, of which each is anomalous, must not take all memory.
const OPEN_LIMIT: usize = 65_536;
/// Incidents closed at once for room: finding them takes a pass over all.
const CLOSED_AT_ONCE: usize = OPEN_LIMIT / 4;
/// Incidents of unproven sources that nothing was done about, open at most where these are told to be
/// forged, and where they are not: a flood of them is its service's story, and none of theirs.
const FORGED_LIMIT: usize = 8;
const UNPROVEN_LIMIT: usize = 32;
/// Incidents of remotes that this host opened flows to, open at most: a host that scans others is its own
/// story.
const TURNED_TO_LIMIT: usize = 32;
/// Time without an anomalous window, and without a block in force, after which one is closed, in ns.
const QUIET_NS: u64 = 600_000_000_000;
/// Factor of windows from one update to the next.
const UPDATED_EVERY: u64 = 10;

/// Open incidents, in bounded memory. Without a clock: the same windows give the same incidents.
#[derive(Debug, Default)]
pub struct Incidents {
    open: BTreeMap<Entity, Open>,
    /// Of these, those of each crowd.
    of_crowd: [usize; 2],
}

/// Remotes of which many may stand out at once and few are told one by one, for nothing was done about
/// them.
#[derive(Clone, Copy, Debug)]
enum Crowd {
    /// Unproven sources.
    Unproven,
    /// Remotes that this host opened flows to.
    TurnedTo,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    incident: Incident,
    /// The strongest answer so far.
    strongest: ActionTaken,
    /// End of its last window, or of the block in force.
    until_ns: u64,
    /// Windows at which people are told next.
    update_at: u64,
    /// One of many opened it.
    of_crowd: Option<Crowd>,
}

/// One anomalous window of an entity.
struct Seen {
    packets: u64,
    bytes: u64,
    outcome: ActionTaken,
    /// A block or a limit was made, or would have been.
    answered: bool,
    until_ns: u64,
}

impl Seen {
    /// A part of the host's own side, which nothing is done about.
    const fn at(until_ns: u64) -> Self {
        let outcome = ActionTaken::Refused;
        Self { packets: 0, bytes: 0, outcome, answered: false, until_ns }
    }
}

impl Incidents {
    /// Number of open incidents.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Open incidents by what they are about.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        let mut counts: BTreeMap<_, u64> = Entity::KINDS.map(|kind| (kind, 0)).into();
        for entity in self.open.keys() {
            *counts.entry(entity.kind()).or_default() += 1;
        }
        counts
    }

    /// Joins a decision of a window with its incident; false where it is one more of many unproven
    /// sources, has none, and is to be counted only.
    pub fn join(&mut self, record: &mut DecisionRecord, at: WindowEnd) -> bool {
        let answered = record.outcome.made_entry() || record.outcome == ActionTaken::WouldBlock;
        let stamp = (record.id, record.time);
        let (address, standing) = record.evidence.subject();
        let entity = Entity::Remote { host: host(address), standing };
        let crowd = match record.refusal {
            Some(Refusal::ForgedSources) => Some((Crowd::Unproven, FORGED_LIMIT)),
            Some(Refusal::LocallyInitiated) => Some((Crowd::TurnedTo, TURNED_TO_LIMIT)),
            Some(_) if standing == Standing::Unproven => Some((Crowd::Unproven, UNPROVEN_LIMIT)),
            _ => None,
        };
        let crowd = crowd.filter(|_| !self.open.contains_key(&entity));
        if crowd.is_some_and(|(crowd, limit)| self.of_crowd[crowd as usize] >= limit) {
            return false;
        }
        let seen = Seen {
            packets: record.evidence.packets,
            bytes: record.evidence.bytes,
            outcome: record.outcome,
            answered,
            until_ns: at.end_ns.saturating_add(record.ttl_s.saturating_mul(1_000_000_000)),
        };
        record.incident = Some(self.note(entity, &seen, stamp));
        if let (Some((crowd, _)), Some(open)) = (crowd, self.open.get_mut(&entity)) {
            open.of_crowd = Some(crowd);
            self.of_crowd[crowd as usize] += 1;
        }
        true
    }

    /// Joins a limit of a service with its incident.
    pub fn join_limit(&mut self, event: &mut ServiceEvent) {
        let seen = Seen {
            packets: event.limit.packets,
            outcome: event.outcome,
            answered: !event.limit.renewed,
            ..Seen::at(event.limit.expires_ns)
        };
        let entity = Entity::Service(event.limit.service);
        event.incident = Some(self.note(entity, &seen, (event.id, event.time)));
    }

    /// Joins an outage of a service with its incident.
    pub fn join_outage(&mut self, event: &mut OutageEvent) {
        let entity = Entity::Outage(event.outage.service);
        event.incident = Some(self.note(entity, &Seen::at(event.at_ns), (event.id, event.time)));
    }

    /// Joins an alarm on the host's own side with its incident.
    pub fn join_site(&mut self, event: &mut SiteEvent) {
        let entity = Entity::Site(event.site);
        event.incident = Some(self.note(entity, &Seen::at(event.at_ns), (event.id, event.time)));
    }

    /// Closes what was quiet for long enough.
    pub fn close(&mut self, at: WindowEnd) -> Vec<ClosedEvent> {
        let quiet = |open: &Open| at.end_ns.saturating_sub(open.until_ns) > QUIET_NS;
        let mut closed: Vec<Entity> =
            self.open.iter().filter(|(_, open)| quiet(open)).map(|(&entity, _)| entity).collect();
        if self.open.len() - closed.len() > OPEN_LIMIT {
            let mut ages: Vec<(u64, Entity)> =
                self.open.iter().map(|(&entity, open)| (open.until_ns, entity)).collect();
            ages.sort_unstable();
            closed = ages.into_iter().take(CLOSED_AT_ONCE).map(|(_, entity)| entity).collect();
        }
        let end = |entity| {
            let open = self.open.remove(&entity)?;
            if let Some(crowd) = open.of_crowd {
                self.of_crowd[crowd as usize] -= 1;
            }
            let incident = Incident { change: Some(Change::Closed), ..open.incident };
            Some(ClosedEvent { window: at.number, at_ns: at.end_ns, entity, incident })
        };
        closed.into_iter().filter_map(end).collect()
    }

    /// Notes a window; a new incident has its number and time.
    fn note(&mut self, entity: Entity, seen: &Seen, (id, time): (u64, Timestamp)) -> Incident {
        let mut opened = false;
        let open = self.open.entry(entity).or_insert_with(|| {
            opened = true;
            let incident = Incident {
                id,
                change: None,
                opened: time,
                windows: 0,
                packets: 0,
                bytes: 0,
                blocks: 0,
            };
            let (strongest, update_at) = (seen.outcome, UPDATED_EVERY);
            Open { incident, strongest, until_ns: seen.until_ns, update_at, of_crowd: None }
        });
        let incident = &mut open.incident;
        incident.windows += 1;
        incident.packets = incident.packets.saturating_add(seen.packets);
        incident.bytes = incident.bytes.saturating_add(seen.bytes);
        incident.blocks = incident.blocks.saturating_add(u32::from(seen.answered));
        open.until_ns = open.until_ns.max(seen.until_ns);
        let stronger = strength(seen.outcome) > strength(open.strongest);
        if stronger {
            open.strongest = seen.outcome;
        }
        incident.change = if opened {
            Some(Change::Opened)
        } else if seen.answered || stronger {
            Some(Change::Escalated)
        } else if incident.windows >= open.update_at {
            Some(Change::Updated)
        } else {
            None
        };
        if incident.windows >= open.update_at {
            open.update_at = open.update_at.saturating_mul(UPDATED_EVERY);
        }
        *incident
    }
}

/// The remote host that an address is taken for: itself, or in IPv6 the network that it is the name
/// of, or else its /64, of which a host may take any address at any time.
fn host(address: IpAddr) -> Prefix {
    let host = Prefix::of_host(address);
    match host.address() {
        Some(IpAddr::V6(address)) => IpNet::new_assert(address.into(), 64).into(),
        _ => host,
    }
}

/// Rank of an answer by what it costs the peer.
const fn strength(outcome: ActionTaken) -> u8 {
    match outcome {
        ActionTaken::Refused => 0,
        ActionTaken::Failed => 1,
        ActionTaken::WouldBlock => 2,
        ActionTaken::Shadowed => 3,
        ActionTaken::RateLimited => 4,
        ActionTaken::Blocked => 5,
    }
}

#[cfg(test)]
mod tests;
