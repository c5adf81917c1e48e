//! Attacks in virtual time, each drawn within the ranges of its class.

mod flood;
mod login;
mod outbound;
mod scan;
mod tunnel;

use std::net::IpAddr;

use super::line::Line;
use super::network::{Host, Network, Remote};
use super::timeline::{Author, Event, Timeline};
use crate::draw::Draw;
use crate::frame::{Content, Packet};
use crate::truth::{AttackTruth, Sent, Sources, Transport};
use crate::{AttackClass, Family, Moment};

/// The most packets that an attack of crafted ones sends.
const MOST_FRAMES: u32 = 6_000;
/// The most connections that an attack opens.
const MOST_CONNECTIONS: u32 = 1_500;
/// The attacker and whoever answers it.
const ATTACK: [Author; 2] = [Author::Attacker, Author::Answer];

/// Who an attack was sent to, by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aim {
    sources: Sources,
    victim: IpAddr,
}

/// An attack as it is made up.
struct Scene<'a> {
    timeline: &'a mut Timeline,
    network: &'a Network,
    attacker: Remote,
    /// The attacked host, or the one that the attacker has taken.
    host: &'a Host,
    family: Family,
    /// When it begins.
    start: f64,
    aims: Vec<Aim>,
}

/// Adds an attack of a class to a timeline; tells at whom it was aimed.
fn play(class: AttackClass, network: &Network, timeline: &mut Timeline) -> Vec<Aim> {
    let draw = &mut timeline.draw;
    let attacker = draw.pick(&network.attackers);
    let host = &network.hosts[draw.between(0, network.hosts.len() - 1)];
    let family = network.family(draw);
    let start = timeline.end * draw.between(0.05, 0.3);
    let aims = vec![Aim {
        sources: Sources::Real { address: attacker.addresses.of(family) },
        victim: host.addresses.of(family),
    }];
    let mut scene = Scene { timeline, network, attacker, host, family, start, aims };
    match class {
        AttackClass::SynScan => scan::vertical(&mut scene, 5.0, 400.0),
        AttackClass::LowAndSlowScan => scan::vertical(&mut scene, 0.05, 1.0),
        AttackClass::HorizontalScan => scan::horizontal(&mut scene),
        AttackClass::UdpScan => scan::by_datagrams(&mut scene),
        AttackClass::DecoyScan => scan::with_decoys(&mut scene),
        AttackClass::SynFlood => flood::by_syns(&mut scene, false),
        AttackClass::SpoofedSynFlood => flood::by_syns(&mut scene, true),
        AttackClass::UdpFlood => flood::by_datagrams(&mut scene),
        AttackClass::IcmpFlood => flood::by_echoes(&mut scene),
        AttackClass::ConnectionFlood => flood::by_connections(&mut scene),
        AttackClass::SlowHttp => flood::slow_http(&mut scene),
        AttackClass::SshBruteForce => login::guess(&mut scene, &[22], 1.0, 20.0),
        AttackClass::SlowBruteForce => login::guess(&mut scene, &login::SERVICES, 0.05, 1.0),
        AttackClass::WebScan => login::web_scan(&mut scene),
        AttackClass::Exfiltration => outbound::exfiltrate(&mut scene),
        AttackClass::Beaconing => outbound::beacon(&mut scene),
        AttackClass::CommandChannel => outbound::command_channel(&mut scene),
        AttackClass::OutboundScan => outbound::scan(&mut scene),
        AttackClass::PeerToPeer => outbound::peer_to_peer(&mut scene),
        AttackClass::DnsTunnel => tunnel::by_names(&mut scene),
        AttackClass::DomainGeneration => tunnel::generate_names(&mut scene),
        AttackClass::IcmpTunnel => tunnel::by_echoes(&mut scene),
    }
    scene.aims
}

impl Scene<'_> {
    fn draw(&mut self) -> &mut Draw {
        &mut self.timeline.draw
    }

    /// The attacker asks the host.
    fn inward(&self, from: u16, to: u16) -> Line {
        Network::inward(&self.attacker, self.host, self.family, [from, to], ATTACK)
    }

    /// The host asks the attacker.
    fn outward(&self, from: u16, to: u16) -> Line {
        Network::outward(self.host, &self.attacker, self.family, [from, to], ATTACK)
    }

    /// The host asks somebody else, over the attacker's way.
    fn outward_to(&self, address: IpAddr, from: u16, to: u16) -> Line {
        Line { server: self.attacker.end_at(address, to), ..self.outward(from, to) }
    }

    fn own_port(&mut self) -> u16 {
        self.draw().between(32_768, 60_999)
    }

    /// A crafted packet to a home address, and what its host answers to it.
    fn craft(&mut self, at: f64, author: Author, packet: Packet) -> Option<Content> {
        self.network.receive(self.timeline, at, author, packet).map(|(_, content)| content)
    }

    /// Times at a rate from the start on, even or exponentially apart, at most so many.
    fn times(&mut self, rate: f64, most: u32) -> Vec<f64> {
        let is_even = self.draw().chance(0.5);
        let (mut at, end) = (self.start, self.timeline.end);
        let mut times = Vec::new();
        while at < end && times.len() < most as usize {
            times.push(at);
            at += if is_even { 1.0 / rate } else { self.draw().exponential(1.0 / rate) };
        }
        times
    }

    /// Aims at a whole network instead of one address.
    fn aim_at_network(&mut self, network: IpAddr, prefix: u8) {
        self.aims[0].sources = Sources::Network { network, prefix };
    }
}

/// Adds an attack, and gives what is told of it when the timeline is over.
#[derive(Debug)]
pub(crate) struct Played {
    class: AttackClass,
    aims: Vec<Aim>,
    vlan: Option<u16>,
}

impl Played {
    pub(crate) fn add(class: AttackClass, network: &Network, timeline: &mut Timeline) -> Self {
        Self { class, aims: play(class, network, timeline), vlan: network.vlan }
    }

    /// The ground truth, by the packets that are there; nothing of an aim that none was sent to.
    pub(crate) fn truth(
        &self,
        events: &[Event],
        moment: impl Fn(u64) -> Moment,
    ) -> Vec<AttackTruth> {
        self.aims.iter().filter_map(|aim| self.truth_of(aim, events, &moment)).collect()
    }

    fn truth_of(
        &self,
        aim: &Aim,
        events: &[Event],
        moment: &impl Fn(u64) -> Moment,
    ) -> Option<AttackTruth> {
        let outward = self.class.is_initiated_by_the_victim();
        let sent: Vec<&Event> = events
            .iter()
            .filter(|event| matches!(event.author, Author::Attacker | Author::Forged))
            .filter(|event| {
                let Packet { source, target, .. } = event.packet;
                let (remote, local) = if outward { (target, source) } else { (source, target) };
                local == aim.victim && aim.sources.contains(remote)
            })
            .collect();
        let (first, last) = (sent.first()?, sent.last()?);
        let ports = || sent.iter().filter_map(|event| target_port(&event.packet.content));
        Some(AttackTruth {
            name: self.class.name().to_owned(),
            class: self.class,
            sources: aim.sources.clone(),
            victim: aim.victim,
            transport: transport(&first.packet.content),
            ports: ports().min().zip(ports().max()).map(|(least, most)| [least, most]),
            initiated_by_the_victim: outward,
            vlan: self.vlan,
            began: moment(first.at_ns),
            ended: moment(last.at_ns),
            sent: Sent {
                frames: sent.len() as u64,
                refused_frames: 0,
                connections: sent.iter().filter(|event| event.begins).count() as u64,
                bytes: sent.iter().map(|event| event.payload()).sum(),
            },
        })
    }
}

const fn transport(content: &Content) -> Transport {
    match content {
        Content::Segment(_) => Transport::Tcp,
        Content::Datagram { .. } => Transport::Udp,
        Content::Echo { .. } | Content::Unreachable { .. } => Transport::Icmp,
    }
}

const fn target_port(content: &Content) -> Option<u16> {
    match *content {
        Content::Segment(segment) => Some(segment.target_port),
        Content::Datagram { target_port, .. } => Some(target_port),
        Content::Echo { .. } | Content::Unreachable { .. } => None,
    }
}
