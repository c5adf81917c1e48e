//! Rows gathered in memory from a stream that is seen only once, thinned where they are many.

use crate::error::TrainingError;
use crate::source::{Mark, RowBlock, RowSource};

/// Rows kept at most; beyond that every second row is dropped and from then on only each second,
/// fourth, … one is taken, so that memory stays bounded and time evenly covered.
pub const SAMPLED_ROWS: usize = 1 << 20;

/// Rows of one width with the number of the window each came from, to be
/// [trained](crate::train) on once the stream has ended. The window's number is its time.
#[derive(Clone, Debug)]
pub struct SampledRows {
    width: usize,
    limit: usize,
    values: Vec<f32>,
    windows: Vec<i64>,
    /// Stride: one in `1 << stride` rows is taken.
    stride: u32,
    seen: u64,
}

impl SampledRows {
    /// For rows of `width` values, at most [`SAMPLED_ROWS`] of them.
    ///
    /// # Panics
    /// If `width` is 0.
    #[must_use]
    pub fn new(width: usize) -> Self {
        assert!(width > 0, "a row has at least one value");
        let limit = SAMPLED_ROWS;
        Self { width, limit, values: Vec::new(), windows: Vec::new(), stride: 0, seen: 0 }
    }

    /// Takes the rows of a window, side by side.
    pub fn extend(&mut self, window: u64, rows: &[f32]) {
        let window = i64::try_from(window).unwrap_or(i64::MAX);
        for row in rows.chunks_exact(self.width) {
            if self.seen.trailing_zeros() >= self.stride {
                if self.windows.len() == self.limit {
                    self.halve();
                }
                self.values.extend_from_slice(row);
                self.windows.push(window);
            }
            self.seen += 1;
        }
    }

    /// Rows that were offered.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Rows kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// True where no row is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// The rows kept, side by side.
    pub(crate) fn into_values(self) -> Vec<f32> {
        self.values
    }

    fn halve(&mut self) {
        self.stride += 1;
        let width = self.width;
        for (to, from) in (0..self.windows.len()).step_by(2).enumerate() {
            self.windows[to] = self.windows[from];
            self.values.copy_within(from * width..(from + 1) * width, to * width);
        }
        self.windows.truncate(self.windows.len().div_ceil(2));
        self.values.truncate(self.windows.len() * width);
    }
}

impl RowSource for SampledRows {
    fn read(
        &self,
        visit: &mut dyn FnMut(&RowBlock) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError> {
        const AT_ONCE: usize = 1 << 16;
        let blocks = self.windows.chunks(AT_ONCE).zip(self.values.chunks(AT_ONCE * self.width));
        for (windows, rows) in blocks {
            visit(&RowBlock {
                starts_ns: windows.to_vec(),
                ends_ns: windows.iter().map(|window| window.saturating_add(1)).collect(),
                peers: Vec::new(),
                marks: vec![Mark::Unlabelled; windows.len()],
                rows: rows.to_vec(),
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_limit_are_thinned_evenly() {
        let mut rows = SampledRows { limit: 1 << 10, ..SampledRows::new(1) };
        for window in 0..(1 << 10) * 3_u16 {
            rows.extend(window.into(), &[f32::from(window)]);
        }
        assert_eq!(rows.seen(), 3 << 10);
        assert!(rows.len() <= 1 << 10 && rows.len() > 1 << 9);
        let apart: std::collections::BTreeSet<i64> =
            rows.windows.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(apart.len(), 1, "{apart:?}");
    }

    #[test]
    fn they_are_read_as_often_as_wanted() {
        let mut rows = SampledRows::new(2);
        rows.extend(1, &[1.0, 2.0]);
        rows.extend(4, &[3.0, 4.0, 5.0, 6.0]);
        for _ in 0..2 {
            let mut read = Vec::new();
            rows.read(&mut |block| {
                read.push((block.starts_ns.clone(), block.rows.clone()));
                Ok(())
            })
            .unwrap();
            assert_eq!(read, [(vec![1, 4, 4], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
        }
    }
}
