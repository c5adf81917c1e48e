//! What a window changes of the memory of a flow, and what becomes known of it.

use flows_common::{Direction, Span, Standing};

use crate::counts::{NewOfFlow, Outcomes};
use crate::flow_record::{FlowPast, Handshake};

/// What became known of a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Told {
    /// Start of the window that it counts in; none for the one in which it became known.
    pub(crate) window_ns: Option<u64>,
    /// Standing that it counts in.
    pub(crate) standing: Standing,
    /// The side that opened the flow.
    pub(crate) initiator: Direction,
    /// The outcome.
    pub(crate) outcomes: Outcomes,
    /// What was new of the flow.
    pub(crate) new: NewOfFlow,
}

/// Changes that a window made to the memory of a flow.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that each stand alone")]
pub(crate) struct FlowNews {
    /// This window is the first that knows it.
    pub(crate) is_new: bool,
    /// When it was first seen.
    pub(crate) first_seen_ns: u64,
    /// The side that opened it.
    pub(crate) initiator: Direction,
    /// Whose packets the window's are.
    pub(crate) standing: Standing,
    /// Progress of its opening.
    pub(crate) handshake: Handshake,
    /// From its SYN to its SYN-ACK.
    pub(crate) handshake_ns: Option<u64>,
    /// Its handshake was timed in this window.
    pub(crate) newly_timed: bool,
    /// Its totals before this window.
    pub(crate) past: FlowPast,
    /// The last window that had packets of it; none for a new one.
    pub(crate) last_window: Option<Span>,
    /// When it started, or started again, in this window.
    pub(crate) start_ns: Option<u64>,
    /// What was opened is no new flow of the tuple's: it goes on, and anybody may have sent that.
    pub(crate) is_stray: bool,
    /// Flows opened on its tuple in this window; what they were as far as it is known.
    pub(crate) opened: u32,
    pub(crate) outcomes: Outcomes,
    /// What became known of the flow before on its tuple.
    pub(crate) before: Option<Told>,
    /// What became known of a flow that was opened in an earlier window.
    pub(crate) late: Option<Told>,
    /// It was opened in this window, and its outcome is not known.
    pub(crate) is_pending: bool,
    /// Change of the number of open TCP flows of this standing.
    pub(crate) open_change: i8,
    /// It was open in another standing, and no longer is.
    pub(crate) left: Option<Standing>,
}
