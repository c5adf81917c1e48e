//! What happens to a network that nobody attacks: of each kind, what looks like trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::benign;
use super::line::Side;
use super::network::{Addresses, Host, Network, Remote};
use super::tcp::{Ending, Tcp};
use super::timeline::{Author, Event, Timeline};
use crate::Family;
use crate::frame::{Content, Packet, Segment, flag};

/// Last number of the first address that is nobody's before an episode.
const NEW: u8 = 100;
/// New clients at once.
const NEWCOMERS: u8 = 6;
/// Seconds from one round of health checks to the next.
const CHECKED_EVERY: f64 = 5.0;
/// Parallel downloads of a backup, and bytes of each.
const BACKUP: [u32; 2] = [4, 12_000_000];
/// Log-ins at once, and the port they come to.
const LOG_INS: (u32, u16) = (20, 22);
/// Ports that an audit asks of each host, and pause between two.
const AUDITED: (u16, f64) = (1_500, 0.01);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Episode {
    /// The busiest service is stopped for six seconds: its connections are reset, its clients refused,
    /// and they come again.
    Deploy,
    /// The busiest service takes up a new configuration: its connections are reset, and their clients come
    /// again at once.
    Reload,
    /// The busiest host answers nothing for twenty seconds.
    Restart,
    /// The busiest client goes on under another address; its connections end unfinished.
    NewAddress,
    /// Six clients come that were never seen, and stay.
    Newcomers,
    /// A health checker begins to connect to a service of each host, without a word.
    HealthChecks,
    /// A client fetches a backup by four connections at once.
    Backup,
    /// The busiest client logs in twenty times at once, each time for a task of its own.
    LogIns,
    /// Somebody asks every host for many ports, as was agreed.
    Audit,
}

impl Episode {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Deploy,
        Self::Reload,
        Self::Restart,
        Self::NewAddress,
        Self::Newcomers,
        Self::HealthChecks,
        Self::Backup,
        Self::LogIns,
        Self::Audit,
    ];

    /// The address that an audit comes from.
    #[must_use]
    pub fn auditor() -> IpAddr {
        Addresses::remote(NEW + 50).v4.into()
    }

    /// Changes a network's benign packets to those with the episode in it.
    pub(super) fn happen(self, network: &mut Network, timeline: &mut Timeline, at: f64) {
        let busiest = Busiest::of(network, timeline);
        match self {
            Self::Deploy => fail(network, timeline, busiest, [at, at + 6.0], Some(busiest.port)),
            Self::Reload => fail(network, timeline, busiest, [at, at + 0.05], Some(busiest.port)),
            Self::Restart => fail(network, timeline, busiest, [at, at + 20.0], None),
            Self::NewAddress => move_away(timeline, busiest.client, at),
            Self::Newcomers => {
                let remotes: Vec<Remote> =
                    (0..NEWCOMERS).map(|nth| somebody(network, timeline, NEW + nth)).collect();
                benign::arrive(network, &remotes, timeline, at);
            }
            Self::HealthChecks => check_health(network, timeline, at),
            Self::Backup => back_up(network, timeline, busiest, at),
            Self::LogIns => log_in(network, timeline, busiest, at),
            Self::Audit => audit(network, timeline, at),
        }
    }
}

/// Who asks most, and of whom.
#[derive(Clone, Copy)]
struct Busiest {
    client: IpAddr,
    host: usize,
    port: u16,
}

impl Busiest {
    fn of(network: &Network, timeline: &Timeline) -> Self {
        let mut openings: BTreeMap<(usize, u16), u32> = BTreeMap::new();
        let mut clients: BTreeMap<IpAddr, u32> = BTreeMap::new();
        for event in timeline.events() {
            if let Some((host, segment)) = opening(network, event) {
                *openings.entry((host, segment.target_port)).or_default() += 1;
                *clients.entry(event.packet.source).or_default() += 1;
            }
        }
        let most = |(_, count): &(_, u32)| *count;
        let ((host, port), _) =
            openings.into_iter().max_by_key(most).unwrap_or(((0, network.hosts[0].open[0]), 0));
        let client = clients.into_iter().max_by_key(|&(_, count)| count);
        let client = client.map_or(network.remotes[0].addresses.v4.into(), |(client, _)| client);
        Self { client, host, port }
    }
}

/// An opening towards a home, and whose.
fn opening(network: &Network, event: &Event) -> Option<(usize, Segment)> {
    let Content::Segment(segment) = event.packet.content else { return None };
    let host = network.hosts.iter().position(|host| is_of(host, event.packet.target))?;
    (segment.flags == flag::SYN && host_listens(network, host, segment.target_port))
        .then_some((host, segment))
}

fn host_listens(network: &Network, host: usize, port: u16) -> bool {
    network.hosts[host].open.contains(&port)
}

fn is_of(host: &Host, address: IpAddr) -> bool {
    host.addresses.v4 == address || host.addresses.v6 == address
}

/// A client's address and a host's, and their ports.
type Tuple = ([IpAddr; 2], [u16; 2]);

/// The tuple of a segment between a client and one of these hosts' ports.
fn tuple(network: &Network, event: &Event, host: usize, port: Option<u16>) -> Option<Tuple> {
    let Content::Segment(segment) = event.packet.content else { return None };
    let (source, target) = (event.packet.source, event.packet.target);
    let (ends, ports) = if is_of(&network.hosts[host], target) {
        ([source, target], [segment.source_port, segment.target_port])
    } else if is_of(&network.hosts[host], source) {
        ([target, source], [segment.target_port, segment.source_port])
    } else {
        return None;
    };
    let is_served = host_listens(network, host, ports[1]);
    (is_served && port.is_none_or(|port| port == ports[1])).then_some((ends, ports))
}

/// A service, or a whole host where no port is given, answers nobody for a time: with resets, or
/// not at all.
fn fail(
    network: &Network,
    timeline: &mut Timeline,
    busiest: Busiest,
    [from, to]: [f64; 2],
    port: Option<u16>,
) {
    let mut spans: BTreeMap<Tuple, [f64; 2]> = BTreeMap::new();
    let tuple_of = |event: &Event| tuple(network, event, busiest.host, port);
    for event in timeline.events() {
        if let Some(tuple) = tuple_of(event) {
            let at = event.at_ns as f64 / 1e9;
            let [first, last] = spans.entry(tuple).or_insert([at, at]);
            (*first, *last) = (first.min(at), last.max(at));
        }
    }
    spans.retain(|_, [first, last]| *last >= from && *first < to);
    timeline.retain(|event| {
        let stays = (event.at_ns as f64) < from * 1e9;
        stays || tuple_of(event).is_none_or(|tuple| !spans.contains_key(&tuple))
    });
    for (([client, host], [own_port, port]), [first, _]) in spans {
        let Some(remote) = network.remotes.iter().find(|one| one.has(client)) else { continue };
        let family = if client.is_ipv4() { Family::V4 } else { Family::V6 };
        let is_told = to - from < 10.0;
        if first < from && is_told {
            let number = timeline.draw.between(0, u32::MAX);
            let reset = Segment::syn(port, own_port, number);
            let reset = Segment { flags: flag::RST, window: 0, largest: None, ..reset };
            timeline.put(from, Author::Benign, Packet::new(host, client, Content::Segment(reset)));
        }
        let mut at = first.max(from) + timeline.draw.between(0.05, 1.0);
        for again in 0..3 {
            let ports = [timeline.draw.between(1_024, 65_535), port];
            let home = &network.hosts[busiest.host];
            let line = Network::inward(remote, home, family, ports, [Author::Benign; 2]);
            if at >= to {
                let mut tcp = Tcp::open(timeline, line, at);
                tcp.say(Side::Client, 300);
                tcp.say(Side::Server, 2_000);
                tcp.close(Ending::Finished(Side::Client));
                break;
            }
            if is_told {
                Tcp::refused(timeline, line, at);
            } else {
                Tcp::call_in_vain(timeline, line, at, 2);
            }
            at += timeline.draw.between(1.0, 3.0) * f64::from(1 << again)
                + if is_told { 0.0 } else { 3.0 };
        }
    }
}

/// A client's new conversations come from another address, and its old ones end.
fn move_away(timeline: &mut Timeline, client: IpAddr, at: f64) {
    let is_later = |event: &Event| event.at_ns as f64 >= at * 1e9;
    let key = |packet: &Packet| {
        let ports = match packet.content {
            Content::Segment(one) => [one.source_port, one.target_port],
            Content::Datagram { source_port, target_port, .. } => [source_port, target_port],
            Content::Echo { id, .. } => [id, 0],
            Content::Unreachable { .. } => [0, 0],
        };
        let (own, other) = if packet.source == client { (0, 1) } else { (1, 0) };
        let ends = [packet.source, packet.target];
        (ends[other], ports[own], ports[other])
    };
    let is_its = |packet: &Packet| packet.source == client || packet.target == client;
    let mut older = BTreeSet::new();
    for event in timeline.events().iter().filter(|event| !is_later(event)) {
        if is_its(&event.packet) {
            older.insert(key(&event.packet));
        }
    }
    timeline.retain(|event| {
        !is_later(event) || !is_its(&event.packet) || !older.contains(&key(&event.packet))
    });
    let new = Addresses::remote(NEW + 40);
    let new: IpAddr = if client.is_ipv4() { new.v4.into() } else { new.v6.into() };
    for event in timeline.events_mut().iter_mut().filter(|event| is_later(event)) {
        for end in [&mut event.packet.source, &mut event.packet.target] {
            if *end == client {
                *end = new;
            }
        }
    }
}

/// Connections without a word to a service of each host, round after round.
fn check_health(network: &Network, timeline: &mut Timeline, at: f64) {
    let checker = somebody(network, timeline, NEW + 30);
    let mut at = at;
    while at < timeline.end {
        for host in &network.hosts {
            let ports = [timeline.draw.between(1_024, 65_535), host.open[0]];
            let line = Network::inward(&checker, host, Family::V4, ports, [Author::Benign; 2]);
            let began = at + timeline.draw.between(0.0, 0.2);
            Tcp::open(timeline, line, began).close(Ending::Finished(Side::Client));
        }
        at += CHECKED_EVERY;
    }
}

/// Large downloads side by side by the busiest client.
fn back_up(network: &Network, timeline: &mut Timeline, busiest: Busiest, at: f64) {
    let Some(remote) = network.remotes.iter().find(|one| one.has(busiest.client)) else { return };
    let family = if busiest.client.is_ipv4() { Family::V4 } else { Family::V6 };
    let [count, bytes] = BACKUP;
    for _ in 0..count {
        let ports = [timeline.draw.between(1_024, 65_535), busiest.port];
        let home = &network.hosts[busiest.host];
        let mut line = Network::inward(remote, home, family, ports, [Author::Benign; 2]);
        line.way.rate = 1e6;
        let mut tcp = Tcp::open(timeline, line, at);
        tcp.say(Side::Client, 200);
        tcp.say(Side::Server, bytes);
        tcp.close(Ending::Finished(Side::Client));
    }
}

/// Sessions of SSH side by side by the busiest client: a key exchange, a command, and what it tells.
fn log_in(network: &mut Network, timeline: &mut Timeline, busiest: Busiest, at: f64) {
    let (count, port) = LOG_INS;
    let open = &mut network.hosts[busiest.host].open;
    if !open.contains(&port) {
        open.push(port);
    }
    let Some(remote) = network.remotes.iter().find(|one| one.has(busiest.client)) else { return };
    let family = if busiest.client.is_ipv4() { Family::V4 } else { Family::V6 };
    for _ in 0..count {
        let ports = [timeline.draw.between(1_024, 65_535), port];
        let home = &network.hosts[busiest.host];
        let line = Network::inward(remote, home, family, ports, [Author::Benign; 2]);
        let began = at + timeline.draw.between(0.0, 0.5);
        let told = timeline.draw.between(200, 40_000);
        let mut tcp = Tcp::open(timeline, line, began);
        tcp.say(Side::Server, 1_100);
        tcp.say(Side::Client, 1_900);
        tcp.say(Side::Server, 900);
        tcp.say(Side::Client, 700);
        tcp.say(Side::Server, told);
        tcp.close(Ending::Finished(Side::Client));
    }
}

/// A SYN to each of many ports of each host, and a few words where one is open.
fn audit(network: &Network, timeline: &mut Timeline, at: f64) {
    let auditor = somebody(network, timeline, NEW + 50);
    let (ports, pause) = AUDITED;
    let mut at = at;
    for host in &network.hosts {
        for port in (1..=ports).chain(host.open.iter().copied()) {
            at += pause;
            let own_port = timeline.draw.between(1_024, 65_535);
            if host.open.contains(&port) {
                let both = [Author::Benign; 2];
                let line = Network::inward(&auditor, host, Family::V4, [own_port, port], both);
                let mut tcp = Tcp::open(timeline, line, at);
                tcp.say(Side::Client, 100);
                tcp.say(Side::Server, 400);
                tcp.close(Ending::Finished(Side::Client));
            } else {
                let number = timeline.draw.between(0, u32::MAX);
                let syn = Content::Segment(Segment::syn(own_port, port, number));
                let [source, target] = [auditor.addresses.v4.into(), host.addresses.v4.into()];
                let packet = Packet { hops: auditor.hops, ..Packet::new(source, target, syn) };
                network.receive(timeline, at, Author::Benign, packet);
            }
        }
    }
}

/// A benign remote of an address that was nobody's.
fn somebody(network: &Network, timeline: &mut Timeline, last: u8) -> Remote {
    timeline.draw.pick(&network.remotes).at(Addresses::remote(last))
}
