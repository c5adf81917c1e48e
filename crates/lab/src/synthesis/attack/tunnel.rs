//! Messages in what is not meant for them: names, echoes.

use super::{MOST_FRAMES, Scene};
use crate::payload::Payload;

/// The port of name servers.
const DNS: u16 = 53;
/// The longest name before `.example`, so that all of it stays below 255 bytes.
const LONGEST_NAME: u16 = 230;

/// Messages in names and the records of their answers.
pub(super) fn by_names(scene: &mut Scene<'_>) {
    let (name, records) = (scene.draw().between(70, 220), scene.draw().between(80, 400));
    names(scene, [name * 6 / 10, name * 11 / 10], [records * 3 / 10, records * 11 / 10], 0.97);
}

/// Short names that mean nothing, of which hardly one exists.
pub(super) fn generate_names(scene: &mut Scene<'_>) {
    let name = scene.draw().between(9, 25);
    // An answer that there is no such name brings the zone's authority.
    let records = scene.draw().between(60, 110);
    names(scene, [name - 4, name + 4], [records, records + 4], 0.97);
}

fn names(scene: &mut Scene<'_>, length: [u16; 2], records: [u16; 2], answered: f64) {
    let rate = scene.draw().magnitude(0.3, 50.0);
    let most = scene.draw().about(40, MOST_FRAMES / 2);
    let keeps_port = scene.draw().chance(0.3);
    let mut own_port = scene.own_port();
    for at in scene.times(rate, most) {
        if !keeps_port {
            own_port = scene.own_port();
        }
        let line = scene.outward(own_port, DNS);
        let draw = scene.draw();
        let (id, name) =
            (draw.between(0, u16::MAX), draw.between(length[0], length[1]).min(LONGEST_NAME));
        let records = draw.between(records[0], records[1]);
        let answer = draw.chance(answered).then_some(Payload::Answer { id, name, records });
        line.exchange(scene.timeline, at, Payload::Query { id, name }, answer);
    }
}

/// Messages in echo requests and their replies.
pub(super) fn by_echoes(scene: &mut Scene<'_>) {
    let rate = scene.draw().magnitude(0.5, 80.0);
    let most = scene.draw().about(40, MOST_FRAMES / 2);
    let id = scene.draw().between(0, u16::MAX);
    let line = scene.outward(0, 0);
    for (sequence, at) in (0..).zip(scene.times(rate, most)) {
        let [ask, answer] = [0; 2].map(|_: u8| scene.draw().between(20, 1_000));
        line.echo(scene.timeline, at, [id, sequence], ask, Some(answer));
    }
}
