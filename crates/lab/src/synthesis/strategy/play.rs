//! A strategy's packets, and what hosts and clients answer to them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Guise, Move, Phase, Strategy, Targets};
use crate::Family;
use crate::draw::Draw;
use crate::frame::{Content, Packet, Piece, Segment, flag};
use crate::payload::Payload;
use crate::synthesis::line::{Line, Side};
use crate::synthesis::network::{Host, Network, Remote, far_address, far_network};
use crate::synthesis::tcp::{Ending, Tcp};
use crate::synthesis::timeline::{Author, Timeline};

/// Bytes of a datagram's first fragment, its header included, and of the last one.
const FRAGMENTS: [u16; 2] = [32, 24];
/// Ports that a host is made to connect to: to fetch a page, to deliver a message.
const SUMMONED: [u16; 3] = [25, 80, 443];
/// Seconds between two answers to segments that are none of their connection's (RFC 5961, and
/// `tcp_invalid_ratelimit` of Linux).
const CHALLENGE: f64 = 0.5;

/// Who plays, and against whom, for a whole strategy.
struct Player<'a> {
    network: &'a Network,
    timeline: &'a mut Timeline,
    family: Family,
    host: &'a Host,
    attacker: Remote,
    /// The client whose address is forged, and whether it resets what it did not begin.
    client: Remote,
    client_resets: bool,
    /// The benign connection that most packets came on, if a client opened any.
    connection: Option<Tuple>,
    /// When the host last answered to what was none of that connection's.
    challenged: f64,
}

/// A client's address and a host's, and their ports.
type Tuple = ([IpAddr; 2], [u16; 2]);

/// Source, destination and the ports of a move.
#[derive(Clone, Copy)]
struct Course {
    source: IpAddr,
    target: IpAddr,
    author: Author,
    own_port: u16,
    port: u16,
    /// On a connection that is open.
    amid: bool,
}

/// Adds a strategy's packets to a timeline.
pub(crate) fn play(strategy: &Strategy, network: &Network, timeline: &mut Timeline) {
    let draw = &mut timeline.draw;
    let (family, attacker) = (network.family(draw), draw.pick(&network.attackers));
    let (client, client_resets) = (draw.pick(&network.remotes), draw.chance(0.5));
    let host = &network.hosts[draw.between(0, network.hosts.len() - 1)];
    let connection = busiest_connection(timeline, network);
    let mut player = Player {
        network,
        timeline,
        family,
        host,
        attacker,
        client,
        client_resets,
        connection,
        challenged: f64::NEG_INFINITY,
    };
    for phase in &strategy.phases {
        player.play(phase);
    }
}

/// The tuple of the benign connection into a home that most packets came on.
fn busiest_connection(timeline: &Timeline, network: &Network) -> Option<Tuple> {
    let mut packets: BTreeMap<Tuple, u32> = BTreeMap::new();
    for event in timeline.events() {
        if let Content::Segment(segment) = event.packet.content
            && network.is_open(event.packet.target, segment.target_port)
        {
            let ends = [event.packet.source, event.packet.target];
            *packets.entry((ends, [segment.source_port, segment.target_port])).or_default() += 1;
        }
    }
    packets.into_iter().max_by_key(|&(_, count)| count).map(|(tuple, _)| tuple)
}

/// The `nth` of the forged addresses that come in turn.
fn few_address(family: Family, nth: usize) -> IpAddr {
    match far_network(family).0 {
        IpAddr::V4(v4) => {
            Ipv4Addr::from_bits(v4.to_bits() + 1 + u32::try_from(nth % 126).unwrap_or(0)).into()
        }
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() + 1 + nth as u128).into(),
    }
}

impl Player<'_> {
    fn draw(&mut self) -> &mut Draw {
        &mut self.timeline.draw
    }

    fn play(&mut self, phase: &Phase) {
        let ports = self.ports(phase.targets);
        let decoys: Vec<IpAddr> = match phase.guise {
            Guise::Decoys { count, .. } => {
                let family = self.family;
                (0..count).map(|_| far_address(family, self.draw())).collect()
            }
            _ => Vec::new(),
        };
        let kept_port = self.draw().between(1_024, 65_535);
        for (nth, at) in phase.times(self.draw()).into_iter().enumerate() {
            let own_port =
                if phase.keeps_port { kept_port } else { self.draw().between(1_024, 65_535) };
            let port = ports[nth % ports.len()];
            let play = phase.moves[nth % phase.moves.len()];
            let course = self.course(phase.guise, nth, [own_port, port]);
            for (place, &decoy) in decoys.iter().enumerate() {
                let apart = matches!(phase.guise, Guise::Decoys { apart: true, .. });
                let step = if apart { ports.len() / (decoys.len() + 1) * (place + 1) } else { 0 };
                let port = ports[(nth + step) % ports.len()];
                let course = Course { source: decoy, author: Author::Forged, port, ..course };
                self.act(play, at + 2e-5 * (place + 1) as f64, course);
            }
            self.act(play, at, course);
        }
    }

    fn ports(&mut self, targets: Targets) -> Vec<u16> {
        let open = self.host.open.clone();
        match targets {
            Targets::Listening => vec![self.draw().pick(&open)],
            Targets::Port { port } => vec![port],
            Targets::Closed => {
                let mut port = self.draw().between(1, 65_000);
                while open.contains(&port) {
                    port += 1;
                }
                vec![port]
            }
            Targets::Many { count } => {
                let count = count.clamp(1, 60_000);
                let first = self.draw().between(1, 65_535 - count);
                (first..first + count).collect()
            }
        }
    }

    fn course(&mut self, guise: Guise, nth: usize, [own_port, port]: [u16; 2]) -> Course {
        let (source, author) = match guise {
            Guise::Own { addresses } => {
                (self.own_address(nth % usize::from(addresses.max(1))), Author::Attacker)
            }
            Guise::Decoys { .. } => (self.own_address(0), Author::Attacker),
            Guise::Forged => (far_address(self.family, self.draw()), Author::Forged),
            Guise::Few { addresses } => {
                (few_address(self.family, nth % usize::from(addresses.max(1))), Author::Forged)
            }
            Guise::Client | Guise::Connection => {
                (self.client.addresses.of(self.family), Author::Forged)
            }
        };
        let target = self.host.addresses.of(self.family);
        let course = Course { source, target, author, own_port, port, amid: false };
        match self.connection {
            Some(([source, target], [own_port, port])) if guise == Guise::Connection => {
                Course { source, target, own_port, port, amid: true, ..course }
            }
            _ => course,
        }
    }

    /// The `nth` address of the attacker's own network.
    fn own_address(&self, nth: usize) -> IpAddr {
        match self.attacker.addresses.of(self.family) {
            IpAddr::V4(v4) => {
                let [a, b, c, first] = v4.octets();
                let step = u8::try_from(nth % 60).unwrap_or(0);
                IpAddr::from([a, b, c, 1 + (first - 1 + step) % 60])
            }
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() + ((nth as u128) << 16)).into(),
        }
    }

    /// A move, and what comes of it.
    fn act(&mut self, play: Move, at: f64, course: Course) {
        match play {
            Move::Connect | Move::Login | Move::Hold | Move::Doubled => {
                self.connect(play, at, course);
            }
            Move::Summons if course.author == Author::Attacker => self.summon(at, course.source),
            _ => {
                let (content, piece) = self.content(play, course);
                self.send(at, course, content, piece);
            }
        }
    }

    /// A packet to the host, its answer, and what the owner of a forged address says to that.
    fn send(&mut self, at: f64, course: Course, content: Content, piece: Option<Piece>) {
        let target = course.target;
        let packet = Packet {
            hops: self.attacker.hops,
            piece,
            ..Packet::new(course.source, target, content)
        };
        if course.amid {
            return self.challenge(at, course, packet);
        }
        let answer = self.network.receive(self.timeline, at, course.author, packet);
        let Some((later, Content::Segment(answer))) = answer else { return };
        let is_of_the_client = course.source == self.client.addresses.of(self.family);
        let is_asked = answer.flags & flag::RST == 0;
        if is_of_the_client && is_asked && self.client_resets {
            let reset = Segment {
                flags: flag::RST,
                window: 0,
                largest: None,
                ..Segment::syn(answer.target_port, answer.source_port, answer.acknowledgment)
            };
            let packet = Packet {
                hops: self.client.hops,
                ..Packet::new(course.source, target, Content::Segment(reset))
            };
            self.timeline.put(later + self.client.way.rtt, Author::Answer, packet);
        }
    }

    /// A packet on a connection that the host holds open, whose numbers are not that one's.
    fn challenge(&mut self, at: f64, course: Course, packet: Packet) {
        self.timeline.put(at, course.author, packet);
        let Content::Segment(Segment { flags, .. }) = packet.content else { return };
        if flags & flag::RST == 0 && at - self.challenged >= CHALLENGE {
            self.challenged = at;
            let number = self.draw().between(0, u32::MAX);
            let own = Segment::syn(course.port, course.own_port, number);
            let acknowledgment = self.draw().between(0, u32::MAX);
            let answer = Segment { flags: flag::ACK, largest: None, acknowledgment, ..own };
            let answer = Packet::new(course.target, course.source, Content::Segment(answer));
            self.timeline.put(at + 5e-5, Author::Answer, answer);
        }
    }

    fn content(&mut self, play: Move, course: Course) -> (Content, Option<Piece>) {
        let Course { own_port, port, .. } = course;
        let (sequence, acknowledgment) =
            (self.draw().between(0, u32::MAX), self.draw().between(0, u32::MAX));
        let segment = |flags, payload| {
            let acknowledgment = if flags & flag::ACK == 0 { 0 } else { acknowledgment };
            let largest = (flags & flag::SYN != 0).then_some(1_460);
            let syn = Segment::syn(own_port, port, sequence);
            Content::Segment(Segment { flags, acknowledgment, largest, payload, ..syn })
        };
        let datagram = |source_port, bytes| Content::Datagram {
            source_port,
            target_port: port,
            payload: Payload::Filler(bytes),
        };
        let id = self.draw().between(0, u16::MAX);
        let bytes = self.draw().between(1, 600);
        let [first, last] = FRAGMENTS;
        let piece = |from, length| Some(Piece { id: sequence, from, length, more: from == 0 });
        let content = match play {
            Move::Syn | Move::Summons => segment(flag::SYN, Payload::NONE),
            Move::SynAck => segment(flag::SYN | flag::ACK, Payload::NONE),
            Move::Reset => segment(flag::RST, Payload::NONE),
            Move::Finish => segment(flag::FIN, Payload::NONE),
            Move::Null => segment(0, Payload::NONE),
            Move::Xmas => segment(flag::FIN | flag::PSH | flag::URG, Payload::NONE),
            Move::Data => segment(flag::ACK | flag::PSH, Payload::Filler(bytes)),
            Move::Datagram => datagram(own_port, bytes),
            Move::FromDns => datagram(53, bytes),
            Move::Echo | Move::EchoReply => Content::Echo {
                id,
                sequence: own_port,
                is_reply: play == Move::EchoReply,
                payload: Payload::Filler(bytes),
            },
            Move::Unreachable => {
                Content::Unreachable { protocol: 17, source_port: port, target_port: own_port }
            }
            Move::FirstFragment => {
                return (datagram(own_port, first + last - 8), piece(0, first));
            }
            Move::LastFragment => {
                return (datagram(own_port, first + last - 8), piece(first, last));
            }
            // The others are whole connections, which begin in another way.
            Move::Ack | Move::Connect | Move::Login | Move::Hold | Move::Doubled => {
                segment(flag::ACK, Payload::NONE)
            }
        };
        (content, None)
    }

    /// A connection: a real one of an own address to an open port, else as much of it as there is.
    fn connect(&mut self, play: Move, at: f64, course: Course) {
        let is_real = course.author == Author::Attacker && self.host.open.contains(&course.port);
        if !is_real {
            let (syn, _) = self.content(Move::Syn, course);
            self.send(at, course, syn, None);
            if course.author == Author::Forged {
                // Nobody off the path sees the SYN-ACK's number.
                let (blind, _) = self.content(Move::Ack, course);
                self.send(at + self.attacker.way.rtt, course, blind, None);
            }
            return;
        }
        let line = Line {
            client: self.attacker.end_at(course.source, course.own_port),
            server: self.host.end(self.family, course.port),
            way: self.attacker.way,
            asks: Author::Attacker,
            answers: Author::Answer,
        };
        let mut tcp = Tcp::open(self.timeline, line, at);
        if matches!(play, Move::Login | Move::Doubled) {
            for _ in 0..3 {
                tcp.say(Side::Client, 60);
                tcp.say(Side::Server, 40);
            }
        }
        let over = tcp.close(if play == Move::Hold {
            Ending::Held
        } else {
            Ending::Finished(Side::Client)
        });
        if play == Move::Doubled {
            let (syn, _) = self.content(Move::Syn, course);
            let packet = Packet::new(course.source, course.target, syn);
            self.challenge(at + 0.9 * (over - at), course, packet);
        }
    }

    /// A connection of the host to an own address, with a question and its answer.
    fn summon(&mut self, at: f64, source: IpAddr) {
        let ports = [self.draw().between(32_768, 60_999), self.draw().pick(&SUMMONED)];
        let line = Line {
            client: self.host.end(self.family, ports[0]),
            server: self.attacker.end_at(source, ports[1]),
            way: self.attacker.way,
            asks: Author::Answer,
            answers: Author::Attacker,
        };
        let mut tcp = Tcp::open(self.timeline, line, at);
        tcp.say(Side::Client, 200);
        tcp.say(Side::Server, 400);
        tcp.close(Ending::Finished(Side::Client));
    }
}
