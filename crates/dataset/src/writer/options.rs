//! Options of a writer.

use std::time::Duration;

use crate::DatasetError;

/// Options of cutting and compressing files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// A file holds windows that begin within this time of its first one, and never more than an
    /// hour's. At least 1 s.
    pub rotate_every: Duration,
    /// A file that is this long, in bytes, gets no further window. At least 64 KiB.
    pub rotate_bytes: u64,
    /// Rows of a row group, which is what a reader holds in memory: 1 to 1,048,576.
    pub row_group_rows: usize,
    /// Effort of zstd, 1 to 22; none for snappy, which takes a third to three quarters more room
    /// and is done before zstd has its memory in order.
    pub zstd_level: Option<i32>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            rotate_every: Duration::from_mins(10),
            rotate_bytes: 256 << 20,
            // Twice as many take as many bytes a row (46.2 and 46.3 in `examples/throughput.rs`), and
            // twice the reader's memory.
            row_group_rows: 65_536,
            zstd_level: Some(3),
        }
    }
}

impl WriterOptions {
    pub(super) fn check(&self) -> Result<(), DatasetError> {
        let refuse = |option, bound, value| Err(DatasetError::Option { option, bound, value });
        if self.rotate_every < Duration::from_secs(1) {
            return refuse("rotate_every", "at least 1s", format!("{:?}", self.rotate_every));
        }
        if self.rotate_bytes < 64 << 10 {
            return refuse("rotate_bytes", "at least 65536", self.rotate_bytes.to_string());
        }
        if !(1..=1 << 20).contains(&self.row_group_rows) {
            return refuse("row_group_rows", "1 to 1048576", self.row_group_rows.to_string());
        }
        Ok(())
    }
}
