//! Frames written down one by one, grouped by what they are about.

use flows_common::parse::{TCP, UDP};
use weir_datapath::SkbContext;

use super::{
    CorpusFrame,
    headers::{
        Extension, IPV4, IPV6, Ip, Tag, Tcp, authentication, ethernet, extension, fragment, icmp,
        routing, udp,
    },
};

/// The first frame's time, and the time from each frame to the next.
const START_NS: u64 = 1_700_000_000_000_000_000;
const STEP_NS: u64 = 1_250_000;

const C_TAG: u16 = 0x8100;
const S_TAG: u16 = 0x88a8;
const OLD_S_TAG: u16 = 0x9100;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

const GRE: u8 = 47;
const SCTP: u8 = 132;

const HOP_BY_HOP: u8 = 0;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// More fragments follow.
const MORE: u16 = 0x2000;

/// All written frames, in the order of their groups.
pub(crate) fn written() -> Vec<CorpusFrame> {
    let mut frames = Frames { frames: Vec::new(), time_ns: START_NS };
    link(&mut frames);
    not_ip(&mut frames);
    ipv4(&mut frames);
    ipv6(&mut frames);
    tcp_flags(&mut frames);
    connection(&mut frames);
    sequence_and_window(&mut frames);
    datagrams(&mut frames);
    messages(&mut frames);
    lies(&mut frames);
    cut_short(&mut frames);
    super_packets(&mut frames);
    clocks(&mut frames);
    frames.frames
}

struct Frames {
    frames: Vec<CorpusFrame>,
    time_ns: u64,
}

impl Frames {
    fn add(&mut self, what: &'static str, bytes: Vec<u8>) {
        self.time_ns += STEP_NS;
        self.push(what, bytes, true, SkbContext::default());
    }

    /// A frame that is cut short or does not say the truth of itself.
    fn odd(&mut self, what: &'static str, bytes: Vec<u8>) {
        self.time_ns += STEP_NS;
        self.push(what, bytes, false, SkbContext::default());
    }

    fn super_packet(&mut self, what: &'static str, bytes: Vec<u8>, gso_size: u32, gso_segs: u32) {
        self.time_ns += STEP_NS;
        let context = SkbContext { gso_size, gso_segs, ..SkbContext::default() };
        self.push(what, bytes, true, context);
    }

    fn push(&mut self, what: &'static str, bytes: Vec<u8>, well_formed: bool, context: SkbContext) {
        let context = SkbContext { tstamp_ns: self.time_ns, ..context };
        self.frames.push(CorpusFrame { what, bytes, context, well_formed });
    }
}

fn families() -> [Ip; 2] {
    [Ip::v4(), Ip::v6()]
}

fn link(frames: &mut Frames) {
    let stacks: [(&str, &[Tag]); 7] = [
        ("no tag", &[]),
        ("one tag", &[(C_TAG, 7)]),
        ("a provider's tag alone", &[(S_TAG, 100)]),
        ("QinQ", &[(S_TAG, 100), (C_TAG, 7)]),
        ("QinQ before 802.1ad", &[(OLD_S_TAG, 200), (C_TAG, 7)]),
        ("a priority tag, of no VLAN", &[(C_TAG, 0xa000)]),
        ("all bits of two tags", &[(C_TAG, 0xffff), (C_TAG, 0xffff)]),
    ];
    for (what, tags) in stacks {
        for ip in families() {
            for ip in [ip.clone(), ip.outgoing()] {
                let ports = if ip.outgoing { (53, 40_000) } else { (40_000, 53) };
                frames.add(what, ip.tagged_frame(tags, UDP, &udp(ports.0, ports.1, 30)));
            }
        }
    }
    let mut padded = Ip::v4().frame(UDP, &udp(40_001, 53, 4));
    padded.resize(60, 0);
    frames.add("Ethernet padding behind a short datagram", padded);
}

fn not_ip(frames: &mut Frames) {
    let kinds = [
        ("ARP", 0x0806),
        ("LLDP", 0x88cc),
        ("EAPOL", 0x888e),
        ("MPLS", 0x8847),
        ("MPLS multicast", 0x8848),
        ("PPPoE discovery", 0x8863),
        ("PPPoE session", 0x8864),
        ("a length and not an EtherType", 46),
        ("the last number that is no EtherType", 1_535),
        ("the first EtherType", 1_536),
        ("an EtherType for experiments", 0x88b5),
    ];
    for (what, ether_type) in kinds {
        frames.add(what, ethernet(&[], ether_type, &[0; 46]));
        frames.add(what, ethernet(&[(C_TAG, 7)], ether_type, &[0; 46]));
    }
}

fn ipv4(frames: &mut Frames) {
    for words in 1..=10 {
        frames.add("IPv4 options", Ip::v4().options(words * 4).frame(UDP, &udp(40_002, 53, 9)));
    }
    for ttl in [0, 1, 255] {
        frames.add("a TTL of its own", Ip::v4().ttl(ttl).frame(UDP, &udp(40_003, 53, 9)));
    }
    let fragments = [
        ("may not be fragmented", 0x4000),
        ("first fragment", MORE),
        ("fragment in the middle", MORE | 0xb9),
        ("last fragment", 370),
        ("the largest offset", 0x1fff),
        ("the reserved bit", 0x8000),
    ];
    for (what, field) in fragments {
        for protocol in [TCP, UDP, 1, GRE] {
            let above = above(protocol);
            frames.add(what, Ip::v4().remote(2).fragment(field).frame(protocol, &above));
        }
    }
}

/// A whole header of the protocol, with some payload.
fn above(protocol: u8) -> Vec<u8> {
    match protocol {
        TCP => Tcp::to_server(40_004).over(24),
        UDP => udp(40_004, 53, 24),
        1 | 58 => icmp(if protocol == 1 { 8 } else { 128 }, 0, 28),
        _ => vec![0; 32],
    }
}

fn ipv6(frames: &mut Frames) {
    let options = extension(DESTINATION_OPTIONS, 1);
    let chains: Vec<(&str, Vec<Extension>)> = vec![
        ("hop-by-hop options", vec![extension(HOP_BY_HOP, 1)]),
        ("long hop-by-hop options", vec![extension(HOP_BY_HOP, 9)]),
        ("a routing header", vec![routing()]),
        ("destination options", vec![options.clone()]),
        ("an authentication header", vec![authentication(3)]),
        ("an authentication header of no multiple of 8", vec![authentication(2)]),
        ("an atomic fragment", vec![fragment(0, false)]),
        ("first fragment", vec![fragment(0, true)]),
        ("fragment in the middle", vec![fragment(181, true)]),
        ("last fragment", vec![fragment(362, false)]),
        (
            "the chain that RFC 8200 recommends",
            vec![
                extension(HOP_BY_HOP, 1),
                options.clone(),
                routing(),
                fragment(0, true),
                authentication(3),
                options.clone(),
            ],
        ),
        (
            "a later fragment of a chain",
            vec![extension(HOP_BY_HOP, 1), routing(), fragment(77, true)],
        ),
        ("as many headers as are followed", vec![options.clone(); 8]),
    ];
    for (what, chain) in chains {
        for protocol in [TCP, UDP, 58, GRE] {
            let ip = Ip::v6().remote(3).extensions(&chain);
            frames.add(what, ip.frame(protocol, &above(protocol)));
            frames.add(what, ip.tagged_frame(&[(C_TAG, 7)], protocol, &above(protocol)));
        }
    }
    // Headers that dissectors treat as payload.
    for number in [MOBILITY, HOST_IDENTITY, SHIM6] {
        let ip = Ip::v6().remote(4).extensions(&[extension(number, 2)]);
        frames.odd("an extension header of mobility", ip.frame(UDP, &above(UDP)));
    }
    let odd_chains: Vec<(&str, Vec<Extension>)> = vec![
        ("more headers than are followed", vec![options.clone(); 9]),
        ("a chain that ends beyond what is read", vec![extension(HOP_BY_HOP, 60); 2]),
        ("a chain that goes on beyond what is read", vec![extension(HOP_BY_HOP, 32); 3]),
        ("options behind a later fragment", vec![fragment(5, false), options]),
    ];
    for (what, chain) in odd_chains {
        frames.odd(what, Ip::v6().remote(4).extensions(&chain).frame(UDP, &above(UDP)));
    }
    let mut mapped = Ip::v6().frame(UDP, &udp(40_005, 53, 9));
    mapped[22..38].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 5]);
    frames.add("an IPv4 address in an IPv6 header", mapped);
}

/// Each of the 256 flag bytes, both ways: once in a flow of its own and once in one for all.
fn tcp_flags(frames: &mut Frames) {
    for flags in 0..=u8::MAX {
        for ip in families() {
            for port in [50_000, 50_001 + u16::from(flags)] {
                let incoming = Tcp { flags, ..Tcp::to_server(port) };
                let outgoing = Tcp { ports: (80, port), ..incoming.clone() };
                let ip = ip.clone().remote(5);
                frames.add("TCP flags", ip.frame(TCP, &incoming.over(3)));
                frames.add("TCP flags", ip.outgoing().frame(TCP, &outgoing.over(0)));
            }
        }
    }
}

/// Connections from their handshake to their end, opened by either side.
fn connection(frames: &mut Frames) {
    for ip in families() {
        for opened_by_us in [false, true] {
            let ip = ip.clone().remote(6);
            let [there, back] =
                [opened_by_us, !opened_by_us].map(|outgoing| Ip { outgoing, ..ip.clone() });
            let forth = |flags, sequence, payload| {
                Tcp { sequence, flags, ..Tcp::to_server(51_000) }.over(payload)
            };
            let answer = |flags, sequence, payload| {
                Tcp { ports: (80, 51_000), sequence, flags, ..Tcp::to_server(0) }.over(payload)
            };
            frames.add("SYN", there.frame(TCP, &forth(SYN, 1_000, 0)));
            frames.add("SYN-ACK", back.frame(TCP, &answer(SYN | ACK, 9_000, 0)));
            frames.add("end of the handshake", there.frame(TCP, &forth(ACK, 1_001, 0)));
            frames.add("request", there.frame(TCP, &forth(PSH | ACK, 1_001, 100)));
            frames.add("answer", back.frame(TCP, &answer(PSH | ACK, 9_001, 1_000)));
            frames.add("end", there.frame(TCP, &forth(FIN | ACK, 1_101, 0)));
            frames.add("end answered", back.frame(TCP, &answer(FIN | ACK, 10_001, 0)));
            frames.add("ports used again", there.frame(TCP, &forth(SYN, 77_000, 0)));
            frames.add("refused", back.frame(TCP, &answer(RST | ACK, 0, 0)));
        }
        let ip = ip.remote(7);
        let early = Tcp { flags: SYN, ..Tcp::to_server(51_001) };
        frames.add("a SYN with payload (RFC 7413)", ip.frame(TCP, &early.over(40)));
        let late = Tcp { flags: SYN | ACK, ..Tcp::to_server(51_002) };
        frames.add("a SYN-ACK whose SYN nobody saw", ip.frame(TCP, &late.over(0)));
    }
}

fn sequence_and_window(frames: &mut Frames) {
    let steps: [(&str, u32, u16, usize); 9] = [
        ("in order", 100, 502, 50),
        ("in order", 150, 502, 50),
        ("a retransmission", 150, 502, 50),
        ("a gap", 400, 502, 50),
        ("the segment that was missing", 200, 502, 200),
        ("a window of zero", 450, 0, 50),
        ("a probe of that window", 499, 0, 1),
        ("the window opens", 500, 8, 0),
        ("a retransmission of more than was sent", 490, 502, 30),
    ];
    for start in [0, u32::MAX - 250] {
        for (what, sequence, window, payload) in steps {
            let port = if start == 0 { 52_000 } else { 52_001 };
            let sequence = sequence.wrapping_add(start);
            let tcp = Tcp { sequence, window, ..Tcp::to_server(port) };
            frames.add(what, Ip::v4().remote(8).frame(TCP, &tcp.over(payload)));
        }
    }
    for options in (0..=40).step_by(4) {
        let tcp = Tcp { options, ..Tcp::to_server(52_002) };
        frames.add("TCP options", Ip::v6().remote(8).frame(TCP, &tcp.over(11)));
    }
}

fn datagrams(frames: &mut Frames) {
    for ip in families() {
        let ip = ip.remote(9);
        for (source, destination) in [(40_010, 53), (0, 53), (40_010, 0), (123, 123)] {
            for payload in [0, 1, 100, 1_400] {
                let above = udp(source, destination, payload);
                frames.add("UDP", ip.frame(UDP, &above));
                let back = udp(destination, source, payload);
                frames.add("UDP answered", ip.clone().outgoing().frame(UDP, &back));
            }
        }
        for protocol in [2, 4, GRE, 50, SCTP, 253, 255] {
            frames.add("a protocol whose ports are not read", ip.frame(protocol, &[0; 24]));
        }
        let tunnelled = Ip::v4().remote(99).over(UDP, &udp(1, 2, 9));
        let gre = [&[0, 0, 0x08, 0x00], &tunnelled[..]].concat();
        frames.add("GRE with IPv4 in it", ip.frame(GRE, &gre));
    }
}

fn messages(frames: &mut Frames) {
    for kind in (0..=18).chain([30, 42, 255]) {
        let ip = Ip::v4().remote(10);
        frames.add("ICMP", ip.frame(1, &icmp(kind, kind % 4, 32)));
        frames.add("ICMP sent", ip.outgoing().frame(1, &icmp(kind, kind % 4, 32)));
    }
    for kind in (0..=5).chain(127..=144).chain([255]) {
        for ttl in [1, 64, 255] {
            let ip = Ip::v6().remote(10).ttl(ttl);
            frames.add("ICMPv6", ip.frame(58, &icmp(kind, kind % 4, 32)));
        }
    }
    frames.odd("ICMP of two bytes", Ip::v4().remote(11).frame(1, &[3, 1]));
    frames.odd("ICMPv6 over IPv4", Ip::v4().remote(11).ttl(255).frame(58, &icmp(135, 0, 20)));
    frames.odd("ICMP over IPv6", Ip::v6().remote(11).frame(1, &icmp(3, 1, 20)));
}

/// Headers that do not say the truth.
fn lies(frames: &mut Frames) {
    let whole = Ip::v4().remote(12).frame(UDP, &udp(40_020, 53, 20));
    let changes: [(&str, usize, &[u8]); 8] = [
        ("IPv4 of another version", 14, &[0x65]),
        ("an IPv4 header of less than its 20 bytes", 14, &[0x44]),
        ("an IPv4 header longer than the frame", 14, &[0x4f]),
        ("an IPv4 length beyond the frame", 16, &[0xff, 0xff]),
        ("an IPv4 length within the header", 16, &[0, 19]),
        ("an IPv4 length of zero", 16, &[0, 0]),
        ("a UDP length beyond the frame", 38, &[0xff, 0xff]),
        ("a UDP length of zero", 38, &[0, 0]),
    ];
    for (what, at, bytes) in changes {
        frames.odd(what, changed(&whole, at, bytes));
    }
    let whole = Ip::v6().remote(12).frame(TCP, &Tcp::to_server(40_021).over(20));
    let changes: [(&str, usize, &[u8]); 6] = [
        ("IPv6 of another version", 14, &[0x45]),
        ("an IPv6 length beyond the frame", 18, &[0xff, 0xff]),
        ("an IPv6 length of zero, as of a jumbogram", 18, &[0, 0]),
        ("a TCP header of less than its 20 bytes", 66, &[0x40]),
        ("a TCP header of no bytes", 66, &[0x00]),
        ("a TCP header longer than the frame", 66, &[0xf0]),
    ];
    for (what, at, bytes) in changes {
        frames.odd(what, changed(&whole, at, bytes));
    }
}

fn changed(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// Frames that end within a header. Behind a tag where a test run refuses them otherwise.
fn cut_short(frames: &mut Frames) {
    frames.odd("no byte", Vec::new());
    frames.odd("within the Ethernet header", ethernet(&[], IPV4, &[])[..13].to_vec());
    frames.odd("behind the Ethernet header", ethernet(&[], IPV4, &[]));
    frames.odd("within a tag", ethernet(&[(C_TAG, 7)], IPV4, &[])[..17].to_vec());
    frames.odd(
        "within the second tag",
        ethernet(&[(S_TAG, 7), (C_TAG, 7)], IPV4, &[])[..20].to_vec(),
    );
    frames.odd("three tags", ethernet(&[(S_TAG, 1), (C_TAG, 2), (C_TAG, 3)], IPV4, &[0; 40]));
    frames
        .odd("three tags, the last one cut", ethernet(&[(C_TAG, 1); 3], IPV4, &[])[..23].to_vec());
    frames.odd("within the IPv4 header", ethernet(&[(C_TAG, 7)], IPV4, &[0x45; 19]));
    frames.odd("within the IPv6 header", ethernet(&[(C_TAG, 7)], IPV6, &[0x60; 39]));
    for (ip, protocol, bytes) in [
        (Ip::v4(), TCP, 15),
        (Ip::v4(), UDP, 3),
        (Ip::v4(), 1, 1),
        (Ip::v6(), TCP, 0),
        (Ip::v6(), UDP, 0),
        (Ip::v6(), 58, 1),
    ] {
        let frame = ip.remote(13).frame(protocol, &above(protocol)[..bytes]);
        frames.odd("within the transport header", frame);
    }
    // A test run takes a TCP header that lacks no more than what is not read.
    frames.odd("behind the window", Ip::v4().remote(13).frame(TCP, &above(TCP)[..16]));
    for bytes in [0, 3, 4] {
        let frame = Ip::v6().remote(13).extensions(&[extension(HOP_BY_HOP, 1)]).frame(UDP, &[]);
        frames.odd("within an extension header", frame[..54 + bytes].to_vec());
    }
}

/// Super-packets as GRO makes them of what arrives and the stack hands them to TC egress.
fn super_packets(frames: &mut Frames) {
    for ip in families() {
        for tags in [&[][..], &[(C_TAG, 7)]] {
            let ip = ip.clone().remote(14);
            let tcp = |payload| Tcp::to_server(53_000).over(payload);
            for (what, payload, size, segments) in [
                ("segments that were counted", 3_000, 1_000, 3),
                ("segments that were not counted", 3_000, 1_000, 0),
                ("a short last segment", 3_001, 1_000, 4),
                ("a segment as long as the payload", 1_000, 1_000, 1),
                ("a segment longer than the payload", 999, 1_000, 2),
                ("more segments than the payload has", 2_000, 1_000, 40),
                ("no payload", 0, 1_000, 3),
                ("segments without a size", 2_000, 0, 3),
                ("segments of one byte", 900, 1, 0),
            ] {
                let frame = ip.tagged_frame(tags, TCP, &tcp(payload));
                frames.super_packet(what, frame, size, segments);
            }
            let datagrams = ip.tagged_frame(tags, UDP, &udp(40_030, 443, 2_900));
            frames.super_packet("datagrams", datagrams, 1_200, 3);
        }
    }
    frames.super_packet("one that is not IP", ethernet(&[], 0x0806, &[0; 2_000]), 1_000, 2);
    let flags = Tcp { flags: 0xff, ..Tcp::to_server(53_001) };
    frames.super_packet("all flags", Ip::v4().frame(TCP, &flags.over(3_000)), 1_000, 3);
}

/// Times that stand still, go back, leap, and are at either end.
fn clocks(frames: &mut Frames) {
    let hour = 3_600_000_000_000;
    let times = [
        0,
        1,
        START_NS,
        START_NS,
        START_NS - hour,
        START_NS + 999,
        START_NS + 2 * hour,
        u64::MAX,
        5,
    ];
    for time_ns in times {
        for ip in families() {
            for ip in [ip.clone().remote(15), ip.remote(15).outgoing()] {
                let ports = if ip.outgoing { (80, 54_000) } else { (54_000, 80) };
                let tcp = Tcp { ports, flags: SYN | ACK, ..Tcp::to_server(0) };
                frames.time_ns = time_ns;
                frames.push("a clock", ip.frame(TCP, &tcp.over(1)), false, SkbContext::default());
            }
        }
    }
}
