//! Log-ins tried again and again, as packet counters show them.
//!
//! No counter tells a wrong password from a right one. But who tries passwords opens session after
//! session at a service for log-ins, says as much in each as in the others, and is done within
//! seconds. Of such sessions [`Tries`] keeps count over ten minutes.
//!
//! What is like it and is none: a checker that asks for the banner says one thing, and less than a key
//! exchange; an interactive session lasts; copies and repositories differ in size. Programs that log in to do the same
//! command dozens of times in ten minutes are not told from it: they are to be allowed by name. Who makes
//! sessions of different sizes is not found here, but by the host's own log.

use std::collections::{BTreeMap, VecDeque};

use flows_common::{Direction, Standing};

use crate::counts::{Part, ServiceUse};
use crate::record::{PeerRecord, TCP};

/// Services where people log in: a shell, and its usual other port, and a desktop.
const LOG_INS: [u16; 3] = [22, 2_222, 3_389];
/// Bytes, or else messages, at least of a remote in a session in which it tries to log in: who only
/// asks for the banner says an identification of 255 bytes at most (RFC 4253 §4.2), and be it in two
/// parts. Messages are marked by who sends them, bytes are not.
const LEAST_SAID: (f64, f64) = (256.0, 3.0);
/// Time for which a session counts, in ns.
const COUNTS_FOR_NS: u64 = 600_000_000_000;
/// Remotes at a service that are remembered at most; beyond it who came last longest ago goes.
const LIMIT: usize = 16_384;

/// Sessions of a row that covers some seconds.
#[derive(Clone, Copy, Debug)]
struct Sessions {
    end_ns: u64,
    short: u32,
    sizes: ServiceUse,
}

/// Memory of sessions at services for log-ins, by remote address and port.
#[derive(Debug, Default)]
pub struct Tries {
    remotes: BTreeMap<([u8; 16], u16), VecDeque<Sessions>>,
}

impl Tries {
    /// Looks at the rows of peers that came with a window, those of the horizon that is next to it:
    /// the remotes with further sessions, and how many short ones alike each had in ten minutes.
    pub fn look(&mut self, peers: &[PeerRecord]) -> Vec<([u8; 16], u32)> {
        let mut found = Vec::new();
        for peer in peers.iter().filter(|peer| peer.level == 1) {
            if peer.key.standing != Standing::Proven || peer.is_lossy {
                continue;
            }
            let uses =
                LOG_INS.map(|port| (port, peer.counts.use_of(Direction::Ingress, TCP, port)));
            let alike = uses.into_iter().filter_map(|(port, sizes)| {
                let sizes = *sizes.filter(|sizes| sizes.served > 0)?;
                let short = peer.counts.outcomes[Direction::Ingress.index()].short;
                let end_ns = peer.span.end_ns;
                Some(self.note((peer.key.address, port), Sessions { end_ns, short, sizes }))
            });
            found.extend(alike.max().map(|alike| (peer.key.address, alike)));
        }
        found
    }

    fn note(&mut self, remote: ([u8; 16], u16), sessions: Sessions) -> u32 {
        let now_ns = sessions.end_ns;
        let counts = |one: &Sessions| now_ns.saturating_sub(one.end_ns) < COUNTS_FOR_NS;
        if self.remotes.len() >= LIMIT && !self.remotes.contains_key(&remote) {
            self.remotes.retain(|_, all| all.back().is_some_and(counts));
            if self.remotes.len() >= LIMIT {
                let last_ns = |all: &VecDeque<Sessions>| all.back().map(|one| one.end_ns);
                let oldest = self.remotes.iter().min_by_key(|(_, all)| last_ns(all));
                let oldest = oldest.map(|(remote, _)| *remote);
                oldest.and_then(|oldest| self.remotes.remove(&oldest));
            }
        }
        let all = self.remotes.entry(remote).or_default();
        all.push_back(sessions);
        while all.front().is_some_and(|one| !counts(one)) {
            all.pop_front();
        }
        let (mut short, mut sizes) = (0_u32, ServiceUse::default());
        for one in all {
            short = short.saturating_add(one.short);
            sizes.merge(&one.sizes);
        }
        let (bytes, messages) = LEAST_SAID;
        let is_banner = sizes.request_mean() < bytes && sizes.messages_mean() < messages;
        if is_banner { 0 } else { sizes.alike().min(short) }
    }
}

#[cfg(test)]
mod tests {
    use flows_common::Span;

    use super::*;
    use crate::counts::{Outcomes, PeerCounts};
    use crate::record::PeerPart;

    const TEN: u64 = 10_000_000_000;

    /// The row of ten seconds of a remote with so many sessions at a port, with what it said in each, in
    /// two messages.
    fn row(nth: u64, port: u16, sessions: u32, said: u64) -> PeerRecord {
        row_of(nth, port, sessions, said, 2)
    }

    fn row_of(nth: u64, port: u16, sessions: u32, said: u64, messages: u32) -> PeerRecord {
        let outcomes = Outcomes {
            short: sessions,
            served: sessions,
            request_bytes: u64::from(sessions) * said,
            response_bytes: u64::from(sessions) * 1_800,
            messages: sessions * messages,
            ..Outcomes::default()
        };
        let mut counts = PeerCounts::default();
        counts.use_served(Direction::Ingress, TCP, port, &outcomes);
        counts.outcomes[Direction::Ingress.index()] = outcomes;
        PeerRecord {
            key: PeerPart { address: [7; 16], standing: Standing::Proven },
            level: 1,
            span: Span { start_ns: nth * TEN, end_ns: (nth + 1) * TEN },
            counts,
            ..PeerRecord::default()
        }
    }

    fn last(rows: impl IntoIterator<Item = PeerRecord>) -> Option<u32> {
        let mut tries = Tries::default();
        let looked = rows.into_iter().map(|row| tries.look(&[row]).first().map(|one| one.1));
        looked.last().flatten()
    }

    #[test]
    fn sessions_alike_add_up_over_ten_minutes() {
        assert_eq!(last((0..30).map(|nth| row(nth, 22, 2, 1_900))), Some(60));
        assert_eq!(last((0..90).map(|nth| row(nth, 22, 2, 1_900))), Some(120), "no older ones");
        assert_eq!(last([row(0, 22, 9, 1_900), row(70, 22, 1, 1_900)]), Some(1));
    }

    #[test]
    fn who_says_little_in_several_messages_tries_too() {
        assert_eq!(last((0..30).map(|nth| row_of(nth, 3_389, 2, 90, 3))), Some(60));
    }

    #[test]
    fn banners_other_services_other_sizes_and_sessions_that_last_are_no_tries() {
        assert_eq!(last((0..30).map(|nth| row(nth, 22, 2, 25))), Some(0), "banners");
        assert_eq!(last((0..30).map(|nth| row(nth, 443, 2, 1_900))), None, "another service");
        let differing = last((0..30).map(|nth| row(nth, 22, 2, 1_000 + nth * 500)));
        assert!(differing.is_some_and(|alike| alike < 20), "{differing:?}");
        let held = (0..30).map(|nth| {
            let mut row = row(nth, 22, 2, 1_900);
            row.counts.outcomes[Direction::Ingress.index()].short = 0;
            row
        });
        assert_eq!(last(held), Some(0), "sessions that last");
        let forged = PeerPart { address: [7; 16], standing: Standing::Unproven };
        assert_eq!(last([PeerRecord { key: forged, ..row(0, 22, 9, 1_900) }]), None);
    }
}
