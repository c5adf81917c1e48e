//! What will have been sent, in virtual time.

use std::time::Duration;

use crate::draw::Draw;
use crate::frame::{Content, Packet};

/// Sender of a synthetic frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Author {
    /// Either side of a benign conversation.
    Benign,
    /// The attacker under an address of its own, or what runs for it on a protected host.
    Attacker,
    /// The attacker under an address that is not its own.
    Forged,
    /// Whoever answered the attack, willingly or not.
    Answer,
}

/// A packet with its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Nanoseconds since the capture began.
    pub(crate) at_ns: u64,
    pub(crate) author: Author,
    /// The first packet of a connection, or a query.
    pub(crate) begins: bool,
    pub(crate) packet: Packet,
}

// A capture of a million frames is held whole; see `Synthesis::make`.
const _: () = assert!(size_of::<Event>() <= 104);

/// Packets between a capture's beginning and its end, with the draws that make them up.
///
/// Times are seconds since the beginning. What lies outside was not captured: conversations may
/// have begun before, and go on afterwards.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) draw: Draw,
    pub(crate) end: f64,
    events: Vec<Event>,
}

impl Timeline {
    pub(crate) fn new(draw: Draw, duration: Duration) -> Self {
        Self::of(draw, duration, Vec::new())
    }

    /// One that these packets are put to already.
    pub(crate) fn of(draw: Draw, duration: Duration, events: Vec<Event>) -> Self {
        Self { draw, end: duration.as_secs_f64(), events }
    }

    /// The same packets, with draws of its own for what is added.
    pub(crate) fn with(self, draw: Draw) -> Self {
        Self { draw, ..self }
    }

    /// A packet at a time.
    pub(crate) fn put(&mut self, at: f64, author: Author, packet: Packet) {
        self.put_event(at, author, false, packet);
    }

    /// A packet that begins a connection.
    pub(crate) fn begin(&mut self, at: f64, author: Author, packet: Packet) {
        self.put_event(at, author, true, packet);
    }

    fn put_event(&mut self, at: f64, author: Author, begins: bool, packet: Packet) {
        if (0.0..self.end).contains(&at) {
            self.events.push(Event { at_ns: nanoseconds(at), author, begins, packet });
        }
    }

    /// What was put so far, in no order.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(crate) fn events_mut(&mut self) -> &mut [Event] {
        &mut self.events
    }

    /// Keeps those that are to stay.
    pub(crate) fn retain(&mut self, stays: impl FnMut(&Event) -> bool) {
        self.events.retain(stays);
    }

    /// The events in order of time; of the same time in the order in which they were made.
    pub(crate) fn into_events(self) -> Vec<Event> {
        let mut events = self.events;
        events.sort_by_key(|event| event.at_ns);
        events
    }
}

impl Event {
    /// Bytes of payload.
    pub(crate) fn payload(&self) -> u64 {
        let payload = match self.packet.content {
            Content::Segment(segment) => segment.payload.len(),
            Content::Datagram { payload, .. } | Content::Echo { payload, .. } => payload.len(),
            Content::Unreachable { .. } => 0,
        };
        payload as u64
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX)
}
