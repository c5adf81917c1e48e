//! Benign traffic of a network: pairs of a host and a remote, each with habits of its own.

use super::line::{Line, Side};
use super::network::{Network, Remote};
use super::tcp::{Ending, Tcp};
use super::timeline::{Author, Timeline};
use super::trade::{Carrier, Rhythm, TRADES, Trade};
use crate::draw::Draw;
use crate::payload::Payload;

/// The most pairs of a host and a remote.
const MOST_PAIRS: u32 = 80;
/// Bytes of an exchange of keys, asked and answered.
const KEYS: [[u32; 2]; 2] = [[300, 700], [1_800, 4_500]];
/// Share of conversations that a reset ends.
const ABORTED: f64 = 0.02;
/// In whose name either side speaks.
const BOTH: [Author; 2] = [Author::Benign; 2];

/// Conversations begun, and those of them that failed on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conversations {
    pub(crate) begun: u32,
    pub(crate) failed: u32,
}

impl Conversations {
    /// Begins one; true where it is to fail, of which there are never more than the share.
    fn begin(&mut self, share: f64, timeline: &mut Timeline) -> bool {
        self.begun += 1;
        let allowed = f64::from(self.failed + 1) <= share * f64::from(self.begun);
        let fails = allowed && timeline.draw.chance(2.0 * share);
        self.failed += u32::from(fails);
        fails
    }
}

/// Habits of a pair.
#[derive(Debug)]
struct Pair {
    trade: Trade,
    line: Line,
    ask: u32,
    answer: u32,
    /// Relative deviation of both.
    spread: f64,
    gap: f64,
    /// When it begins and ends.
    here: [f64; 2],
    /// Questions come from one port.
    keeps_port: bool,
}

/// Fills a timeline with all pairs' conversations, and opens the ports that they need.
pub(crate) fn fill(network: &mut Network, timeline: &mut Timeline) -> Conversations {
    let mut conversations = Conversations::default();
    let inward_share = timeline.draw.between(0.0, 1.0);
    for _ in 0..timeline.draw.about(4, MOST_PAIRS) {
        let pair = pair(network, timeline, inward_share);
        pair.talk(network.failure_share, timeline, &mut conversations);
    }
    conversations
}

/// Remotes that were never seen ask hosts from a time on, each for what it came for.
pub(crate) fn arrive(network: &mut Network, remotes: &[Remote], timeline: &mut Timeline, at: f64) {
    let known = std::mem::take(&mut network.remotes);
    for &remote in remotes {
        network.remotes = vec![remote];
        let mut pair = pair(network, timeline, 1.0);
        pair.here = [at, timeline.end];
        pair.talk(network.failure_share, timeline, &mut Conversations::default());
    }
    network.remotes = known;
}

fn pair(network: &mut Network, timeline: &mut Timeline, inward_share: f64) -> Pair {
    let end = timeline.end;
    let draw = &mut timeline.draw;
    let (family, trade) = (network.family(draw), weighted(draw.between(0, WEIGHTS - 1)));
    let host = draw.between(0, network.hosts.len() - 1);
    let remote: Remote = draw.pick(&network.remotes);
    let ports = [draw.between(32_768, 60_999), draw.pick(trade.ports)];
    let line = if draw.chance(inward_share) {
        let open = &mut network.hosts[host].open;
        if !open.contains(&ports[1]) {
            open.push(ports[1]);
        }
        Network::inward(&remote, &network.hosts[host], family, ports, BOTH)
    } else {
        Network::outward(&network.hosts[host], &remote, family, ports, BOTH)
    };
    let gap = draw.magnitude(trade.gap[0], trade.gap[1]);
    let from = if draw.chance(0.7) { -draw.between(0.0, gap) } else { draw.between(0.0, end) };
    let to = if draw.chance(0.8) { end } else { draw.between(from.max(0.0), end) };
    Pair {
        trade,
        line,
        ask: draw.about(trade.asks[0], trade.asks[1]),
        answer: draw.about(trade.answers[0], trade.answers[1]),
        spread: draw.magnitude(0.02, 0.8),
        gap,
        here: [from, to],
        keeps_port: draw.chance(0.1),
    }
}

/// Sum of all weights.
const WEIGHTS: u32 = {
    let (mut sum, mut place) = (0, 0);
    while place < TRADES.len() {
        sum += TRADES[place].weight as u32;
        place += 1;
    }
    sum
};

fn weighted(mut drawn: u32) -> Trade {
    for trade in TRADES {
        match drawn.checked_sub(u32::from(trade.weight)) {
            Some(left) => drawn = left,
            None => return trade,
        }
    }
    TRADES[0]
}

impl Pair {
    fn talk(&self, failure_share: f64, timeline: &mut Timeline, count: &mut Conversations) {
        if self.trade.carrier == Carrier::Held {
            count.begin(0.0, timeline);
            return self.hold(timeline);
        }
        let [mut at, to] = self.here;
        let mut line = self.line;
        while at < to.min(timeline.end) {
            if !self.keeps_port && self.trade.carrier != Carrier::Echoes {
                line.client.port = timeline.draw.between(1_024, 65_535);
            }
            let over = if count.begin(failure_share, timeline) {
                self.fail(&line, at, timeline);
                at + 3.0
            } else {
                self.converse(&line, at, timeline)
            };
            at = over.max(at) + self.pause(&mut timeline.draw);
        }
    }

    fn pause(&self, draw: &mut Draw) -> f64 {
        match self.trade.rhythm {
            Rhythm::Drawn => draw.exponential(self.gap),
            Rhythm::Steady => self.gap * draw.between(0.97, 1.03),
        }
    }

    /// A conversation; returns when it was over.
    fn converse(&self, line: &Line, at: f64, timeline: &mut Timeline) -> f64 {
        let turns = timeline.draw.between(self.trade.turns[0], self.trade.turns[1]);
        match self.trade.carrier {
            Carrier::Connection | Carrier::Secured | Carrier::Held => {
                let mut tcp = Tcp::open(timeline, *line, at);
                if self.trade.carrier == Carrier::Secured {
                    for (side, [least, most]) in [Side::Client, Side::Server].into_iter().zip(KEYS)
                    {
                        let bytes = tcp.draw().between(least, most);
                        tcp.say(side, bytes);
                    }
                }
                self.ask(&mut tcp, turns);
                let aborted = tcp.draw().chance(ABORTED);
                let first = if tcp.draw().chance(0.7) { Side::Client } else { Side::Server };
                tcp.close(if aborted { Ending::Reset(first) } else { Ending::Finished(first) })
            }
            Carrier::Datagrams | Carrier::Names => {
                let mut at = at;
                for _ in 0..turns {
                    let (think, ask, answer) = self.question(&mut timeline.draw);
                    let [ask, answer] = self.messages(ask, answer, &mut timeline.draw);
                    at = line.exchange(timeline, at, ask, Some(answer)) + think;
                }
                at
            }
            Carrier::Echoes => {
                let id = line.client.port;
                let size = small(self.ask);
                let mut at = at;
                for sequence in (0..).take(turns as usize) {
                    let (think, ..) = self.question(&mut timeline.draw);
                    at = line.echo(timeline, at, [id, sequence], size, Some(size)) + think;
                }
                at
            }
        }
    }

    /// One connection, open before the capture began or from then on.
    fn hold(&self, timeline: &mut Timeline) {
        let [from, to] = self.here;
        let to = to.min(timeline.end);
        let mut tcp = if from < 0.0 {
            Tcp::resume(timeline, self.line, from)
        } else {
            Tcp::open(timeline, self.line, from)
        };
        while tcp.at() < to {
            let turns = tcp.draw().between(self.trade.turns[0], self.trade.turns[1]);
            self.ask(&mut tcp, turns);
            let pause = self.pause(tcp.draw());
            tcp.rest(pause);
        }
        tcp.close(Ending::Finished(Side::Client));
    }

    /// Questions and answers within a connection.
    fn ask(&self, tcp: &mut Tcp<'_>, turns: u32) {
        for _ in 0..turns {
            let (think, ask, answer) = self.question(tcp.draw());
            tcp.say(Side::Client, ask);
            tcp.say(Side::Server, answer);
            tcp.rest(think);
        }
    }

    /// A question that nobody answers, or that is refused.
    fn fail(&self, line: &Line, at: f64, timeline: &mut Timeline) {
        match self.trade.carrier {
            Carrier::Connection | Carrier::Secured | Carrier::Held => {
                if timeline.draw.chance(0.5) {
                    Tcp::refused(timeline, *line, at);
                } else {
                    Tcp::call_in_vain(timeline, *line, at, 2);
                }
            }
            Carrier::Datagrams | Carrier::Names => {
                let [ask, _] = self.messages(self.ask, self.answer, &mut timeline.draw);
                line.exchange(timeline, at, ask, None);
            }
            Carrier::Echoes => {
                line.echo(timeline, at, [line.client.port, 0], small(self.ask), None);
            }
        }
    }

    /// Seconds to think, and bytes of a question and its answer.
    fn question(&self, draw: &mut Draw) -> (f64, u32, u32) {
        let [least, most] = self.trade.think;
        let think = if most > 0.0 { draw.magnitude(least, most) } else { 0.0 };
        let ask = draw.spread(self.ask, self.spread);
        let answer = draw.spread(self.answer, self.spread);
        (think, ask.min(4 * self.trade.asks[1]), answer.min(4 * self.trade.answers[1]))
    }

    fn messages(&self, ask: u32, answer: u32, draw: &mut Draw) -> [Payload; 2] {
        if self.trade.carrier == Carrier::Names {
            let (id, name) = (draw.between(0, u16::MAX), small(ask.clamp(1, 60)));
            let records = small(answer.min(1_000));
            [Payload::Query { id, name }, Payload::Answer { id, name, records }]
        } else {
            [ask, answer].map(|bytes| Payload::Filler(small(bytes.min(1_400))))
        }
    }
}

fn small(bytes: u32) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn failures_keep_to_their_share_at_any_time() {
        let mut timeline = Timeline::new(Draw::new(3, 0), Duration::from_secs(1));
        let mut count = Conversations::default();
        for _ in 0..10_000 {
            count.begin(0.03, &mut timeline);
            assert!(f64::from(count.failed) <= 0.03 * f64::from(count.begun), "{count:?}");
        }
        assert!(count.failed > 200, "{count:?}");
    }

    #[test]
    fn every_trade_is_drawn() {
        let ports: std::collections::BTreeSet<_> =
            (0..WEIGHTS).map(|drawn| (weighted(drawn).ports, weighted(drawn).turns)).collect();
        assert_eq!(ports.len(), TRADES.len());
    }
}
