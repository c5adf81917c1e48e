//! Memory of a flow between windows.

use flows_common::{Direction, Fact, FlowCounters, FlowKey, Span, Standing, TcpFlag};

use super::news::{FlowNews, Told};
use crate::counts::{NewOfFlow, Outcomes};
use crate::flow_record::{FlowPast, Handshake, TCP, UDP};
use crate::kept::kept;

/// A flow that was silent for longer than this starts anew when it speaks again, in ns.
///
/// 2 s: a beacon that keeps its socket (UDP, or one long TCP connection) then shows its period.
const RESUME_NS: u64 = 2_000_000_000;

/// A tuple of a protocol without connections that was silent for longer than this is a new flow.
const FORGET_NS: u64 = 60_000_000_000;

/// A TCP flow that ends sooner than this after its opening is short, in ns.
///
/// 10 s: a refused password is out in a few, a session that somebody uses takes longer.
const SHORT_FLOW_NS: u64 = 10_000_000_000;

/// The longest time that a SYN at a window's end is given for its answer, in ns.
///
/// 100 ms: an ordinary round trip. Never more than a tenth of the window, so that most of a
/// window's SYNs are judged in it.
const ANSWER_GRACE_NS: u64 = 100_000_000;

/// The lowest port that is not one of the system's services (RFC 6335).
const FIRST_USER_PORT: u16 = 1_024;

/// Memory of a flow.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "facts that each stand alone")]
pub(crate) struct FlowState {
    first_seen_ns: u64,
    last_packet_ns: u64,
    last_window: Span,
    syn_ns: Option<u64>,
    syn_isn: u32,
    handshake_ns: Option<u64>,
    /// Number whose acknowledgement would prove its remote.
    awaited: Option<u32>,
    /// This host asked for it.
    asked: bool,
    /// Its remote completed its handshake.
    proven: bool,
    /// In which it counts as open.
    standing: Standing,
    past: FlowPast,
    initiator: Direction,
    reply: Reply,
    phase: Phase,
    /// Start of the window in which it was opened.
    opened_in_ns: u64,
    /// Its standing in that window, where its outcome counts.
    opened_as: Standing,
    opened_ns: u64,
    /// What was new of it when it was opened.
    new: NewOfFlow,
    /// Bytes of payload each way, those sides that spoke, that sent a FIN, that sent an RST.
    payload: [u64; 2],
    /// Segments with PSH each way.
    messages: [u8; 2],
    spoke: [bool; 2],
    fins: [bool; 2],
    resets: [bool; 2],
    /// It complains of what another one sent.
    is_error: bool,
    verdict: Verdict,
    /// Its end was told.
    end_told: bool,
}

kept!(FlowState {
    first_seen_ns,
    last_packet_ns,
    last_window,
    syn_ns,
    syn_isn,
    handshake_ns,
    awaited,
    asked,
    proven,
    standing,
    past,
    initiator,
    reply,
    phase,
    opened_in_ns,
    opened_as,
    opened_ns,
    new,
    payload,
    messages,
    spoke,
    fins,
    resets,
    is_error,
    verdict,
    end_told
});
kept!(FlowPast { windows, packets, bytes });
kept!(Reply of [Self::Nothing, Self::Reset, Self::SynAck]);
kept!(Phase of [Self::Opening, Self::Open, Self::Closed]);
kept!(Verdict of [Self::Pending, Self::Served, Self::Failed]);

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

/// What was told of a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pending,
    Served,
    Failed,
}

impl FlowState {
    /// A flow of which nothing is known yet.
    pub(crate) const fn unknown() -> Self {
        Self {
            first_seen_ns: 0,
            last_packet_ns: 0,
            last_window: Span { start_ns: 0, end_ns: 0 },
            syn_ns: None,
            syn_isn: 0,
            handshake_ns: None,
            awaited: None,
            asked: false,
            proven: false,
            standing: Standing::Unproven,
            past: FlowPast { windows: 0, packets: 0, bytes: 0 },
            initiator: Direction::Ingress,
            reply: Reply::Nothing,
            phase: Phase::Opening,
            opened_in_ns: 0,
            opened_as: Standing::Unproven,
            opened_ns: 0,
            new: NewOfFlow { target: 0.0, remote: 0.0, service: 0.0 },
            payload: [0; 2],
            messages: [0; 2],
            spoke: [false; 2],
            fins: [false; 2],
            resets: [false; 2],
            is_error: false,
            verdict: Verdict::Pending,
            end_told: false,
        }
    }

    /// What a restart keeps of it. What became of a flow whose outcome was not known, nobody saw;
    /// one that was open counts as that again when it goes on.
    pub(crate) fn kept(&self) -> Option<Self> {
        let phase = if self.phase == Phase::Open { Phase::Opening } else { self.phase };
        (self.verdict != Verdict::Pending).then_some(Self { phase, ..*self })
    }

    /// The standing in which it counts among its peer's open TCP flows, if it does.
    pub(crate) const fn open_in(&self) -> Option<Standing> {
        if matches!(self.phase, Phase::Open) { Some(self.standing) } else { None }
    }

    /// True if it has been silent for at least `idle_ns` before `now_ns`.
    pub(crate) const fn is_idle(&self, now_ns: u64, idle_ns: u64) -> bool {
        now_ns.saturating_sub(self.last_window.end_ns) >= idle_ns
    }

    /// Notes what was new of it.
    pub(crate) const fn note_new(&mut self, new: NewOfFlow) {
        self.new = new;
    }

    /// True where it was opened in the window that began then, and its outcome is not told.
    pub(crate) const fn is_pending_since(&self, window_ns: u64) -> bool {
        self.opened_in_ns == window_ns && matches!(self.verdict, Verdict::Pending)
    }

    /// Joins what the flow did in a window.
    pub(crate) fn advance(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        window: Span,
    ) -> FlowNews {
        let (first_ns, last_ns) = bounds(counters, window);
        let silent_ns = first_ns.saturating_sub(self.last_packet_ns);
        let open_before = self.open_in();
        let mut before = None;
        let opened = self.newly_opened(key, counters, silent_ns);
        let is_stray = self.is_stray(counters);
        let begins = opened > 0 && !is_stray;
        if begins {
            if self.past.windows > 0 {
                before = self.tell(key);
            }
            *self = Self::unknown();
            self.first_seen_ns = first_ns;
            self.initiator = initiator(key, counters);
            self.opened_in_ns = window.start_ns;
            self.opened_ns = counters.first_syn_ns(self.initiator).unwrap_or(first_ns);
            self.asked = counters.has(Fact::Initiated);
        }
        let (past, is_new) = (self.past, self.past.windows == 0);
        let (last_window, was_timed) = (self.last_window, self.handshake_ns.is_some());
        let standing = self.settle_standing(counters, is_stray);
        if begins {
            self.opened_as = standing;
        }
        self.follow(key, counters, is_stray);
        self.last_packet_ns = self.last_packet_ns.max(last_ns);
        self.last_window = window;
        self.past = FlowPast {
            windows: past.windows.saturating_add(1),
            packets: past.packets.saturating_add(counters.packets()),
            bytes: past.bytes.saturating_add(counters.bytes()),
        };
        let mut outcomes = self.earlier_attempts(counters, opened, is_stray);
        self.take_off(&outcomes);
        let mut late = if self.phase == Phase::Closed { self.tell(key) } else { None };
        if let Some(told) =
            late.filter(|told| told.window_ns.is_none_or(|at| at == window.start_ns))
        {
            outcomes.merge(&told.outcomes);
            late = None;
        }
        FlowNews {
            is_new,
            first_seen_ns: self.first_seen_ns,
            initiator: if is_stray { Direction::Ingress } else { self.initiator },
            standing,
            handshake: self.handshake(key, window),
            handshake_ns: self.handshake_ns,
            newly_timed: !was_timed && self.handshake_ns.is_some(),
            past,
            last_window: (!is_new).then_some(last_window),
            start_ns: (is_new || silent_ns > RESUME_NS).then_some(first_ns),
            is_stray,
            opened,
            outcomes,
            before,
            late,
            is_pending: self.is_pending_since(window.start_ns),
            open_change: if standing == self.standing {
                i8::from(self.open_in().is_some()) - i8::from(open_before == Some(standing))
            } else {
                0
            },
            left: open_before
                .filter(|before| *before != standing && self.open_in() != Some(*before)),
        }
    }

    /// True where a window opens, and does not complete, another flow on the tuple of one that is
    /// vouched for and goes on: anybody may have sent that, and it ends nothing.
    fn is_stray(&self, counters: &FlowCounters) -> bool {
        let is_vouched = self.asked || self.proven;
        is_vouched && self.phase != Phase::Closed && is_uncompleted(counters)
    }

    /// Whose packets the window's are. What holds an opening that is not completed in it is
    /// anybody's, on whatever tuple it came.
    fn settle_standing(&mut self, counters: &FlowCounters, is_stray: bool) -> Standing {
        let completed = self.awaited.is_some() && self.awaited == counters.first_acknowledged();
        self.proven |= completed || counters.is_proven();
        if completed || counters.syn_acks[Direction::Egress.index()] > 0 {
            self.awaited = counters.awaited();
        }
        if is_stray {
            return Standing::Unproven;
        }
        self.standing = match (is_uncompleted(counters), self.asked, self.proven) {
            (true, ..) | (false, false, false) => Standing::Unproven,
            (false, true, _) => Standing::Initiated,
            (false, false, true) => Standing::Proven,
        };
        self.standing
    }

    /// Tells, once each, what is known of it now: whether it failed, and how it ended.
    pub(crate) fn tell(&mut self, key: &FlowKey) -> Option<Told> {
        let mut outcomes = Outcomes::default();
        let [request, response] = self.of_the_opener(self.payload);
        let mut window_ns = None;
        if self.verdict == Verdict::Pending {
            window_ns = Some(self.opened_in_ns);
            if self.has_failed(key) {
                self.verdict = Verdict::Failed;
                outcomes.failed = 1;
            } else {
                self.verdict = Verdict::Served;
                outcomes.served = 1;
                (outcomes.request_bytes, outcomes.response_bytes) = (request, response);
                outcomes.messages = self.of_the_opener(self.messages)[0].into();
            }
        }
        let has_ended =
            key.protocol == TCP && (self.fins != [false; 2] || self.resets != [false; 2]);
        if has_ended && !self.end_told {
            self.end_told = true;
            if self.verdict == Verdict::Served {
                outcomes.empty = u32::from(self.reply == Reply::SynAck && response == 0);
                let lasted_ns = self.last_packet_ns.saturating_sub(self.opened_ns);
                outcomes.short = u32::from(lasted_ns < SHORT_FLOW_NS);
            }
        }
        let standing = if window_ns.is_some() { self.opened_as } else { self.standing };
        let told = Told { window_ns, standing, initiator: self.initiator, outcomes, new: self.new };
        (!outcomes.is_none()).then_some(told)
    }

    /// Flows that a window opens on its tuple.
    fn newly_opened(&self, key: &FlowKey, counters: &FlowCounters, silent_ns: u64) -> u32 {
        let openings = counters.openings[counters.opener().index()];
        if self.past.windows == 0 {
            return openings.max(1);
        }
        if key.protocol != TCP {
            return u32::from(silent_ns > FORGET_NS);
        }
        // The only SYN may repeat the one of a window before.
        let isn = counters.syn_isn[counters.opener().index()];
        let repeats = self.syn_ns.is_some() && self.syn_isn == isn && self.resets == [false; 2];
        if openings == 1 && repeats { 0 } else { openings }
    }

    /// Outcomes of the flows that were opened on its tuple in this window before the last one.
    ///
    /// Which of the attempts were answered is not known: the earlier ones are taken for those that
    /// failed. Each that was answered has its share of the payload.
    fn earlier_attempts(&self, counters: &FlowCounters, attempts: u32, is_stray: bool) -> Outcomes {
        // Of strays the tuple's flow is no attempt, and its payload is not theirs.
        let (past, opener, payload, messages) = if is_stray {
            (attempts, Direction::Ingress, [0; 2], 0)
        } else {
            let past = attempts.saturating_sub(1);
            let [messages, _] = self.of_the_opener(self.messages);
            (past, self.initiator, self.of_the_opener(self.payload), messages)
        };
        if past == 0 {
            return Outcomes::default();
        }
        let answered = counters.answered(opener).min(attempts);
        let failed = (attempts - answered).min(past);
        let served = past - failed;
        let [request, response] = payload;
        let share = |bytes: u64| bytes / u64::from(attempts) * u64::from(served);
        Outcomes {
            failed,
            served,
            empty: if response == 0 { served } else { 0 },
            short: served,
            request_bytes: share(request),
            response_bytes: share(response),
            messages: u32::from(messages) / attempts * served,
        }
    }

    /// Takes off what it carried what earlier flows on its tuple are told with, which is theirs.
    fn take_off(&mut self, earlier: &Outcomes) {
        let (asks, answers) = (self.initiator.index(), self.initiator.opposite().index());
        self.payload[asks] = self.payload[asks].saturating_sub(earlier.request_bytes);
        self.payload[answers] = self.payload[answers].saturating_sub(earlier.response_bytes);
        let said = u8::try_from(earlier.messages).unwrap_or(u8::MAX);
        self.messages[asks] = self.messages[asks].saturating_sub(said);
    }

    fn of_the_opener<T>(&self, [ingress, egress]: [T; 2]) -> [T; 2] {
        match self.initiator {
            Direction::Ingress => [ingress, egress],
            Direction::Egress => [egress, ingress],
        }
    }

    /// True where nobody served what was asked; see [`Outcomes`].
    fn has_failed(&self, key: &FlowKey) -> bool {
        let [request, response] = self.of_the_opener(self.payload);
        let [_, was_answered] = self.of_the_opener(self.spoke);
        let [_, was_reset] = self.of_the_opener(self.resets);
        if key.protocol != TCP {
            !was_answered && !self.is_error
        } else if self.syn_ns.is_some() {
            self.reply != Reply::SynAck && response == 0
        } else {
            request == 0 && response == 0 && (!was_answered || was_reset)
        }
    }

    /// Follows SYN, SYN-ACK, payload, FIN and RST; a stray's handshake is not the flow's.
    fn follow(&mut self, key: &FlowKey, counters: &FlowCounters, is_stray: bool) {
        for (way, one) in counters.directions.iter().enumerate() {
            self.payload[way] = self.payload[way].saturating_add(one.payload_bytes);
            self.spoke[way] |= one.packets > 0;
        }
        if key.protocol != TCP {
            self.is_error |= counters.directions[self.initiator.index()].icmp_errors > 0;
            return;
        }
        if is_stray {
            self.syn_isn = counters.syn_isn[Direction::Ingress.index()];
        } else {
            self.follow_handshake(counters);
        }
        let has = |way: Direction, flag: TcpFlag| {
            counters.directions[way.index()].flags[flag.index()] > 0
        };
        for way in Direction::ALL {
            self.fins[way.index()] |= has(way, TcpFlag::Fin);
            self.resets[way.index()] |= has(way, TcpFlag::Rst);
            let said = counters.directions[way.index()].flags[TcpFlag::Psh.index()];
            let messages = &mut self.messages[way.index()];
            *messages = messages.saturating_add(u8::try_from(said).unwrap_or(u8::MAX));
        }
        if self.reply == Reply::Nothing && self.resets[self.initiator.opposite().index()] {
            self.reply = Reply::Reset;
        }
        // Without a handshake in view, traffic of both sides shows that the flow was open.
        let established = !is_stray
            && (self.reply == Reply::SynAck || (self.syn_ns.is_none() && self.spoke == [true; 2]));
        if self.resets != [false; 2] || self.fins == [true; 2] {
            self.phase = Phase::Closed;
        } else if self.phase == Phase::Opening && established {
            self.phase = Phase::Open;
        }
    }

    fn follow_handshake(&mut self, counters: &FlowCounters) {
        let replier = self.initiator.opposite();
        if self.syn_ns.is_none() {
            self.syn_ns = counters.first_syn_ns(self.initiator);
        }
        if counters.openings[self.initiator.index()] > 0 {
            self.syn_isn = counters.syn_isn[self.initiator.index()];
        }
        if let Some(syn_ack_ns) = counters.first_syn_ack_ns(replier)
            && self.reply != Reply::SynAck
        {
            self.reply = Reply::SynAck;
            self.handshake_ns = self.syn_ns.and_then(|syn_ns| syn_ack_ns.checked_sub(syn_ns));
        }
    }

    fn handshake(&self, key: &FlowKey, window: Span) -> Handshake {
        let grace_ns = ANSWER_GRACE_NS.min(window.duration_ns() / 10);
        match (self.reply, self.syn_ns) {
            _ if key.protocol != TCP => Handshake::Unseen,
            (Reply::SynAck, _) => Handshake::Answered,
            (_, None) => Handshake::Unseen,
            (Reply::Reset, _) => Handshake::Refused,
            (Reply::Nothing, Some(syn_ns)) if window.end_ns.saturating_sub(syn_ns) < grace_ns => {
                Handshake::Pending
            }
            (Reply::Nothing, _) => Handshake::Unanswered,
        }
    }
}

/// True where a remote's opening in the window was not completed in it.
const fn is_uncompleted(counters: &FlowCounters) -> bool {
    counters.openings[Direction::Ingress.index()] > counters.accepted
}

/// The side that opened a flow: whose SYN came first, and this host where it asked first
/// ([`Fact::Initiated`]). Where nobody was seen to ask it is the side whose port is not the system
/// service's; of two ports that are or are not, for UDP the sender of the first datagram, else the
/// remote. A remote chooses its port: nothing trusts by this.
fn initiator(key: &FlowKey, counters: &FlowCounters) -> Direction {
    if counters.openings != [0; 2] || counters.has(Fact::Initiated) {
        return counters.opener();
    }
    let is_service = |port: u16| port < FIRST_USER_PORT;
    let first_is_ours = usize::from(counters.first_direction) == Direction::Egress.index();
    match (is_service(key.remote_port), is_service(key.local_port)) {
        (true, false) => Direction::Egress,
        (false, true) => Direction::Ingress,
        _ if key.protocol == UDP && first_is_ours => Direction::Egress,
        _ => counters.opener(),
    }
}

/// The times of the first and the last packet, both directions.
fn bounds(counters: &FlowCounters, window: Span) -> (u64, u64) {
    let active = || counters.directions.iter().filter(|one| one.packets > 0);
    let first_ns = active().map(|one| one.first_ns).min().unwrap_or(window.start_ns);
    let last_ns = active().map(|one| one.last_ns).max().unwrap_or(window.start_ns);
    (first_ns, last_ns.max(first_ns))
}
