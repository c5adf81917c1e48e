//! A TCP connection: sequence numbers, acknowledgments, bursts, losses.

use super::line::{Line, Side};
use super::timeline::Timeline;
use crate::draw::Draw;
use crate::frame::{Content, Segment, flag};
use crate::payload::Payload;

/// Segments that leave before the first acknowledgment of a burst (RFC 6928), and the most.
const WINDOWS: [u32; 2] = [10, 64];
/// Seconds until a SYN is sent again, and again (RFC 6298, doubled).
const AGAIN: [f64; 2] = [1.0, 3.0];

/// End of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By both sides, this one first.
    Finished(Side),
    /// By a reset of this side.
    Reset(Side),
    /// It stays open.
    Held,
}

/// A connection at some time of it.
#[derive(Debug)]
pub(crate) struct Tcp<'t> {
    timeline: &'t mut Timeline,
    line: Line,
    /// The next sequence number of the client and of the server.
    next: [u32; 2],
    /// When its last packet passed.
    at: f64,
    last: Side,
}

impl<'t> Tcp<'t> {
    /// Opens a connection by three packets.
    pub(crate) fn open(timeline: &'t mut Timeline, line: Line, at: f64) -> Self {
        let mut tcp = Self::resume(timeline, line, at);
        tcp.last = Side::Client;
        tcp.segment(at, Side::Client, flag::SYN, 0);
        tcp.turn(Side::Server);
        tcp.segment(tcp.at, Side::Server, flag::SYN | flag::ACK, 0);
        tcp.turn(Side::Client);
        tcp.segment(tcp.at, Side::Client, flag::ACK, 0);
        tcp
    }

    /// A connection that has been open for long.
    pub(crate) fn resume(timeline: &'t mut Timeline, line: Line, at: f64) -> Self {
        let next = [timeline.draw.between(0, u32::MAX), timeline.draw.between(0, u32::MAX)];
        Self { timeline, line, next, at, last: Side::Server }
    }

    /// A SYN that nobody answers, sent again so many times, at most twice.
    pub(crate) fn call_in_vain(timeline: &'t mut Timeline, line: Line, at: f64, repeats: usize) {
        let tcp = Self::resume(timeline, line, at);
        let syn = Content::Segment(tcp.header(Side::Client, flag::SYN));
        let packet = line.packet(Side::Client, syn);
        tcp.timeline.begin(at, line.asks, packet);
        for again in AGAIN.iter().take(repeats) {
            tcp.timeline.put(at + again, line.asks, packet);
        }
    }

    /// A SYN that is refused.
    pub(crate) fn refused(timeline: &'t mut Timeline, line: Line, at: f64) {
        let mut tcp = Self::resume(timeline, line, at);
        tcp.last = Side::Client;
        tcp.segment(at, Side::Client, flag::SYN, 0);
        tcp.next[1] = 0;
        tcp.turn(Side::Server);
        tcp.segment(tcp.at, Side::Server, flag::RST | flag::ACK, 0);
    }

    /// When its last packet passed.
    pub(crate) const fn at(&self) -> f64 {
        self.at
    }

    /// The draws of its timeline.
    pub(crate) fn draw(&mut self) -> &mut Draw {
        &mut self.timeline.draw
    }

    /// Nobody says anything for so many seconds.
    pub(crate) fn rest(&mut self, seconds: f64) {
        self.at += seconds;
    }

    /// One side sends so many bytes, and the other acknowledges them.
    pub(crate) fn say(&mut self, side: Side, bytes: u32) {
        let from_home = self.line.end(side).is_home;
        let full = self.line.client.largest.min(self.line.server.largest);
        let merged = self.line.way.merged[usize::from(!from_home)].max(1);
        let most = u32::from(full) * u32::from(merged);
        let most = most.min(u32::from(full) * (64_000 / u32::from(full)));
        self.turn(side);
        let (mut left, mut window, mut unacknowledged) = (bytes, WINDOWS[0], 0_u8);
        let mut allowance = window * u32::from(full);
        while left > 0 {
            let some = left.min(most);
            left -= some;
            self.data(side, some, left == 0);
            unacknowledged += 1;
            if unacknowledged == 2 || left == 0 {
                self.acknowledge(side.other());
                unacknowledged = 0;
            }
            self.at += f64::from(some) / self.line.way.rate;
            allowance = allowance.saturating_sub(some);
            if allowance == 0 && left > 0 {
                self.at += self.line.way.rtt;
                window = (2 * window).min(WINDOWS[1]);
                allowance = window * u32::from(full);
            }
        }
    }

    /// Ends it; returns when.
    pub(crate) fn close(mut self, ending: Ending) -> f64 {
        match ending {
            Ending::Finished(first) => {
                for side in [first, first.other()] {
                    self.turn(side);
                    self.segment(self.at, side, flag::FIN | flag::ACK, 0);
                }
                self.turn(first);
                self.segment(self.at, first, flag::ACK, 0);
            }
            Ending::Reset(side) => {
                self.turn(side);
                self.segment(self.at, side, flag::RST | flag::ACK, 0);
            }
            Ending::Held => {}
        }
        self.at
    }

    /// Time passes until this side speaks.
    fn turn(&mut self, side: Side) {
        self.at += if side == self.last {
            self.timeline.draw.between(20e-6, 120e-6)
        } else {
            self.line.delay(side, &mut self.timeline.draw)
        };
        self.last = side;
    }

    /// A segment with data; what is lost passes later or, sent from here, twice.
    fn data(&mut self, side: Side, bytes: u32, is_last: bool) {
        let flags = flag::ACK | if is_last { flag::PSH } else { 0 };
        let sequence = self.next[place(side)];
        let mut at = self.at;
        if self.timeline.draw.chance(self.line.way.loss) {
            let later = at + 1.3 * self.line.way.rtt + 2e-3;
            if self.line.end(side).is_home {
                self.segment(at, side, flags, bytes);
                self.next[place(side)] = sequence;
            }
            at = later;
        }
        self.segment(at, side, flags, bytes);
    }

    fn acknowledge(&mut self, side: Side) {
        let at = self.at + self.line.delay(side, &mut self.timeline.draw);
        self.segment(at, side, flag::ACK, 0);
    }

    /// A segment; SYN and FIN take up a sequence number as a byte does.
    fn segment(&mut self, at: f64, side: Side, flags: u8, bytes: u32) {
        let payload = Payload::Filler(u16::try_from(bytes).unwrap_or(u16::MAX));
        let segment = Segment { payload, ..self.header(side, flags) };
        let packet = self.line.packet(side, Content::Segment(segment));
        let author = self.line.author(side);
        if flags == flag::SYN {
            self.timeline.begin(at, author, packet);
        } else {
            self.timeline.put(at, author, packet);
        }
        let taken = bytes + u32::from(flags & (flag::SYN | flag::FIN) != 0);
        let next = &mut self.next[place(side)];
        *next = next.wrapping_add(taken);
    }

    fn header(&self, side: Side, flags: u8) -> Segment {
        let (own, other) = (self.line.end(side), self.line.end(side.other()));
        let acknowledged = self.next[place(side.other())];
        Segment {
            flags,
            acknowledgment: if flags & flag::ACK == 0 { 0 } else { acknowledged },
            window: if flags & flag::RST == 0 { own.window } else { 0 },
            largest: (flags & flag::SYN != 0).then_some(own.largest),
            ..Segment::syn(own.port, other.port, self.next[place(side)])
        }
    }
}

const fn place(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}
