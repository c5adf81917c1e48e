//! Log-ins tried again and again, as packet counters show them.
//!
//! No counter tells a wrong password from a right one. But who tries passwords opens session after
//! session at a service for log-ins, says as much in each as in the others, and is done within
//! seconds. Of such sessions [`Tries`] keeps count over ten minutes.
//!
//! What is like it and is none: a checker that asks for the banner says one thing, and less than a key
//! exchange; an interactive session lasts; copies and repositories differ in size. Programs that log in to
//! do the same command dozens of times in ten minutes are not told from it: they are to be allowed by name.
//! Who makes sessions of ever other sizes is not found here, but by the host's own log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flows_common::{Direction, Span, Standing};

use crate::counts::{Part, ServiceUse};
use crate::record::{PeerRecord, TCP};

/// Services where people log in: a shell, and its usual other port, and a desktop.
const LOG_INS: [u16; 3] = [22, 2_222, 3_389];
/// Bytes, or else messages, of a remote that has only asked for the banner: an identification of 255
/// bytes at most (RFC 4253 §4.2), and be it in two parts. Messages are marked by who sends them, bytes are
/// not. Who says more in the mean tries to log in, in most sessions or in some.
const BANNER: (f64, f64) = (255.0, 2.0);
/// Time for which a session counts, in ns.
const COUNTS_FOR_NS: u64 = 600_000_000_000;
/// Remotes at a service that are remembered at most; beyond it who came last longest ago goes.
const LIMIT: usize = 16_384;

/// Windows of a remote that are counted one by one before a row over a longer time has them.
const WINDOWS: usize = 32;

/// A remote, and the port that it turned to.
type Guesser = ([u8; 16], u16);

/// Sessions of a row.
#[derive(Clone, Copy, Debug)]
struct Sessions {
    covers: Span,
    short: u32,
    sizes: ServiceUse,
}

/// Sessions of a remote at a service.
#[derive(Debug, Default)]
struct Past {
    /// Of rows over the horizon that is next to the window.
    longer: VecDeque<Sessions>,
    /// Of windows that no such row covers yet.
    windows: VecDeque<Sessions>,
}

/// Memory of sessions at services for log-ins, by remote address and port.
#[derive(Debug, Default)]
pub struct Tries {
    remotes: BTreeMap<Guesser, Past>,
}

impl Tries {
    /// Looks at the rows of peers that came with a window, those of the window and of the horizon that
    /// is next to it: the remotes with further sessions, and how many short ones alike each had in ten
    /// minutes.
    pub fn look(&mut self, peers: &[PeerRecord]) -> Vec<([u8; 16], u32)> {
        let mut further = BTreeSet::new();
        for peer in peers.iter().filter(|peer| peer.level <= 1) {
            if peer.key.standing != Standing::Proven || peer.is_lossy {
                continue;
            }
            for port in LOG_INS {
                let sizes = peer.counts.use_of(Direction::Ingress, TCP, port);
                let Some(&sizes) = sizes.filter(|sizes| sizes.served > 0) else { continue };
                let short = peer.counts.outcomes[Direction::Ingress.index()].short;
                let guesser = (peer.key.address, port);
                let sessions = Sessions { covers: peer.span, short, sizes };
                self.past(guesser, peer.span.end_ns).note(sessions, peer.level > 0);
                further.insert(guesser);
            }
        }
        let mut most: BTreeMap<[u8; 16], u32> = BTreeMap::new();
        for (guesser, past) in further.iter().filter_map(|one| Some((one, self.remotes.get(one)?)))
        {
            let alike = most.entry(guesser.0).or_default();
            *alike = past.alike().max(*alike);
        }
        most.into_iter().collect()
    }

    /// What is remembered of a remote, after room was made for it.
    fn past(&mut self, guesser: Guesser, now_ns: u64) -> &mut Past {
        if self.remotes.len() >= LIMIT && !self.remotes.contains_key(&guesser) {
            self.remotes.retain(|_, past| counts(past.last_ns(), now_ns));
            if self.remotes.len() >= LIMIT {
                let oldest = self.remotes.iter().min_by_key(|(_, past)| past.last_ns());
                let oldest = oldest.map(|(guesser, _)| *guesser);
                oldest.and_then(|oldest| self.remotes.remove(&oldest));
            }
        }
        self.remotes.entry(guesser).or_default()
    }
}

impl Past {
    /// Notes the sessions of a row; a window's takes the place of what was known of it before, and a
    /// longer one's that of the windows in it.
    fn note(&mut self, sessions: Sessions, is_longer: bool) {
        let now_ns = sessions.covers.end_ns;
        if is_longer {
            self.windows.retain(|one| one.covers.end_ns > now_ns);
            self.longer.push_back(sessions);
        } else {
            self.windows.retain(|one| one.covers != sessions.covers);
            if self.windows.len() == WINDOWS {
                self.windows.pop_front();
            }
            self.windows.push_back(sessions);
        }
        for all in [&mut self.longer, &mut self.windows] {
            all.retain(|one| counts(one.covers.end_ns, now_ns));
        }
    }

    fn all(&self) -> impl Iterator<Item = &Sessions> {
        self.longer.iter().chain(&self.windows)
    }

    fn last_ns(&self) -> u64 {
        self.all().map(|one| one.covers.end_ns).max().unwrap_or(0)
    }

    /// Short sessions that were like the last ones: what else a guesser does in windows of its own hides
    /// none of them.
    fn alike(&self) -> u32 {
        let last = [self.longer.back(), self.windows.back()];
        last.into_iter().flatten().map(|last| self.like(last)).max().unwrap_or(0)
    }

    fn like(&self, last: &Sessions) -> u32 {
        let (mut short, mut sizes) = (0_u32, ServiceUse::default());
        for one in self.all().filter(|one| one.sizes.is_like(&last.sizes)) {
            short = short.saturating_add(one.short);
            sizes.merge(&one.sizes);
        }
        let (bytes, messages) = BANNER;
        let is_banner = sizes.request_mean() <= bytes && sizes.messages_mean() <= messages;
        if is_banner { 0 } else { sizes.alike().min(short) }
    }
}

const fn counts(end_ns: u64, now_ns: u64) -> bool {
    now_ns.saturating_sub(end_ns) < COUNTS_FOR_NS
}

#[cfg(test)]
mod tests {
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

    /// The row of a window of a second.
    fn window(second: u64, sessions: u32) -> PeerRecord {
        let span = Span { start_ns: second * TEN / 10, end_ns: (second + 1) * TEN / 10 };
        PeerRecord { level: 0, span, ..row(0, 22, sessions, 1_900) }
    }

    #[test]
    fn sessions_count_from_their_window_on_and_once() {
        assert_eq!(last([window(0, 20), window(1, 20)]), Some(40));
        assert_eq!(
            last([window(0, 3), window(0, 20)]),
            Some(20),
            "with the outcomes that came late"
        );
        let longer = (0..13).map(|second| window(second, 20)).chain([row(0, 22, 200, 1_900)]);
        assert_eq!(last(longer), Some(260), "ten of the windows are in the row over ten seconds");
    }

    #[test]
    fn odd_sessions_in_between_hide_no_tries() {
        let odd =
            |second| PeerRecord { level: 0, span: window(second, 1).span, ..row(0, 22, 1, 9) };
        let tries =
            (0..30).map(|second| if second % 3 == 0 { odd(second) } else { window(second, 2) });
        assert_eq!(last(tries), Some(40));
    }

    #[test]
    fn memory_of_windows_is_bounded_and_they_are_forgotten_in_time() {
        assert_eq!(last((0..200).map(|second| window(second, 1))), Some(32));
        assert_eq!(last([window(0, 20), window(700, 1)]), Some(1));
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
