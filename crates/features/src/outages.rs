//! Outages: what a service of this host does to its clients is no doing of theirs.
//!
//! A server that is stopped refuses, one behind a new firewall rule is silent, one that is killed
//! resets. [`Outages::look`] takes such failures out of a window before it is joined with the past,
//! so that no horizon ever holds them, and names the services.
//!
//! Who can write what this goes by: **refusals** only this host, whose listener answers a SYN and whose
//! absence refuses it. They count for clients that were served before, and for strangers where the
//! service was seen to serve several, so that a
//! closed port that nobody used is no outage, and where nobody was answered between the first and the
//! last, so that a firewall that refuses one of many is none. **Silence** the remote can write, with a
//! SYN that the host discards: it counts for clients that were served before, while nobody is
//! answered. **Resets** it can provoke: they count where they meet most of the clients at once.
//!
//! What an attacker may gain: that openings towards one service which is away, or which never reach
//! it, are no evidence, up to [`STRANGER_PER_S`] or [`CLIENT_PER_S`] a second. Whatever was answered,
//! and all that went elsewhere, stays evidence. Beyond [`STRANGERS`] strangers at once none is
//! excused: that many are a flood, whatever the service does.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use flows_common::{
    Direction, Fact, FlowCounters, FlowKey, PeerCounters, TcpFlag, Window, unmap_v4,
};

use crate::{
    context::recent::{Recent, put_table, take_table},
    facts::LocalService,
    kept::kept,
    record::{ICMP, ICMP_V6, TCP},
};

const IN: usize = Direction::Ingress.index();
const OUT: usize = Direction::Egress.index();

/// Services, and pairs of a service and a client, that are remembered.
const DOORS: usize = 4_096;
const VISITS: usize = 65_536;
/// Clients that are several.
const SEVERAL: usize = 3;
/// Time after its last completed handshake at which a client is none any more: an hour.
const CLIENT_FOR_NS: u64 = 3_600_000_000_000;
/// The longest time that a SYN at a window's end is given for its answer, as in a flow's record.
const ANSWER_GRACE_NS: u64 = 100_000_000;
/// Failed openings a second that are excused of a client, where it was never served more; and of a
/// stranger.
const CLIENT_PER_S: f64 = 256.0;
const STRANGER_PER_S: f64 = 32.0;
/// Multiple of the most that a client was served a second which is excused of it.
const TIMES_SERVED: f64 = 4.0;
/// Strangers of a window that are excused at one service.
const STRANGERS: usize = 100;

/// Failure of a service that met its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The service.
    pub service: LocalService,
    /// Remotes that met it.
    pub clients: u64,
    /// Flows that it failed.
    pub flows: u64,
    /// Somebody said so beforehand.
    pub told: bool,
}

/// A service, or all of them, that somebody said may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintained {
    /// The service; none for all that ever served anybody.
    pub service: Option<LocalService>,
    /// Until when, in ns of the windows' clock.
    pub until_ns: u64,
}

/// Local end of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Door {
    local: [u8; 16],
    port: u16,
}

/// A remote, in IPv6 by its /64.
type Client = [u8; 16];

/// Memory of a service.
#[derive(Clone, Copy, Default)]
struct Served {
    /// The addresses that were served last, distinct, and when.
    last: [([u8; 16], u64); SEVERAL],
    /// Clients that met silence since somebody was answered.
    silent: [Option<Client>; SEVERAL],
}

/// Memory of a client at a service.
#[derive(Clone, Copy, Default)]
struct Visit {
    last_ns: u64,
    /// The most handshakes that it completed a second.
    most_per_s: f64,
}

/// Part of a flow that a window keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Refused,
    Silent,
    Reset,
}

/// Failures at one service in one window.
#[derive(Default)]
struct Failures {
    /// Indices of the flows.
    flows: Vec<(usize, Client, Failure)>,
    /// Times of the first and last refused opening.
    refused: Option<(u64, u64)>,
    /// Time of the first opening that met silence.
    silent_ns: Option<u64>,
    /// Somebody was answered between refusals; behind the first silence.
    answered_amid: bool,
    answered_behind: bool,
    /// Known clients that had flows.
    active: BTreeSet<Client>,
}

/// Memory of services and their clients; see the [module](self).
pub struct Outages {
    doors: Recent<Door, Served>,
    visits: Recent<(Door, Client), Visit>,
}

kept!(Door { local, port });
kept!(Served { last, silent });
kept!(Visit { last_ns, most_per_s });

impl Default for Outages {
    fn default() -> Self {
        Self { doors: Recent::with_capacity(DOORS), visits: Recent::with_capacity(VISITS) }
    }
}

impl std::fmt::Debug for Outages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outages").field("services", &self.doors.len()).finish_non_exhaustive()
    }
}

impl Outages {
    /// Puts what it remembers behind these bytes.
    pub fn keep(&self, out: &mut Vec<u8>) {
        put_table(&self.doors, |served| Some(*served), out);
        put_table(&self.visits, |visit| Some(*visit), out);
    }

    /// What one like it kept, as [`Context::taken_up`](crate::Context::taken_up).
    #[must_use]
    pub fn taken_up(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { doors: take_table(DOORS, bytes)?, visits: take_table(VISITS, bytes)? })
    }

    /// A window without what services of this host did to their clients, and those services, in
    /// their order; the window itself where there was no such thing.
    ///
    /// Flows that were refused or met silence are left out, with the ICMP errors of this host to
    /// the same remotes; a reset reads as a close. Costs a pass over the flows, and a hash look-up
    /// for each that was served or failed.
    pub fn look<'w>(
        &mut self,
        window: &'w Window,
        told: &[Maintained],
    ) -> (Cow<'w, Window>, Vec<Outage>) {
        let told: Vec<_> = told
            .iter()
            .filter(|one| one.until_ns >= window.start_ns)
            .map(|one| one.service)
            .collect();
        let mut failing = self.failures(window, &told);
        self.note_answers(window, &mut failing);
        let mut excused = BTreeMap::new();
        let mut outages: BTreeMap<LocalService, Outage> = BTreeMap::new();
        for (door, failures) in &failing {
            self.excuse(window, *door, failures, &told, &mut excused, &mut outages);
        }
        self.note_served(window);
        if excused.is_empty() {
            return (Cow::Borrowed(window), Vec::new());
        }
        (Cow::Owned(without(window, &excused)), outages.into_values().collect())
    }

    /// Failures at services that ever served anybody, or that somebody spoke of.
    fn failures(&self, window: &Window, told: &[Option<LocalService>]) -> BTreeMap<Door, Failures> {
        let span = window.span();
        let grace_ns = ANSWER_GRACE_NS.min(span.duration_ns() / 10);
        let mut failing: BTreeMap<Door, Failures> = BTreeMap::new();
        for (index, (key, counters)) in window.flows.iter().enumerate() {
            let Some((failure, at_ns)) = failure(key, counters) else { continue };
            let pending =
                failure == Failure::Silent && span.end_ns.saturating_sub(at_ns) < grace_ns;
            let door = Door::of(key);
            let is_told = told.contains(&Some(door.service()));
            if pending || !is_told && self.doors.get(&door).is_none() {
                continue;
            }
            let failures = failing.entry(door).or_default();
            failures.flows.push((index, client(&key.remote), failure));
            match failure {
                Failure::Refused => {
                    let (first, last) = failures.refused.unwrap_or((at_ns, at_ns));
                    failures.refused = Some((first.min(at_ns), last.max(at_ns)));
                }
                Failure::Silent => {
                    let first = failures.silent_ns.map_or(at_ns, |first| first.min(at_ns));
                    failures.silent_ns = Some(first);
                }
                Failure::Reset => {}
            }
        }
        failing
    }

    /// Notes who was answered meanwhile, and which clients took part.
    fn note_answers(&self, window: &Window, failing: &mut BTreeMap<Door, Failures>) {
        if failing.is_empty() {
            return;
        }
        for (key, counters) in window.flows.iter().filter(|(key, _)| key.protocol == TCP) {
            let door = Door::of(key);
            let Some(failures) = failing.get_mut(&door) else { continue };
            if let Some(at_ns) = counters.first_syn_ack_ns(Direction::Egress) {
                failures.answered_amid |=
                    failures.refused.is_some_and(|(first, last)| first < at_ns && at_ns < last);
                failures.answered_behind |= failures.silent_ns.is_some_and(|first| at_ns > first);
            }
            let client = client(&key.remote);
            if self.is_known(door, client, window.end_ns) {
                failures.active.insert(client);
            }
        }
    }

    fn is_known(&self, door: Door, client: Client, now_ns: u64) -> bool {
        let is_fresh = |visit: &Visit| now_ns.saturating_sub(visit.last_ns) <= CLIENT_FOR_NS;
        self.visits.get(&(door, client)).is_some_and(is_fresh)
    }

    /// Decides which failures of a service are its own.
    fn excuse(
        &mut self,
        window: &Window,
        door: Door,
        failures: &Failures,
        told: &[Option<LocalService>],
        excused: &mut BTreeMap<usize, Failure>,
        outages: &mut BTreeMap<LocalService, Outage>,
    ) {
        let now_ns = window.end_ns;
        let Failures { flows, active, answered_amid, answered_behind, .. } = failures;
        let of = |failure: Failure, known: bool| -> BTreeSet<Client> {
            let those = flows.iter().filter(|one| one.2 == failure).map(|one| one.1);
            those.filter(|client| !known || active.contains(client)).collect()
        };
        let is_told = told.iter().any(|one| one.is_none_or(|service| service == door.service()));
        let mut nobody = Served::default();
        let served = self.doors.get_mut(&door).unwrap_or(&mut nobody);
        let fresh = |(_, at_ns): &&([u8; 16], u64)| {
            *at_ns > 0 && now_ns.saturating_sub(*at_ns) <= CLIENT_FOR_NS
        };
        let serves_several = served.last.iter().filter(fresh).count() == SEVERAL;
        // Many clients that are refused are no firewall's choice of one.
        let refuses = serves_several
            && failures.refused.is_some()
            && (!answered_amid || of(Failure::Refused, true).len() >= SEVERAL);
        let is_silent = serves_several && failures.silent_ns.is_some() && !answered_behind;
        if *answered_behind {
            served.silent = [None; SEVERAL];
        } else {
            for client in of(Failure::Silent, true) {
                served.note_silent(client);
            }
        }
        let meets_silence = is_silent && served.silent.iter().all(Option::is_some);
        // Of a client's own service, be it the only one: no packet of his has others answered less.
        let refuses_him = failures.refused.is_some() && !answered_amid;
        let is_silent_to_him = failures.silent_ns.is_some() && !answered_behind;
        let reset = of(Failure::Reset, true).len();
        let resets = refuses
            || meets_silence
            || serves_several && reset >= SEVERAL && 2 * reset >= active.len();
        let strangers: BTreeSet<Client> =
            flows.iter().map(|one| one.1).filter(|client| !active.contains(client)).collect();
        let mut tried: BTreeMap<Client, u64> = BTreeMap::new();
        for (index, client, _) in flows {
            let openings = u64::from(window.flows[*index].1.openings[IN]);
            let sum = tried.entry(*client).or_default();
            *sum = sum.saturating_add(openings);
        }
        let span_s = window.duration_s().max(1e-3);
        let (mut clients, mut count) = (BTreeSet::new(), 0);
        for (index, client, failure) in flows {
            let is_known = active.contains(client);
            let is_its_own = is_told
                || match failure {
                    Failure::Refused => refuses || is_known && refuses_him,
                    // What the host never answers may be a stranger's own doing until others meet
                    // it too; the next answer to anybody tells.
                    Failure::Silent => meets_silence || is_known && is_silent_to_him,
                    Failure::Reset => resets || is_known && refuses_him,
                };
            let most = if is_known {
                let visit = self.visits.get(&(door, *client)).copied().unwrap_or_default();
                (TIMES_SERVED * visit.most_per_s).max(CLIENT_PER_S)
            } else if strangers.len() <= STRANGERS {
                STRANGER_PER_S
            } else {
                continue;
            };
            if is_its_own && tried[client] as f64 <= most * span_s {
                excused.insert(*index, *failure);
                clients.insert(*client);
                count += 1;
            }
        }
        let is_outage = refuses || meets_silence || (resets && reset > 0) || is_told;
        if is_outage && count > 0 {
            let service = door.service();
            let none = Outage { service, clients: 0, flows: 0, told: is_told };
            let outage = outages.entry(service).or_insert(none);
            outage.clients += clients.len() as u64;
            outage.flows += count;
        }
    }

    /// Remembers who was served: whose handshakes the kernel saw completed.
    fn note_served(&mut self, window: &Window) {
        let (now_ns, span_s) = (window.end_ns, window.duration_s().max(1e-3));
        let mut served: BTreeMap<(Door, [u8; 16]), u64> = BTreeMap::new();
        for (key, counters) in &window.flows {
            if key.protocol == TCP && counters.accepted > 0 {
                let sum = served.entry((Door::of(key), key.remote)).or_default();
                *sum = sum.saturating_add(u64::from(counters.accepted));
            }
        }
        for ((door, remote), times) in served {
            let client = client(&remote);
            let visit = self.visits.touch((door, client), Visit::default).value;
            if now_ns.saturating_sub(visit.last_ns) > CLIENT_FOR_NS {
                visit.most_per_s = 0.0;
            }
            visit.last_ns = now_ns;
            visit.most_per_s = visit.most_per_s.max(times as f64 / span_s);
            self.doors.touch(door, Served::default).value.note(remote, now_ns);
        }
    }
}

impl Door {
    const fn of(key: &FlowKey) -> Self {
        Self { local: key.local, port: key.local_port }
    }

    const fn service(self) -> LocalService {
        LocalService { protocol: TCP, port: self.port }
    }
}

impl Served {
    fn note(&mut self, remote: [u8; 16], now_ns: u64) {
        let same = self.last.iter().position(|(one, at_ns)| *at_ns > 0 && *one == remote);
        let oldest = || (0..SEVERAL).min_by_key(|&place| self.last[place].1).unwrap_or(0);
        let place = same.unwrap_or_else(oldest);
        self.last[place] = (remote, now_ns);
    }

    fn note_silent(&mut self, client: Client) {
        if !self.silent.contains(&Some(client))
            && let Some(free) = self.silent.iter_mut().find(|one| one.is_none())
        {
            *free = Some(client);
        }
    }
}

fn client(remote: &[u8; 16]) -> Client {
    let mut client = *remote;
    if unmap_v4(remote).is_none() {
        client[8..].fill(0);
    }
    client
}

/// How this host failed a flow that its remote opened, and the time of the opening.
fn failure(key: &FlowKey, counters: &FlowCounters) -> Option<(Failure, u64)> {
    if key.protocol != TCP || counters.has(Fact::Initiated) || counters.openings[OUT] > 0 {
        return None;
    }
    let egress = &counters.directions[OUT];
    let reset = egress.flags[TcpFlag::Rst.index()] > 0;
    match counters.first_syn_ns(Direction::Ingress) {
        Some(at_ns) if counters.syn_acks[OUT] == 0 => {
            if reset {
                Some((Failure::Refused, at_ns))
            } else {
                (egress.packets == 0).then_some((Failure::Silent, at_ns))
            }
        }
        _ => reset.then_some((Failure::Reset, egress.first_ns)),
    }
}

/// The window without these failures.
fn without(window: &Window, excused: &BTreeMap<usize, Failure>) -> Window {
    let mut rest = window.clone();
    let mut remotes: BTreeMap<[u8; 16], Taken> = BTreeMap::new();
    for (&index, failure) in excused {
        let (key, counters) = &mut rest.flows[index];
        let taken = remotes.entry(key.remote).or_default();
        taken.resets += u32::from(counters.directions[OUT].flags[TcpFlag::Rst.index()] > 0);
        if *failure == Failure::Reset {
            close(counters);
        } else {
            taken.openings += counters.openings[IN];
            taken.inserts += u32::from(counters.directions[IN].packets > 0);
        }
    }
    let (mut index, mut packets) = (0, 0_u64);
    rest.flows.retain(|(key, counters)| {
        let failure = excused.get(&index);
        index += 1;
        // What this host complains of to those that it fails is its own doing too.
        let complaint = matches!(key.protocol, ICMP | ICMP_V6)
            && counters.directions[IN].packets == 0
            && counters.directions[OUT].icmp_errors > 0
            && remotes.contains_key(&key.remote);
        let stays = !complaint && matches!(failure, None | Some(Failure::Reset));
        packets += if stays { 0 } else { counters.packets() };
        stays
    });
    // So that what is left balances: it lost nothing.
    rest.evicted_packets = rest.evicted_packets.saturating_add(packets);
    let left: BTreeSet<[u8; 16]> = rest.flows.iter().map(|(key, _)| key.remote).collect();
    rest.peers.retain_mut(|(key, counters)| {
        let Some(taken) = remotes.get(&key.address) else { return true };
        taken.take_from(counters);
        left.contains(&key.address)
    });
    rest
}

/// Failures that are taken from a peer's own counters.
#[derive(Default)]
struct Taken {
    inserts: u32,
    openings: u32,
    resets: u32,
}

impl Taken {
    fn take_from(&self, counters: &mut PeerCounters) {
        let take = |count: &mut u64, part: u32| *count = count.saturating_sub(part.into());
        take(&mut counters.flow_inserts[IN], self.inserts);
        take(&mut counters.syns[IN], self.openings);
        take(&mut counters.resets[OUT], self.resets);
    }
}

/// Has a flow that this host reset read as one that both sides closed.
fn close(counters: &mut FlowCounters) {
    for (way, direction) in counters.directions.iter_mut().enumerate() {
        let reset = std::mem::take(&mut direction.flags[TcpFlag::Rst.index()]);
        if way == OUT || reset > 0 || direction.packets > 0 {
            direction.flags[TcpFlag::Fin.index()] = direction.flags[TcpFlag::Fin.index()].max(1);
        }
    }
}
