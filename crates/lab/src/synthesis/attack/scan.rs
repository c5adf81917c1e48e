//! Scans: which ports of which hosts are open.

use std::net::IpAddr;

use super::{Aim, MOST_FRAMES, Scene};
use crate::draw::Draw;
use crate::frame::{Content, Packet, Segment, flag};
use crate::payload::Payload;
use crate::synthesis::network::{Addresses, far_address, far_network};
use crate::synthesis::timeline::Author;
use crate::truth::Sources;

/// Ports that a sweep over many hosts looks for.
const SOUGHT: [u16; 12] = [22, 23, 80, 443, 445, 502, 1_433, 2_375, 3_389, 5_900, 6_379, 8_080];

/// A probe's flags, and whether a connection that opens is completed.
#[derive(Clone, Copy)]
struct Probe {
    flags: u8,
    completes: bool,
}

/// Half-open and complete probes, and those of RFC 9293's corners: FIN, none, all, ACK.
const PROBES: [Probe; 8] = [
    Probe { flags: flag::SYN, completes: false },
    Probe { flags: flag::SYN, completes: false },
    Probe { flags: flag::SYN, completes: true },
    Probe { flags: flag::SYN, completes: true },
    Probe { flags: flag::FIN, completes: false },
    Probe { flags: 0, completes: false },
    Probe { flags: flag::FIN | flag::PSH | flag::URG, completes: false },
    Probe { flags: flag::ACK, completes: false },
];

/// Many ports of one host, at a rate within these.
pub(super) fn vertical(scene: &mut Scene<'_>, least: f64, most: f64) {
    let probe = scene.draw().pick(&PROBES);
    let ports = ports(scene.draw());
    let rate = scene.draw().magnitude(least, most);
    let keeps_port = scene.draw().chance(0.5);
    let mut own_port = scene.own_port();
    let count = u32::try_from(ports.len()).unwrap_or(MOST_FRAMES);
    for (at, port) in scene.times(rate, count).into_iter().zip(ports) {
        if !keeps_port {
            own_port = scene.own_port();
        }
        ask(scene, at, Author::Attacker, probe, [scene.source(), scene.victim()], [own_port, port]);
    }
}

/// One port of many hosts, most of which do not exist.
pub(super) fn horizontal(scene: &mut Scene<'_>) {
    let probe = scene.draw().pick(&PROBES[..4]);
    let port = scene.draw().pick(&SOUGHT);
    let rate = scene.draw().magnitude(0.1, 200.0);
    let mut targets: Vec<u8> = (1..=scene.draw().between(8, 96)).collect();
    if scene.draw().chance(0.5) {
        scene.draw().shuffle(&mut targets);
    }
    let count = u32::try_from(targets.len()).unwrap_or(0);
    let source = scene.source();
    let mut aims = Vec::new();
    for (at, nth) in scene.times(rate, count).into_iter().zip(targets) {
        let victim = Addresses::home(nth).of(scene.family);
        aims.push(Aim { sources: Sources::Real { address: source }, victim });
        let own_port = scene.own_port();
        ask(scene, at, Author::Attacker, probe, [source, victim], [own_port, port]);
    }
    scene.aims = aims;
}

/// Many ports of one host by datagrams.
pub(super) fn by_datagrams(scene: &mut Scene<'_>) {
    let ports = ports(scene.draw());
    let rate = scene.draw().magnitude(0.3, 200.0);
    let size = scene.draw().pick(&[0, 8, 40]);
    let source_port = scene.own_port();
    let count = u32::try_from(ports.len()).unwrap_or(MOST_FRAMES);
    for (at, target_port) in scene.times(rate, count).into_iter().zip(ports) {
        let content =
            Content::Datagram { source_port, target_port, payload: Payload::Filler(size) };
        let packet = scene.packet(scene.source(), scene.victim(), content);
        scene.craft(at, Author::Attacker, packet);
    }
}

/// A scan of one host under several addresses, one of which is the scanner's own.
pub(super) fn with_decoys(scene: &mut Scene<'_>) {
    let family = scene.family;
    let count = scene.draw().between(3, 15);
    let mut sources: Vec<(IpAddr, Author)> =
        (0..count).map(|_| (far_address(family, scene.draw()), Author::Forged)).collect();
    sources.push((scene.source(), Author::Attacker));
    let (network, prefix) = far_network(family);
    scene.aims.push(Aim {
        sources: Sources::Spoofed { network, prefix, attacker: scene.source() },
        victim: scene.victim(),
    });
    let ports = ports(scene.draw());
    let rate = scene.draw().magnitude(0.3, 100.0);
    let most = MOST_FRAMES / u32::try_from(sources.len()).unwrap_or(1);
    for (at, port) in scene.times(rate, most).into_iter().zip(ports) {
        scene.draw().shuffle(&mut sources);
        let own_port = scene.own_port();
        for (place, (source, author)) in sources.clone().into_iter().enumerate() {
            let at = at + 40e-6 * place as f64;
            ask(scene, at, author, PROBES[0], [source, scene.victim()], [own_port, port]);
        }
    }
}

/// A probe of a port and what follows from its answer.
fn ask(
    scene: &mut Scene<'_>,
    at: f64,
    author: Author,
    probe: Probe,
    [source, target]: [IpAddr; 2],
    [own_port, port]: [u16; 2],
) {
    let sequence = scene.draw().between(0, u32::MAX);
    let is_syn = probe.flags == flag::SYN;
    let segment = Segment {
        flags: probe.flags,
        window: if is_syn && !probe.completes { 1_024 } else { 64_240 },
        largest: is_syn.then_some(1_460),
        ..Segment::syn(own_port, port, sequence)
    };
    let packet = scene.packet(source, target, Content::Segment(segment));
    let answer = scene.craft(at, author, packet);
    let Some(Content::Segment(answer)) = answer else {
        // Asked once more, as scanners do, by half of the probes.
        if is_syn && author == Author::Attacker && scene.draw().chance(0.5) {
            scene.timeline.put(at + 1.0, author, packet);
        }
        return;
    };
    // Whoever a decoy's address belongs to is not there, or is behind a firewall.
    if answer.flags & flag::SYN == 0 || author == Author::Forged {
        return;
    }
    let back = |flags, plus: u32| {
        Content::Segment(Segment {
            flags,
            sequence: sequence.wrapping_add(plus),
            acknowledgment: answer.sequence.wrapping_add(1),
            largest: None,
            ..segment
        })
    };
    let at = at + scene.attacker.way.rtt;
    if probe.completes {
        let packet = scene.packet(source, target, back(flag::ACK, 1));
        scene.timeline.put(at, author, packet);
        let packet = scene.packet(source, target, back(flag::RST | flag::ACK, 1));
        scene.timeline.put(at + 1e-3, author, packet);
    } else {
        let packet = scene.packet(source, target, back(flag::RST, 1));
        scene.timeline.put(at, author, packet);
    }
}

/// Ports in the order in which they are asked: in turn, in random order, or the known ones.
fn ports(draw: &mut Draw) -> Vec<u16> {
    let count = u16::try_from(draw.about(20, 1_200)).unwrap_or(u16::MAX);
    let first = draw.between(1, 9_000);
    let mut ports: Vec<u16> = (first..first + count).collect();
    if draw.chance(0.7) {
        draw.shuffle(&mut ports);
    }
    ports
}

impl Scene<'_> {
    pub(super) fn source(&self) -> IpAddr {
        self.attacker.addresses.of(self.family)
    }

    pub(super) fn victim(&self) -> IpAddr {
        self.host.addresses.of(self.family)
    }

    /// A packet that came the attacker's way.
    pub(super) fn packet(&self, source: IpAddr, target: IpAddr, content: Content) -> Packet {
        Packet { hops: self.attacker.hops, ..Packet::new(source, target, content) }
    }
}
