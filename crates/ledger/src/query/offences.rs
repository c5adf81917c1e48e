//! Offences: number of a peer's blocks, which escalation goes by, also after a restart.

use std::net::IpAddr;

use rusqlite::params;
use serde::Serialize;

use crate::{LedgerError, Reader};

/// The blocks that weir's own decisions made of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Offences {
    /// Blocks made, in shadow too.
    pub blocks: u32,
    /// Those of them that were taken back, by a person or for a lower mode, or shadows decided anew before
    /// their end: they may count for less, or for nothing.
    pub pardoned: u32,
    /// Time of the last block, in wall-clock ns.
    pub last_made_ns: i64,
    /// Latest end of these blocks by lease, in wall-clock ns.
    pub last_expires_ns: i64,
}

impl Reader {
    /// Everybody with offences since this wall-clock time, who was blocked last first, and at most
    /// `limit`: what to fill the policy's memory with at start.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn offenders(
        &self,
        since_ns: i64,
        limit: usize,
    ) -> Result<Vec<(IpAddr, Offences)>, LedgerError> {
        // A blocked prefix is no offence of an address.
        let sql = "SELECT count(*),
             sum(EXISTS (SELECT 1 FROM endings WHERE block = blocks.id
                 AND (how IN ('unblocked', 'fell_back')
                 OR (how = 'replaced' AND blocks.action = 'shadow')))),
             max(at_ns), max(expires_ns), target FROM blocks
             WHERE at_ns >= ?1 AND origin = 'model' AND target NOT LIKE '%/%'
             GROUP BY target ORDER BY max(at_ns) DESC, max(id) DESC LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let run = || -> rusqlite::Result<Vec<(IpAddr, Offences)>> {
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query(params![since_ns, limit])?;
            let mut offenders = Vec::new();
            while let Some(row) = rows.next()? {
                let target: String = row.get(4)?;
                let offences = Offences {
                    blocks: row.get(0)?,
                    pardoned: row.get(1)?,
                    last_made_ns: row.get(2)?,
                    last_expires_ns: row.get(3)?,
                };
                offenders.extend(target.parse().ok().map(|address| (address, offences)));
            }
            Ok(offenders)
        };
        run().map_err(self.failed())
    }
}
