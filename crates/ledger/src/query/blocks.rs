//! Blocks, ended and active.

use rusqlite::types::Value;

use super::alerts::text;
use super::{Conditions, Page, Span, read};
use crate::columns::{Fields, Kept};
use crate::{Block, Ending, LedgerError, Origin, Prefix, Reader};

/// Filter of blocks; every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockQuery {
    /// Made from when to when, and which page.
    pub span: Span,
    /// Of exactly this target.
    pub target: Option<Prefix>,
    /// Of this origin.
    pub origin: Option<Origin>,
    /// That stand at this wall-clock time.
    pub active_ns: Option<i64>,
}

/// A block, and how it ended, where it has.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedBlock {
    /// The block.
    pub block: Block,
    /// Its first ending. A block past its expiry may have none: nobody was there to see it.
    pub ending: Option<Ending>,
}

const STANDS: &str = "blocks.expires_ns > ?
    AND NOT EXISTS (SELECT 1 FROM endings WHERE endings.block = blocks.id)";

impl Reader {
    /// Blocks with their endings, the last made first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn blocks(&self, query: &BlockQuery) -> Result<Page<EndedBlock>, LedgerError> {
        let mut conditions = Conditions::of::<Block>(query.span);
        if let Some(target) = query.target {
            conditions.add("target = ?", [text(&target)]);
        }
        if let Some(origin) = query.origin {
            conditions.add("origin = ?", [text(origin.name())]);
        }
        if let Some(now_ns) = query.active_ns {
            conditions.add_whole(STANDS, [Value::Integer(now_ns)]);
        }
        let selected = format!(", endings.id, {}", Ending::selection());
        let joined = "LEFT JOIN endings ON endings.id =
            (SELECT min(first.id) FROM endings AS first WHERE first.block = blocks.id)";
        self.page::<Block, _>(conditions, &selected, joined, |row| {
            let mut fields = Fields::of(row);
            let block = Block::read(&mut fields)?;
            let id: Option<u64> = fields.take()?;
            let ending = id.map(|_| Ending::read(&mut fields)).transpose()?;
            Ok(EndedBlock { block, ending })
        })
    }

    /// Hands over each block that stands at this wall-clock time, in the order in which they were
    /// made, without holding them all in memory; there may be a million.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn each_active(&self, now_ns: i64, mut each: impl FnMut(Block)) -> Result<(), LedgerError> {
        let columns = Block::selection();
        let sql = format!("SELECT {columns} FROM blocks WHERE {STANDS} ORDER BY blocks.id");
        let mut run = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([now_ns])?;
            while let Some(row) = rows.next()? {
                each(read(row)?);
            }
            Ok(())
        };
        run().map_err(self.failed())
    }

    /// The blocks that stand at this wall-clock time: without an ending, and not past expiry.
    ///
    /// A target may have several, where a block was made over another and the kernel's entry was
    /// replaced without an ending; the last one counts.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn active(&self, now_ns: i64) -> Result<Vec<Block>, LedgerError> {
        let mut blocks = Vec::new();
        self.each_active(now_ns, |block| blocks.push(block))?;
        Ok(blocks)
    }
}
