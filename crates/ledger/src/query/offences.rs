//! Offences: number of a peer's blocks, which escalation goes by, also after a restart.

use std::net::IpAddr;

use rusqlite::{Row, params};
use serde::Serialize;

use crate::{LedgerError, Prefix, Reader};

/// The blocks that weir's own decisions made of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Offences {
    /// Blocks made, in shadow too.
    pub blocks: u32,
    /// Those of them that a person took back: they may count for less, or for nothing.
    pub pardoned: u32,
    /// Time of the last block, in wall-clock ns; 0 for none.
    pub last_made_ns: i64,
    /// Latest end of these blocks by lease, in wall-clock ns; 0 for none.
    pub last_expires_ns: i64,
}

const SUMS: &str = "count(*),
    sum(EXISTS (SELECT 1 FROM endings WHERE endings.block = blocks.id AND how = 'unblocked')),
    max(at_ns), max(expires_ns)";

fn sums(row: &Row<'_>) -> rusqlite::Result<Offences> {
    Ok(Offences {
        blocks: row.get(0)?,
        pardoned: row.get::<_, Option<u32>>(1)?.unwrap_or(0),
        last_made_ns: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
        last_expires_ns: row.get::<_, Option<i64>>(3)?.unwrap_or(0),
    })
}

impl Reader {
    /// The offences of an address since this wall-clock time.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn offences(&self, address: IpAddr, since_ns: i64) -> Result<Offences, LedgerError> {
        let sql = format!(
            "SELECT {SUMS} FROM blocks WHERE target = ?1 AND at_ns >= ?2 AND origin = 'model'"
        );
        let target = Prefix::from(address).to_string();
        self.connection.query_row(&sql, params![target, since_ns], sums).map_err(self.failed())
    }

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
        let sql = format!(
            "SELECT {SUMS}, target FROM blocks
             WHERE at_ns >= ?1 AND origin = 'model' AND target NOT LIKE '%/%'
             GROUP BY target ORDER BY max(at_ns) DESC, max(id) DESC LIMIT ?2"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let run = || -> rusqlite::Result<Vec<(IpAddr, Offences)>> {
            let mut statement = self.connection.prepare(&sql)?;
            let rows = statement.query_map(params![since_ns, limit], |row| {
                let target: String = row.get(4)?;
                Ok((target.parse::<IpAddr>().ok(), sums(row)?))
            })?;
            let known = rows.filter_map(|row| match row {
                Ok((address, offences)) => address.map(|address| Ok((address, offences))),
                Err(error) => Some(Err(error)),
            });
            known.collect()
        };
        run().map_err(self.failed())
    }
}
