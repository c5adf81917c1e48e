//! Feed: the newest events of a run, for those who follow it.
//!
//! An event has the number of its place in the run, and the run a name of its own, so that a
//! follower who comes back says where it was ([`Cursor`]) and is told of what it missed. Nobody who
//! follows holds up who writes: what does not fit any more is dropped, and counted for each
//! follower that had not read it.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::watch;

/// Bytes of events that are kept.
const BYTES_KEPT: usize = 4 * 1_024 * 1_024;

/// Place in the feed of a run: behind the event with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Start of the run, in ms since 1970.
    run: u64,
    /// Number of the event, from 1; 0 is before the first.
    number: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.number)
    }
}

/// A text that names no place in a feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id of an event; take one that the stream gave")]
pub(crate) struct CursorError(String);

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let read = || {
            let (run, number) = text.split_once('-')?;
            Some(Self { run: u64::from_str_radix(run, 16).ok()?, number: number.parse().ok()? })
        };
        read().ok_or_else(|| CursorError(text.chars().take(64).collect()))
    }
}

/// The newest events of a run.
#[derive(Debug)]
pub struct Feed {
    run: u64,
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    /// One line of JSON each; the last has the number [`Self::newest`].
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    newest: u64,
}

impl Kept {
    /// Number of the oldest that is kept.
    fn oldest(&self) -> u64 {
        self.newest - self.lines.len() as u64 + 1
    }
}

/// Step of a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next event, and the place behind it.
    Event(Cursor, Arc<str>),
    /// Events are not kept any more; the follower goes on here. Their number is not known where it
    /// was in another run.
    Gap(Cursor, Option<u64>),
    /// Nothing came since.
    End,
}

impl Default for Feed {
    fn default() -> Self {
        let run = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        Self { run, kept: Mutex::default(), newest: watch::Sender::default() }
    }
}

impl Feed {
    /// Takes an event, as one line of JSON.
    pub fn push(&self, line: &str) {
        let newest = {
            let mut kept = self.kept();
            kept.lines.push_back(line.into());
            kept.bytes += line.len();
            kept.newest += 1;
            while kept.bytes > BYTES_KEPT {
                let Some(oldest) = kept.lines.pop_front() else { break };
                kept.bytes -= oldest.len();
            }
            kept.newest
        };
        self.newest.send_replace(newest);
    }

    /// The place behind the newest event.
    pub(crate) fn end(&self) -> Cursor {
        Cursor { run: self.run, number: self.kept().newest }
    }

    /// The place before the oldest that is kept.
    pub(crate) fn start(&self) -> Cursor {
        Cursor { run: self.run, number: self.kept().oldest() - 1 }
    }

    /// What comes behind a place.
    pub(crate) fn step(&self, after: Cursor) -> Step {
        let kept = self.kept();
        let place = |number| Cursor { run: self.run, number };
        let before_oldest = kept.oldest() - 1;
        // A number that was never given comes from another run, whatever its name.
        if after.run != self.run || after.number > kept.newest {
            return Step::Gap(place(before_oldest), None);
        }
        let Some(behind) = after.number.checked_sub(before_oldest) else {
            return Step::Gap(place(before_oldest), Some(before_oldest - after.number));
        };
        let line = usize::try_from(behind).ok().and_then(|index| kept.lines.get(index));
        line.map_or(Step::End, |line| Step::Event(place(after.number + 1), Arc::clone(line)))
    }

    /// Tells of the number of the newest event.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(feed: &Feed, mut at: Cursor) -> (u64, Vec<String>) {
        let (mut missed, mut lines) = (0, Vec::new());
        loop {
            at = match feed.step(at) {
                Step::Event(place, line) => {
                    lines.push(line.to_string());
                    place
                }
                Step::Gap(place, number) => {
                    missed += number.expect("a place in this run");
                    place
                }
                Step::End => return (missed, lines),
            };
        }
    }

    #[test]
    fn a_follower_goes_on_where_it_was() {
        let feed = Feed::default();
        let start = feed.start();
        for line in ["a", "b", "c"] {
            feed.push(line);
        }
        assert_eq!(read(&feed, start), (0, ["a", "b", "c"].map(str::to_owned).into()));
        let Step::Event(first, _) = feed.step(start) else { panic!("three events") };
        let first = first.to_string().parse().unwrap();
        assert_eq!(read(&feed, first), (0, ["b", "c"].map(str::to_owned).into()));
        assert_eq!(read(&feed, feed.end()), (0, vec![]));
    }

    #[test]
    fn what_was_dropped_is_told_to_who_had_not_read_it() {
        let feed = Feed::default();
        let start = feed.start();
        let line = "x".repeat(BYTES_KEPT / 4);
        for _ in 0..7 {
            feed.push(&line);
        }
        let (missed, lines) = read(&feed, start);
        assert_eq!((missed, lines.len()), (3, 4));
        assert_eq!(read(&feed, feed.start()).0, 0);
        feed.push(&"y".repeat(2 * BYTES_KEPT));
        assert_eq!(feed.step(feed.end()), Step::End);
        assert_eq!(read(&feed, start), (8, vec![]), "one that is too large is missed as well");
    }

    #[test]
    fn a_place_in_another_run_is_told_and_read_from_the_oldest() {
        let feed = Feed::default();
        feed.push("a");
        for other in [Cursor { run: feed.run - 1, number: 1 }, Cursor { number: 2, ..feed.end() }] {
            assert_eq!(feed.step(other), Step::Gap(feed.start(), None));
        }
        assert_eq!(read(&feed, feed.start()), (0, vec!["a".to_owned()]));
    }

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        for text in ["", "7", "x-1", "1-", "1-x", "-1--1"] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }
}
