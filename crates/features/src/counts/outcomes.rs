//! Outcomes of flows.

use crate::kept::kept;

/// Outcomes of the flows that one side opened.
///
/// An outcome is known at the flow's end or 3 s after its start, whichever is first, and counts in
/// the window of the start; that a flow ended later than that counts in the window of its end.
///
/// - *Failed*: TCP with a SYN and neither SYN-ACK nor payload of the opened side; TCP without a SYN
///   whose opener's side sent no payload, met with nothing or with an RST alone; any other protocol
///   without an answer. ICMP errors ask for none and do not fail.
/// - *Empty*: a handshake, then a FIN or RST, and no payload of the opened side.
/// - *Short*: TCP that did not fail and ended within 10 s.
/// - *Served*: known, and not failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// Failed flows.
    pub failed: u32,
    /// Empty flows.
    pub empty: u32,
    /// Short flows.
    pub short: u32,
    /// Served flows.
    pub served: u32,
    /// Payload of the opening side in served flows until their outcome was known, in bytes.
    pub request_bytes: u64,
    /// Payload of the opened side in them, in bytes.
    pub response_bytes: u64,
    /// Messages of the opening side in them (segments with PSH), 255 of a flow at most.
    pub messages: u32,
}

kept!(Outcomes { failed, empty, short, served, request_bytes, response_bytes, messages });

impl Outcomes {
    /// Adds others.
    pub(crate) fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u32, part: u32| *sum = sum.saturating_add(part);
        add(&mut self.failed, other.failed);
        add(&mut self.empty, other.empty);
        add(&mut self.short, other.short);
        add(&mut self.served, other.served);
        add(&mut self.messages, other.messages);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
    }

    /// True where nothing is known.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Mean payload of the opening side in a served flow, in bytes; 0 for none.
    #[must_use]
    pub fn request_mean(&self) -> f64 {
        mean(self.request_bytes, self.served)
    }

    /// Mean payload of the opened side in a served flow, in bytes; 0 for none.
    #[must_use]
    pub fn response_mean(&self) -> f64 {
        mean(self.response_bytes, self.served)
    }
}

fn mean(sum: u64, count: u32) -> f64 {
    if count > 0 { sum as f64 / f64::from(count) } else { 0.0 }
}
