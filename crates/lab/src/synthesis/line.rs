//! Two ends and the way between them: conversations by TCP, UDP and ICMP, as they look from
//! where the home network is captured.

use std::net::IpAddr;

use super::timeline::{Author, Timeline};
use crate::draw::Draw;
use crate::frame::{Content, Packet};
use crate::payload::Payload;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Who begins.
    Client,
    /// Who is asked.
    Server,
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// An end of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// TTL or hop limit where it is captured.
    pub(crate) hops: u8,
    pub(crate) window: u16,
    /// Largest segment that it announces.
    pub(crate) largest: u16,
    /// At this end of the line, beside the capture.
    pub(crate) is_home: bool,
}

/// The way between two ends; times in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// From a packet's leaving home to the first answer's arrival.
    pub(crate) rtt: f64,
    /// From a packet's arrival at home to the first answer's leaving.
    pub(crate) near: f64,
    /// Share of segments that are lost and sent again.
    pub(crate) loss: f64,
    /// Bytes per second.
    pub(crate) rate: f64,
    /// Full segments in a frame from home, and in one that came there: 1 without offloads.
    pub(crate) merged: [u16; 2],
}

/// A line: two ends, the way between them, and in whose name each speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) way: Way,
    /// Author of what the client sends.
    pub(crate) asks: Author,
    /// Author of what the server sends.
    pub(crate) answers: Author,
}

impl Line {
    pub(crate) const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(crate) const fn author(&self, side: Side) -> Author {
        match side {
            Side::Client => self.asks,
            Side::Server => self.answers,
        }
    }

    /// Time from a packet's passing the capture to the passing of this side's answer.
    pub(crate) fn delay(&self, side: Side, draw: &mut Draw) -> f64 {
        let usual = if self.end(side).is_home { self.way.near } else { self.way.rtt };
        usual * (1.0 + 0.2 * draw.between(0.0, 1.0))
    }

    pub(crate) fn packet(&self, side: Side, content: Content) -> Packet {
        let (from, to) = (self.end(side), self.end(side.other()));
        Packet { hops: from.hops, ..Packet::new(from.address, to.address, content) }
    }

    /// A datagram of one side at a time.
    pub(crate) fn datagram(&self, timeline: &mut Timeline, at: f64, side: Side, payload: Payload) {
        let content = Content::Datagram {
            source_port: self.end(side).port,
            target_port: self.end(side.other()).port,
            payload,
        };
        let packet = self.packet(side, content);
        if side == Side::Client && matches!(payload, Payload::Query { .. }) {
            timeline.begin(at, self.author(side), packet);
        } else {
            timeline.put(at, self.author(side), packet);
        }
    }

    /// A datagram and its answer, if there is one; returns when that was over.
    pub(crate) fn exchange(
        &self,
        timeline: &mut Timeline,
        at: f64,
        ask: Payload,
        answer: Option<Payload>,
    ) -> f64 {
        self.datagram(timeline, at, Side::Client, ask);
        let Some(answer) = answer else { return at };
        let later = at + self.delay(Side::Server, &mut timeline.draw);
        self.datagram(timeline, later, Side::Server, answer);
        later
    }

    /// An echo request of so many bytes and its reply, if there is one; returns when that was over.
    pub(crate) fn echo(
        &self,
        timeline: &mut Timeline,
        at: f64,
        [id, sequence]: [u16; 2],
        ask: u16,
        answer: Option<u16>,
    ) -> f64 {
        let content = |is_reply, bytes| Content::Echo {
            id,
            sequence,
            is_reply,
            payload: Payload::Filler(bytes),
        };
        timeline.put(at, self.asks, self.packet(Side::Client, content(false, ask)));
        let Some(answer) = answer else { return at };
        let later = at + self.delay(Side::Server, &mut timeline.draw);
        timeline.put(later, self.answers, self.packet(Side::Server, content(true, answer)));
        later
    }
}
