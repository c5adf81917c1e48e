//! Uniform samples of rows from a stream of unknown length.

use crate::random::Draws;

/// Uniform sample of at most `capacity` rows of a stream: Algorithm L (Li 1994, *Reservoir-Sampling
/// Algorithms of Time Complexity O(n(1 + log(N/n)))*, ACM TOMS 20(4)), the skipping form of
/// Vitter's Algorithm R.
///
/// It knows rows by their number alone, so it costs nothing for a row that is passed over, and
/// what it keeps depends on seed and number of rows, never on how the stream was cut into blocks.
///
/// ```
/// use weir_forest::Reservoir;
///
/// let mut slots = vec![0; 3];
/// let mut reservoir = Reservoir::new(3, 42, 0);
/// for block in 0..10_u64 {
///     reservoir.offer(100, |slot, within| slots[slot] = block * 100 + within);
/// }
/// assert_eq!((reservoir.seen(), reservoir.len()), (1_000, 3));
/// assert!(slots.iter().all(|row| *row < 1_000));
/// ```
#[derive(Clone)]
pub struct Reservoir {
    capacity: usize,
    seen: u64,
    /// The number of the next row to be kept, once every slot is taken.
    next: u64,
    /// Distributed as the largest of `capacity` uniform draws among the rows seen.
    largest: f64,
    draws: Draws,
}

impl Reservoir {
    /// A reservoir of `capacity` slots. Reservoirs of one seed but different `stream`s draw
    /// independently.
    ///
    /// # Panics
    /// If `capacity` is 0.
    #[must_use]
    pub fn new(capacity: usize, seed: u64, stream: usize) -> Self {
        assert!(capacity > 0, "a reservoir needs at least one slot");
        let mut reservoir = Self {
            capacity,
            seen: 0,
            next: capacity as u64,
            largest: 1.0,
            draws: Draws::new(seed, stream),
        };
        reservoir.skip();
        reservoir
    }

    /// Passes the next `rows` of the stream by. Calls `keep(slot, row)` for each that is kept, in
    /// their order, `row` counted from 0 within these; a slot named again is to be overwritten.
    #[expect(clippy::missing_panics_doc, reason = "a slot's number is below the capacity")]
    pub fn offer(&mut self, rows: u64, mut keep: impl FnMut(usize, u64)) {
        let start = self.seen;
        let end = start + rows;
        let filled = end.min(self.capacity as u64);
        for row in start..filled {
            keep(usize::try_from(row).expect("a slot's number"), row - start);
        }
        while self.next < end {
            keep(self.draws.below(self.capacity), self.next - start);
            self.next += 1;
            self.skip();
        }
        self.seen = end;
    }

    /// Rows passed by so far.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Slots that hold a row.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.seen).map_or(self.capacity, |seen| seen.min(self.capacity))
    }

    /// True if no row has passed by yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// The generator, to be drawn from further.
    pub(crate) fn into_draws(self) -> Draws {
        self.draws
    }

    /// Draws how many rows to pass over until the next that is kept.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a skip is at least 0, and one beyond u64 saturates: no stream is that long"
    )]
    fn skip(&mut self) {
        self.largest *= (self.positive().ln() / self.capacity as f64).exp();
        let passed_over = (self.positive().ln() / (-self.largest).ln_1p()).floor() as u64;
        self.next = self.next.saturating_add(passed_over);
    }

    /// Uniform in (0, 1].
    fn positive(&mut self) -> f64 {
        1.0 - self.draws.unit()
    }
}

/// A uniform sample of a stream's rows themselves, at most `capacity` of them.
#[derive(Clone)]
pub struct RowSample {
    width: usize,
    reservoir: Reservoir,
    rows: Vec<f32>,
}

impl RowSample {
    /// A sample of at most `capacity` rows of `width` values; see [`Reservoir::new`]. Memory
    /// grows with the rows, up to `capacity * width` values.
    ///
    /// # Panics
    /// If `capacity` or `width` is 0.
    #[must_use]
    pub fn new(capacity: usize, width: usize, seed: u64, stream: usize) -> Self {
        assert!(width > 0, "a row has at least one value");
        Self { width, reservoir: Reservoir::new(capacity, seed, stream), rows: Vec::new() }
    }

    /// Passes rows by that lie side by side.
    ///
    /// # Panics
    /// If `rows` does not hold whole rows.
    pub fn extend(&mut self, rows: &[f32]) {
        assert!(rows.len().is_multiple_of(self.width), "rows must be whole");
        let (width, kept) = (self.width, &mut self.rows);
        self.reservoir.offer((rows.len() / width) as u64, |slot, row| {
            let row = usize::try_from(row).expect("a row of this slice") * width;
            let row = &rows[row..row + width];
            match kept.get_mut(slot * width..(slot + 1) * width) {
                Some(taken) => taken.copy_from_slice(row),
                None => kept.extend_from_slice(row),
            }
        });
    }

    /// Rows passed by so far.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.reservoir.seen()
    }

    /// The rows kept, side by side. Their order is that of the slots, which says nothing.
    #[must_use]
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// The rows kept, side by side.
    #[must_use]
    pub fn into_rows(self) -> Vec<f32> {
        self.rows
    }

    pub(crate) fn into_parts(self) -> (Vec<f32>, Draws) {
        (self.rows, self.reservoir.into_draws())
    }
}

impl std::fmt::Debug for RowSample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowSample").field("seen", &self.seen()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Reservoir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservoir").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_row_of_the_stream_is_as_likely_to_be_kept() {
        const ROUNDS: usize = 20_000;
        let mut kept = [0_u32; 40];
        for round in 0..ROUNDS {
            let mut slots = [0; 8];
            Reservoir::new(8, 1, round).offer(40, |slot, row| slots[slot] = row);
            for row in slots {
                kept[usize::try_from(row).unwrap()] += 1;
            }
        }
        // 8 in 40 of 20,000 rounds: 4,000, with a standard deviation of 57.
        assert!(kept.iter().all(|count| (3_740..4_260).contains(count)), "{kept:?}");
    }

    #[test]
    fn a_stream_shorter_than_the_sample_is_kept_whole_and_in_order() {
        let mut sample = RowSample::new(10, 2, 7, 0);
        sample.extend(&[1.0, 2.0]);
        sample.extend(&[]);
        sample.extend(&[3.0, 4.0, 5.0, 6.0]);
        assert_eq!(sample.rows(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(sample.seen(), 3);
    }

    proptest! {
        #[test]
        fn the_sample_does_not_depend_on_how_the_stream_was_cut(
            mut cuts in prop::collection::vec(0_usize..3_000, 0..20),
            capacity in 1_usize..40,
            seed in any::<u64>(),
        ) {
            let rows: Vec<f32> = (0..3_000_u16).map(f32::from).collect();
            let mut whole = RowSample::new(capacity, 1, seed, 0);
            whole.extend(&rows);
            cuts.extend([0, rows.len()]);
            cuts.sort_unstable();
            let mut pieces = RowSample::new(capacity, 1, seed, 0);
            for cut in cuts.windows(2) {
                pieces.extend(&rows[cut[0]..cut[1]]);
            }
            prop_assert_eq!(whole.rows(), pieces.rows());
        }
    }
}
