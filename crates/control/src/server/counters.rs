//! Counters of the server itself, for `/metrics`.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

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

    /// The counters in Prometheus' text format.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(
            "# HELP weir_api_responses_total Answers of the API, by class of status.\n\
             # TYPE weir_api_responses_total counter\n",
        );
        for (class, count) in (1..).zip(&self.answers) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(text, "weir_api_responses_total{{class=\"{class}xx\"}} {count}");
        }
        text.push_str(
            "# HELP weir_api_refused_total Connections and requests that the API turned away.\n\
             # TYPE weir_api_refused_total counter\n",
        );
        for (why, name) in Turned::ALL {
            let count = self.turned[why as usize].load(Ordering::Relaxed);
            let _ = writeln!(text, "weir_api_refused_total{{reason=\"{name}\"}} {count}");
        }
        text
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
        let text = counters.text();
        assert!(text.contains("weir_api_refused_total{reason=\"large\"} 1\n"), "{text}");
        assert!(text.contains("weir_api_responses_total{class=\"4xx\"} 1\n"), "{text}");
    }
}
