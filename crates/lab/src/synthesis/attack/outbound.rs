//! Attacks from within: a protected host that somebody has taken.

use std::net::IpAddr;

use super::{MOST_CONNECTIONS, MOST_FRAMES, Scene};
use crate::payload::Payload;
use crate::synthesis::line::Side;
use crate::synthesis::network::{far_address, far_network};
use crate::synthesis::tcp::{Ending, Tcp};

/// Ports that malware asks for orders.
const COMMAND: [u16; 8] = [53, 80, 443, 1_337, 4_444, 6_667, 8_080, 8_443];
/// Ports that worms look for.
const SOUGHT: [u16; 9] = [22, 23, 80, 445, 2_323, 3_389, 5_555, 7_547, 8_080];
/// Bytes of an upload between two looks at its rate.
const STEP: u32 = 60_000;

/// One upload at a rate.
pub(super) fn exfiltrate(scene: &mut Scene<'_>) {
    let (own_port, port) = (scene.own_port(), scene.draw().pick(&[21, 22, 80, 443, 8_443]));
    let mut line = scene.outward(own_port, port);
    // A frame of MOST_FRAMES may carry as little as the smallest segment.
    let mut left = scene.draw().about(300_000, 1_200 * MOST_FRAMES);
    line.way.rate = scene.draw().magnitude(3e4, 2e7);
    let (start, end) = (scene.start, scene.timeline.end);
    let mut tcp = Tcp::open(scene.timeline, line, start);
    while left > 0 && tcp.at() < end {
        let some = left.min(STEP);
        tcp.say(Side::Client, some);
        left -= some;
    }
    tcp.close(Ending::Finished(Side::Client));
}

/// A short connection every so often.
pub(super) fn beacon(scene: &mut Scene<'_>) {
    let port = scene.draw().pick(&COMMAND);
    let (ask, answer) = (scene.draw().about(40, 1_500), scene.draw().about(40, 2_500));
    for at in ticks(scene) {
        let own_port = scene.own_port();
        let line = scene.outward(own_port, port);
        let (ask, answer) = (scene.draw().spread(ask, 0.02), scene.draw().spread(answer, 0.02));
        let mut tcp = Tcp::open(scene.timeline, line, at);
        tcp.say(Side::Client, ask);
        tcp.say(Side::Server, answer);
        tcp.close(Ending::Finished(Side::Client));
    }
}

/// The same in one connection.
pub(super) fn command_channel(scene: &mut Scene<'_>) {
    let (own_port, port) = (scene.own_port(), scene.draw().pick(&COMMAND));
    let line = scene.outward(own_port, port);
    let (ask, answer) = (scene.draw().about(40, 1_500), scene.draw().about(40, 2_500));
    let times = ticks(scene);
    let start = scene.start;
    let mut tcp = Tcp::open(scene.timeline, line, start);
    for at in times {
        let wait = at - tcp.at();
        tcp.rest(wait.max(0.0));
        tcp.say(Side::Client, ask);
        tcp.say(Side::Server, answer);
    }
    tcp.close(Ending::Held);
}

/// One or two ports of many hosts, most of which refuse or do not exist.
pub(super) fn scan(scene: &mut Scene<'_>) {
    let family = scene.family;
    let ports = [scene.draw().pick(&SOUGHT), scene.draw().pick(&SOUGHT)];
    let rate = scene.draw().magnitude(0.1, 200.0);
    let (vain, refused) = (scene.draw().between(0.8, 1.0), scene.draw().between(0.0, 1.0));
    let most = scene.draw().about(30, MOST_CONNECTIONS);
    let (network, prefix) = far_network(family);
    scene.aim_at_network(network, prefix);
    for at in scene.times(rate, most) {
        let (target, own_port) = (far_address(family, scene.draw()), scene.own_port());
        let port = scene.draw().pick(&ports);
        let line = scene.outward_to(target, own_port, port);
        if !scene.draw().chance(vain) {
            let (ask, answer) = (scene.draw().about(20, 300), scene.draw().about(20, 400));
            let mut tcp = Tcp::open(scene.timeline, line, at);
            tcp.say(Side::Client, ask);
            tcp.say(Side::Server, answer);
            tcp.close(Ending::Finished(Side::Client));
        } else if scene.draw().chance(refused) {
            Tcp::refused(scene.timeline, line, at);
        } else {
            let repeats = usize::from(scene.draw().chance(0.3));
            Tcp::call_in_vain(scene.timeline, line, at, repeats);
        }
    }
}

/// Datagrams to many peers, of which a part has gone.
pub(super) fn peer_to_peer(scene: &mut Scene<'_>) {
    let family = scene.family;
    let rate = scene.draw().magnitude(0.1, 100.0);
    let vain = scene.draw().between(0.3, 0.9);
    let (own_port, most) = (scene.own_port(), scene.draw().about(30, MOST_CONNECTIONS));
    let (network, prefix) = far_network(family);
    scene.aim_at_network(network, prefix);
    let peers: Vec<(IpAddr, u16)> = (0..scene.draw().between(20, 120))
        .map(|_| (far_address(family, scene.draw()), scene.draw().between(1_024, 65_000)))
        .collect();
    for at in scene.times(rate, most) {
        let (peer, port) = scene.draw().pick(&peers);
        let line = scene.outward_to(peer, own_port, port);
        let [ask, answer] = [300, 600].map(|most| Payload::Filler(scene.draw().between(20, most)));
        let answer = (!scene.draw().chance(vain)).then_some(answer);
        line.exchange(scene.timeline, at, ask, answer);
    }
}

/// Times with a period that varies by a share of itself.
fn ticks(scene: &mut Scene<'_>) -> Vec<f64> {
    let (start, end) = (scene.start, scene.timeline.end);
    let longest = ((end - start) / 12.0).clamp(1.5, 300.0);
    let period = scene.draw().magnitude(1.0, longest);
    let jitter = scene.draw().pick(&[0.0, 0.05, 0.1, 0.2, 0.3, 0.5]);
    let (mut at, mut times) = (start, Vec::new());
    while at < end && times.len() < MOST_CONNECTIONS as usize {
        times.push(at);
        at += period * (1.0 + jitter * scene.draw().between(-1.0, 1.0));
    }
    times
}
