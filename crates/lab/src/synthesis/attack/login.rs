//! Guessing: passwords at a login, paths on a web server.

use super::{MOST_CONNECTIONS, Scene};
use crate::synthesis::line::Side;
use crate::synthesis::tcp::{Ending, Tcp};

/// Services that ask for a password.
pub(super) const SERVICES: [u16; 11] = [21, 22, 23, 25, 80, 110, 143, 443, 3_306, 3_389, 5_900];

/// Connections with a few wrong passwords each, at a rate within these.
pub(super) fn guess(scene: &mut Scene<'_>, services: &[u16], least: f64, most: f64) {
    let port = scene.draw().pick(services);
    let rate = scene.draw().magnitude(least, most);
    let (ask, answer) = (scene.draw().about(60, 2_500), scene.draw().about(60, 3_000));
    let turns = scene.draw().between(2, 12);
    let is_reset = scene.draw().chance(0.4);
    let think = scene.draw().between(0.0, 2.0_f64.min(1.0 / rate)) / f64::from(turns);
    let most = scene.draw().about(15, 800).min(MOST_CONNECTIONS);
    for at in scene.times(rate, most) {
        let own_port = scene.own_port();
        let line = scene.inward(own_port, port);
        let mut tcp = Tcp::open(scene.timeline, line, at);
        for _ in 0..turns {
            let ask = tcp.draw().spread(ask / turns, 0.08);
            tcp.say(Side::Client, ask.max(4));
            let answer = tcp.draw().spread(answer / turns, 0.04);
            tcp.say(Side::Server, answer.max(4));
            tcp.rest(think);
        }
        tcp.close(if is_reset {
            Ending::Reset(Side::Client)
        } else {
            Ending::Finished(Side::Server)
        });
    }
}

/// Requests for what is not there, one or several to a connection.
pub(super) fn web_scan(scene: &mut Scene<'_>) {
    let port = scene.draw().pick(&[80, 443, 8_080]);
    let each = scene.draw().pick(&[1, 1, 5, 20]);
    let rate = scene.draw().magnitude(0.5, 60.0);
    let requests = scene.draw().about(30, 800);
    for at in scene.times(rate / f64::from(each), requests.div_ceil(each)) {
        let own_port = scene.own_port();
        let line = scene.inward(own_port, port);
        let mut tcp = Tcp::open(scene.timeline, line, at);
        for _ in 0..each {
            let ask = tcp.draw().between(100, 700);
            tcp.say(Side::Client, ask);
            let answer = tcp.draw().about(150, 1_500);
            tcp.say(Side::Server, answer);
        }
        tcp.close(Ending::Finished(Side::Client));
    }
}
