//! Counts of entities, from windows to longer horizons, with what becomes known late.

use std::collections::VecDeque;
use std::hash::Hash;

use flows_common::Span;

use crate::context::news::FlowNews;
use crate::context::recent::{Recent, put_table, take_table};
use crate::counts::Counts;
use crate::kept::Kept;
use crate::kind::Horizons;
use crate::record::Row;

/// Time after which the outcome of a flow is known, in ns: 3 s, the first retransmission of a SYN
/// and its answer included (RFC 6298).
pub(crate) const SETTLED_NS: u64 = 3_000_000_000;

/// Gathers the rows of windows into those of longer horizons.
///
/// A window's rows go into the bucket of the next horizon that holds the window's middle, counted
/// from the first window's start; a bucket's entries go into one of the next longer horizon when
/// it is closed. It is closed 3 s after its end, when all outcomes of its flows are known. What an
/// overlong window counted is in no other row, neither then nor when outcomes come late: it would be
/// the traffic of a minute in a row of seconds.
pub(crate) struct Tally<K, C> {
    horizons: Horizons,
    capacity: usize,
    /// Windows whose flows may have outcomes to come: rows with such flows, by key.
    waiting: VecDeque<Waiting<K, C>>,
    /// Of each horizon but the first.
    levels: Vec<VecDeque<Bucket<K, C>>>,
    evicted: u64,
}

struct Waiting<K, C> {
    span: Span,
    is_lossy: bool,
    /// Sorted by key; true where an outcome became known late.
    rows: Vec<(K, C, bool)>,
}

struct Bucket<K, C> {
    number: u64,
    is_lossy: bool,
    entries: Recent<K, C>,
}

impl<K: Copy + Ord + Hash, C: Counts + Copy> Tally<K, C> {
    pub(crate) fn new(horizons: Horizons, capacity: usize) -> Self {
        let levels = horizons.all()[1..].iter().map(|_| VecDeque::new()).collect();
        Self { horizons, capacity, waiting: VecDeque::new(), levels, evicted: 0 }
    }

    /// Entities that are gathered, each once for each horizon.
    pub(crate) fn len(&self) -> usize {
        self.levels.iter().flatten().map(|bucket| bucket.entries.len()).sum()
    }

    /// Puts what longer horizons hold; late outcomes of the last windows are waited for no more.
    pub(crate) fn put(&self, out: &mut Vec<u8>)
    where
        K: Kept,
        C: Kept,
    {
        for buckets in &self.levels {
            (buckets.len() as u64).put(out);
            for bucket in buckets {
                (bucket.number, bucket.is_lossy).put(out);
                put_table(&bucket.entries, |counts| Some(*counts), out);
            }
        }
    }

    /// Takes it up into one that is empty.
    pub(crate) fn take(&mut self, bytes: &mut &[u8]) -> Option<()>
    where
        K: Kept,
        C: Kept,
    {
        for buckets in &mut self.levels {
            for _ in 0..u64::take(bytes)? {
                let (number, is_lossy) = Kept::take(bytes)?;
                let entries = take_table(self.capacity, bytes)?;
                buckets.push_back(Bucket { number, is_lossy, entries });
            }
        }
        Some(())
    }

    /// Rows of an entity that were lost to a horizon, or to late outcomes, for want of room.
    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Adds a window's rows, sorted by key; those that `is_pending` wait for late outcomes.
    pub(crate) fn add(
        &mut self,
        at: &At,
        rows: &[Row<K, C>],
        is_lossy: bool,
        is_pending: impl Fn(usize) -> bool,
    ) {
        if self.horizons.is_overlong(at.window) {
            self.waiting.push_back(Waiting { span: at.window, is_lossy, rows: Vec::new() });
            return;
        }
        let pending = rows.iter().enumerate().filter(|&(place, _)| is_pending(place));
        let mut waiting: Vec<(K, C, bool)> =
            pending.map(|(_, row)| (row.key, row.counts, false)).collect();
        self.evicted += waiting.len().saturating_sub(self.capacity) as u64;
        waiting.truncate(self.capacity);
        self.waiting.push_back(Waiting { span: at.window, is_lossy, rows: waiting });
        if self.levels.is_empty() {
            return;
        }
        let number = at.bucket(self.horizons, 1);
        let mut evicted = 0;
        let bucket = bucket_of(&mut self.levels[0], number, self.capacity);
        bucket.is_lossy |= is_lossy;
        for row in rows {
            let touched = bucket.entries.touch(row.key, C::default);
            touched.value.merge(&row.counts);
            evicted += u64::from(touched.evicted.is_some());
        }
        self.evicted += evicted;
    }

    /// The window that began at a time, where outcomes of its flows may be to come; else `now`.
    pub(crate) fn window_at(&self, start_ns: Option<u64>, now: Span) -> Span {
        let waiting = self.waiting.iter().map(|waiting| waiting.span);
        start_ns.and_then(|at| waiting.rev().find(|span| span.start_ns == at)).unwrap_or(now)
    }

    /// Adds what became known late of flows that were opened in an earlier window.
    pub(crate) fn amend(&mut self, opened: &At, key: K, known: &C) {
        if self.horizons.is_overlong(opened.window) {
            return;
        }
        let window = self.waiting.iter_mut().find(|waiting| waiting.span == opened.window);
        if let Some(waiting) = window
            && let Ok(place) = waiting.rows.binary_search_by(|(other, ..)| other.cmp(&key))
        {
            let (_, counts, is_changed) = &mut waiting.rows[place];
            counts.amend(known);
            *is_changed = true;
        }
        let Some(shortest) = self.levels.first_mut() else { return };
        let number = opened.bucket(self.horizons, 1);
        let bucket = shortest.iter_mut().find(|bucket| bucket.number == number);
        if let Some(counts) = bucket.and_then(|bucket| bucket.entries.get_mut(&key)) {
            counts.amend(known);
        }
    }

    /// Hands out the rows that are complete at a window's end, or all of them at the `last` one.
    pub(crate) fn close(&mut self, at: &At, last: bool, out: &mut Vec<Row<K, C>>) {
        let now_ns = at.window.end_ns;
        let is_due = |end_ns: u64| last || now_ns >= end_ns.saturating_add(SETTLED_NS);
        while let Some(first) = self.waiting.pop_front_if(|first| is_due(first.span.end_ns)) {
            let Waiting { span, is_lossy, rows } = first;
            let horizon = self.horizons.window();
            let changed = rows.into_iter().filter(|(_, _, is_changed)| *is_changed);
            out.extend(changed.map(|(key, counts, _)| Row {
                key,
                horizon,
                level: 0,
                span,
                is_lossy,
                counts,
            }));
        }
        for level in 0..self.levels.len() {
            while let Some(bucket) = self.levels[level]
                .pop_front_if(|first| is_due(at.end_of(self.horizons, level + 1, first.number)))
            {
                self.close_bucket(at, level, bucket, out);
            }
        }
    }

    fn close_bucket(
        &mut self,
        at: &At,
        level: usize,
        mut bucket: Bucket<K, C>,
        out: &mut Vec<Row<K, C>>,
    ) {
        let horizon = self.horizons.all()[level + 1];
        let end_ns = at.end_of(self.horizons, level + 1, bucket.number);
        let span = Span {
            start_ns: end_ns.saturating_sub(horizon.ns()),
            // The last window may end before the horizon does.
            end_ns: end_ns.min(at.window.end_ns),
        };
        let entries = bucket.entries.drain_sorted();
        if let Some(longer) = self.horizons.all().get(level + 2) {
            let ratio = u64::from(longer.ms() / horizon.ms()).max(1);
            let upper =
                bucket_of(&mut self.levels[level + 1], bucket.number / ratio, self.capacity);
            upper.is_lossy |= bucket.is_lossy;
            for (key, counts) in &entries {
                let touched = upper.entries.touch(*key, C::default);
                touched.value.merge(counts);
                self.evicted += u64::from(touched.evicted.is_some());
            }
        }
        let is_lossy = bucket.is_lossy;
        let row = |(key, counts)| Row { key, horizon, level: level + 1, span, is_lossy, counts };
        out.extend(entries.into_iter().map(row));
    }
}

/// The bucket of a number: the last one, or a new one after it.
fn bucket_of<K: Copy + Eq + Hash, C: Copy>(
    buckets: &mut VecDeque<Bucket<K, C>>,
    number: u64,
    capacity: usize,
) -> &mut Bucket<K, C> {
    if buckets.back().is_none_or(|last| last.number < number) {
        let entries = Recent::with_capacity(capacity);
        buckets.push_back(Bucket { number, is_lossy: false, entries });
    }
    // A window that began before its predecessor goes with it.
    buckets.back_mut().expect("there is one now")
}

/// A window among all windows.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// Start of the first window ever.
    pub(crate) origin_ns: u64,
    /// The window.
    pub(crate) window: Span,
}

impl At {
    /// The bucket of a horizon that holds the window's middle.
    pub(crate) fn bucket(&self, horizons: Horizons, level: usize) -> u64 {
        let Span { start_ns, .. } = self.window;
        let middle_ns = start_ns.saturating_add(self.window.duration_ns() / 2);
        let shortest = horizons.all()[1.min(horizons.all().len() - 1)];
        let number = middle_ns.saturating_sub(self.origin_ns) / shortest.ns();
        // As buckets go into longer ones.
        number / u64::from(horizons.all()[level].ms() / shortest.ms()).max(1)
    }

    /// Of each horizon, the flows of a tuple that are newly active in this window's bucket.
    pub(crate) fn newly_active(
        &self,
        news: &FlowNews,
        horizons: Horizons,
    ) -> [u32; Horizons::MOST] {
        let mut newly = [news.opened.max(1); Horizons::MOST];
        if let Some(window) = news.last_window {
            let last = Self { window, ..*self };
            for (level, newly) in newly.iter_mut().enumerate().take(horizons.all().len()).skip(1) {
                if last.bucket(horizons, level) == self.bucket(horizons, level) {
                    *newly = 0;
                }
            }
        }
        newly
    }

    /// The end of a horizon's bucket.
    fn end_of(&self, horizons: Horizons, level: usize, number: u64) -> u64 {
        let end_ns = horizons.all()[level].ns().saturating_mul(number.saturating_add(1));
        self.origin_ns.saturating_add(end_ns)
    }
}
