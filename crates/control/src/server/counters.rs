//! Counters of the server itself.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::{Exposition, Metric};

/// Reason for which a connection or a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// The limit of open connections.
    Connections,
    /// The system could not accept one.
    Accept,
    /// The limit of requests under way.
    Requests,
    /// The client asked too often.
    Rate,
    /// It named another host.
    Host,
    /// It had no token, or one that is not known.
    Unauthorized,
    /// It may not do that.
    Forbidden,
    /// It was too slow.
    Slow,
    /// A request that was too large.
    Large,
}

impl Turned {
    const ALL: [(Self, &'static str); 9] = [
        (Self::Connections, "connections"),
        (Self::Accept, "accept"),
        (Self::Requests, "requests"),
        (Self::Rate, "rate"),
        (Self::Host, "host"),
        (Self::Unauthorized, "unauthorized"),
        (Self::Forbidden, "forbidden"),
        (Self::Slow, "slow"),
        (Self::Large, "large"),
    ];
}

/// The server's own counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    turned: [AtomicU64; Turned::ALL.len()],
    /// Answers by the first digit of their status, from 1.
    answers: [AtomicU64; 5],
}

impl Counters {
    pub(super) fn turn_away(&self, why: Turned) {
        self.turned[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn answer(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5);
        self.answers[class - 1].fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the counters.
    pub(super) fn expose(&self, to: &mut Exposition) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let answers = (1..).zip(&self.answers);
        to.tell_each(
            Metric::ApiResponses,
            answers.map(|(class, count)| ([format!("{class}xx")], load(count))),
        );
        to.tell_each(
            Metric::ApiRefused,
            Turned::ALL.map(|(why, name)| ([name.to_owned()], load(&self.turned[why as usize]))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_place() {
        for (place, (why, _)) in Turned::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
        }
        let counters = Counters::default();
        counters.turn_away(Turned::Large);
        counters.answer(413);
        let mut exposition = Exposition::default();
        counters.expose(&mut exposition);
        let text = exposition.into_text();
        assert!(text.contains("weir_api_refused_total{reason=\"large\"} 1\n"), "{text}");
        assert!(text.contains("weir_api_responses_total{class=\"4xx\"} 1\n"), "{text}");
    }
}
