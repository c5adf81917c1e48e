//! Memory of a flow between windows.

use flows_common::{Direction, Fact, FlowCounters, FlowKey, Span, Standing, TcpFlag};

use crate::damped::SHORT_FLOW_NS;
use crate::record::{FlowPast, Handshake, TCP};

/// A flow that was silent for longer than this starts anew when it speaks again, in ns.
///
/// 2 s: a beacon that keeps its socket (UDP, or one long TCP connection) then shows its period.
const RESUME_NS: u64 = 2_000_000_000;

/// The longest time that a SYN at a window's end is given for its answer, in ns.
///
/// 100 ms: an ordinary round trip. Never more than a tenth of the window, so that most of a
/// window's SYNs are judged in it.
const ANSWER_GRACE_NS: u64 = 100_000_000;

/// Memory of a flow.
#[derive(Clone, Copy)]
pub(crate) struct FlowState {
    first_seen_ns: u64,
    last_packet_ns: u64,
    last_window_ns: u64,
    syn_ns: Option<u64>,
    handshake_ns: Option<u64>,
    /// Since when its SYN counts as unanswered, and of which standing's packets.
    unanswered: Option<(u64, Standing)>,
    /// Number of its opener's last SYN.
    isn: Option<u32>,
    /// Number that would prove its remote.
    awaited: Option<u32>,
    /// This host asked for it.
    asked: bool,
    /// Its remote completed its handshake.
    proven: bool,
    /// That of its last window.
    standing: Standing,
    past: FlowPast,
    initiator: Direction,
    fins: [bool; 2],
    acknowledged: bool,
    reply: Reply,
    phase: Phase,
}

/// Answer of the opened side to a SYN.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    Nothing,
    Reset,
    SynAck,
}

/// Phase of a TCP flow's life.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Closed,
}

/// Changes that a window made to the memory of a flow.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each read on its own")]
pub(crate) struct FlowNews {
    /// This window is the first that knows it.
    pub(crate) is_new: bool,
    /// When it was first seen.
    pub(crate) first_seen_ns: u64,
    /// The side that opened it.
    pub(crate) initiator: Direction,
    /// Whose packets these are.
    pub(crate) standing: Standing,
    /// Openings by that side in this window, those known from an earlier one left out.
    pub(crate) openings: u32,
    /// Those of them without an answer.
    pub(crate) unanswered: u32,
    /// Progress of its opening.
    pub(crate) handshake: Handshake,
    /// From its SYN to its SYN-ACK.
    pub(crate) handshake_ns: Option<u64>,
    /// Its totals before this window.
    pub(crate) past: FlowPast,
    /// When it started, or started again, in this window.
    pub(crate) start_ns: Option<u64>,
    /// Its SYN was counted as unanswered as of this time, in this standing, and is answered now.
    pub(crate) answered_after: Option<(u64, Standing)>,
    /// It was closed in this window.
    pub(crate) newly_closed: bool,
    /// It was closed in this window, soon after it was opened.
    pub(crate) short: bool,
    /// It has a SYN that its sender has not followed by an ACK, and is not closed.
    pub(crate) half_open: bool,
    /// Change of the number of open TCP flows of this standing.
    pub(crate) open_change: i8,
    /// It was open in another standing, and no longer is.
    pub(crate) left: Option<Standing>,
}

impl FlowState {
    /// A flow of which nothing is known yet.
    pub(crate) const fn unknown() -> Self {
        Self {
            first_seen_ns: 0,
            last_packet_ns: 0,
            last_window_ns: 0,
            syn_ns: None,
            handshake_ns: None,
            unanswered: None,
            isn: None,
            awaited: None,
            asked: false,
            proven: false,
            standing: Standing::Unproven,
            past: FlowPast { windows: 0, packets: 0, bytes: 0 },
            initiator: Direction::Ingress,
            fins: [false; 2],
            acknowledged: false,
            reply: Reply::Nothing,
            phase: Phase::Opening,
        }
    }

    /// The standing in which it counts among its peer's open TCP flows, if it does.
    pub(crate) const fn open_in(&self) -> Option<Standing> {
        if matches!(self.phase, Phase::Open) { Some(self.standing) } else { None }
    }

    /// True if it has been silent for at least `idle_ns` before `now_ns`.
    pub(crate) const fn is_idle(&self, now_ns: u64, idle_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_window_ns) >= idle_ns
    }

    /// Joins what the flow did in a window.
    pub(crate) fn advance(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        window: Span,
    ) -> FlowNews {
        let (first_ns, last_ns) = bounds(counters, window);
        let open_before = self.open_in();
        if self.is_reopened_by(counters) {
            *self = Self::unknown();
        }
        let past = self.past;
        let is_new = past.windows == 0;
        let resumed = first_ns.saturating_sub(self.last_packet_ns) > RESUME_NS;
        if is_new {
            self.first_seen_ns = first_ns;
        }
        let had_syn = self.syn_ns.is_some();
        let phase_before = self.phase;
        self.settle_initiator(counters, is_new);
        self.settle_standing(counters, is_new);
        let openings = self.new_openings(counters);
        let answered_after = self.follow_handshake(counters);
        if key.protocol == TCP {
            self.follow_close(counters);
        }
        if !had_syn && self.syn_ns.is_some() && self.reply != Reply::SynAck {
            self.unanswered = Some((window.end_ns, self.standing));
        }
        self.last_packet_ns = self.last_packet_ns.max(last_ns);
        self.last_window_ns = window.end_ns;
        self.past = FlowPast {
            windows: past.windows.saturating_add(1),
            packets: past.packets.saturating_add(counters.packets()),
            bytes: past.bytes.saturating_add(counters.bytes()),
        };
        let newly_closed = self.phase == Phase::Closed && phase_before != Phase::Closed;
        FlowNews {
            is_new,
            first_seen_ns: self.first_seen_ns,
            initiator: self.initiator,
            standing: self.standing,
            openings,
            unanswered: openings.saturating_sub(counters.answered(self.initiator)),
            handshake: self.handshake(key, window),
            handshake_ns: self.handshake_ns,
            past,
            start_ns: (is_new || resumed).then_some(first_ns),
            answered_after,
            newly_closed,
            short: newly_closed && last_ns.saturating_sub(self.first_seen_ns) < SHORT_FLOW_NS,
            half_open: self.syn_ns.is_some() && !self.acknowledged && self.phase != Phase::Closed,
            open_change: i8::from(self.open_in().is_some())
                - i8::from(open_before == Some(self.standing)),
            left: open_before.filter(|standing| *standing != self.standing),
        }
    }

    /// Whose packets the window's are. An opening that is not completed in its window is
    /// anybody's, on whatever tuple it came.
    fn settle_standing(&mut self, counters: &FlowCounters, is_new: bool) {
        if is_new {
            self.asked = counters.has(Fact::Initiated);
        }
        let completed = self.awaited.is_some() && self.awaited == counters.first_acknowledged();
        self.proven |= completed || counters.is_proven();
        if completed || counters.syn_acks[Direction::Egress.index()] > 0 {
            self.awaited = counters.awaited();
        }
        let is_pending = counters.openings[Direction::Ingress.index()] > counters.accepted;
        self.standing = match (is_pending, self.asked, self.proven) {
            (true, ..) | (false, false, false) => Standing::Unproven,
            (false, true, _) => Standing::Initiated,
            (false, false, true) => Standing::Proven,
        };
    }

    /// Openings of the window: a retransmission of an earlier one's SYN is none.
    fn new_openings(&mut self, counters: &FlowCounters) -> u32 {
        let opener = self.initiator.index();
        let openings = counters.openings[opener];
        if openings == 0 {
            return 0;
        }
        let isn = counters.syn_isn[opener];
        let repeated = openings == 1 && self.isn.replace(isn) == Some(isn);
        self.isn = Some(isn);
        if repeated { 0 } else { openings }
    }

    /// A SYN after both sides were done: the 5-tuple is used again.
    fn is_reopened_by(&self, counters: &FlowCounters) -> bool {
        let syn_ns = counters.first_syn_ns(counters.opener());
        matches!(self.phase, Phase::Closed) && syn_ns.is_some_and(|at| at > self.last_packet_ns)
    }

    /// An opening tells who opened a flow; without one, its first window does.
    fn settle_initiator(&mut self, counters: &FlowCounters, is_new: bool) {
        if is_new || counters.openings != [0; 2] {
            self.initiator = counters.opener();
        }
    }

    /// Follows SYN, SYN-ACK and ACK; answers since when the SYN had counted as unanswered, if it
    /// had and is answered now.
    fn follow_handshake(&mut self, counters: &FlowCounters) -> Option<(u64, Standing)> {
        let opener = &counters.directions[self.initiator.index()];
        let replier = &counters.directions[self.initiator.opposite().index()];
        self.syn_ns = self.syn_ns.or(counters.first_syn_ns(self.initiator));
        let mut answered_after = None;
        if let Some(syn_ack_ns) = counters.first_syn_ack_ns(self.initiator.opposite())
            && self.reply != Reply::SynAck
        {
            self.reply = Reply::SynAck;
            answered_after = self.unanswered.take();
            self.handshake_ns = self.syn_ns.and_then(|syn_ns| syn_ack_ns.checked_sub(syn_ns));
        }
        if self.reply == Reply::Nothing && replier.flags[TcpFlag::Rst.index()] > 0 {
            self.reply = Reply::Reset;
        }
        self.acknowledged |= opener.flags[TcpFlag::Ack.index()] > 0;
        answered_after
    }

    fn follow_close(&mut self, counters: &FlowCounters) {
        let mut reset = false;
        for (fin, direction) in self.fins.iter_mut().zip(&counters.directions) {
            *fin |= direction.flags[TcpFlag::Fin.index()] > 0;
            reset |= direction.flags[TcpFlag::Rst.index()] > 0;
        }
        // Without a handshake in view, traffic of both sides shows that the flow was open.
        let established = self.reply == Reply::SynAck
            || (self.syn_ns.is_none() && counters.directions.iter().all(|one| one.packets > 0));
        if reset || self.fins == [true; 2] {
            self.phase = Phase::Closed;
        } else if self.phase == Phase::Opening && established {
            self.phase = Phase::Open;
        }
    }

    fn handshake(&self, key: &FlowKey, window: Span) -> Handshake {
        let grace_ns = ANSWER_GRACE_NS.min(window.duration_ns() / 10);
        match self.reply {
            _ if key.protocol != TCP => Handshake::Unseen,
            Reply::SynAck => Handshake::Answered,
            Reply::Reset if self.syn_ns.is_some() => Handshake::Refused,
            Reply::Reset => Handshake::Unseen,
            Reply::Nothing => match self.syn_ns {
                None => Handshake::Unseen,
                Some(syn_ns) if window.end_ns.saturating_sub(syn_ns) < grace_ns => {
                    Handshake::Pending
                }
                Some(_) => Handshake::Unanswered,
            },
        }
    }
}

/// The times of the first and the last packet, both directions.
pub(crate) fn bounds(counters: &FlowCounters, window: Span) -> (u64, u64) {
    let active = || counters.directions.iter().filter(|one| one.packets > 0);
    let first_ns = counters.first_ns().unwrap_or(window.start_ns);
    let last_ns = active().map(|one| one.last_ns).max().unwrap_or(window.start_ns);
    (first_ns, last_ns.max(first_ns))
}
