//! Floods: more than a host or a service can take.

use super::{Aim, MOST_CONNECTIONS, MOST_FRAMES, Scene};
use crate::frame::{Content, Segment};
use crate::payload::Payload;
use crate::synthesis::line::Side;
use crate::synthesis::network::{far_address, far_network};
use crate::synthesis::tcp::{Ending, Tcp};
use crate::synthesis::timeline::Author;
use crate::truth::Sources;

/// Services that floods are aimed at.
const SERVICES: [u16; 5] = [22, 53, 80, 443, 8_080];
/// Services that take requests.
const WEB: [u16; 3] = [80, 443, 8_080];

/// Half-open connections, under the attacker's own address or under forged ones.
pub(super) fn by_syns(scene: &mut Scene<'_>, is_forged: bool) {
    let (author, family) = if is_forged {
        let (network, prefix) = far_network(scene.family);
        let sources = Sources::Spoofed { network, prefix, attacker: scene.source() };
        scene.aims = vec![Aim { sources, victim: scene.victim() }];
        (Author::Forged, scene.family)
    } else {
        (Author::Attacker, scene.family)
    };
    let port = service(scene, &SERVICES);
    for at in rate_and_times(scene) {
        let source = if is_forged { far_address(family, scene.draw()) } else { scene.source() };
        let (own_port, sequence) =
            (scene.draw().between(1_024, 65_535), scene.draw().between(0, u32::MAX));
        let syn = Content::Segment(Segment::syn(own_port, port, sequence));
        let packet = scene.packet(source, scene.victim(), syn);
        scene.craft(at, author, packet);
    }
}

/// Datagrams to one port or to random ones.
pub(super) fn by_datagrams(scene: &mut Scene<'_>) {
    let one = scene.draw().chance(0.6).then_some(service(scene, &SERVICES));
    let size = scene.draw().pick(&[0, 64, 512, 1_400]);
    for at in rate_and_times(scene) {
        let (source_port, target_port) = (
            scene.draw().between(1_024, 65_535),
            one.unwrap_or_else(|| scene.draw().between(1_024, 65_535)),
        );
        let content =
            Content::Datagram { source_port, target_port, payload: Payload::Filler(size) };
        let packet = scene.packet(scene.source(), scene.victim(), content);
        scene.craft(at, Author::Attacker, packet);
    }
}

/// Echo requests.
pub(super) fn by_echoes(scene: &mut Scene<'_>) {
    let size = scene.draw().pick(&[0, 56, 1_000, 1_400]);
    let id = scene.draw().between(0, u16::MAX);
    for (sequence, at) in (0..).zip(rate_and_times(scene)) {
        let content =
            Content::Echo { id, sequence, is_reply: false, payload: Payload::Filler(size) };
        let packet = scene.packet(scene.source(), scene.victim(), content);
        scene.craft(at, Author::Attacker, packet);
    }
}

/// Complete connections with a request each.
pub(super) fn by_connections(scene: &mut Scene<'_>) {
    let port = scene.draw().pick(&WEB);
    let (rate, seconds) = (scene.draw().magnitude(5.0, 200.0), scene.draw().magnitude(2.0, 60.0));
    let (ask, answer) = (scene.draw().about(80, 800), scene.draw().about(100, 8_000));
    let most = whole(rate * seconds).min(MOST_CONNECTIONS);
    for at in scene.times(rate, most) {
        let own_port = scene.own_port();
        let line = scene.inward(own_port, port);
        let (ask, answer) = (scene.draw().spread(ask, 0.2), scene.draw().spread(answer, 0.1));
        let mut tcp = Tcp::open(scene.timeline, line, at);
        tcp.say(Side::Client, ask);
        tcp.say(Side::Server, answer);
        let is_reset = tcp.draw().chance(0.3);
        tcp.close(if is_reset {
            Ending::Reset(Side::Client)
        } else {
            Ending::Finished(Side::Client)
        });
    }
}

/// Requests that never end: a few bytes of a header now and then.
pub(super) fn slow_http(scene: &mut Scene<'_>) {
    let port = scene.draw().pick(&WEB);
    let (pace, drip) = (scene.draw().magnitude(3.0, 200.0), scene.draw().magnitude(1.0, 15.0));
    let most = scene.draw().about(20, 300);
    for at in scene.times(pace, most) {
        let own_port = scene.own_port();
        let line = scene.inward(own_port, port);
        let mut tcp = Tcp::open(scene.timeline, line, at);
        let header = tcp.draw().between(120, 260);
        tcp.say(Side::Client, header);
        for _ in 0..tcp.draw().between(4, 12) {
            let wait = drip * tcp.draw().between(0.8, 1.2);
            tcp.rest(wait);
            let bytes = tcp.draw().between(8, 16);
            tcp.say(Side::Client, bytes);
        }
        tcp.close(Ending::Held);
    }
}

/// A port, of those that the host listens on where there are such.
fn service(scene: &mut Scene<'_>, known: &[u16]) -> u16 {
    let open = scene.host.open.clone();
    let both: Vec<u16> = known.iter().copied().filter(|port| open.contains(port)).collect();
    scene.draw().pick(if both.is_empty() { known } else { &both })
}

fn rate_and_times(scene: &mut Scene<'_>) -> Vec<f64> {
    let (rate, seconds) = (scene.draw().magnitude(50.0, 4_000.0), scene.draw().between(1.0, 10.0));
    scene.times(rate, whole(rate * seconds).min(MOST_FRAMES))
}

fn whole(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate times a time, positive and far below 2^32"
    )]
    let whole = number as u32;
    whole
}
