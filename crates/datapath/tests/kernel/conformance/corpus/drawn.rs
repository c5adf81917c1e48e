//! Frames combined at random from the same headers, for combinations that no written case has.

use flows_common::parse::{TCP, UDP};
use rand::{Rng, RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use weir_datapath::SkbContext;

use super::{
    CorpusFrame,
    headers::{Extension, Ip, Tcp, authentication, extension, fragment, icmp, routing, udp},
};

/// Draws `count` well-formed frames of a few dozen flows between few hosts, so that flows have
/// many packets, both ways, that repeat and overtake one another.
pub(crate) fn drawn(seed: u64, count: usize) -> Vec<CorpusFrame> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut time_ns = 1_700_000_000_000_000_000;
    (0..count)
        .map(|_| {
            // A sixteenth of the frames goes back, as between the clocks of two CPUs.
            time_ns += random.random_range(0..3_000_000);
            time_ns -=
                if random.random_ratio(1, 16) { random.random_range(0..9_000_000) } else { 0 };
            let bytes = frame(&mut random);
            let is_super = bytes.len() > 1_514;
            let context = SkbContext {
                tstamp_ns: time_ns,
                gso_size: if is_super { random.random_range(500..1_449) } else { 0 },
                gso_segs: 0,
                ..SkbContext::default()
            };
            CorpusFrame { what: "drawn", bytes, context, well_formed: true }
        })
        .collect()
}

fn frame(random: &mut impl Rng) -> Vec<u8> {
    let ip = ip(random);
    let protocol = *[TCP, TCP, TCP, UDP, ip.icmp(), 47, 132].choose(random).expect("some");
    let service = *[22, 80, 443].choose(random).expect("some");
    let client = 40_000 + random.random_range(0..3);
    let ports = if ip.outgoing { (service, client) } else { (client, service) };
    let payload = match random.random_range(0..8) {
        0..3 => 0,
        3..7 => random.random_range(0..600),
        _ => random.random_range(1_460..3_200),
    };
    let above = match protocol {
        TCP => Tcp {
            ports,
            sequence: random.random_range(0..20) * 100,
            flags: if random.random() { 0x10 } else { random.random() },
            window: random.random_range(0..4) * 500,
            options: random.random_range(0..4) * 4,
        }
        .over(payload),
        UDP => udp(ports.0, ports.1, payload),
        1 | 58 => icmp(random.random(), random.random_range(0..4), 4 + payload),
        _ => vec![0; 8 + payload],
    };
    let tags: &[_] = match random.random_range(0..6) {
        0 => &[(0x8100, 7)],
        1 => &[(0x88a8, 100), (0x8100, 7)],
        _ => &[],
    };
    ip.tagged_frame(tags, protocol, &above)
}

fn ip(random: &mut impl Rng) -> Ip {
    let ip = if random.random() { Ip::v4() } else { Ip::v6() };
    let outgoing = random.random();
    let ip = Ip { outgoing, ..ip }
        .remote(random.random_range(1..4))
        .ttl(*[1, 64, 128, 255].choose(random).expect("some"))
        .options(if random.random_ratio(1, 4) { random.random_range(0..=10) * 4 } else { 0 });
    let fragment_field = match random.random_range(0..8) {
        0 => 0x2000,
        1 => random.random_range(1..0x2000),
        2 => 0x4000,
        _ => 0,
    };
    let length = if random.random_ratio(1, 3) { random.random_range(0..6) } else { 0 };
    let chain: Vec<Extension> = (0..length).map(|_| any_extension(random)).collect();
    ip.fragment(fragment_field).extensions(&chain)
}

fn any_extension(random: &mut impl Rng) -> Extension {
    match random.random_range(0..5) {
        0 => routing(),
        1 => {
            fragment(if random.random() { 0 } else { random.random_range(1..99) }, random.random())
        }
        2 => authentication(random.random_range(0..4)),
        _ => extension(60, random.random_range(1..4)),
    }
}
