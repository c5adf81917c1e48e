//! A file's rows, window by window.

use dataset::{Block, Blocks};

use super::Piece;

/// Start in unix time, start and end on the capturing clock.
pub(super) type Key = (i64, u64, u64);

/// Hands out whole windows, also those that lie in two blocks.
#[derive(Debug)]
pub(super) struct Windows {
    blocks: Blocks,
    block: Option<Block>,
    at: usize,
}

impl Windows {
    pub(super) const fn new(blocks: Blocks) -> Self {
        Self { blocks, block: None, at: 0 }
    }

    pub(super) const fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// The next row's window; none at the end.
    pub(super) fn peek(&mut self) -> anyhow::Result<Option<Key>> {
        while self.block.as_ref().is_none_or(|block| self.at >= block.len()) {
            self.at = 0;
            self.block = self.blocks.next().transpose()?;
            if self.block.is_none() {
                return Ok(None);
            }
        }
        Ok(self.block.as_ref().map(|block| key(block, self.at)))
    }

    /// The rows of the next window; none at the end.
    pub(super) fn take(&mut self) -> anyhow::Result<Piece> {
        let mut rows = Piece::default();
        let Some(wanted) = self.peek()? else { return Ok(rows) };
        while self.peek()? == Some(wanted) {
            let Some(block) = &self.block else { break };
            let same = (self.at..block.len()).take_while(|&row| key(block, row) == wanted).count();
            rows.extend(block, self.at, self.at + same);
            self.at += same;
        }
        Ok(rows)
    }
}

fn key(block: &Block, row: usize) -> Key {
    (block.time_ns[row], block.window_start_ns[row], block.window_end_ns[row])
}
