//! Alerts as people are told of them: from memory, and further back from the ledger.

use std::cmp::Reverse;

use control::wire::{self, Alert, AlertQuery, Page, Refused};
use ledger::{ActQuery, Cursor};

use super::{Node, journal::wall_ns, services::OWN_NAME};

/// Alerts of one answer where the query names no number.
const PAGE: u32 = wire::LIMIT_DEFAULT;

impl Node {
    /// Alerts: the newest from memory, and those that it no longer holds from the ledger.
    pub(super) fn list_alerts(&self, query: &AlertQuery) -> Result<Page<Alert>, Refused> {
        let limit = query.limit.unwrap_or(PAGE);
        let kept = self.kept_alerts(query);
        let oldest_kept = self.inner().alerts.front().map(Alert::id);
        if query.after.is_some() {
            return Ok(Page::cut(kept, limit, |alert| alert.id().to_string()));
        }
        let mut found: Vec<Alert> = kept.into_iter().rev().collect();
        if found.len() <= limit as usize {
            let before = match (query.before, oldest_kept) {
                (Some(before), Some(kept)) => Some(before.min(kept)),
                (before, kept) => before.or(kept),
            };
            let mut older = self.recorded_alerts(query, before, limit)?;
            older.extend(self.recorded_own_alerts(query, before, limit)?);
            older.sort_by_key(|alert| Reverse(alert.id()));
            found.extend(older);
        }
        Ok(Page::cut(found, limit, |alert| alert.id().to_string()))
    }

    /// Those in memory that the query asks for, the oldest first.
    fn kept_alerts(&self, query: &AlertQuery) -> Vec<Alert> {
        self.inner()
            .alerts
            .iter()
            .filter(|alert| query.after.is_none_or(|after| alert.id() > after))
            .filter(|alert| query.before.is_none_or(|before| alert.id() < before))
            .filter(|alert| query.fits(alert))
            .cloned()
            .collect()
    }

    /// Those of remotes in the ledger, with a number below that.
    fn recorded_alerts(
        &self,
        query: &AlertQuery,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Alert>, Refused> {
        let Some(reader) = self.journal.reader().map_err(|error| failed(&error))? else {
            return Ok(Vec::new());
        };
        // The row behind which to go on: the ledger's cursor has its time as well.
        let after = match before {
            None => None,
            Some(id) => match reader.decision(id).map_err(|error| failed(&error))? {
                Some(decision) => Some(Cursor { at_ns: wall_ns(decision.record.time), id }),
                // Not recorded yet, or no more: its number alone tells.
                None => Some(Cursor { at_ns: i64::MAX, id }),
            },
        };
        let query = ledger::AlertQuery {
            span: ledger::Span {
                since_ns: query.since.map(wall_ns),
                after,
                limit: limit as usize + 1,
                ..ledger::Span::default()
            },
            address: query.peer,
            ..ledger::AlertQuery::default()
        };
        let page = reader.alerts(&query).map_err(|error| failed(&error))?;
        Ok(page
            .rows
            .into_iter()
            .map(|row| Alert::from(row.record))
            .filter(|alert| before.is_none_or(|before| alert.id() < before))
            .collect())
    }

    /// Those of this host's own side, which are acts of weir's in the ledger, likewise.
    fn recorded_own_alerts(
        &self,
        query: &AlertQuery,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Alert>, Refused> {
        let Some(reader) = self.journal.reader().map_err(|error| failed(&error))? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let since_ns = query.since.map(wall_ns);
        let mut span = ledger::Span { since_ns, limit: usize::MAX, ..Default::default() };
        while found.len() <= limit as usize {
            let acts = ActQuery { span, what: None, name: Some(OWN_NAME.to_owned()) };
            let page = reader.acts(&acts).map_err(|error| failed(&error))?;
            let told = page.rows.iter().filter_map(|act| serde_json::from_str(&act.arguments).ok());
            found.extend(
                told.map(Alert::Own)
                    .filter(|alert| before.is_none_or(|before| alert.id() < before))
                    .filter(|alert| query.fits(alert)),
            );
            let Some(next) = page.next else { break };
            span.after = Some(next);
        }
        Ok(found)
    }
}

fn failed(error: &ledger::LedgerError) -> Refused {
    Refused::unavailable(error.to_string())
}
